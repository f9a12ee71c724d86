"""Several strategies on the same stream of tasks, a few tasks at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rl_sched.hybrid import PRESETS, STRATEGIES
from rl_sched.hybrid.engine import Engine, Load
from rl_sched.hybrid.records import TaskResult, Totals, task_results, totals
from rl_sched.hybrid.strategy import Notice, Strategy
from rl_sched.hybrid.tasks import SharedTasks, Tasks

#: Strategies of a race that is not told which: those that the issue of a live view names.
SIX = ("round_robin", "random", "greedy", "hybrid_ml", "rl_agent", "oracle")


class Step(NamedTuple):
    """What one strategy did in one step of the race."""

    results: list[TaskResult]  #: in the order of its decisions
    notices: list[Notice]  #: retraining and the like


class Race:
    """Strategies side by side: each has a machine of its own and meets the same tasks.

    Args:
        strategies: Strategies by name, or names of ``STRATEGIES`` for those that need no preparation (see
            ``prepared.ready`` for the others).
        preset: A name of ``PRESETS``.
        seed: Of the stream of tasks.
        limit: Tasks in all; None = endless.

    Raises:
        ConfigError: A name is unknown.
    """

    def __init__(
        self,
        strategies: Mapping[str, Strategy] | Sequence[str],
        preset: str = "default",
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        self.preset = PRESETS.create(preset)
        self.seed = seed
        if not isinstance(strategies, Mapping):
            strategies = {name: STRATEGIES.create(name) for name in strategies}
        self._strategies = dict(strategies)
        stream, drawn = self.preset.stream(seed), list[Tasks]()
        self._engines = {
            name: Engine(self.preset.machine, SharedTasks(stream, drawn), limit) for name in self._strategies
        }

    @property
    def names(self) -> list[str]:
        """The strategies in their order."""
        return list(self._strategies)

    @property
    def finished(self) -> bool:
        """Whether all tasks of a limited race have been decided."""
        return all(engine.finished for engine in self._engines.values())

    def step(self, n: int = 1) -> dict[str, Step]:
        """Every strategy decides its next ``n`` tasks."""
        out = {}
        for name, engine in self._engines.items():
            tasks, notices = engine.play(self._strategies[name], n)
            out[name] = Step(task_results(name, engine, tasks), notices)
        return out

    def totals(self) -> dict[str, Totals]:
        """Averages and sums of every strategy so far; empty before the first step."""
        return {name: totals(name, engine) for name, engine in self._engines.items() if engine.decided}

    def load(self) -> dict[str, Load]:
        """What each strategy's devices are doing at the time of its last decision."""
        return {name: engine.load() for name, engine in self._engines.items()}

    def engine(self, name: str) -> Engine:
        """The machine of one strategy, with all its tasks."""
        return self._engines[name]
