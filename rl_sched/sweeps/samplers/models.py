"""Samplers that model which settings are good. Configurations that still run count as bad until they are judged.

That is the constant liar: without it, several suggestions at a time would all be the same best guess.
"""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

from rl_sched.sweeps.samplers.base import Sampler, count, experimental
from rl_sched.sweeps.space import Distribution


def tpe(
    space: Mapping[str, Distribution], seed: int, random_first: int, goals: int, multivariate: bool = False
) -> Sampler:
    """Tree-structured Parzen estimator (Bergstra et al., 2011); learns from pruned configurations too."""
    with experimental():
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=random_first, constant_liar=True, multivariate=multivariate
        )
    return Sampler(sampler, lambda study: count(study) >= random_first)


def gp(space: Mapping[str, Distribution], seed: int, random_first: int, goals: int) -> Sampler:
    """Gaussian process with expected improvement; learns from complete configurations alone."""
    with experimental():
        sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=random_first)
    return Sampler(sampler, lambda study: count(study, (TrialState.COMPLETE,)) >= random_first)
