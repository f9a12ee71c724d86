"""Conformance of networks: what every name in NETWORKS must do. Subclass ``NetworkConformance`` in a test file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rl_sched.config import NetworkConfig
from rl_sched.rl import masking
from rl_sched.rl.networks import NETWORKS

Obs = dict[str, Tensor]


class Shapes(NamedTuple):
    """Shapes of an observation, with the fields of ``ObsSpec``."""

    window: int = 9
    job_features: int = 7
    num_gpus: int = 6
    gpu_features: int = 5
    global_features: int = 4
    num_types: int = 3
    guided: bool = False
    arrival_features: int = 0

    @property
    def num_actions(self) -> int:
        return 1 + self.window * self.num_types


#: Type of each of the 6 GPUs.
GPU_TYPES = (0, 0, 0, 1, 1, 2)


def random_obs(spec: Shapes, batch: int, seed: int = 0, num_jobs: int | None = None) -> Obs:
    """Random observations of the declared shape: existing jobs first, all-zero padding after them."""
    rng = np.random.default_rng(seed)
    count = rng.integers(0, spec.window + 1, batch) if num_jobs is None else np.full(batch, num_jobs)
    valid = np.arange(spec.window) < count[:, None]
    jobs = rng.normal(size=(batch, spec.window, spec.job_features)).astype(np.float32) * valid[:, :, None]
    jobs[:, :, 0] = valid
    gpus = rng.random((batch, spec.num_gpus, spec.gpu_features)).astype(np.float32)
    types = np.resize(GPU_TYPES, spec.num_gpus)
    gpus[:, :, 1] = 1.0 / (1 + types)
    gpus[:, :, 2:] = np.eye(spec.num_types)[types]
    fits = rng.random((batch, spec.window, spec.num_types)) < 0.5
    mask = np.ones((batch, spec.num_actions), np.int8)
    mask[:, 1:] = (valid[:, :, None] & fits).reshape(batch, -1)
    obs = {
        "jobs": jobs,
        "gpus": gpus,
        "globals": rng.normal(size=(batch, spec.global_features)).astype(np.float32),
        "action_mask": mask,
    }
    if spec.arrival_features:
        obs["arrivals"] = rng.random((batch, spec.arrival_features)).astype(np.float32)
    if spec.guided:
        obs["guide"] = np.array([rng.choice(np.flatnonzero(row)) for row in mask], np.int64)
    return {key: torch.from_numpy(part) for key, part in obs.items()}


class NetworkConformance:
    """Every network of the table is put through these."""

    @pytest.fixture(params=sorted(NETWORKS))
    def name(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def network(self, name: str) -> nn.Module:
        torch.manual_seed(0)
        return make(name)

    @pytest.mark.parametrize("batch", [1, 7, 200])
    def test_shapes(self, network: nn.Module, batch: int) -> None:
        out = network(random_obs(Shapes(), batch))
        assert out.logits.shape == (batch, Shapes().num_actions) and out.value.shape == (batch,)
        assert out.logits.dtype == out.value.dtype == torch.float32

    @pytest.mark.parametrize("num_jobs", [0, 1, 9])
    def test_empty_and_full_windows(self, network: nn.Module, num_jobs: int) -> None:
        out = network(random_obs(Shapes(), 3, num_jobs=num_jobs))
        assert torch.isfinite(out.logits).all() and torch.isfinite(out.value).all()

    def test_rows_do_not_mix(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 120, seed=1)
        together = network(obs)
        for i in (0, 17, 119):
            alone = network({key: part[i : i + 1] for key, part in obs.items()})
            torch.testing.assert_close(alone.logits[0], together.logits[i], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(alone.value[0], together.value[i], atol=1e-5, rtol=1e-5)

    def test_finite_under_all_but_one_masked(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 5, seed=2)
        obs["action_mask"][:] = 0
        obs["action_mask"][:, 0] = 1
        out = network(obs)
        log_probs = masking.log_probs(out.logits, obs["action_mask"])
        (masking.entropy(log_probs).sum() + log_probs[:, 0].sum() + out.value.sum()).backward()
        assert torch.isfinite(log_probs).all() and (log_probs[:, 0] == 0).all()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())

    def test_masked_probability_is_exactly_zero(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 50, seed=3)
        log_probs = masking.log_probs(network(obs).logits * 100.0, obs["action_mask"])
        assert (log_probs.exp()[obs["action_mask"] == 0] == 0.0).all()
        actions, _ = masking.sample(log_probs.repeat(40, 1))
        assert obs["action_mask"].repeat(40, 1).gather(1, actions[:, None]).all()

    def test_starts_nearly_uniform(self, network: nn.Module) -> None:
        out = network(random_obs(Shapes(), 50, seed=4))
        assert out.logits.abs().max() < 1.0

    def test_gradient_reaches_every_parameter(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 64, seed=5)
        obs["action_mask"][:, 1:] = obs["jobs"][:, :, 0].repeat_interleave(3, dim=1).to(torch.int8)
        out = network(obs)
        log_probs = masking.log_probs(out.logits, obs["action_mask"])
        (log_probs[:, 0].sum() + masking.entropy(log_probs).sum() + out.value.square().sum()).backward()
        dead = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert dead == []

    def test_save_and_load(self, name: str, network: nn.Module, tmp_path: Path) -> None:
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        other = make(name)
        other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        obs = random_obs(Shapes(), 7)
        assert torch.equal(other(obs).logits, network(obs).logits)

    def test_guide_prior(self, name: str) -> None:
        obs = random_obs(Shapes(guided=True), 7)
        torch.manual_seed(1)
        plain = make(name, Shapes(guided=True), prior=0.0)
        torch.manual_seed(1)
        guided = make(name, Shapes(guided=True), prior=3.0)
        more = guided(obs).logits - plain(obs).logits
        expected = torch.zeros_like(more).scatter_(1, obs["guide"][:, None], 3.0)
        torch.testing.assert_close(more, expected, atol=1e-5, rtol=0)

    def test_only_the_value_knows_of_arrivals_to_come(self, name: str) -> None:
        network = make(name, Shapes(arrival_features=5))
        obs = random_obs(Shapes(arrival_features=5), 40)
        told = {**obs, "arrivals": obs["arrivals"].requires_grad_()}
        out = network(told)
        untold = network({key: part for key, part in obs.items() if key != "arrivals"})
        assert torch.equal(out.logits, untold.logits)
        (slope,) = torch.autograd.grad(out.logits.sum() + out.value.sum(), told["arrivals"])
        (again,) = torch.autograd.grad(network(told).value.sum(), told["arrivals"])
        assert torch.equal(slope, again) and (slope.abs().sum(dim=1) > 0).all()
        # Where they are missing nothing is to come.
        nothing = network({**obs, "arrivals": torch.zeros(40, 5)})
        assert torch.equal(nothing.value, untold.value) and (out.value - untold.value).abs().min() > 0


class SetNetworkConformance:
    """For networks that treat jobs and GPUs as sets (``any_size``)."""

    @pytest.fixture(params=sorted(name for name in NETWORKS if NETWORKS.load(name).any_size))
    def network(self, request: pytest.FixtureRequest) -> nn.Module:
        torch.manual_seed(0)
        network = make(request.param, config=NetworkConfig(request.param, hidden=16, heads=2, layers=2))
        with torch.no_grad():  # away from the tiny heads of the start
            for p in network.parameters():
                p.add_(0.3 * torch.randn_like(p))
        return network

    def test_permuting_jobs_permutes_their_logits(self, network: nn.Module) -> None:
        spec = Shapes()
        obs = random_obs(spec, 20, seed=6)
        order = torch.randperm(spec.window)
        moved = network({**obs, "jobs": obs["jobs"][:, order]})
        out = network(obs)
        logits = out.logits[:, 1:].view(20, spec.window, spec.num_types)[:, order].flatten(1)
        torch.testing.assert_close(moved.logits[:, 1:], logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(moved.logits[:, 0], out.logits[:, 0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(moved.value, out.value, atol=1e-4, rtol=1e-4)

    def test_permuting_gpus_of_a_type_changes_nothing(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 20, seed=7)
        moved = network({**obs, "gpus": obs["gpus"][:, [2, 0, 1, 4, 3, 5]]})
        torch.testing.assert_close(moved.logits, network(obs).logits, atol=1e-4, rtol=1e-4)

    def test_gpus_matter(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 20, seed=8)
        other = obs["gpus"].clone()
        other[:, 0, 0] += 0.5
        assert (network({**obs, "gpus": other}).logits - network(obs).logits).abs().max() > 1e-3

    def test_padding_changes_nothing(self, network: nn.Module) -> None:
        obs = random_obs(Shapes(), 20, seed=9)
        wider = {**obs, "jobs": torch.nn.functional.pad(obs["jobs"], (0, 0, 0, 5))}
        out, more = network(obs), network(wider)
        torch.testing.assert_close(more.logits[:, : Shapes().num_actions], out.logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(more.value, out.value, atol=1e-5, rtol=1e-5)

    def test_other_number_of_gpus(self, network: nn.Module) -> None:
        spec = Shapes(num_gpus=17)
        assert torch.isfinite(network(random_obs(spec, 7)).logits).all()


def make(name: str, spec: Shapes | None = None, config: NetworkConfig | None = None, prior: float = 3.0) -> nn.Module:
    """A network of the table for small shapes."""
    return NETWORKS.load(name)(spec or Shapes(), config or NetworkConfig(name, hidden=16), prior)
