"""The modules and losses of all algorithms under random masks: nothing illegal, nothing infinite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from rl_sched.config import ExperimentConfig, NetworkConfig, PPOConfig
from rl_sched.rl import masking
from rl_sched.rl.algorithms import ALGORITHMS
from rl_sched.rl.algorithms.local import schedule
from rl_sched.rl.deciding import DECISIONS, decision_of
from rl_sched.rl.learners.dqn import dqn_loss
from rl_sched.rl.learners.imitation import MARGIN, copy_loss, margin_loss
from rl_sched.rl.learners.ppo import ppo_loss
from rl_sched.rl.learners.sac import sac_losses
from rl_sched.rl.modules.dqn import DQNModule
from rl_sched.rl.modules.ppo import PPOModule
from rl_sched.rl.modules.sac import SACModule
from rl_sched.rl.networks import NETWORKS
from rl_sched.testing.toy_env import ToySpec, ToyVectorEnv

MODULES: dict[str, type[TorchRLModule]] = {"ppo": PPOModule, "dqn": DQNModule, "sac": SACModule}
MASKS, BATCH = 100_000, 5_000
PROBE = ToyVectorEnv(1, 0)


def build(algo: str, network: str) -> Any:
    torch.manual_seed(0)
    module = MODULES[algo](
        observation_space=PROBE.single_observation_space,
        action_space=PROBE.single_action_space,
        model_config={
            "spec": ToySpec(),
            "network": NetworkConfig(network, hidden=8),
            "guide_prior": 0.0,
            "dueling": True,
            "alpha": 0.05,
        },
    )
    if algo != "ppo":
        module.make_target_networks()
    return module


def random_obs(rng: np.random.Generator, size: int = BATCH) -> dict[str, Tensor]:
    """Observations with any mask in which something is legal, all actions and one alone among them."""
    spec = ToySpec()
    mask = rng.random((size, spec.num_actions)) < rng.random((size, 1))
    mask[np.arange(size), rng.integers(spec.num_actions, size=size)] = True
    shapes = {
        "jobs": (size, spec.window, spec.job_features),
        "gpus": (size, spec.num_gpus, spec.gpu_features),
        "globals": (size, spec.global_features),
    }
    obs = {key: torch.from_numpy(rng.normal(0, 2, shape).astype(np.float32)) for key, shape in shapes.items()}
    obs["action_mask"] = torch.from_numpy(mask.astype(np.int8))
    return obs


def legal(mask: Tensor, actions: Tensor) -> bool:
    return bool(mask.gather(1, actions.unsqueeze(1)).all())


def train_batch(rng: np.random.Generator, obs: dict[str, Tensor]) -> dict[str, Any]:
    mask = obs["action_mask"]
    size = len(mask)
    actions, log_probs = masking.sample(masking.log_probs(torch.zeros(mask.shape), mask))
    numbers = {
        name: torch.from_numpy(rng.normal(0, 3, size).astype(np.float32))
        for name in ("advantages", "value_targets", "rewards")
    }
    return {
        Columns.OBS: obs,
        Columns.NEXT_OBS: random_obs(rng, size),
        "actions": actions,
        "action_logp": log_probs,
        "discounts": torch.from_numpy(rng.integers(0, 2, size).astype(np.float32)),
        "weights": torch.ones(size),
        **numbers,
    }


def loss_of(algo: str, module: Any, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    out = module.forward_train(batch)
    if algo == "ppo":
        log_probs = torch.log_softmax(out[Columns.ACTION_DIST_INPUTS], dim=1)
        return ppo_loss(log_probs, out[Columns.VF_PREDS], batch, PPOConfig(), entropy_coef=0.01)
    if algo == "dqn":
        loss, _, parts = dqn_loss(
            out["qf_preds"], out["qf_next_preds"], out["qf_target_next_preds"], batch, double=True
        )
        return loss, parts
    loss, _, parts = sac_losses(out, batch, module.log_alpha, 0.3)
    return loss, parts


def test_every_algorithm_says_how_it_decides() -> None:
    assert set(ALGORITHMS) == set(DECISIONS) == set(MODULES)


@pytest.mark.parametrize("network", list(NETWORKS))
@pytest.mark.parametrize("algo", list(MODULES))
def test_random_masks(algo: str, network: str) -> None:
    module = build(algo, network)
    decision = decision_of(ExperimentConfig(algo=algo))
    rng = np.random.default_rng(1)
    for k in range(MASKS // BATCH):
        obs = random_obs(rng)
        mask = obs["action_mask"]
        with torch.no_grad():
            if algo == "dqn":
                module.epsilon = k * BATCH / MASKS
            explored = module.forward_exploration({Columns.OBS: obs})
            log_probs = torch.log_softmax(explored[Columns.ACTION_DIST_INPUTS], dim=1)
            actions, taken = masking.sample(log_probs)
            assert (
                legal(mask, actions)
                and torch.isfinite(taken).all()
                and torch.isfinite(explored[Columns.VF_PREDS]).all()
            )
            logits = module.network(obs).logits
            assert legal(mask, decision.greedy(logits, mask))
            assert legal(mask, masking.sample(decision.log_probs(logits, mask))[0])
        module.zero_grad()
        loss, parts = loss_of(algo, module, train_batch(rng, obs))
        loss.backward()
        assert torch.isfinite(loss) and all(torch.isfinite(part).all() for part in parts.values())
        assert all(abs(float(part)) < 1e4 for part in parts.values())  # no masked value in any of them
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        assert gradients and all(torch.isfinite(g).all() for g in gradients)


def test_dueling_subtracts_the_mean_of_legal_advantages_only() -> None:
    advantages = torch.tensor([[1.0, 50.0, 3.0], [2.0, 4.0, 6.0]])
    mask = torch.tensor([[1, 0, 1], [1, 1, 1]], dtype=torch.int8)
    q = masking.action_values(advantages, torch.tensor([10.0, 0.0]), mask)
    assert q.tolist() == [[9.0, masking.MASKED, 11.0], [-2.0, 0.0, 2.0]]
    assert masking.best(q).tolist() == [2, 2]


def test_epsilon_greedy_probabilities() -> None:
    q = torch.tensor([[1.0, masking.MASKED, 3.0, 2.0], [5.0, masking.MASKED, masking.MASKED, masking.MASKED]])
    expected = torch.tensor([[0.1, 0.0, 0.8, 0.1], [1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(masking.epsilon_greedy(q, 0.3).exp(), expected)
    assert masking.epsilon_greedy(q, 0.0).exp().tolist() == [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]


def ppo_batch(**more: list[float]) -> dict[str, Tensor]:
    batch = {
        "action_logp": [np.log(0.5), np.log(0.5)],
        "advantages": [1.0, -1.0],
        "value_targets": [1.0, 1.0],
        **more,
    }
    return {"actions": torch.tensor([0, 1]), **{key: torch.tensor(value) for key, value in batch.items()}}


def test_ppo_value_loss_holds_a_value_near_the_old_one() -> None:
    even = torch.full((2, 2), np.log(0.5))
    value, batch = torch.tensor([0.8, 0.1]), ppo_batch(values=[0.5, 0.0])
    _, parts = ppo_loss(even, value, batch, PPOConfig(clip=0.2, value_clip=True), entropy_coef=0.0)
    # Held to 0.7 and 0.1: the larger error of each with its held one is 0.3 and 0.9.
    assert float(parts["value_loss"]) == pytest.approx(0.5 * (0.3**2 + 0.9**2) / 2)
    _, parts = ppo_loss(even, value, batch, PPOConfig(), entropy_coef=0.0)
    assert float(parts["value_loss"]) == pytest.approx(0.5 * (0.2**2 + 0.9**2) / 2)


def test_ppo_entropy_beyond_a_jump_has_no_gradient() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0]], requires_grad=True)
    batch = ppo_batch(entropies=[0.6, 0.05])  # now 0.58: near the first, beyond the second
    batch["advantages"] = torch.zeros(2)
    settings = PPOConfig(entropy_jump=0.1, value_coef=0.0, advantages="rollout")
    loss, _ = ppo_loss(torch.log_softmax(logits, dim=1), torch.zeros(2), batch, settings, entropy_coef=1.0)
    loss.backward()
    assert logits.grad is not None and logits.grad[0].abs().min() > 1e-3 and logits.grad[1].abs().max() == 0


def test_ppo_advantages_are_normalised_once() -> None:
    even = torch.full((2, 2), np.log(0.5))
    batch = ppo_batch(advantages=[3.0, 1.0])
    _, parts = ppo_loss(even, torch.zeros(2), batch, PPOConfig(), entropy_coef=0.0)
    assert float(parts["policy_loss"]) == pytest.approx(0.0, abs=1e-6)
    _, parts = ppo_loss(even, torch.zeros(2), batch, PPOConfig(advantages="rollout"), entropy_coef=0.0)
    assert float(parts["policy_loss"]) == pytest.approx(-2.0)


def test_exponential_schedule() -> None:
    points = np.array(schedule(1e-3, 2e-4, 200_000, "exponential"))
    assert points[0].tolist() == [0, 1e-3] and points[-1] == pytest.approx([200_000, 2e-4])
    assert np.interp(50_000, *points.T) == pytest.approx(1e-3 * 0.2**0.25, rel=1e-3)
    assert schedule(1e-3, 1e-3, 10) == 1e-3 and schedule(1.0, 0.0, 0) == [[0, 1.0], [1, 0.0]]


def test_dqn_target() -> None:
    q = torch.tensor([[1.0, 2.0], [0.0, 0.5], [3.0, 1.0]])
    q_next = torch.tensor([[0.0, 1.0], [2.0, 1.0], [1.0, 0.0]])  # chooses 1, 0, 0
    q_target = torch.tensor([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]])
    batch = {
        "actions": torch.tensor([0, 1, 0]),
        "rewards": torch.tensor([1.0, 2.0, 3.0]),
        "discounts": torch.tensor([0.5, 0.1, 0.0]),
        "weights": torch.tensor([1.0, 2.0, 1.0]),
    }
    loss, error, _ = dqn_loss(q, q_next, q_target, batch, double=True)
    # Targets 11, 5 and 3; errors 10, 4.5, 0; Huber 9.5, 4, 0, the second counts twice.
    assert error.tolist() == [10.0, 4.5, 0.0] and float(loss) == pytest.approx((9.5 + 2 * 4.0) / 3)
    _, error, _ = dqn_loss(q, q_next, q_target, batch, double=False)
    assert error.tolist() == [10.0, 5.5, 0.0]  # the target network's own best: 40


def test_copy_and_margin_losses() -> None:
    log_probs = masking.log_probs(torch.tensor([[0.0, 5.0, 1.0]]), torch.tensor([[1, 0, 1]], dtype=torch.int8))
    assert float(copy_loss(log_probs, torch.tensor([2]))) == pytest.approx(np.log(1 + np.exp(-1.0)))
    q = torch.tensor([[1.0, 1.05, masking.MASKED], [3.0, 1.0, masking.MASKED]])
    # 1.05 + margin - 1, and nothing where the guide's action is the best by more than the margin
    assert float(margin_loss(q, torch.tensor([0, 0]))) == pytest.approx((0.05 + MARGIN) / 2, rel=1e-4)


def test_soft_target_and_losses_of_sac() -> None:
    half, alpha = np.log(0.5), 0.5
    out = {
        "log_probs": torch.tensor([[np.log(0.25), np.log(0.75), masking.MASKED]], dtype=torch.float32),
        "q": torch.tensor([[1.0, 3.0, masking.MASKED]]),
        "q_twin": torch.tensor([[2.0, 2.0, masking.MASKED]]),
        "next_log_probs": torch.tensor([[half, half, masking.MASKED]]),
        "next_q": torch.tensor([[4.0, 6.0, masking.MASKED]]),
    }
    batch = {
        "actions": torch.tensor([1]),
        "rewards": torch.tensor([-1.0]),
        "discounts": torch.tensor([0.9]),
        "weights": torch.ones(1),
    }
    _, error, parts = sac_losses(out, batch, torch.tensor(np.log(alpha)), 0.5)
    target = -1.0 + 0.9 * (5.0 - alpha * half)
    assert float(error) == pytest.approx((abs(3.0 - target) + abs(2.0 - target)) / 2, rel=1e-5)
    # The smaller values are 1 and 2, so the policy is drawn to softmax(2, 4).
    p = 1 / (1 + np.exp(-2.0))
    assert float(parts["policy_loss"]) == pytest.approx(-(1 - p) * np.log(0.25) - p * np.log(0.75), rel=1e-5)
    _, plain, _ = sac_losses(out, batch, torch.tensor(np.log(alpha)), 0.5, entropy_backup=False)
    target = -1.0 + 0.9 * 5.0
    assert float(plain) == pytest.approx((abs(3.0 - target) + abs(2.0 - target)) / 2, rel=1e-5)
    assert float(parts["entropy_tuned"]) == pytest.approx(-(1 - p) * np.log(1 - p) - p * np.log(p), rel=1e-5)
    assert float(parts["entropy"]) == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75), rel=1e-5)
    assert float(parts["entropy_aim"]) == pytest.approx(-half / 2)


@pytest.mark.parametrize("alpha", [1e-30, 1e-6, 1e6])
def test_any_temperature_is_finite(alpha: float) -> None:
    module = build("sac", "mlp")
    rng = np.random.default_rng(5)
    batch = train_batch(rng, random_obs(rng))
    loss, _, parts = sac_losses(module.forward_train(batch), batch, torch.tensor(np.log(alpha)), 0.3)
    loss.backward()
    assert all(torch.isfinite(part).all() for part in parts.values())
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in module.parameters())


@pytest.mark.parametrize(("frac", "start"), [(0.2, 2.0), (0.8, 1e-3)])
def test_temperature_drives_the_entropy_to_its_aim(frac: float, start: float) -> None:
    module = build("sac", "mlp")
    rng = np.random.default_rng(2)
    module.log_alpha.data.fill_(np.log(start))
    optimizer = torch.optim.Adam(module.network.parameters(), lr=3e-3)
    temperature = torch.optim.Adam([module.log_alpha], lr=5e-2)
    batch = train_batch(rng, random_obs(rng, 128))
    alphas, ratios = [], []
    for _ in range(400):
        module.zero_grad()
        out = module.forward_train(batch)
        loss, _, parts = sac_losses(out, batch, module.log_alpha, frac)
        loss.backward()
        optimizer.step()
        temperature.step()
        alphas.append(float(parts["temperature"]))
        ratios.append([float(parts[name] / parts["entropy_aim"]) for name in ("entropy_tuned", "entropy")])
    # It falls where the values say too little, and rises where they say too much.
    assert alphas[-1] < alphas[0] / 2 if frac == 0.2 else alphas[-1] > alphas[0] * 2
    tuned, policy = np.mean(ratios[-100:], axis=0)
    assert tuned == pytest.approx(1.0, abs=0.02)
    assert policy == pytest.approx(1.0, abs=0.15)  # it follows


def test_target_networks_are_no_part_of_training() -> None:
    for algo in ("dqn", "sac"):
        module = build(algo, "mlp")
        rng = np.random.default_rng(3)
        loss, _ = loss_of(algo, module, train_batch(rng, random_obs(rng)))
        loss.backward()
        for online, target in module.get_target_network_pairs():
            assert all(p.grad is None and not p.requires_grad for p in target.parameters())
            assert any(p.grad is not None for p in online.parameters())
            assert all(torch.equal(a, b) for a, b in zip(online.parameters(), target.parameters(), strict=True))
