"""The table of scenarios, and each of them under other rules: ``default mtbf_s:3600 placement:best_fit``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from rl_sched import config
from rl_sched.errors import ConfigError
from rl_sched.registry import Registry
from rl_sched.sim.presets import rules_from


class ScenarioTable(Registry):
    """A registry whose names may be followed by rules to change, ``RULE:VALUE``, separated by blanks.

    The whole text is the scenario's name: plans, tables and checkpoints tell varied scenarios apart by it.
    """

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.partition(" ")[0])

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.partition(" ")[0]) if isinstance(name, str) else False

    def create(self, name: str, **params: Any) -> Any:
        """The scenario, under its own rules or the changed ones.

        Raises:
            ConfigError: The scenario or a rule is unknown, or a value is not one for this rule.
        """
        base, _, changes = name.partition(" ")
        scenario = super().create(base, **params)
        if not changes:
            return scenario
        rules = config.to_dict(scenario.rules)
        for part in changes.split():
            rule, found, value = part.partition(":")
            if not found:
                raise ConfigError(
                    f"A scenario is written NAME or 'NAME RULE:VALUE ...', for instance 'default mtbf_s:3600'; "
                    f"{part!r} in {name!r} has no colon."
                )
            try:
                rules[rule] = yaml.safe_load(value)
            except yaml.YAMLError:
                raise ConfigError(f"The value of {rule!r} in {name!r} cannot be read; it is {value!r}.") from None
        return replace(scenario, name=name, rules=rules_from(rules, where=f"rules of {base!r}"))
