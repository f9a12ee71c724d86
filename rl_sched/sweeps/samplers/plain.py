"""Samplers that learn nothing: what a clever one has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from rl_sched.sweeps.samplers.base import Sampler
from rl_sched.sweeps.space import Distribution


def random(space: Mapping[str, Distribution], seed: int, random_first: int, goals: int) -> Sampler:
    """Independent draws."""
    return Sampler(optuna.samplers.RandomSampler(seed=seed), lambda study: False)


def grid(space: Mapping[str, Distribution], seed: int, random_first: int, goals: int) -> Sampler:
    """Every combination of the choices, and of ``points`` values of each number, once, in shuffled order."""
    values = {path: dimension.grid() for path, dimension in space.items()}
    return Sampler(_Grid(values, seed=seed), lambda study: False, finite=True)


class _Grid(optuna.samplers.GridSampler):
    """Optuna's ends the whole study after its last configuration, which it may do in its own loop only."""

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Nothing to do: the budget ends the search."""
