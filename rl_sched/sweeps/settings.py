"""The groups of settings of a plan beside its arms: budget, early stopping, sampler, retries, population, report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rl_sched.errors import ConfigError
from rl_sched.sweeps.space import Distribution

#: Training seeds after which survivors are chosen, if a plan does not say; then all seeds.
STAGES = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a sweep may spend. The steps of one trial are the experiment's ``train.steps``.

    What is None is not limited. At a limit no trial is started any more, those that run are finished; at
    ``wall_hours`` they are stopped too. A larger limit continues the sweep.
    """

    configurations: int = 16  #: of a search: configurations tried per arm and scenario
    survivors: float = 0.34  #: fraction of configurations that go on to the next stage
    stages: tuple[int, ...] = ()  #: training seeds after which survivors are chosen; () = 1, 3, 5, then all
    steps_per_s: float = 9000.0  #: expected speed of one trial, for --dry-run --no-pilot
    trials: int | None = None  #: training runs, over all commands
    env_steps: float | None = None  #: environment steps, over all commands
    cpu_hours: float | None = None  #: of the trials' processes, over all commands
    wall_hours: float | None = None  #: of one command
    disk_gb: float | None = None  #: of the sweep's folder
    keep_free_gb: float = 0.1  #: what has to stay free on its disk: a full one stops the sweep before it tears a file

    def check(self) -> None:
        """Raises a ``ConfigError`` if a number makes no sense."""
        if self.configurations < 1 or not 0 <= self.survivors <= 1 or self.steps_per_s <= 0 or self.keep_free_gb < 0:
            raise ConfigError(
                "budget must have configurations at least 1, survivors between 0 and 1, steps_per_s above 0, "
                "keep_free_gb at least 0."
            )
        for name in ("trials", "env_steps", "cpu_hours", "wall_hours", "disk_gb"):
            if (limit := getattr(self, name)) is not None and limit <= 0:
                raise ConfigError(f"budget.{name} must be above 0, or null for no limit; it is {limit}.")
        if list(self.stages) != sorted(set(self.stages)) or any(seeds < 1 for seeds in self.stages):
            raise ConfigError(f"budget.stages must be growing numbers of seeds from 1 on; it is {list(self.stages)}.")

    def stages_of(self, seeds: int) -> list[int]:
        """The numbers of training seeds at which a configuration of so many is judged; the last is all."""
        return [*(stage for stage in self.stages or STAGES if stage < seeds), seeds]

    def trials_per_configuration(self, seeds: int) -> float:
        """Expected number of training runs of one configuration."""
        stages = self.stages_of(seeds)
        widths = [b - a for a, b in zip([0, *stages], stages, strict=False)]
        return sum(width * self.survivors**i for i, width in enumerate(widths))


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """When the first seed of a configuration is stopped half-way. Grids are compared at equal budgets: never."""

    rule: str = "median"  #: a name of the STOPPERS table
    warmup_frac: float = 0.34  #: part of a VAL curve that is never judged
    curves: int = 4  #: curves of other configurations to compare with before any is stopped
    keep: float = 0.5  #: fraction of them that goes on

    def check(self) -> None:
        """Raises a ``ConfigError`` if a number makes no sense."""
        if not (0 <= self.warmup_frac <= 1 and 0 < self.keep <= 1 and self.curves >= 1):
            raise ConfigError("early_stop must have warmup_frac and keep between 0 and 1, and curves at least 1.")


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """How configurations are suggested."""

    name: str = "tpe"  #: a name of the SAMPLERS table
    random_first: int = 5  #: configurations at random before it learns
    params: dict[str, Any] = field(default_factory=dict)  #: further parameters of the sampler

    def check(self) -> None:
        """Raises a ``ConfigError`` if a number makes no sense."""
        if self.random_first < 1:
            raise ConfigError(f"sampler.random_first must be at least 1; it is {self.random_first}.")


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a trial is started again from its newest checkpoint within one command, by what ended it.

    A mistake of the user is never tried again.
    """

    infrastructure: int = 2  #: its process died, a machine or a file system was away
    numerics: int = 1  #: nan, overflow

    def check(self) -> None:
        """Raises a ``ConfigError`` if a number makes no sense."""
        if self.infrastructure < 0 or self.numerics < 0:
            raise ConfigError("retries.infrastructure and retries.numerics must be at least 0.")


@dataclass(frozen=True, slots=True)
class Population:
    """Population based training (Jaderberg et al., 2017): settings change while a population trains.

    One population per arm, scenario and training seed. Training is cut into ``generations`` equal parts; after each,
    the worst members continue from the checkpoints of the best, with their settings perturbed.
    """

    space: dict[str, Distribution]  #: dotted setting -> its range
    members: int = 6
    generations: int = 5
    replaced: float = 0.25  #: fraction of the members that is replaced after each generation

    def check(self) -> None:
        """Raises a ``ConfigError`` if a number makes no sense."""
        if self.members < 2 or self.generations < 1 or not 0 <= self.replaced <= 0.5 or not self.space:
            raise ConfigError(
                "population must have a space, members at least 2, generations at least 1, replaced between 0 and 0.5."
            )
        for path, dimension in self.space.items():
            dimension.check(f"population.space.{path}")


@dataclass(frozen=True, slots=True)
class Report:
    """What is measured at the end, on REPORT seeds."""

    episodes: int = 64
    policies: tuple[str, ...] = ()  #: rules beside the arms; empty = all baselines
    reference: str | None = None  #: arm that the others are compared with
