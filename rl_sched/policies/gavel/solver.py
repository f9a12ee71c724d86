"""The linear program behind Gavel's objectives, re-solved from its last basis."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import NamedTuple

import highspy
import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.policies.gavel.active import ActiveJobs

#: How much of a guaranteed rate a second stage may give up, relative: room for the solver's tolerance of 1e-7.
_SLACK = 1e-6
#: Largest relative gap to the dual program with which an interior point counts as optimal.
_MAX_GAP = 1e-6

#: Simplex strategies of HiGHS: dual continues well when jobs come and go, primal when the objective changes; primal
#: is also the quicker one from scratch.
_DUAL, _PRIMAL = 1, 4

_OPTIONS: dict[str, bool | int | str] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "presolve": "off",
    "random_seed": 0,
    "simplex_dual_edge_weight_strategy": 1,  # Devex: its weights cost nothing to start from a given basis
    "run_crossover": "off",  # a crossover would move from the centre to a corner
}

_LOWER, _BASIC = highspy.HighsBasisStatus.kLower, highspy.HighsBasisStatus.kBasic


class Choice(Enum):
    """Which optimum is returned: there are many, since the worst-off jobs alone decide the objective.

    Average completion times of one trace differ by 10 % between two corners that solvers happen to stop at.
    """

    #: By an interior point: near the middle of all optima, as the solver of the published runs. Where that gets stuck,
    #: with one random program in some thousands, a corner.
    CENTRE = "centre"
    CORNER = "corner"  #: by the simplex, from the last basis: the quickest, but history decides which corner
    TOTAL = "total"  #: a second program maximises the sum of all rates, without taking from the least
    LEVELS = "levels"  #: the least rate of the jobs that can still gain is raised again and again (water filling)


class Allocation(NamedTuple):
    """Who shall run where for how much of the time."""

    time_frac: np.ndarray  # (n, T) float64 in [0, 1]
    objective: float  #: value of the objective that the allocation attains


class _Basis(NamedTuple):
    """The last basis, by job: survives jobs that come and go."""

    of_job: dict[Hashable, list[highspy.HighsBasisStatus]]  # T columns, rate row, time row
    of_rest: list[highspy.HighsBasisStatus]  # level column, T capacity rows


class AllocationSolver:
    """Maximises the least rate of any job; remembers the last basis for the next call.

    The program, over fractions ``X (n, T) >= 0`` and a level z: maximise z subject to ``sum_t rate[j, t] X[j, t] >=
    z`` and ``sum_t X[j, t] <= 1`` for every job, ``sum_j gang[j] X[j, t] <= gpus[t]`` for every type.

    Equal sequences of calls give equal bytes (one thread, no presolve, fixed options). ``Choice.CENTRE`` uses no
    basis: equal calls give equal bytes.
    """

    def __init__(self) -> None:
        self._highs = highspy.Highs()
        for name, value in _OPTIONS.items():
            self._highs.setOptionValue(name, value)
        self._basis: _Basis | None = None

    def max_min(self, rate: np.ndarray, active: ActiveJobs, choice: Choice = Choice.CORNER) -> Allocation:
        """The allocation whose least rate is largest.

        Args:
            rate: (n, T) what a job gains per unit of time on each type, 0 where its throughput is 0.
            active: The jobs.
            choice: Which of the optimal allocations.

        Returns:
            The allocation; its ``objective`` is ``min_j sum_t rate[j, t] X[j, t]``, inf without jobs.

        Raises:
            SimulationError: The solver did not find an optimum.
        """
        n = len(active)
        if n == 0:
            return Allocation(np.zeros((0, len(active.gpus))), float("inf"))
        unit = _level_bound(rate, active)
        x = _METHODS[choice](self, rate / unit, active)
        time_frac = _repaired(x[:-1].reshape(n, -1), active)
        return Allocation(time_frac, float((rate * time_frac).sum(axis=1).min()))

    def _centre(self, rate: np.ndarray, active: ActiveJobs) -> np.ndarray:
        self._highs.passModel(_program(rate, active))
        return self._run(solver="ipx", max_gap=_MAX_GAP)

    def _corner(self, rate: np.ndarray, active: ActiveJobs) -> np.ndarray:
        basis = self._known_basis(active)
        self._highs.passModel(_program(rate, active))
        if basis is None:
            x = self._run(_PRIMAL)
        else:
            self._highs.setBasis(basis)
            x = self._run()
        self._remember(active)
        return x

    def _total(self, rate: np.ndarray, active: ActiveJobs) -> np.ndarray:
        x = self._corner(rate, active)
        level = len(x) - 1
        self._highs.changeColBounds(level, x[-1] * (1 - _SLACK), x[-1] * (1 - _SLACK))
        self._highs.changeColsCost(level + 1, np.arange(level + 1, dtype=np.int32), np.append(rate.ravel(), 0.0))
        return self._run(_PRIMAL)

    def _levels(self, rate: np.ndarray, active: ActiveJobs) -> np.ndarray:
        x = self._corner(rate, active)
        floor = np.full(len(active), np.nan)
        while True:
            # The price of a job's rate is positive only if no optimum gives it more than the level: it is done. The
            # prices of the jobs that are not done add up to 1, so that there always is one.
            price = np.abs(np.array(self._highs.getSolution().row_dual[: len(active)])) * np.isnan(floor)
            floor[price >= min(price.max(), 1e-6)] = x[-1] * (1 - _SLACK)
            if not np.isnan(floor).any():
                return x
            basis = self._highs.getBasis()
            self._highs.passModel(_program(rate, active, floor))
            self._highs.setBasis(basis)
            x = self._run()

    def _run(self, strategy: int = _DUAL, solver: str = "simplex", max_gap: float = np.inf) -> np.ndarray:
        """(columns,) the optimum of the program that was passed last."""
        for attempt in ((strategy, solver, max_gap), (_PRIMAL, "simplex", np.inf)):
            self._highs.setOptionValue("simplex_strategy", attempt[0])
            self._highs.setOptionValue("solver", attempt[1])
            self._highs.run()
            status = self._highs.getModelStatus()
            _, gap = self._highs.getInfoValue("primal_dual_objective_error")
            if status == highspy.HighsModelStatus.kOptimal and abs(gap) <= attempt[2]:
                return np.array(self._highs.getSolution().col_value)
            # An interior point may get stuck on the way, which HiGHS calls optimal too; an old basis may mislead.
            self._highs.clearSolver()
        raise SimulationError(
            f"The allocation's linear program must have an optimum; HiGHS ended with "
            f"{self._highs.modelStatusToString(status)}. Check for throughputs of very different size."
        )

    def _known_basis(self, active: ActiveJobs) -> highspy.HighsBasis | None:
        """The remembered basis with the jobs of now; new jobs start idle."""
        known, types = self._basis, len(active.gpus)
        if known is None or len(known.of_rest) != types + 1:
            return None
        idle = [_LOWER] * types + [_BASIC] * 2
        rows = [known.of_job.get(key, idle) for key in active.keys]
        basis = highspy.HighsBasis()
        basis.col_status = [status for row in rows for status in row[:types]] + known.of_rest[:1]
        basis.row_status = [row[types] for row in rows] + [row[types + 1] for row in rows] + known.of_rest[1:]
        basis.valid = basis.alien = True  # alien: HiGHS completes it where jobs took basic columns with them
        return basis

    def _remember(self, active: ActiveJobs) -> None:
        basis = self._highs.getBasis()
        columns, rows = basis.col_status, basis.row_status
        n, types = len(active), len(active.gpus)
        self._basis = _Basis(
            {key: [*columns[i * types : (i + 1) * types], rows[i], rows[n + i]] for i, key in enumerate(active.keys)},
            [columns[-1], *rows[2 * n :]],
        )


_METHODS = {
    Choice.CENTRE: AllocationSolver._centre,
    Choice.CORNER: AllocationSolver._corner,
    Choice.TOTAL: AllocationSolver._total,
    Choice.LEVELS: AllocationSolver._levels,
}


def _level_bound(rate: np.ndarray, active: ActiveJobs) -> float:
    """An upper bound of the level, by which the program is scaled so that the solver's tolerances fit.

    No job exceeds its best rate; and a level z takes ``z min_t gang / rate`` GPUs of every job, of all there are.
    """
    best = rate.max(axis=1)
    with np.errstate(divide="ignore"):
        need = (active.gang[:, None] / rate).min(axis=1)
    return float(min(best.min(), active.gpus.sum() / need.sum()))


def _program(rate: np.ndarray, active: ActiveJobs, floor: np.ndarray | None = None) -> highspy.HighsLp:
    """Columns: X row by row, then the level. Rows: n rates, n times, T capacities.

    ``floor`` (n,): fixed least rates, nan for the jobs that share the level; None = all share it.
    """
    n, types = rate.shape
    floor = np.full(n, np.nan) if floor is None else floor
    job, kind = np.divmod(np.arange(n * types), types)
    sharing = np.flatnonzero(np.isnan(floor))
    lp = highspy.HighsLp()
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.num_col_, lp.num_row_ = n * types + 1, 2 * n + types
    lp.col_cost_ = np.append(np.zeros(n * types), 1.0)
    lp.col_lower_ = np.zeros(n * types + 1)
    lp.col_upper_ = np.append((rate > 0).ravel().astype(np.float64), np.inf)
    lp.row_lower_ = np.concatenate([np.nan_to_num(floor), np.full(n + types, -np.inf)])
    lp.row_upper_ = np.concatenate([np.full(n, np.inf), np.ones(n), active.gpus])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.append(np.arange(0, 3 * n * types + 1, 3), 3 * n * types + len(sharing))
    lp.a_matrix_.index_ = np.concatenate([np.stack([job, n + job, 2 * n + kind], axis=1).ravel(), sharing])
    entries = np.stack([rate.ravel(), np.ones(n * types), active.gang[job]], axis=1).ravel()
    lp.a_matrix_.value_ = np.concatenate([entries, np.full(len(sharing), -1.0)])
    return lp


def _repaired(time_frac: np.ndarray, active: ActiveJobs) -> np.ndarray:
    """The fractions without the solver's rounding: within [0, 1], within every job's time and every type's GPUs."""
    x = np.clip(time_frac, 0.0, 1.0)
    x /= np.maximum(x.sum(axis=1, keepdims=True), 1.0)
    return x / np.maximum((active.gang @ x) / active.gpus, 1.0)
