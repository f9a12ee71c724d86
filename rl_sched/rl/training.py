"""One training run: learn, validate, keep the best, write checkpoints, and survive an interruption."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_sched.config import ExperimentConfig, to_dict
from rl_sched.errors import CheckpointError
from rl_sched.rl import checkpoint, runtime
from rl_sched.rl.algorithms import ALGORITHMS
from rl_sched.rl.deciding import decision_of
from rl_sched.rl.task import Task
from rl_sched.rl.validation import Validation, Validator

if TYPE_CHECKING:
    from rl_sched.rl.algorithms.local import LocalAlgorithm


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands after an update."""

    steps: int
    total_steps: int
    steps_per_s: float
    seconds_left: float
    val_mean_jct_s: float | None  #: of the newest validation
    noop_share: float | None  #: of the newest validation
    greedy_minus_sampled_frac: float | None
    metrics: dict[str, float]  #: of this update (losses, entropy, ...); after a validation also ``val_*``
    objective: str = "mean_jct_s"
    val_score: float | None = None  #: objective of the newest validation
    best_val_score: float | None = None
    validated: bool = False  #: this update was followed by a validation


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run leaves."""

    checkpoint: Path  #: best on VAL
    last: Path
    best_val: float  #: objective of ``checkpoint``; nan if the run ended before its first validation
    steps: int
    seconds: float
    curve: list[dict[str, Any]]  #: one row per validation
    stopped_early: bool


OnProgress = Callable[[Progress], bool]


def train(
    experiment: ExperimentConfig,
    out_dir: Path,
    *,
    on_progress: OnProgress | None = None,
    resume: bool = False,
    task: Task | None = None,
) -> TrainResult:
    """Trains one policy.

    Args:
        experiment: Everything that decides the result.
        out_dir: Gets ``best/``, ``last/`` (checkpoints) and ``curve.jsonl``. Without ``resume`` an earlier run in it
            is replaced.
        on_progress: Called after every update; returning False stops the run cleanly.
        resume: Continue from ``out_dir/last`` if there is one.
        task: Other than the experiment's scenario (tests).

    Returns:
        Where the checkpoints are and how the run went. Ctrl-C and a stop by ``on_progress`` leave usable checkpoints.

    Raises:
        ConfigError: The experiment cannot be run.
        CheckpointError: ``resume`` and ``out_dir/last`` belongs to another experiment or is damaged.
    """
    runtime.single_thread()
    runtime.keep_freed_memory()
    task = task or Task.of(experiment)
    with (
        runtime.flushed_denormals(),
        runtime.embedded_ray(1 + experiment.train.env_runners),
        runtime.repeatable(),
    ):
        algo = ALGORITHMS.load(experiment.algo)(experiment, task.make_env).build_algo()
        try:
            return _Run(experiment, Path(out_dir), task, algo, resume).loop(on_progress)
        finally:
            algo.stop()


@dataclass(slots=True)
class _Standing:
    """What a resumed run must know; stored in ``last/meta.json``."""

    seconds: float = 0.0
    best_score: float | None = None
    val: Validation | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)


class _Run:
    def __init__(
        self, experiment: ExperimentConfig, out_dir: Path, task: Task, algo: LocalAlgorithm, resume: bool
    ) -> None:
        self.experiment, self.task, self.algo = experiment, task, algo
        self.best, self.last, self.curve_file = out_dir / "best", out_dir / "last", out_dir / "curve.jsonl"
        self.standing = _Standing()
        self.total = experiment.train.steps
        self.validator = Validator(task, decision_of(experiment), experiment.train.val_episodes, experiment.seed)
        self.probe = checkpoint.probe_observations(task.make_env)
        self._started = time.monotonic()
        self._saved_at = -1
        checkpoint.recover(self.last)
        checkpoint.recover(self.best)
        if resume and self.last.exists():
            self._restore()
        else:
            for old in (self.best, self.last):
                shutil.rmtree(old, ignore_errors=True)
            self.curve_file.unlink(missing_ok=True)

    # ------------------------------------------------------------------ the loop

    def loop(self, on_progress: OnProgress | None) -> TrainResult:
        stopped_early = False
        try:
            # The first Ctrl-C waits for the end of an update: half of one could not be resumed exactly.
            with runtime.interruptible(on_first=lambda: None) as interruption:
                while self.algo.steps < self.total and not stopped_early:
                    stopped_early = not self._update(on_progress) or interruption.seen
        except KeyboardInterrupt:
            stopped_early = True
        if self._saved_at != self.algo.steps:
            self._save_last()
        if not self.best.exists():
            self._save(self.best)
        return TrainResult(
            checkpoint=self.best,
            last=self.last,
            best_val=math.nan if self.standing.best_score is None else self.standing.best_score,
            steps=self.algo.steps,
            seconds=self._seconds(),
            curve=self.standing.curve,
            stopped_early=stopped_early and self.algo.steps < self.total,
        )

    def _update(self, on_progress: OnProgress | None) -> bool:
        """One update and what falls due after it; returns whether to go on."""
        train = self.experiment.train
        before, began = self.algo.steps, time.monotonic()
        metrics = _metrics(self.algo.train())
        self.algo.average()
        metrics.update(_episode_metrics(self.algo.runner.pop_finished()))
        steps = self.algo.steps
        metrics["steps_per_s"] = (steps - before) / (time.monotonic() - began)
        finished = steps >= self.total
        validated = finished or _crossed(before, steps, train.val_every)
        if validated:
            metrics.update(self._validate(metrics))
        if finished or _crossed(before, steps, train.checkpoint_every):
            self._save_last()
        if on_progress is None:
            return True
        return on_progress(self._progress(metrics, validated))

    def _validate(self, metrics: dict[str, float]) -> dict[str, float]:
        now = self.standing
        now.val = val = self.validator(self.algo.network)
        row = {f"val_{key}": value for key, value in val._asdict().items()}
        if self.task.better(val.score, now.best_score):
            now.best_score = val.score
            self._save(self.best)
        now.curve.append(_plain({"steps": self.algo.steps, "seconds": self._seconds(), **row, **metrics}))
        self.curve_file.parent.mkdir(parents=True, exist_ok=True)
        with self.curve_file.open("a") as file:
            file.write(json.dumps(now.curve[-1]) + "\n")
        return row

    def _progress(self, metrics: dict[str, float], validated: bool) -> Progress:
        now, steps = self.standing, self.algo.steps
        rate = steps / max(self._seconds(), 1e-9)
        return Progress(
            steps=steps,
            total_steps=self.total,
            steps_per_s=metrics["steps_per_s"],
            seconds_left=max(0, self.total - steps) / max(rate, 1e-9),
            val_mean_jct_s=now.val.mean_jct_s if now.val else None,
            noop_share=now.val.noop_share if now.val else None,
            greedy_minus_sampled_frac=now.val.greedy_minus_sampled_frac if now.val else None,
            metrics=metrics,
            objective=self.task.objective,
            val_score=now.val.score if now.val else None,
            best_val_score=now.best_score,
            validated=validated,
        )

    def _seconds(self) -> float:
        return self.standing.seconds + time.monotonic() - self._started

    # ------------------------------------------------------------------ checkpoints

    def _save(self, folder: Path, extra: Callable[[Path], None] | None = None) -> None:
        now = self.standing
        meta = {
            "steps": self.algo.steps,
            "total_steps": self.total,
            "seconds": self._seconds(),
            "scenario": self.experiment.scenario,
            "spec": self._spec(),
            "objective": self.task.objective,
            "gap_pairs": self.validator.pairs,
            "val": _plain(now.val._asdict()) if now.val else None,
            **_plain({"best_score": now.best_score}),
        }
        checkpoint.save(folder, self.experiment, self.algo.network, self.probe, meta, extra)

    def _spec(self) -> dict[str, Any]:
        """Shapes of the observations."""
        return dict(self.algo.runner.env.spec_obs._asdict())

    def _save_last(self) -> None:
        self._save(self.last, self.algo.store)
        self._saved_at = self.algo.steps

    def _restore(self) -> None:
        loaded = checkpoint.read(self.last)
        if to_dict(loaded.experiment) != to_dict(self.experiment):
            raise CheckpointError(
                f"{str(self.last)!r} belongs to another experiment. Give another folder, or train without resuming."
            )
        if loaded.meta["spec"] != (spec := self._spec()):
            raise CheckpointError(
                f"{str(self.last)!r} was trained on observations of other shape ({loaded.meta['spec']}; now {spec}) by "
                "another version of the code. Continue it with that version, or train anew."
            )
        self.algo.resume(self.last, loaded.weights)
        self.validator.pairs = loaded.meta["gap_pairs"]
        now, meta = self.standing, loaded.meta
        now.seconds, now.best_score = meta["seconds"], meta["best_score"]
        if meta["val"]:
            now.val = Validation(**{key: math.nan if value is None else value for key, value in meta["val"].items()})
        if self.best.exists():  # it may be newer than ``last``
            newest = checkpoint.read(self.best).meta
            if newest["best_score"] is not None:
                now.best_score = newest["best_score"]
        if self.curve_file.exists():
            rows = [json.loads(line) for line in self.curve_file.read_text().splitlines() if line.endswith("}")]
            now.curve = [row for row in rows if row["steps"] <= self.algo.steps]
            self.curve_file.write_text("".join(json.dumps(row) + "\n" for row in now.curve))
        self._saved_at = self.algo.steps


def _crossed(before: int, after: int, every: int) -> bool:
    """Whether a multiple of ``every`` lies in (before, after]."""
    return after // every > before // every


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers as JSON knows them: nan and the infinities become None."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def _metrics(result: dict[str, Any]) -> dict[str, float]:
    """The plain numbers of an update, from RLlib's result."""
    learner = result.get("learners", {}).get("default_policy", {})  # nothing is learned until a replay has begun
    names = {
        "policy_loss": "policy_loss",
        "value_loss": "value_loss",
        "entropy": "entropy_nats",
        "approx_kl": "approx_kl",
        "clip_frac": "clip_frac",
        "value_mean": "value_mean",
        "error_mean": "error_mean",
        "entropy_tuned": "entropy_tuned_nats",
        "entropy_aim": "entropy_aim_nats",
        "temperature": "temperature",
        "default_optimizer_learning_rate": "lr",
        "curr_entropy_coeff": "entropy_coef",
        "gradients_default_optimizer_global_norm": "grad_norm",
    }
    out = {new: float(learner[old]) for old, new in names.items() if old in learner}
    out.update({key: float(result[key]) for key in ("explained_variance_frac", "return_std") if key in result})
    return out


def _episode_metrics(episodes: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the training episodes that ended (sampled actions); nothing if none did."""
    if not episodes:
        return {}
    count = len(episodes)
    return {f"train_{key}": sum(row[key] for row in episodes) / count for key in ("mean_jct_s", "noop_share")}
