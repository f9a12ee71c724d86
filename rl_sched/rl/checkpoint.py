"""Checkpoint folders: weights, the experiment, and a proof that both still mean the same.

A folder holds ``weights.safetensors``, ``experiment.json``, ``meta.json`` and ``probe.npz``: observations of a
short fixed play of the experiment's own environment, with the logits and values that the network gave and the greedy
actions. Loading checks all three; where the environment is at hand, the observations are made anew and compared too.
Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from rl_sched.config import ExperimentConfig, build, to_dict
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.provenance import package_hash
from rl_sched.rl.checkpoint_files import FILES, WEIGHTS, locate
from rl_sched.rl.checkpoint_files import recover as recover
from rl_sched.rl.deciding import decision_of
from rl_sched.rl.rollout import EnvFactory

FORMAT = 3
#: The probe: this many environments, observed every ``PROBE_STRIDE`` steps, ``PROBE_TIMES`` times.
PROBE_ENVS, PROBE_TIMES, PROBE_STRIDE = 2, 8, 25
PROBE_SEED = 0
TOLERANCE = 1e-5

Arrays = dict[str, NDArray[Any]]


class Loaded(NamedTuple):
    """The content of a checkpoint folder."""

    experiment: ExperimentConfig
    weights: dict[str, torch.Tensor]
    meta: dict[str, Any]
    probe_obs: Arrays  #: (P, ...) each
    probe_logits: NDArray[np.float32]  #: (P, A)
    probe_value: NDArray[np.float32]  #: (P,)
    probe_greedy: NDArray[np.int64] | None  #: (P,) actions; None in checkpoints that do not hold them


def probe_observations(make_env: EnvFactory) -> Arrays:
    """(P, ...) observations of a play that depends on the environment alone: the last legal action each time."""
    env = make_env(PROBE_ENVS, PROBE_SEED, "val")
    obs = env.reset_raw(PROBE_SEED)
    kept: list[Arrays] = []
    for step in range(1 + (PROBE_TIMES - 1) * PROBE_STRIDE):
        if step % PROBE_STRIDE == 0:
            kept.append({key: part.copy() for key, part in obs.items()})
        mask = obs["action_mask"]
        obs = env.step_raw(mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1))[0]
    return {key: np.concatenate([part[key] for part in kept]) for key in kept[0]}


@torch.inference_mode()
def answers(network: nn.Module, obs: Arrays) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits (P, A) and values (P,) of a network."""
    out = network({key: torch.from_numpy(part) for key, part in obs.items()})
    return out.logits.numpy(), out.value.numpy()


def _greedy(experiment: ExperimentConfig, logits: NDArray[np.float32], obs: Arrays) -> NDArray[np.int64]:
    decision = decision_of(experiment)
    return decision.greedy(torch.from_numpy(logits), torch.from_numpy(obs["action_mask"])).numpy()


