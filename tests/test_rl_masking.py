"""Masks and sampling."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.rl import masking


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 10.0, 1e4]), actions=st.integers(2, 30))
def test_illegal_actions_have_probability_zero(seed: int, scale: float, actions: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(6, actions, generator=generator)
    mask = (torch.rand(6, actions, generator=generator) < 0.3).to(torch.int8)
    mask[torch.arange(6), torch.randint(actions, (6,), generator=generator)] = 1
    log_probs = masking.log_probs(logits, mask)
    assert torch.isfinite(log_probs).all()
    assert (log_probs.exp()[mask == 0] == 0).all()
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(6))
    entropy = masking.entropy(log_probs)
    assert (entropy >= -1e-5).all() and (entropy <= mask.sum(1).log() + 1e-4).all()
    drawn, taken = masking.sample(log_probs, generator)
    assert mask.gather(1, drawn[:, None]).all()
    assert torch.equal(taken, log_probs.gather(1, drawn[:, None]).squeeze(1))
    best = masking.greedy(logits, mask)
    assert mask.gather(1, best[:, None]).all()
    probabilities = log_probs.exp()
    certain = (probabilities[:, 0] - 0.5).abs() > 1e-4
    assert ((best == 0) == (probabilities[:, 0] >= 0.5))[certain].all()
    starts = best > 0
    chosen = log_probs.gather(1, best[:, None]).squeeze(1)
    assert (chosen[starts] == log_probs[starts, 1:].max(dim=1).values).all()


def test_greedy_weighs_waiting_against_all_starts_together() -> None:
    # Four equal starts of probability 0.2 each against waiting with 0.2 (argmax may wait), then waiting with 0.6.
    logits = torch.tensor([[0.1, 0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], dtype=torch.int8)
    assert masking.greedy(logits, mask).tolist() == [1, 0, 0]


def test_sampling_frequencies() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.2, 0.3, 0.0])
    mask = (probabilities > 0).to(torch.int8)
    log_probs = masking.log_probs(probabilities.clamp_min(1e-9).log().repeat(100_000, 1), mask.repeat(100_000, 1))
    drawn, _ = masking.sample(log_probs, torch.Generator().manual_seed(3))
    share = torch.bincount(drawn, minlength=5) / 100_000
    assert share.tolist() == pytest.approx(probabilities.tolist(), abs=0.01)
    assert share[1] == share[4] == 0


def test_entropy_has_a_finite_gradient_under_a_mask() -> None:
    logits = torch.randn(4, 6, requires_grad=True)
    mask = torch.tensor([1, 0, 1, 0, 0, 1], dtype=torch.int8).repeat(4, 1)
    masking.entropy(masking.log_probs(logits, mask)).sum().backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (logits.grad[:, [1, 3, 4]] == 0).all() and logits.grad.abs().sum() > 0
