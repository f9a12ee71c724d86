"""The learner on a GPU; everything that plays, and every checkpoint, on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch

from rl_sched.config import ExperimentConfig, NetworkConfig, PPOConfig, TrainConfig
from rl_sched.rl import checkpoint
from rl_sched.rl.algorithms import ALGORITHMS
from rl_sched.rl.runtime import num_gpus
from rl_sched.rl.task import Task
from rl_sched.rl.training import train
from rl_sched.testing.toy_env import ToyVectorEnv

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch sees")
TASK = Task(ToyVectorEnv)
SMALL = ExperimentConfig(
    seed=3,
    network=NetworkConfig(hidden=16),
    ppo=PPOConfig(rollout=16, minibatch=128, lr=3e-3, epochs=2),
    train=TrainConfig(steps=2_000, num_envs=16, val_every=500, val_episodes=8, checkpoint_every=1_000),
)


@pytest.fixture(scope="module", autouse=True)
def ray_session() -> Iterator[None]:
    """One Ray for all runs of this file, which has two GPUs to give whatever the machine has."""
    ray.init(address="local", num_cpus=3, num_gpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.parametrize(("given", "learns_on"), [(0, 0), (0.5, 1), (1, 1)])
def test_a_process_of_ray_takes_only_the_gpu_it_was_given(given: float, learns_on: int) -> None:
    @ray.remote(num_cpus=0, num_gpus=given)
    class Trial:
        def gpus(self) -> int:
            torch.cuda.is_available = lambda: True  # as on a machine with GPUs
            return num_gpus()

    assert ray.get(Trial.remote().gpus.remote()) == learns_on


def test_a_program_takes_the_gpu_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    assert num_gpus() == int(torch.cuda.is_available())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert num_gpus() == 1


@needs_gpu
@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
@pytest.mark.parametrize("network", ["cross_attention", "mlp"])
def test_learns_on_the_gpu_and_plays_on_the_cpu(algo: str, network: str, tmp_path: Path) -> None:
    experiment = dataclasses.replace(SMALL, algo=algo, network=NetworkConfig(network, hidden=16))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = train(experiment, tmp_path, task=TASK)
    assert torch.cuda.max_memory_allocated() > before
    assert result.curve[-1]["val_mean_jct_s"] < 100.0
    weights = checkpoint.read(tmp_path / "last").weights
    assert {part.device.type for part in weights.values()} == {"cpu"}
    assert all(bool(part.isfinite().all()) for part in weights.values())
