"""The strategy ``hybrid_ml``: a random forest that learns the best fraction, and goes on learning while it decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_sched.hybrid import files
from rl_sched.hybrid.engine import Engine
from rl_sched.hybrid.features import columns, features
from rl_sched.hybrid.forest import Forest, ForestSettings, Report, Scaler, ask, grow
from rl_sched.hybrid.presets import Preset
from rl_sched.hybrid.rules import Oracle
from rl_sched.hybrid.strategy import Learned, Notice, Situations

DEFAULTS = ForestSettings()
#: Changes when files of before can no longer be read.
_FORM = "rl_sched.hybrid.forest/1"


class Rows(NamedTuple):
    """What a forest learns from: k decisions."""

    x: NDArray[np.float64]  #: (k, F) features, not scaled
    best: NDArray[np.float64]  #: (k,) the best fractions
    duration_s: NDArray[np.float64]  #: (k,) weights: a wrong fraction costs seconds in proportion

    def last(self, n: int) -> Rows:
        """The latest ``n``."""
        return Rows(*(column[-n:] for column in self))

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of them."""
        return Rows(*(column[rows] for column in self))


def rows_of(situations: Situations, names: Sequence[str]) -> Rows:
    """The rows of some decisions."""
    x = features(situations)[:, columns(tuple(names))]
    return Rows(x, situations.best.copy(), situations.column("duration_s").copy())


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one after the other."""
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Recorder(Oracle):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.parts: list[Rows] = []

    def learn(self, situations: Situations) -> Notice | None:
        self.parts.append(rows_of(situations, self.names))
        return None


def collect(preset: Preset, n: int, seed: int) -> Rows:
    """The oracle's decisions on the first ``n`` tasks of a stream."""
    recorder = _Recorder(preset.forest_features)
    Engine(preset.machine, preset.stream(seed), n).play(recorder, n)
    return joined(recorder.parts)


def train_forest(preset: Preset, seed: int, settings: ForestSettings = DEFAULTS) -> tuple[Forest, Rows]:
    """Grows a forest on the oracle's decisions; the scaler is fitted on the rows that it is grown on.

    Returns:
        The forest, and the latest rows, to begin the sliding window with.
    """
    rows = collect(preset, settings.rows, seed)
    order = np.random.default_rng(seed).permutation(len(rows.best))
    held_out = rows.take(order[: int(settings.held_out_frac * len(order))])
    grown_on = rows.take(order[len(held_out.best) :])
    scaler = Scaler.fit(grown_on.x)
    nodes, importances = grow(scaler(grown_on.x), grown_on.best, grown_on.duration_s, settings, settings.trees, seed)
    return Forest(scaler, nodes, _judged(scaler, nodes, held_out, importances)), rows.last(settings.window)


def _judged(scaler: Scaler, nodes: np.ndarray, rows: Rows, importances: NDArray[np.float64]) -> Report:
    if len(rows.best) == 0:
        return Report(0, float("nan"), float("nan"), importances)
    error = ask(nodes, scaler(rows.x)) - rows.best
    variance = float(rows.best.var())
    r2 = 1.0 - float((error**2).mean()) / variance if variance > 0 else float("nan")
    return Report(len(error), r2, float(np.abs(error).mean()), importances)


class HybridMl(Learned):
    """Asks a forest, and every 50 tasks replaces its oldest tree by one grown on the latest 2000 decisions.

    The best fraction of a task is known once it has been decided: it is computed from the state that the machine was
    in, as it would be from a log.

    Args:
        preset: Whose features the forest is asked about.
        forest: Grown before.
        window: What the sliding window holds at the beginning.
        settings: Window and retraining.
        online: Whether it goes on learning.
    """

    def __init__(
        self,
        preset: Preset,
        forest: Forest,
        window: Rows,
        settings: ForestSettings = DEFAULTS,
        *,
        online: bool = True,
    ) -> None:
        self.forest = forest
        self.batch = settings.every if online else 1 << 30
        self._settings = settings
        self._columns = columns(preset.forest_features)
        self._online = online
        self._window = window
        self._fresh: list[Rows] = []
        self._x = np.zeros((0, 0))  # of the last decision
        self._since = 0
        self._retrainings = 0

    @classmethod
    def trained(cls, preset: Preset, seed: int, on_progress: Callable[[str], None] = lambda text: None) -> HybridMl:
        """A strategy whose forest has just been grown; takes some seconds."""
        settings = ForestSettings()
        on_progress(f"hybrid_ml: growing {settings.trees} trees on {settings.rows:,} tasks")
        forest, window = train_forest(preset, seed, settings)
        report = forest.report
        on_progress(
            f"hybrid_ml: R2 {report.r2:.3f}, mean error {report.mean_error:.3f} on {report.held_out:,} tasks held out"
        )
        return cls(preset, forest, window, settings)

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        """See ``Strategy``."""
        self._x = features(situations)[:, self._columns]
        return np.clip(self.forest.predict(self._x), 0.0, 1.0)

    def learn(self, situations: Situations) -> Notice | None:
        """See ``Strategy``."""
        if not self._online:
            return None
        self._fresh.append(Rows(self._x, situations.best.copy(), situations.column("duration_s").copy()))
        self._since += len(situations)
        if self._since < self._settings.every:
            return None
        self._window = joined([self._window, *self._fresh]).last(self._settings.window)
        self._fresh, self._since = [], 0
        self._retrainings += 1
        settings, rows = self._settings, self._window
        new, _ = grow(
            self.forest.scaler(rows.x), rows.best, rows.duration_s, settings, settings.renewed, self._retrainings
        )
        self.forest = self.forest.renewed(new)
        text = f"hybrid_ml: retraining {self._retrainings}, {settings.renewed} of {settings.trees} trees grown"
        return Notice(0, f"{text} on the latest {len(rows.best):,} tasks.")

    def save(self, path: Path) -> None:
        """See ``Learned``: trees, scaler and window."""
        window = {f"window_{name}": column for name, column in self._window._asdict().items()}
        files.write(path, _FORM, {**self.forest.arrays(), **window})

    @classmethod
    def load(cls, path: Path, preset: Preset) -> HybridMl:
        """See ``Learned``."""
        with files.opened(path, _FORM) as file:
            forest = Forest.from_arrays(file)
            window = Rows(*(file[f"window_{name}"] for name in Rows._fields))
            width, wanted = len(forest.scaler.mean), len(preset.forest_features)
            if width != wanted or window.x.shape[1:] != (width,):
                raise ValueError(f"its forest is for {width} features, not {wanted}")
        return cls(preset, forest, window)
