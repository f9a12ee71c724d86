"""Tidy rows read as scores: one ``Policy`` object for each policy of one scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from rl_sched.errors import ConfigError

COLUMNS = ("policy", "scenario", "train_seed", "eval_seed", "metric", "value")
#: ``eval_seed`` of rows that are already averaged over the workloads (the distribution of completion times).
ALL_WORKLOADS = -1
#: ``train_seed`` of policies that were not trained.
RULE = -1


class Objective(NamedTuple):
    """The metric that policies are judged by."""

    metric: str
    name: str  #: for sentences
    unit: str = ""
    lower_is_better: bool = True

    @property
    def title(self) -> str:
        """For headings and axes: the name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def sign(self) -> float:
        """1 if lower is better, else -1: ``sign * value`` is always better when lower."""
        return 1.0 if self.lower_is_better else -1.0


MEAN_JCT = Objective("mean_jct_s", "mean JCT", "s")
#: Metrics that are judged by where a table holds them: a scenario with its own objective is evaluated with it.
OWN_OBJECTIVES = (Objective("episode_return", "episode return", lower_is_better=False),)


def objective_named(metric: str) -> Objective:
    """The objective of a scenario that is judged by ``metric``."""
    return next((o for o in OWN_OBJECTIVES if o.metric == metric), MEAN_JCT)


def objective_of(table: pd.DataFrame) -> Objective:
    """The objective of ONE scenario's rows: its own if the rows hold one, else the mean JCT."""
    held = set(table["metric"])
    return next((o for o in OWN_OBJECTIVES if o.metric in held), MEAN_JCT)


@dataclass(frozen=True)
class Policy:
    """The scores of one policy on one scenario; nan where jobs were left unfinished and the objective needs them."""

    name: str
    learned: bool
    seed_scores: dict[int, float]  #: training seed -> mean over the workloads
    workload_scores: pd.Series  #: eval seed -> mean over the training seeds
    num_unfinished: int
    means: dict[str, float]  #: other metrics, averaged over all runs

    @property
    def replicated(self) -> bool:
        """Whether there are training seeds to judge over."""
        return self.learned and len(self.seed_scores) > 1

    @property
    def workloads(self) -> pd.Index:
        """The eval seeds."""
        return self.workload_scores.index


def check_table(table: pd.DataFrame) -> None:
    """Refuses a table that is not tidy rows.

    Raises:
        ConfigError: A column is missing, there is no row, or a row is there twice.
    """
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise ConfigError(f"The results must have the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing.")
    if table.empty:
        raise ConfigError("The results must hold at least one row; they are empty. Run an evaluation first.")
    twice = table.duplicated(list(COLUMNS[:-1]))
    if twice.any():
        row = table[twice].iloc[0]
        raise ConfigError(
            f"Every result must be there once; {row['metric']} of policy {row['policy']!r}, scenario "
            f"{row['scenario']!r}, training seed {row['train_seed']}, workload {row['eval_seed']} is there twice."
        )


def policies_of(table: pd.DataFrame, metric: str = "mean_jct_s") -> dict[str, Policy]:
    """The policies of ONE scenario's rows, in order of first appearance.

    Raises:
        ConfigError: The metric is not in the table, or policies of it saw different workloads.
    """
    runs = table[table["eval_seed"] != ALL_WORKLOADS]
    if metric not in set(runs["metric"]):
        raise ConfigError(f"The results must hold the metric {metric!r}; they hold {sorted(set(runs['metric']))}.")
    out: dict[str, Policy] = {}
    workloads: dict[str, frozenset[int]] = {}
    for name, rows in runs.groupby("policy", sort=False):
        grid = rows[rows["metric"] == metric].pivot(index="eval_seed", columns="train_seed", values="value")
        unfinished = rows.loc[rows["metric"] == "num_unfinished", "value"].sum()
        means = rows.groupby("metric")["value"].agg(lambda v: float(np.mean(v.to_numpy())))
        learned = bool((rows["train_seed"] != RULE).any())
        workloads[str(name)] = frozenset(int(s) for s in grid.index)
        if rows["train_seed"].nunique() * len(grid) != (rows["metric"] == metric).sum():
            raise ConfigError(
                f"Every training seed of {name!r} must be evaluated on the same workloads; some results are missing."
            )
        out[str(name)] = Policy(
            str(name),
            learned,
            {int(seed): float(m) for seed, m in zip(grid.columns, grid.to_numpy().mean(axis=0), strict=True)},
            pd.Series(grid.to_numpy().mean(axis=1), index=grid.index),
            int(unfinished),
            {str(k): float(v) for k, v in means.items() if k != metric},
        )
    if len(set(workloads.values())) > 1:
        first, *rest = workloads
        odd = next(n for n in rest if workloads[n] != workloads[first])
        raise ConfigError(
            f"All policies must face the same workloads (common random numbers); {first!r} and {odd!r} do not."
        )
    return out
