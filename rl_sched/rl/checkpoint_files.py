"""The files of a checkpoint folder and what they say of it, read without torch."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from rl_sched.errors import CheckpointError

WEIGHTS = "weights.safetensors"
#: What a policy consists of; a folder to resume from holds more.
FILES = (WEIGHTS, "experiment.json", "meta.json", "probe.npz")


class Card(NamedTuple):
    """What a checkpoint says about itself."""

    scenario: str
    algo: str
    network: str
    seed: int  #: of the training
    steps: int
    objective: str
    val_score: float | None  #: of the newest validation; None = there was none, or it left jobs unfinished
    val_episodes: int  #: VAL workloads of a validation (all, if the scenario has fewer)
    code: str  #: hash of the code that wrote it

    def tags(self) -> dict[str, str]:
        """As texts; what is None is left out."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}

    def describe(self) -> str:
        """For a sentence."""
        score = "no VAL score" if self.val_score is None else f"VAL {self.objective} {self.val_score:.4g}"
        return f"{self.algo} on {self.scenario}, seed {self.seed}, {self.steps:,} steps, {score}"


def recover(folder: Path) -> None:
    """Puts back the previous checkpoint if the process died between the two renames of ``checkpoint.save``."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        os.rename(old, folder)


def locate(path: str | Path) -> Path:
    """The checkpoint folder that ``path`` means: itself, or ``best`` (else ``last``) inside a training folder.

    Raises:
        CheckpointError: There is none.
    """
    given = Path(path)
    for folder in (given, given / "best", given / "last"):
        recover(folder)
        if (folder / "meta.json").is_file():
            return folder
    if not given.exists():
        raise CheckpointError(f"The checkpoint folder {str(path)!r} does not exist. Check the path.")
    raise CheckpointError(
        f"{str(path)!r} is not a checkpoint: it holds no meta.json, and neither do best/ and last/ in it. "
        "Give the folder that training wrote."
    )


def read_card(folder: Path) -> Card:
    """What the checkpoint in ``folder`` says about itself; nothing of it is proven.

    Raises:
        CheckpointError: It does not say it, or cannot be read.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text())
        experiment = json.loads((folder / "experiment.json").read_text())
        score = (meta["val"] or {}).get("score")
        return Card(
            scenario=str(experiment["scenario"]),
            algo=str(experiment["algo"]),
            network=str(experiment["network"]["name"]),
            seed=int(experiment["seed"]),
            steps=int(meta["steps"]),
            objective=str(meta["objective"]),
            val_score=None if score is None else float(score),
            val_episodes=int(experiment["train"]["val_episodes"]),
            code=str(meta["code"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"The checkpoint {str(folder)!r} must say how it was trained; {type(error).__name__} {error} in its "
            "meta.json or experiment.json. Train again."
        ) from None


def digest(folder: Path) -> str:
    """SHA-256 of the files of a policy: equal if and only if it is the same one.

    Raises:
        CheckpointError: One is missing.
    """
    total = hashlib.sha256()
    for name in FILES:
        try:
            content = (folder / name).read_bytes()
        except OSError:
            raise CheckpointError(f"The checkpoint {str(folder)!r} is incomplete: {name} is missing.") from None
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()
