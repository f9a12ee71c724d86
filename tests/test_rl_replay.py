"""The replay against a plain list of episodes, and the tree of sums against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.rl.replay import Replay
from rl_sched.rl.rollout import Rollout
from rl_sched.rl.sum_tree import SumTree

ENVS = 3


def rollout_of(rng: np.random.Generator, steps: int, clock: np.ndarray, over: np.ndarray) -> Rollout:
    """Steps whose observation is (number of the step, environment); a reset row follows the end of an episode."""
    obs = np.zeros((steps, ENVS, 2), np.float32)
    done, reset = np.zeros((steps, ENVS), bool), np.zeros((steps, ENVS), bool)
    for t in range(steps):
        obs[t, :, 0], obs[t, :, 1] = clock, np.arange(ENVS)
        reset[t] = over
        done[t] = ~over & (rng.random(ENVS) < 0.2)
        over[:] = done[t]
        clock += 1
    rewards = np.where(reset, 0.0, rng.integers(-4, 5, (steps, ENVS))).astype(np.float32)
    discounts = rng.choice([1.0, 0.5], (steps, ENVS)).astype(np.float32)
    return Rollout(
        obs={"globals": torch.from_numpy(obs)},
        actions=torch.from_numpy(rng.integers(0, 9, (steps, ENVS))),
        log_probs=torch.zeros(steps, ENVS),
        values=torch.zeros(steps + 1, ENVS),
        rewards=torch.from_numpy(rewards),
        discounts=torch.from_numpy(discounts),
        done=torch.from_numpy(done),
        reset=torch.from_numpy(reset),
    )


@settings(max_examples=30)
@given(
    seed=st.integers(0, 1000),
    capacity=st.integers(30, 90),
    n_step=st.integers(1, 4),
    lengths=st.lists(st.integers(1, 6), min_size=4, max_size=12),
    gamma=st.sampled_from([1.0, 0.5]),
)
def test_transitions_are_those_of_the_stream(
    seed: int, capacity: int, n_step: int, lengths: list[int], gamma: float
) -> None:
    rng = np.random.default_rng(seed)
    replay = Replay(capacity, {"globals": np.zeros((ENVS, 2), np.float32)}, seed)
    clock, over = np.zeros(ENVS), np.zeros(ENVS, bool)
    stream: list[tuple[np.ndarray, ...]] = []
    for steps in lengths:
        part = rollout_of(rng, steps, clock, over)
        replay.add(part)
        for t in range(steps):
            columns = (part.actions, part.rewards, part.done, part.reset, part.discounts)
            stream.append(tuple(column[t].numpy() for column in columns))
    if min(len(stream), replay.rows) <= n_step:
        return
    oldest = max(0, len(stream) - replay.rows)
    drawable = {(t, e) for t in range(oldest, len(stream) - n_step) for e in range(ENVS) if not stream[t][3][e]}
    if not drawable:
        return
    sample = replay.sample(200, n_step=n_step, gamma=gamma, beta=1.0)
    seen = set()
    for i in range(200):
        t, e = int(sample.obs["globals"][i, 0]), int(sample.obs["globals"][i, 1])
        seen.add((t, e))
        rewards, discount = 0.0, 1.0
        for k in range(n_step):
            rewards += discount * stream[t + k][1][e]
            discount *= gamma * stream[t + k][4][e]
            if stream[t + k][2][e]:
                discount = 0.0
                break
        assert sample.actions[i] == stream[t][0][e]
        assert sample.rewards[i] == pytest.approx(rewards) and sample.discounts[i] == pytest.approx(discount)
        assert sample.next_obs["globals"][i].tolist() == [t + n_step, e]
    assert seen <= drawable and (len(drawable) > 30 or seen == drawable)
    assert sample.weights.min() == 1.0  # all priorities are equal


def test_priorities_decide_and_are_corrected_for() -> None:
    replay = Replay(60, {"globals": np.zeros((ENVS, 2), np.float32)}, 0)
    rng = np.random.default_rng(0)
    replay.add(rollout_of(rng, 12, np.zeros(ENVS), np.zeros(ENVS, bool)))
    first = replay.sample(300, n_step=1, gamma=1.0, beta=1.0)
    everywhere = np.unique(first.where)
    errors = np.where(everywhere == everywhere[0], 8.0, 1.0) - 1e-3  # the constant added to errors makes them exact
    replay.set_priorities(everywhere, errors, exponent=1.0)
    again = replay.sample(20_000, n_step=1, gamma=1.0, beta=1.0)
    share = np.mean(again.where == everywhere[0])
    assert share == pytest.approx(8 / (7 + len(everywhere)), rel=0.02)
    rare = again.weights[torch.from_numpy(again.where == everywhere[0])]
    assert rare.unique().tolist() == pytest.approx([1 / 8]) and again.weights.max() == 1.0
    # The mean weight of a transition over draws is the same for all: the bias is gone.
    assert float(rare.sum()) / 20_000 * len(everywhere) * again.weights.mean() ** -1 == pytest.approx(1.0, rel=0.05)


def test_same_state_same_draws() -> None:
    rng = np.random.default_rng(1)
    one = Replay(40, {"globals": np.zeros((ENVS, 2), np.float32)}, 3)
    clock, over = np.zeros(ENVS), np.zeros(ENVS, bool)
    for _ in range(5):
        one.add(rollout_of(rng, 4, clock, over))
    one.set_priorities(one.sample(20, n_step=2, gamma=1.0, beta=0.5).where, np.arange(20.0), 0.6)
    other = Replay(40, {"globals": np.zeros((ENVS, 2), np.float32)}, 99)
    other.set_state({key: np.array(part) for key, part in one.get_state().items()})
    more = rollout_of(rng, 3, clock, over)
    for replay in (one, other):
        replay.add(more)
    a, b = (replay.sample(50, n_step=2, gamma=1.0, beta=0.5) for replay in (one, other))
    assert (a.where == b.where).all() and torch.equal(a.obs["globals"], b.obs["globals"])
    assert torch.equal(a.weights, b.weights)


@given(
    size=st.integers(1, 70),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 100)), min_size=1, max_size=60),
)
def test_tree_of_sums(size: int, changes: list[tuple[int, float]]) -> None:
    tree, plain = SumTree(size), np.zeros(size)
    for start in range(0, len(changes), 7):
        part = changes[start : start + 7]
        index = np.array([i % size for i, _ in part])
        index, first = np.unique(index[::-1], return_index=True)
        weights = np.array([w for _, w in part])[::-1][first]
        tree.set(index, weights)
        plain[index] = weights
    assert (tree.weights == plain).all() and tree.total == pytest.approx(plain.sum())
    if tree.total > 0:
        drawn = tree.draw(400, np.random.default_rng(0))
        assert (plain[drawn] > 0).all()
        expected = 400 * plain / plain.sum()
        assert (np.abs(np.bincount(drawn, minlength=size) - expected) <= 2.0 + 1e-6).all()  # one from each equal part
