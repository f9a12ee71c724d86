"""Advantages and reward scale against plain-Python references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.rl.gae import ReturnScale, gae


def reference(rewards, values, done, reset, gamma, lam):  # type: ignore[no-untyped-def]
    """One environment at a time, episode by episode, straight from the definition."""
    steps, envs = rewards.shape
    out = np.zeros((steps, envs))
    for e in range(envs):
        for t in range(steps):
            if reset[t, e]:
                continue
            total, weight = 0.0, 1.0
            for k in range(t, steps):
                future = 0.0 if done[k, e] else gamma[k, e] * values[k + 1, e]
                total += weight * (rewards[k, e] + future - values[k, e])
                if done[k, e]:
                    break
                weight *= gamma[k, e] * lam
            out[t, e] = total
    return out


def episodes(rng: np.random.Generator, steps: int, envs: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Random ends; the row after an end is a reset row, the first row may be one too."""
    done = np.zeros((steps, envs), bool)
    reset = np.zeros((steps, envs), bool)
    over = rng.random(envs) < rate
    for t in range(steps):
        reset[t] = over
        over = ~reset[t] & (rng.random(envs) < rate)
        done[t] = over
    return done, reset


@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 20),
    envs=st.integers(1, 4),
    rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    gamma=st.sampled_from([1.0, 0.99, 0.5, None]),
    lam=st.sampled_from([0.0, 0.95, 1.0]),
)
def test_gae_is_its_definition(seed: int, steps: int, envs: int, rate: float, gamma: float | None, lam: float) -> None:
    rng = np.random.default_rng(seed)
    # None: by elapsed time, another one each step.
    each = np.full((steps, envs), gamma) if gamma is not None else rng.random((steps, envs))
    done, reset = episodes(rng, steps, envs, rate)
    rewards = np.where(reset, 0.0, rng.normal(size=(steps, envs))).astype(np.float32)
    values = rng.normal(size=(steps + 1, envs)).astype(np.float32)
    given_gamma = each.astype(np.float32) if gamma is None else gamma
    advantages, targets = gae(rewards, values, done, reset, given_gamma, lam)
    expected = reference(rewards, values, done, reset, each, lam)
    np.testing.assert_allclose(advantages, expected, atol=1e-4)
    np.testing.assert_allclose(targets, np.where(reset, 0.0, expected + values[:-1]), atol=1e-4)


def test_gae_known_numbers() -> None:
    rewards = np.array([[1.0], [2.0], [0.0], [4.0]], np.float32)
    values = np.array([[10.0], [20.0], [99.0], [30.0], [40.0]], np.float32)
    done = np.array([[False], [True], [False], [False]])
    reset = np.array([[False], [False], [True], [False]])
    advantages, targets = gae(rewards, values, done, reset, gamma=1.0, lam=1.0)
    # Undiscounted: 1 + 2 - 10, 2 - 20, nothing in the reset row, 4 + 40 - 30.
    assert advantages[:, 0].tolist() == [-7.0, -18.0, 0.0, 14.0]
    assert targets[:, 0].tolist() == [3.0, 2.0, 0.0, 44.0]


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_return_scale_is_the_standard_deviation_of_returns_so_far(gamma: float) -> None:
    rng = np.random.default_rng(1)
    scale = ReturnScale(np.zeros(3, np.int64))
    assert (scale.std == 1.0).all()
    seen, running = [], np.zeros(3)
    over = np.zeros(3, bool)
    for _ in range(5):
        rewards, dones, resets = [], [], []
        for _ in range(40):
            reset = over
            reward = np.where(reset, 0.0, rng.normal(-1.0, 2.0, 3))
            done = ~reset & (rng.random(3) < 0.1)
            running = running * gamma + reward
            seen.extend(running[~reset])
            running[done] = 0.0
            over = done
            rewards.append(reward)
            dones.append(done)
            resets.append(reset)
        discounts = np.full((40, 3), gamma, np.float32)
        scale.update(np.array(rewards, np.float32), np.array(dones), np.array(resets), discounts)
    assert scale.std == pytest.approx([np.std(seen)] * 3, rel=1e-5)
    other = ReturnScale(np.zeros(3, np.int64))
    other.set_state(scale.get_state())
    assert (other.std == scale.std).all()


def test_every_scenario_has_a_return_scale_of_its_own() -> None:
    rng = np.random.default_rng(2)
    mixed, alone = ReturnScale(np.array([0, 0, 1])), ReturnScale(np.zeros(1, np.int64))
    never, one = np.zeros((30, 3), bool), np.ones((30, 3), np.float32)
    for _ in range(3):
        rewards = rng.normal(0, [1.0, 1.0, 50.0], (30, 3)).astype(np.float32)
        mixed.update(rewards, never, never, one)
        alone.update(rewards[:, 2:], never[:, 2:], never[:, 2:], one[:, 2:])
    assert mixed.std[0] == mixed.std[1] < mixed.std[2] == alone.std[0]
