"""What a report says, as plain data: Markdown, JSON and figures are writings of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from rl_sched.evaluation.comparison import Marginal, Row
from rl_sched.evaluation.scores import Objective


class Costs(NamedTuple):
    """What an arm cost on a scenario."""

    done: int  #: training seeds that finished
    failed: int
    steps: int  #: environment steps of those that finished; 0 = not known
    cpu_s: float  #: CPU seconds of all its training runs


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """Everything that is said about one scenario."""

    scenario: str
    episodes: int  #: workloads that every policy faced
    reference: str | None  #: the arm that the others are compared with
    sjf: str | None  #: the SJF rule, if it is in the table
    best_rule: str | None  #: the rule with the best score
    objective: Objective
    rows: list[Row]
    costs: dict[str, Costs]
    marginals: list[Marginal]
    conclusions: list[str]
    captions: list[str]
    last: list[Row] = field(default_factory=list)  #: the arms with their last checkpoints


class Drawn(NamedTuple):
    """A figure in a file beside the report."""

    file: str
    title: str
    scenario: str | None  #: None = of the whole report


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report."""

    title: str
    scenarios: list[ScenarioReport]
    notes: list[str] = field(default_factory=list)
    figures: list[Drawn] = field(default_factory=list)
