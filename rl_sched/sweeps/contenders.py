"""Who takes part in an evaluation: checkpoints and registered policies as replicates of one policy, and rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rl_sched.errors import ConfigError
from rl_sched.scenarios.base import TUNED, Scenario
from rl_sched.tracking.store import Store

#: Name of the learned policy in tables.
LEARNED = "learned"
DEFAULT_SCENARIO = "default"
DEFAULT_EPISODES = 128


def find_checkpoints(given: Sequence[str], store: Store) -> tuple[list[Path], list[str]]:
    """The folders of checkpoints, and a sentence for each that is given by its name in the model registry.

    Raises:
        CheckpointError: A name is not registered, or its files are gone or have changed.
        ConfigError: A name is not written as one.
        RlSchedError: MLflow's database cannot be read, or the files not be fetched.
    """
    from rl_sched.tracking.models import ModelRegistry
    from rl_sched.tracking.versions import SCHEME

    registry = ModelRegistry(store)
    folders, notes = [], []
    for text in given:
        if not text.startswith(SCHEME):
            folders.append(Path(text))
            continue
        version = registry.find(text)
        folders.append(registry.folder(version))
        notes.append(f"{text} is {version.describe()} of the registered model {version.name}.")
    return folders, notes


def load_checkpoint(path: Path) -> tuple[Path, Any]:
    """The folder that holds the weights (``best`` of a training folder), and its learned policy.

    Raises:
        CheckpointError: There is no checkpoint, it is incomplete, or it does not give its stored outputs.
    """
    from rl_sched.rl.checkpoint import locate
    from rl_sched.rl.learned_policy import LearnedPolicy  # torch: only when there is something to load

    folder = locate(path)
    return folder, LearnedPolicy.load(folder)


def load_replicates(paths: Sequence[Path]) -> tuple[list[Path], list[Any]]:
    """The folders and the policies of checkpoints of one experiment.

    Raises:
        CheckpointError: One cannot be used.
        ConfigError: Two have the same training seed, or differ in more than the seed.
    """
    loaded = [load_checkpoint(path) for path in paths]
    for i, (folder, policy) in enumerate(loaded):
        for other, earlier in loaded[:i]:
            if policy.experiment.seed == earlier.experiment.seed:
                raise ConfigError(
                    f"Several checkpoints must be of different training seeds; {str(other)!r} and {str(folder)!r} both "
                    f"have seed {policy.experiment.seed}. Leave one out."
                )
            if replace(policy.experiment, seed=0) != replace(earlier.experiment, seed=0):
                raise ConfigError(
                    "Several checkpoints must be of one experiment and differ in the training seed only; "
                    f"{str(other)!r} and {str(folder)!r} differ in more. Evaluate them one by one."
                )
    return [folder for folder, _ in loaded], [policy for _, policy in loaded]


def choose_policies(text: str | None, scenario: Scenario) -> dict[str, Any]:
    """The rules named in ``--policies``, or all baselines.

    Raises:
        ConfigError: A name is not known, or none is left.
    """
    from rl_sched.evaluation.protocol import BASELINES, baselines

    if text is None:
        return baselines(scenario)
    names = tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    if not names:
        raise ConfigError(f"--policies must name at least one rule, as in --policies {BASELINES[0]},{BASELINES[-1]}.")
    return baselines(scenario, names)


class Setting(NamedTuple):
    """What is asked for, looked up."""

    scenario: Scenario
    rules: dict[str, Any]
    folders: list[Path]
    learned: list[Any]
    split: str
    episodes: int | None  #: None = the default number, or all workloads if there are fewer
    trained_on: list[str]
    notes: list[str]

    @property
    def policies(self) -> dict[str, Any]:
        """Everything that is played."""
        return {**({LEARNED: self.learned} if self.learned else {}), **self.rules}

    def seeds(self, scenario: Scenario) -> list[int]:
        """Workloads of a scenario."""
        from rl_sched.evaluation.protocol import choose_seeds

        episodes = DEFAULT_EPISODES if self.episodes is None else self.episodes
        return choose_seeds(scenario, self.split, episodes, at_most=self.episodes is None or scenario != self.scenario)

    def open_report(self, asked: Mapping[str, Scenario]) -> list[int]:
        """Counts an opening of REPORT for every checkpoint and every scenario by its name in the ledger.

        Returns:
            How often REPORT has been opened for each checkpoint, these included; nothing is counted, and [] returned,
            unless REPORT is what is asked for.
        """
        from rl_sched.evaluation.openings import record_opening

        if self.split != "report":
            return []
        episodes = {name: len(self.seeds(scenario)) for name, scenario in asked.items()}
        return [max(record_opening(folder, *entry) for entry in episodes.items()) for folder in self.folders]

    def name_checkpoints(self, opened: Sequence[int]) -> None:
        """Notes on the checkpoints, on REPORT, and on what VAL has chosen."""
        for i, (folder, policy) in enumerate(zip(self.folders, self.learned, strict=True)):
            self.notes.append(f"{LEARNED}: checkpoint {folder}, training seed {policy.experiment.seed}.")
            if opened:
                times = f"{opened[i]} time{'s' * (opened[i] > 1)}"
                self.notes.append(f"REPORT opened {times} for this checkpoint.")
        if self.split == "report":
            return
        chosen = ["the checkpoint"] if self.scenario.name in self.trained_on else []
        chosen += ["the parameters of the *_tuned rules"] if any(name.endswith(TUNED) for name in self.rules) else []
        if chosen:
            self.notes.append(
                f"VAL workloads also chose {' and '.join(chosen)}, so figures on them are slightly optimistic; --final "
                "judges on the held-out REPORT workloads."
            )


def look_up(
    store: Store,
    checkpoints: Sequence[str],
    scenario: str | None,
    policies: str | None,
    episodes: int | None,
    final: bool,
) -> Setting:
    """Loads checkpoints and finds rules and scenario.

    Args:
        store: Holds the model registry.
        checkpoints: Folders, or names in the registry; of one experiment with several training seeds.
        scenario: None = the one that the checkpoints were trained on, or the default one.
        policies: Rules, separated by commas; None = all baselines.
        episodes: Workloads; None = the default number, or all if there are fewer.
        final: REPORT workloads instead of VAL.

    Raises:
        RlSchedError: Something does not exist, or does not fit the rest.
    """
    from rl_sched.scenarios import SCENARIOS

    if scenario is not None:
        SCENARIOS[scenario]  # a wrong name is told before a checkpoint is loaded
    paths, registered = find_checkpoints(checkpoints, store)
    folders, learned = load_replicates(paths)
    trained_on = SCENARIOS.names(learned[0].experiment.scenario) if learned else []
    if scenario is None and len(trained_on) > 1:
        raise ConfigError(
            "A policy of several scenarios is judged on one at a time; this one was trained on "
            f"{', '.join(trained_on)}. Name one with --scenario."
        )
    where = SCENARIOS.create(scenario or (trained_on[0] if trained_on else DEFAULT_SCENARIO))
    if (why := where.available()) is not None:
        raise ConfigError(why)
    rules = choose_policies(policies, where)
    split = "report" if final else "val"
    setting = Setting(where, rules, folders, learned, split, episodes, trained_on, [])
    count = len(setting.seeds(where))
    setting.notes.append(f"Scenario {where.name}: {count} {split.upper()} workloads on {where.cluster.describe()}.")
    setting.notes.extend(registered)
    return setting


def latency_rows(setting: Setting, seed: int) -> pd.DataFrame:
    """Tidy rows of the decision latencies of every policy, over one workload."""
    from rl_sched.evaluation import latency
    from rl_sched.evaluation.scores import COLUMNS, RULE

    where = setting.scenario
    rows = []
    for policy in setting.learned:
        found = latency.of_learned(policy, where, seed)
        rows += [(LEARNED, where.name, policy.experiment.seed, seed, metric, value) for metric, value in found.items()]
    for name, rule in setting.rules.items():
        found = latency.of_rule(rule, where, seed)
        rows += [(name, where.name, RULE, seed, metric, value) for metric, value in found.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
