"""How an algorithm's network decides: the DECISIONS table, by the algorithm's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from rl_sched.config import ExperimentConfig
from rl_sched.registry import Registry
from rl_sched.rl import masking


class Decision(NamedTuple):
    """What is done with a network's logits (B, A) and the mask (B, A)."""

    greedy: Callable[[Tensor, Tensor], Tensor]  #: -> (B,) int64 legal actions
    log_probs: Callable[[Tensor, Tensor], Tensor]  #: -> (B, A) of the policy that explores


def by_probability(experiment: ExperimentConfig) -> Decision:
    """Logits are those of a distribution over actions."""
    return Decision(masking.greedy, masking.log_probs)


def by_value(experiment: ExperimentConfig) -> Decision:
    """Logits are advantages: the highest one is chosen, or sometimes any, as at the end of training."""

    def greedy(logits: Tensor, mask: Tensor) -> Tensor:
        return masking.best(masking.masked_logits(logits, mask))

    def log_probs(logits: Tensor, mask: Tensor) -> Tensor:
        return masking.epsilon_greedy(masking.masked_logits(logits, mask), experiment.dqn.epsilon_final)

    return Decision(greedy, log_probs)


DECISIONS = Registry(
    "algorithm",
    {
        "ppo": "rl_sched.rl.deciding:by_probability",
        "dqn": "rl_sched.rl.deciding:by_value",
        "sac": "rl_sched.rl.deciding:by_probability",
    },
)


def decision_of(experiment: ExperimentConfig) -> Decision:
    """How policies of an experiment decide."""
    return DECISIONS.load(experiment.algo)(experiment)
