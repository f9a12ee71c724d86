"""Strategies ready to decide: learned ones are loaded from a folder, and trained first where it has none."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rl_sched.hybrid import PRESETS, STRATEGIES
from rl_sched.hybrid.presets import Preset
from rl_sched.hybrid.strategy import Learned, Strategy

#: Where trained strategies are kept unless a caller says otherwise.
FOLDER = Path("checkpoints/hybrid")
#: Seed of what they are trained on; evaluations use other seeds.
TRAIN_SEED = 1_000_001

Progress = Callable[[str], None]


def ready(
    names: Sequence[str],
    preset: str = "default",
    folder: Path = FOLDER,
    *,
    seed: int = 0,
    train_seed: int = TRAIN_SEED,
    on_progress: Progress = lambda text: None,
) -> dict[str, Strategy]:
    """Fresh strategies by name.

    Args:
        names: Of ``STRATEGIES``.
        preset: Of ``PRESETS``.
        folder: Where learned strategies are kept, one file each per preset and training seed.
        seed: Of strategies that draw.
        train_seed: Of the tasks that learned ones are trained on.
        on_progress: Is told in words what is being trained.

    Raises:
        ConfigError: A name is unknown.
        CheckpointError: A file in the folder cannot be read.
    """
    made = PRESETS.create(preset)
    kinds = {name: STRATEGIES.load(name) for name in names}  # all names are checked before anything is trained
    out: dict[str, Strategy] = {}
    for name, kind in kinds.items():
        if issubclass(kind, Learned):
            path = folder / f"{name}-{preset}-{train_seed}.npz"
            if not path.is_file():
                _train(kind, made, train_seed, path, on_progress)
            out[name] = kind.load(path, made)
        else:
            draws = "seed" in inspect.signature(kind).parameters
            out[name] = kind(seed=seed) if draws else kind()
    return out


def _train(kind: type[Learned], preset: Preset, seed: int, path: Path, on_progress: Progress) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.npz")  # two processes may train at a time
    kind.trained(preset, seed, on_progress).save(fresh)
    os.replace(fresh, path)
