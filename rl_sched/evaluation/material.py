"""What figures are drawn from beside the verdicts: rows, learning curves, and what happened in a sweep."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd


class TrainedRun(NamedTuple):
    """One finished training run with what it was chosen by and what it was judged by."""

    arm: str
    scenario: str
    seed: int
    val: float  #: objective of its best checkpoint on VAL
    report: float  #: of the same checkpoint on REPORT; nan with unfinished jobs


class Stretch(NamedTuple):
    """A stretch of time in which a process worked on one training run."""

    title: str
    arm: str
    scenario: str
    place: str  #: where: a host, or a host and a process; "" = not recorded
    begin_s: float  #: since the epoch
    end_s: float
    end: str  #: done | failed | pruned | interrupted | lost (its process died) | running


class Importance(NamedTuple):
    """How much of the spread of the objective a hyperparameter explains."""

    param: str
    share: float  #: 0 to 1; all of a search add up to 1
    low: float
    high: float


class Searched(NamedTuple):
    """The configurations of a search of one arm on one scenario that were trained with the full budget."""

    arm: str
    scenario: str
    params: tuple[str, ...]
    log: tuple[str, ...]  #: those of ``params`` that were drawn on a logarithmic scale
    configurations: pd.DataFrame  #: a column for each of ``params``, and ``value``: mean cost on VAL, less is better
    importance: tuple[Importance, ...]  #: () where there are too few configurations
    method: str  #: how the importances were computed


class SweepFacts(NamedTuple):
    """What the ledger of a sweep tells."""

    runs: tuple[TrainedRun, ...]
    stretches: tuple[Stretch, ...]
    searches: tuple[Searched, ...]
    slots: int  #: training runs that may run at a time


class Material(NamedTuple):
    """All of it."""

    table: pd.DataFrame  #: tidy rows
    curves: pd.DataFrame | None
    sweep: SweepFacts | None = None
