"""Samplers that breed the next configurations from the best: parallel by nature, they need no liar."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

from rl_sched.errors import ConfigError
from rl_sched.sweeps.samplers.base import Sampler, count, experimental
from rl_sched.sweeps.space import Distribution


def cma_es(space: Mapping[str, Distribution], seed: int, random_first: int, goals: int) -> Sampler:
    """Covariance matrix adaptation (Hansen and Ostermeier, 2001), for one objective and numbers only."""
    texts = [path for path, dimension in space.items() if dimension.kind == "categorical"]
    if texts or len(space) < 2:
        what = f"{', '.join(texts)} is categorical" if texts else f"there are {len(space)}"
        raise ConfigError(f"The sampler cma_es must have at least two dimensions, all float or int; {what}.")
    if goals > 1:
        raise ConfigError(f"The sampler cma_es must have one objective; there are {goals}. Take nsga2, tpe or gp.")
    with experimental():
        sampler = optuna.samplers.CmaEsSampler(
            seed=seed, n_startup_trials=random_first, consider_pruned_trials=True, warn_independent_sampling=False
        )
    return Sampler(sampler, lambda study: count(study) >= random_first)


def nsga2(space: Mapping[str, Distribution], seed: int, random_first: int, goals: int, members: int = 8) -> Sampler:
    """Non-dominated sorting genetic algorithm (Deb et al., 2002), for several objectives; from complete ones alone."""
    sampler = optuna.samplers.NSGAIISampler(population_size=members, seed=seed)
    return Sampler(sampler, lambda study: count(study, (TrialState.COMPLETE,)) >= members)
