"""Checkpoint folders: what they prove, and how each damage is reported."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl_sched.config import ExperimentConfig, NetworkConfig
from rl_sched.errors import CheckpointError
from rl_sched.provenance import package_hash
from rl_sched.rl import checkpoint, masking
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.task import ScenarioEnvs
from rl_sched.testing.toy_env import ToySpec, ToyVectorEnv

EXPERIMENT = ExperimentConfig(network=NetworkConfig(hidden=8))


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return NETWORKS.load("cross_attention")(ToySpec(), EXPERIMENT.network, 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "last", EXPERIMENT, network(), checkpoint.probe_observations(ToyVectorEnv), {"steps": 7})
    return tmp_path / "last"


def test_round_trip(folder: Path) -> None:
    loaded = checkpoint.read(folder)
    assert loaded.experiment == EXPERIMENT and loaded.meta["steps"] == 7
    assert loaded.meta["code"] == package_hash()
    other = network(seed=1)
    other.load_state_dict(loaded.weights)
    checkpoint.check_answers(loaded, other, folder)
    checkpoint.check_observations(loaded, ToyVectorEnv, folder)
    assert loaded.probe_obs["jobs"].shape == (16, 6, 4) and np.ptp(loaded.probe_logits) > 0


def test_other_weights_are_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="does not reproduce its stored probe batch"):
        checkpoint.check_answers(checkpoint.read(folder), network(seed=1), folder)


def test_another_greedy_rule_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "greedy", lambda logits, mask: masking.masked_logits(logits, mask).argmin(dim=1))
    loaded = checkpoint.read(folder)
    with pytest.raises(CheckpointError, match="validated with another greedy rule"):
        checkpoint.check_answers(loaded, network(), folder)
    checkpoint.check_answers(loaded._replace(probe_greedy=None), network(), folder)  # written before it was stored


def test_other_observations_are_refused(folder: Path) -> None:
    class Shifted(ToyVectorEnv):
        def _draw(self) -> dict[str, Any]:
            obs = super()._draw()
            obs["globals"][:, 0] += 0.01
            return obs

    with pytest.raises(CheckpointError, match="'globals' of its probe batch differs"):
        checkpoint.check_observations(checkpoint.read(folder), Shifted, folder)


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, "experiment.json", "probe.npz"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"incomplete: {name} is missing"):
        checkpoint.read(folder)


@pytest.mark.parametrize("name", [checkpoint.WEIGHTS, "experiment.json", "probe.npz", "meta.json"])
def test_damaged_file(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x00garbage")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.read(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist. Check the path."):
        checkpoint.read(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        checkpoint.read(tmp_path)


def test_other_format_and_unknown_setting(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.read(folder)
    (folder / "experiment.json").write_text('{"netwrk": {}}')
    with pytest.raises(CheckpointError, match="another version: Unknown key 'netwrk'"):
        checkpoint.read(folder)


def test_no_code_is_unpickled(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {folder / 'hacked'}",)

    good = (folder / checkpoint.WEIGHTS).read_bytes()
    torch.save({"job_in.weight": Evil()}, folder / checkpoint.WEIGHTS)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.read(folder)
    (folder / checkpoint.WEIGHTS).write_bytes(good)
    np.savez(folder / "probe.npz", logits=np.array([Evil()], dtype=object))
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.read(folder)
    assert not (folder / "hacked").exists()


def test_interrupted_replacement_is_recovered(folder: Path) -> None:
    # The state between the two renames: the old one moved away, the new one not yet in place.
    folder.rename(folder.with_name(".last.old"))
    assert checkpoint.locate(folder) == folder
    assert checkpoint.read(folder).meta["steps"] == 7


def test_failed_save_keeps_the_old_one(folder: Path) -> None:
    def fail(new: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(
            folder, EXPERIMENT, network(1), checkpoint.probe_observations(ToyVectorEnv), {"steps": 8}, extra=fail
        )
    assert checkpoint.read(folder).meta["steps"] == 7


def test_probe_of_the_default_scenario_is_repeatable(tmp_path: Path) -> None:
    make_env = ScenarioEnvs(EXPERIMENT)
    first, second = (checkpoint.probe_observations(make_env) for _ in range(2))
    assert all((first[key] == second[key]).all() for key in first)
    assert first["jobs"][:, :, 0].sum() > 20 and np.ptp(first["globals"], axis=0).max() > 0.1
    shutil.rmtree(tmp_path)
