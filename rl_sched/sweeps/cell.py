"""The unit of a sweep that is run once and never again."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import Any

from rl_sched.config import content_id
from rl_sched.evaluation.comparison import display
from rl_sched.sweeps.arms import short_value


@dataclass(frozen=True)  # no slots: the id is asked for all the time and kept
class Cell:
    """One training run with all its settings.

    Its id is a hash of what decides its result, so that the same cell is the same in every plan and on every day. The
    version of the code is not part of it: it is noted with the outcome (``code.py`` says why).
    """

    arm: str
    scenario: str
    seed: int
    searched: dict[str, Any]  #: what a search chose, by dotted setting
    experiment: dict[str, Any]  #: the resolved ``ExperimentConfig`` as plain data
    report_episodes: int
    goals: tuple[str, ...] = ()  #: metrics that are measured on VAL at the end, for the objectives of a search
    population: dict[str, Any] = field(default_factory=dict)  #: of a population's result: how it was trained
    until: int | None = None  #: of a member of a population: steps at which its generation ends
    parent: str | None = None  #: of a member: id of the cell whose last checkpoint it continues

    @functools.cached_property
    def id(self) -> str:
        """16 hex digits of what decides the result."""
        data: dict[str, Any] = {"experiment": self.experiment, "report_episodes": self.report_episodes}
        if self.goals:
            data["goals"] = list(self.goals)
        if self.population:
            data["population"] = self.population
        if self.until is not None:
            data |= {"until": self.until, "parent": self.parent}
        return content_id(data)

    def plain(self) -> dict[str, Any]:
        """The fields, for JSON; ``Cell(**cell.plain()) == cell``. Nothing is copied."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @property
    def steps(self) -> int:
        """Environment steps at the end of this run."""
        return int(self.experiment["train"]["steps"]) if self.until is None else self.until

    @property
    def title(self) -> str:
        """For a reader: arm, scenario, what was searched, seed."""
        searched = [f"{path.rpartition('.')[2]}={short_value(value)}" for path, value in self.searched.items()]
        until = f", until {self.until:,} steps" if self.until is not None else ""
        return f"{', '.join([display(self.arm), *searched])}; {self.scenario}, seed {self.seed}{until}"


def arm_run(sweep: str, arm: str, scenario: str) -> str:
    """Key of the run of an arm on a scenario: child of the sweep's run, parent of its trials' runs."""
    return content_id([sweep, arm, scenario])
