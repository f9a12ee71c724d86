"""The only place where action masks meet logits.

The mask is int8 or bool, (B, A), 1 = legal; every row has at least one legal action. ``MASKED`` is finite, so
entropies and ratios stay finite, and so low that ``exp(MASKED - max)`` is exactly 0 in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

MASKED = -1e9


def masked_logits(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, A) logits with ``MASKED`` where an action is illegal; no gradient passes there."""
    return logits.masked_fill(mask == 0, MASKED)


def log_probs(logits: Tensor, mask: Tensor) -> Tensor:
    """(B, A) log-probabilities over the legal actions."""
    return torch.log_softmax(masked_logits(logits, mask), dim=1)


def entropy(log_probabilities: Tensor) -> Tensor:
    """(B,) entropy in nats of rows of masked log-probabilities (illegal ones add exactly 0).

    ``softmax`` and not ``exp``: the latter is ten times slower on numbers as low as ``MASKED``.
    """
    return -(torch.softmax(log_probabilities, dim=1) * log_probabilities).sum(dim=1)


def greedy(logits: Tensor, mask: Tensor) -> Tensor:
    """(B,) int64: wait if waiting is at least as probable as all starts together, else the most probable start.

    The plain argmax would compare the one way to wait with each of many equally good starts, and wait where the
    policy starts a job with probability 0.9. Action 0 is to wait.
    """
    masked = masked_logits(logits, mask)
    start = masked[:, 1:]
    wait = masked[:, 0] >= torch.logsumexp(start, dim=1)
    return torch.where(wait, 0, start.argmax(dim=1) + 1)


def num_legal(log_probabilities: Tensor) -> Tensor:
    """(B,) float: how many actions are legal, from anything (B, A) that is masked."""
    return (log_probabilities > 0.5 * MASKED).sum(dim=1, dtype=log_probabilities.dtype)


def expectation(log_probabilities: Tensor, of: Tensor) -> Tensor:
    """(B,) mean of ``of`` (B, A) under masked log-probabilities; what illegal actions have in it counts for nothing."""
    legal = log_probabilities > 0.5 * MASKED
    return (torch.softmax(log_probabilities, dim=1) * of.masked_fill(~legal, 0.0)).sum(dim=1)


def action_values(advantages: Tensor, value: Tensor | None, mask: Tensor) -> Tensor:
    """(B, A) values of the actions, ``MASKED`` where illegal.

    Dueling (Wang et al., 2016, equation 9): value + advantage - the mean advantage of the legal actions.

    Args:
        advantages: (B, A).
        value: (B,) of the state; None = the advantages are the values.
        mask: (B, A).
    """
    if value is None:
        return masked_logits(advantages, mask)
    legal = mask != 0
    mean = (advantages * legal).sum(dim=1) / legal.sum(dim=1)
    return masked_logits(advantages + (value - mean).unsqueeze(1), mask)


def best(values: Tensor) -> Tensor:
    """(B,) int64 the legal action of the highest masked value; the first of equals."""
    return values.argmax(dim=1)


def epsilon_greedy(values: Tensor, epsilon: float) -> Tensor:
    """(B, A) log-probabilities: any legal action with probability ``epsilon``, else the best; ``MASKED`` elsewhere."""
    legal = values > 0.5 * MASKED
    probabilities = legal * (epsilon / legal.sum(dim=1, keepdim=True))
    probabilities.scatter_add_(1, best(values).unsqueeze(1), torch.full((values.shape[0], 1), 1.0 - epsilon))
    # An action of probability 0 must not be drawn: it is as good as illegal.
    return probabilities.log().masked_fill(probabilities <= 0, MASKED)


def sample(log_probabilities: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draws one action per row by inversion: one uniform number a row.

    Args:
        log_probabilities: (B, A) as made by ``log_probs``.
        generator: Source of randomness; None = torch's default one.

    Returns:
        Actions (B,) int64 and their log-probabilities (B,).
    """
    cumulative = torch.softmax(log_probabilities, dim=1).cumsum(dim=1)
    uniform = torch.rand(log_probabilities.shape[0], 1, generator=generator)
    # Strictly below the total, whatever the rounding. "right": the first entry above the threshold rises there, so
    # its probability is positive and it is legal.
    threshold = uniform * ((1.0 - 1e-6) * cumulative[:, -1:])
    action = torch.searchsorted(cumulative, threshold, right=True)
    return action.squeeze(1), log_probabilities.gather(1, action).squeeze(1)
