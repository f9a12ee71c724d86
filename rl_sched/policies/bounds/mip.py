"""Mixed-integer programs, built row by row and solved by HiGHS."""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np

#: Of values (at most 1e-10 is possible): rules multiplied by large constants stay tight.
_TOLERANCE = 1e-9


class MipResult(NamedTuple):
    """What the solver knows in the end."""

    x: np.ndarray | None  #: (columns,) the best solution found
    bound: float  #: no solution has a smaller objective; -inf if nothing is proven
    status: str  #: in the solver's words


class Program:
    """Minimise a linear objective. Columns and rows are added in any order, then ``solve``."""

    def __init__(self) -> None:
        self._cost: list[float] = []
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._integer: list[bool] = []
        self._rows: list[tuple[np.ndarray, np.ndarray, float, float]] = []

    def columns(
        self, count: int, *, upper: object = 1.0, lower: object = 0.0, cost: object = 0.0, integer: bool = False
    ) -> np.ndarray:
        """Adds columns; numbers or (count,) arrays. Returns their (count,) indices."""
        first = len(self._cost)
        for values, given in ((self._cost, cost), (self._lower, lower), (self._upper, upper)):
            values.extend(np.broadcast_to(np.asarray(given, np.float64), count).tolist())
        self._integer.extend([integer] * count)
        return np.arange(first, first + count)

    def row(self, columns: object, values: object, *, lower: float = -np.inf, upper: float = np.inf) -> None:
        """Adds ``lower <= values . x[columns] <= upper``; a column may occur several times."""
        index = np.atleast_1d(np.asarray(columns, np.int64))
        unique, place = np.unique(index, return_inverse=True)
        summed = np.bincount(place, weights=np.broadcast_to(np.asarray(values, np.float64), index.shape))
        self._rows.append((unique, summed, lower, upper))

    @property
    def cost(self) -> np.ndarray:
        """(columns,) the objective."""
        return np.array(self._cost)

    def solve(self, time_limit_s: float, relative_gap: float) -> MipResult:
        """Solves the program on one thread."""
        highs = highspy.Highs()
        options: dict[str, bool | int | float | str] = {
            "output_flag": False,
            "threads": 1,
            "parallel": "off",
            "random_seed": 0,
            "time_limit": float(time_limit_s),
            "mip_rel_gap": relative_gap,
            "mip_abs_gap": 0.0,
            "mip_feasibility_tolerance": _TOLERANCE,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        }
        for name, value in options.items():
            highs.setOptionValue(name, value)
        highs.passModel(self._model())
        highs.run()
        info = highs.getInfo()
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        return MipResult(
            np.array(highs.getSolution().col_value) if found else None,
            float(info.mip_dual_bound),
            highs.modelStatusToString(highs.getModelStatus()),
        )

    def _model(self) -> highspy.HighsLp:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self._cost), len(self._rows)
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = self.cost, np.array(self._lower), np.array(self._upper)
        lp.row_lower_ = np.array([row[2] for row in self._rows])
        lp.row_upper_ = np.array([row[3] for row in self._rows])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0] + [len(row[0]) for row in self._rows])
        lp.a_matrix_.index_ = np.concatenate([row[0] for row in self._rows])
        lp.a_matrix_.value_ = np.concatenate([row[1] for row in self._rows])
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[flag] for flag in self._integer]
        return lp
