"""What goes into a network and what comes out of it.

Notation used by all networks: B observations, W window slots, T GPU types, G GPUs, A = 1 + W * T actions
(0 waits, ``1 + slot * T + type`` starts the job of a slot on a type), M existing jobs in all B observations,
d the width of a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

#: Gain of the policy heads at the start: the first policy is nearly uniform.
POLICY_GAIN = 0.05

#: jobs (B, W, Fj), gpus (B, G, Fg), globals (B, Fx) float32; guide (B,) int64 where a guide is configured. In training
#: there may be arrivals (B, Fa) as well, which only the value sees: where they are missing, nothing is to come.
Obs = Mapping[str, Tensor]


class SpecLike(Protocol):
    """The shapes of an observation (``rl_sched.envs.observation.ObsSpec``)."""

    @property
    def window(self) -> int: ...
    @property
    def job_features(self) -> int: ...
    @property
    def num_gpus(self) -> int: ...
    @property
    def gpu_features(self) -> int: ...
    @property
    def global_features(self) -> int: ...
    @property
    def num_types(self) -> int: ...
    @property
    def guided(self) -> bool: ...
    @property
    def arrival_features(self) -> int: ...
    def _asdict(self) -> dict[str, Any]: ...


class PolicyOutput(NamedTuple):
    """A network's answer for B observations."""

    logits: Tensor  #: (B, A), not masked yet; those of empty slots are 0
    value: Tensor  #: (B,)


def linear(inputs: int, outputs: int, *, gain: float = 2.0**0.5, bias: bool = True) -> nn.Linear:
    """A layer with orthogonal weights and no bias at the start.

    ``gain`` sqrt(2) keeps the size of the signal through a ReLU (Saxe et al., 2014). With torch's default the signal
    shrinks by half per layer, and the value lags behind the returns for hundreds of thousands of steps.
    """
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.orthogonal_(layer.weight, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def arrivals_layer(spec: SpecLike, width: int) -> nn.Linear | None:
    """What tells the value's hidden layer, ``width`` units, of the arrivals to come; None where nothing does."""
    return linear(spec.arrival_features, width, bias=False) if spec.arrival_features else None


def add_guide_prior(logits: Tensor, obs: Obs, prior: float) -> Tensor:
    """Adds ``prior`` to the logit of the action that the guide recommends.

    To wait is one action beside many starts: where the guide waits, the prior grows with the logarithm of the number
    of legal starts, so that it weighs the same against all of them together.

    Args:
        logits: (B, A).
        obs: Holds ``guide`` (B,) int64 and ``action_mask`` (B, A).
        prior: Log-odds in favour of the guide.
    """
    guide = obs["guide"].unsqueeze(1)
    starts = obs["action_mask"][:, 1:].sum(dim=1, keepdim=True, dtype=logits.dtype).clamp_min(1.0)
    amount = prior + torch.where(guide == 0, starts.log(), torch.zeros_like(starts))
    return logits.scatter_add(1, guide, amount)
