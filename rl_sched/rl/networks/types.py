"""What goes into a network and what comes out of it.

Notation used by all networks: B observations, W window slots, T GPU types, G GPUs, A = 1 + W * T actions
(0 waits, ``1 + slot * T + type`` starts the job of a slot on a type), M existing jobs in all B observations,
d the width of a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

#: Heads start at a tenth of the usual scale: the first policy is nearly uniform, the first values nearly zero.
HEAD_SCALE = 0.1

#: jobs (B, W, Fj), gpus (B, G, Fg), globals (B, Fx) float32; guide (B,) int64 where a guide is configured.
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


class PolicyOutput(NamedTuple):
    """A network's answer for B observations."""

    logits: Tensor  #: (B, A), not masked yet; those of empty slots are 0
    value: Tensor  #: (B,)


def head(inputs: int, outputs: int) -> nn.Linear:
    """A last layer whose outputs start near zero."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(HEAD_SCALE)
        layer.bias.zero_()
    return layer


def add_guide_prior(logits: Tensor, obs: Obs, prior: float) -> Tensor:
    """Adds ``prior`` to the logit of the action that the guide recommends.

    Args:
        logits: (B, A).
        obs: Holds ``guide`` (B,) int64.
        prior: Log-odds in favour of the guide.
    """
    guide = obs["guide"].unsqueeze(1)
    return logits.scatter_add(1, guide, torch.full_like(guide, prior, dtype=logits.dtype))
