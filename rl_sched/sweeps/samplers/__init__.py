"""The SAMPLERS table: how a search suggests configurations, by name.

An entry is a function ``(space, seed, random_first, goals, ...) -> Sampler``; ``goals`` is the number of objectives,
further parameters come from ``sampler.params`` of the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rl_sched.registry import Registry
from rl_sched.sweeps.settings import SamplerConfig
from rl_sched.sweeps.space import Distribution

if TYPE_CHECKING:
    from rl_sched.sweeps.samplers.base import Sampler

SAMPLERS = Registry(
    "sampler",
    {
        "tpe": "rl_sched.sweeps.samplers.models:tpe",
        "gp": "rl_sched.sweeps.samplers.models:gp",
        "cma_es": "rl_sched.sweeps.samplers.populations:cma_es",
        "nsga2": "rl_sched.sweeps.samplers.populations:nsga2",
        "random": "rl_sched.sweeps.samplers.plain:random",
        "grid": "rl_sched.sweeps.samplers.plain:grid",
    },
)


def make_sampler(config: SamplerConfig, space: Mapping[str, Distribution], seed: int, goals: int) -> Sampler:
    """The sampler of a plan.

    Raises:
        ConfigError: It has no such parameter, or does not suit the space or the objectives.
    """
    return SAMPLERS.create(
        config.name, space=space, seed=seed, random_first=config.random_first, goals=goals, **config.params
    )