def save(
    folder: Path,
    experiment: ExperimentConfig,
    network: nn.Module,
    probe_obs: Arrays,
    meta: dict[str, Any],
    extra: Callable[[Path], None] | None = None,
) -> None:
    """Writes a checkpoint next to ``folder``, then puts it in its place in one step.

    Args:
        folder: Replaced if it exists.
        experiment: The resolved experiment.
        network: Its weights and its answers to the probe are stored.
        probe_obs: From ``probe_observations``.
        meta: Plain data: steps, scores, ...
        extra: Writes further files into the (temporary) folder that it is given.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    new, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    weights = {name: part.contiguous() for name, part in network.state_dict().items()}
    save_file(weights, new / WEIGHTS)
    logits, value = answers(network, probe_obs)
    arrays: Arrays = {"logits": logits, "value": value, "greedy": _greedy(experiment, logits, probe_obs)}
    arrays |= {f"obs.{key}": part for key, part in probe_obs.items()}
    np.savez_compressed(new / "probe.npz", **arrays)  # type: ignore[arg-type]
    (new / "experiment.json").write_text(json.dumps(to_dict(experiment), indent=2) + "\n")
    about = {"format": FORMAT, "code": package_hash(), "torch": str(torch.__version__), **meta}
    (new / "meta.json").write_text(json.dumps(about, indent=2) + "\n")
    if extra is not None:
        extra(new)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
    os.rename(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def read(path: str | Path) -> Loaded:
    """Reads a checkpoint folder; only tensors, arrays and JSON, no code.

    Raises:
        CheckpointError: It is missing, incomplete or damaged.
    """
    folder = locate(path)
    for name in FILES:
        if not (folder / name).is_file():
            raise CheckpointError(f"The checkpoint {str(folder)!r} is incomplete: {name} is missing. Train again.")
    try:
        meta = json.loads((folder / "meta.json").read_text())
        experiment = build(ExperimentConfig, json.loads((folder / "experiment.json").read_text()))
        weights = load_file(folder / WEIGHTS)
        with np.load(folder / "probe.npz", allow_pickle=False) as arrays:
            probe = {key: arrays[key] for key in arrays.files}
        logits, value, greedy = probe.pop("logits"), probe.pop("value"), probe.pop("greedy", None)
    except ConfigError as error:
        raise CheckpointError(f"The checkpoint {str(folder)!r} was made by another version: {error}") from None
    except Exception as error:  # damaged files fail in many ways: zip, pickle, JSON, KeyError, ...
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise CheckpointError(f"The checkpoint {str(folder)!r} cannot be read: {reason}. Train again.") from None
    if meta.get("format") != FORMAT:
        raise CheckpointError(
            f"The checkpoint {str(folder)!r} has format {meta.get('format')!r}; this version reads {FORMAT}. "
            "Train again."
        )
    probe_obs = {key.removeprefix("obs."): part for key, part in probe.items()}
    return Loaded(experiment, weights, meta, probe_obs, logits, value, greedy)


def check_answers(loaded: Loaded, network: nn.Module, where: object) -> None:
    """Proves that the network computes, and greedy play decides, what they did when the checkpoint was written.

    Raises:
        CheckpointError: Some logit or value differs by more than the tolerance, or some greedy action differs.
    """
    try:
        logits, value = answers(network, loaded.probe_obs)
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(f"The checkpoint {where} does not accept its own probe batch: {error}.") from None
    same = logits.shape == loaded.probe_logits.shape and np.allclose(logits, loaded.probe_logits, atol=TOLERANCE)
    if not (same and np.allclose(value, loaded.probe_value, atol=TOLERANCE)):
        raise CheckpointError(
            f"The checkpoint {where} does not reproduce its stored probe batch: the network's code or its files have "
            "changed since it was written. Train again, or use the version of the code that wrote it."
        )
    # From the stored logits: the rule alone is compared, not rounding at a tie.
    if loaded.probe_greedy is not None and not np.array_equal(
        _greedy(loaded.experiment, loaded.probe_logits, loaded.probe_obs), loaded.probe_greedy
    ):
        raise CheckpointError(
            f"The checkpoint {where} was validated with another greedy rule: from its stored logits other actions "
            "follow now. Train again, or use the version of the code that wrote it."
        )


def check_observations(loaded: Loaded, make_env: EnvFactory, where: object) -> None:
    """Proves that the environment shows what it showed in training.

    Raises:
        CheckpointError: Some feature of the probe batch differs.
    """
    fresh = probe_observations(make_env)
    for key, stored in loaded.probe_obs.items():
        part = fresh.get(key)
        if part is None or part.shape != stored.shape or not np.allclose(part, stored, atol=TOLERANCE):
            raise CheckpointError(
                f"The checkpoint {where} was trained on other observations: {key!r} of its probe batch differs from "
                "what the environment shows now. Train again, or use the version of the code that wrote it."
            )
