"""A checkpoint becomes a version of a registered model, and its champion if it is at least as good as that one."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rl_sched.config import ExperimentConfig
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.rl.checkpoint_files import Card, locate, read_card
from rl_sched.tracking.models import ModelRegistry, check_alias, check_name
from rl_sched.tracking.store import Store
from rl_sched.tracking.versions import SCHEME, Version

#: The alias of the best version of a model.
CHAMPION = "champion"


class Registered(NamedTuple):
    """What became of a checkpoint."""

    version: Version
    moved: bool  #: the alias is at this version now
    sentence: str  #: both, for a reader


def register(store: Store, checkpoint: Path, name: str, alias: str = CHAMPION, run_id: str | None = None) -> Registered:
    """Registers a checkpoint that works, and moves the alias to it unless the version that has it is better on VAL.

    Args:
        store: Whose registry; it is made if it does not exist.
        checkpoint: A checkpoint folder, or a training folder (its ``best``).
        name: The model.
        alias: The alias.
        run_id: MLflow's run that made the checkpoint.

    Raises:
        ConfigError: The name or the alias cannot be one.
        CheckpointError: The checkpoint is missing, damaged, or does not reproduce its probe batch.
        RlSchedError: MLflow cannot write to its store.
    """
    check_name(name)
    check_alias(alias)
    folder = locate(checkpoint)
    card = read_card(folder)
    from rl_sched.rl.learned_policy import LearnedPolicy  # torch: only for a folder that has something to load

    LearnedPolicy.load(folder)
    registry = ModelRegistry(store)
    version = registry.add(name, folder, card.tags(), run_id, card.describe())
    head = f"{version.uri} is {card.describe()}."
    holder = next((v for v in registry.versions() if v.name == name and alias in v.aliases), None)
    if holder is not None and holder.version == version.version:
        return Registered(version, True, f"{head} It was so before, and is {SCHEME}{name}@{alias}.")
    if holder is not None and (reason := _objection(registry, holder, registry.folder(version), card)) is not None:
        return Registered(version, False, f"{head} {SCHEME}{name}@{alias} stays version {holder.version}: {reason}")
    registry.point(version, alias)
    before = "" if holder is None else f" (before: version {holder.version})"
    return Registered(version, True, f"{head} It is now {SCHEME}{name}@{alias}{before}.")


def _objection(registry: ModelRegistry, holder: Version, folder: Path, card: Card) -> str | None:
    """Why an alias has to stay; None if the checkpoint in ``folder`` is at least as good as the alias's holder."""
    if card.val_score is None:
        return f"the new one has no {card.objective} on VAL."
    for key in ("scenario", "objective"):
        have, new = holder.tags.get(key, "not known"), getattr(card, key)
        if have != new:
            return f"its {key} is {have} and that of the new one {new}. Register the new one under another name."
    if "val_score" not in holder.tags:
        return None
    from rl_sched.rl.task import Task

    try:
        task = Task.of(ExperimentConfig(scenario=card.scenario))
        theirs, ours, over = _scores(registry, holder, folder, card)
    except (CheckpointError, ConfigError, ValueError) as error:
        return f"it cannot be compared with the new one. {error}"
    if task.better(theirs, ours):
        over = over if task.num_val_seeds is None else min(over, task.num_val_seeds)
        return f"its {card.objective} over {over} VAL workloads is {theirs:.4g}, that of the new one {ours:.4g}."
    return None


def _scores(registry: ModelRegistry, holder: Version, folder: Path, card: Card) -> tuple[float, float, int]:
    """Scores of an alias's holder and of a new checkpoint on the same VAL workloads, and how many these are.

    The recorded ones, or, if they are means over different numbers of workloads, both from play on the larger number.
    """
    assert card.val_score is not None
    episodes = int(holder.tags.get("val_episodes", 0))
    if episodes == card.val_episodes:
        return float(holder.tags["val_score"]), card.val_score, episodes
    episodes = max(episodes, card.val_episodes)
    theirs, ours = (_played(one, episodes) for one in (registry.folder(holder), folder))
    return theirs, ours, episodes


def _played(folder: Path, episodes: int) -> float:
    """The score of greedy play on the first VAL workloads: what a validation in training would give."""
    from rl_sched.rl.deciding import decision_of
    from rl_sched.rl.learned_policy import LearnedPolicy
    from rl_sched.rl.playing import acting, play
    from rl_sched.rl.task import Task

    policy = LearnedPolicy.load(folder)
    task = Task.of(policy.experiment)
    if task.num_val_seeds is not None:
        episodes = min(episodes, task.num_val_seeds)
    env = task.make_env(episodes, policy.experiment.seed, "val")
    return task.score(play(acting(policy.network, decision_of(policy.experiment)), env))
