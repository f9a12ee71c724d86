"""What an entry of the SAMPLERS table gives."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

#: Ended configurations that a sampler learns from, unless it says otherwise.
JUDGED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Sampler:
    """A sampler of Optuna, and whether its next suggestion is more than a throw of dice.

    Attributes:
        optuna: The sampler.
        informed: Whether a suggestion asked of the study now comes from what the sampler has learned.
        finite: Whether it runs out of configurations: then the study ends with them.
    """

    optuna: optuna.samplers.BaseSampler
    informed: Callable[[optuna.Study], bool]
    finite: bool = False


def count(study: optuna.Study, states: tuple[TrialState, ...] = JUDGED) -> int:
    """Configurations of a study in some states."""
    return len(study.get_trials(deepcopy=False, states=states))


@contextlib.contextmanager
def experimental() -> Iterator[None]:
    """For arguments that Optuna warns of as experimental: its version is pinned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
