"""Population based training as a source of cells (Jaderberg et al., 2017).

One population per arm, scenario and training seed. A member's training is cut into generations; each generation of
each member is a cell of its own, which continues from the last checkpoint of its parent cell. When all members have
ended a generation, the worst continue from checkpoints of the best, with perturbed settings. Who continues from whom is
a pure function of the plan and of the outcomes in the ledger, so a killed driver finds the same lineage again.

The result of a population is one more cell, ``plan.cell(arm, scenario, seed)``: it takes over the last checkpoint of
the best member and is judged as any other trial.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

from rl_sched.config import content_id, to_dict
from rl_sched.sweeps.ledger import Ledger, Outcome
from rl_sched.sweeps.plan import Cell, Plan, merge
from rl_sched.sweeps.settings import Population
from rl_sched.sweeps.source import Amount


class Lineage:
    """One population.

    Args:
        plan: The plan; its ``population`` is not None.
        arm: Name of the arm.
        scenario: Name of the scenario.
        seed: Training seed.
        ledger: Holds the outcomes.
    """

    def __init__(self, plan: Plan, arm: str, scenario: str, seed: int, ledger: Ledger) -> None:
        assert plan.population is not None
        self._plan, self._ledger, self._arm, self._scenario, self._seed = plan, ledger, arm, scenario, seed
        self.population: Population = plan.population
        self.result = plan.cell(arm, scenario, seed)
        self.generation = 0
        self.failed = False
        first = [self._first(member) for member in range(self.population.members)]
        self.cells = [self._cell(member, settings, None) for member, settings in enumerate(first)]
        self._settings = first
        self.advance()

    def open_cells(self) -> list[Cell]:
        """Cells that may run now and are not done."""
        if self.failed or self._ledger.outcome(self.result) is not None:
            return []
        return [cell for cell in self.cells if self._ledger.outcome(cell) is None]

    def advance(self) -> None:
        """Goes on to the next generation as often as all members have ended theirs."""
        while not self.failed and self.cells[0].until is not None:
            outcomes = [self._ledger.outcome(cell) for cell in self.cells]
            if any(outcome is None for outcome in outcomes):
                return
            costs = [_cost(outcome) for outcome in outcomes if outcome is not None]
            order = sorted(range(len(costs)), key=costs.__getitem__)  # the best first; ties by number
            if self.generation + 1 == self.population.generations:
                best = self.cells[order[0]]
                self.cells = [dataclasses.replace(self.result, parent=best.id)]
                return
            self._breed(order)

    def _breed(self, order: Sequence[int]) -> None:
        """The next generation: the last of ``order`` become perturbed copies of the first."""
        self.generation += 1
        replaced = math.floor(self.population.replaced * len(order))
        parents = list(range(len(order)))
        settings = list(self._settings)
        rng = self._rng("breed", self.generation)
        for loser, winner in zip(order[len(order) - replaced :], order, strict=False):
            parents[loser] = winner
            space = self.population.space
            settings[loser] = {path: space[path].perturb(value, rng) for path, value in self._settings[winner].items()}
        before = self.cells
        self._settings = settings
        self.cells = [self._cell(m, settings[m], before[parents[m]].id) for m in range(len(order))]

    def _first(self, member: int) -> dict[str, Any]:
        rng = self._rng("first", member)
        return {path: dimension.draw(rng) for path, dimension in self.population.space.items()}

    def _cell(self, member: int, settings: dict[str, Any], parent: str | None) -> Cell:
        all_settings = {**self._plan.arm_settings()[self._arm], **settings}
        experiment = to_dict(self._plan.experiment(self._scenario, self._seed * 1000 + member, all_settings))
        total = int(experiment["train"]["steps"])
        part = math.ceil(total / self.population.generations)
        until = min(part * (self.generation + 1), total)
        # A whole number of validations and checkpoints fits into a generation, so that both are new at its end.
        every = {
            name: max(part // math.ceil(part / experiment["train"][name]), 1)
            for name in ("val_every", "checkpoint_every")
        }
        experiment = merge(experiment, {"train": every})
        return Cell(
            *(self._arm, self._scenario, self._seed, settings, experiment, self.result.report_episodes),
            until=until,
            parent=parent,
        )

    def _rng(self, what: str, number: int) -> random.Random:
        return random.Random(content_id([self.result.id, what, str(number)]))


class PopulationSource:
    """The populations of a plan, side by side.

    Args:
        plan: The plan; its ``population`` is not None.
        scenarios: The scenarios that can run.
        ledger: Tells which cells are done.
    """

    tolerant = False

    def __init__(self, plan: Plan, scenarios: Sequence[str], ledger: Ledger) -> None:
        self._ledger = ledger
        self._all = [
            Lineage(plan, arm, scenario, seed, ledger)
            for seed in plan.seeds
            for scenario in scenarios
            for arm in plan.arm_settings()
        ]
        self._started: set[str] = set()

    def next(self) -> Cell | None:
        """See ``Source``."""
        for lineage in self._all:
            for cell in lineage.open_cells():
                if cell.id not in self._started:
                    self._started.add(cell.id)
                    return cell
        return None

    def on_val(self, cell: Cell, step: int, value: float) -> bool:
        """See ``Source``. A member is replaced at the end of its generation, never before."""
        return False

    def on_done(self, cell: Cell, outcome: Outcome) -> None:
        """See ``Source``."""
        for lineage in self._all:
            if any(one.id == cell.id for one in lineage.cells):
                lineage.advance()

    def on_failed(self, cell: Cell) -> None:
        """See ``Source``. A population without one of its members has no result."""
        for lineage in self._all:
            lineage.failed = lineage.failed or any(one.id == cell.id for one in lineage.cells)

    def amount(self) -> Amount:
        """See ``Source``."""
        done = sum(self._ledger.outcome(lineage.result) is not None for lineage in self._all)
        steps = 0.0
        for lineage in self._all:
            if lineage.failed or self._ledger.outcome(lineage.result) is not None:
                continue
            total, population = lineage.result.steps, lineage.population
            later = population.generations - 1 - lineage.generation
            steps += total / population.generations * (len(lineage.open_cells()) + later * population.members)
        return Amount(done, len(self._all), "populations", steps)


def _cost(outcome: Outcome) -> float:
    """What is not finite is worse than anything else."""
    return outcome.objective if math.isfinite(outcome.objective) else math.inf
