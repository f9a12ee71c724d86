"""Losses of a warm start: the policy learns to copy the guide's action."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

#: How much the guide's action must be worth more than any other (Hester et al., 2018), in units of returns.
MARGIN = 0.1


def copy_loss(log_probs: Tensor, guide: Tensor) -> Tensor:
    """Mean negative log-probability of the guide's actions.

    Args:
        log_probs: (B, A) masked log-probabilities.
        guide: (B,) int64 legal actions.
    """
    return F.nll_loss(log_probs, guide)


def margin_loss(q: Tensor, guide: Tensor) -> Tensor:
    """Mean of max(value + margin of any other action) - value of the guide's action, 0 where that is the best by far.

    Args:
        q: (B, A) values, ``MASKED`` where illegal.
        guide: (B,) int64 legal actions.
    """
    own = q.gather(1, guide.unsqueeze(1))
    others = q.scatter_add(1, guide.unsqueeze(1), own.new_full(own.shape, -MARGIN)) + MARGIN
    return (others.amax(dim=1) - own.squeeze(1)).mean()
