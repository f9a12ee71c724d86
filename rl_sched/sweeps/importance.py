"""Importance of hyperparameters: the share of the objective's variance that each explains, by functional ANOVA.

The importances of one forest on a dozen configurations are noise; they are computed on resamples of the configurations,
and the spread over these is shown with them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from rl_sched.evaluation.material import Importance
from rl_sched.sweeps.plan import Distribution

#: With fewer configurations than this a forest has nothing to split.
LEAST_CONFIGURATIONS = 10
RESAMPLES = 24
TREES = 16


def importance(
    table: pd.DataFrame, space: Mapping[str, Distribution], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[tuple[Importance, ...], str]:
    """fANOVA's importances of the hyperparameters (Hutter, Hoos and Leyton-Brown, ICML 2014, in Optuna's writing).

    Args:
        table: A configuration a row: a column for each hyperparameter, and ``value``. Only those trained with the full
            budget: a stopped one's value is not comparable.
        space: The hyperparameters' distributions.
        resamples: Of the configurations, with replacement.
        seed: Of resamples and forests.

    Returns:
        One entry for each hyperparameter that varied, and the method in a sentence; () where there is too little.
    """
    table = table[np.isfinite(table["value"].to_numpy(dtype=float))]
    varied = [name for name in space if table[name].nunique() > 1]
    if len(table) < LEAST_CONFIGURATIONS or not varied or table["value"].nunique() < 2:
        return (), ""
    rng = np.random.default_rng(seed)
    shares = []
    for k in range(resamples):
        drawn = table.iloc[rng.integers(0, len(table), len(table))]
        if drawn["value"].nunique() > 1:
            shares.append(_fanova(drawn, {name: space[name] for name in varied}, seed + k))
    found = np.array([[share.get(name, 0.0) for name in varied] for share in shares])
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    mean = found.mean(axis=0)
    method = f"Mean and 95 % range of fANOVA's importances over {len(found)} resamples of the configurations"
    each = zip(varied, mean, low, high, strict=True)
    return tuple(Importance(name, *map(float, numbers)) for name, *numbers in each), method


def _fanova(table: pd.DataFrame, space: Mapping[str, Distribution], seed: int) -> dict[str, float]:
    import optuna
    from optuna import distributions as od

    optuna.logging.set_verbosity(logging.ERROR)

    def distribution(d: Distribution) -> od.BaseDistribution:
        if d.kind == "categorical":
            return od.CategoricalDistribution(d.choices)
        assert d.low is not None and d.high is not None  # checked when the plan was read
        if d.kind == "int":
            return od.IntDistribution(int(d.low), int(d.high), log=d.log)
        return od.FloatDistribution(d.low, d.high, log=d.log)

    study = optuna.create_study(direction="minimize")
    shapes = {name: distribution(d) for name, d in space.items()}
    for row in table.to_dict("records"):
        params = {name: row[name] for name in space}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=shapes, value=float(row["value"])))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=seed)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator, params=list(space)))
