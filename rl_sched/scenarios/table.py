"""The table of scenarios, and each of them under other rules or scales: ``default mtbf_s:3600 load:1.2 size:2``."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import yaml

from rl_sched import config
from rl_sched.errors import ConfigError
from rl_sched.registry import Registry
from rl_sched.scenarios.scaling import SCALES, scaled
from rl_sched.sim.presets import rules_from

#: Between the scenarios of a mixture; a plus sign before a digit belongs to a number.
_JOIN = re.compile(r"\+(?!\d)")


class ScenarioTable(Registry):
    """A registry whose names may be followed by rules or scales to change, ``NAME:VALUE``, separated by blanks.

    The whole text is the scenario's name: plans, tables and checkpoints tell varied scenarios apart by it.
    """

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.partition(" ")[0])

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.partition(" ")[0]) if isinstance(name, str) else False

    @staticmethod
    def names(name: str) -> list[str]:
        """The names in a mixture, ``A + B + ...``."""
        return [part.strip() for part in _JOIN.split(name)]

    def parts(self, name: str) -> list[Any]:
        """The scenarios of a mixture, ``A + B + ...``, as training takes it; of one scenario, this one.

        Raises:
            ConfigError: As ``create``, or a scenario is there twice.
        """
        names = self.names(name)
        for part in names:
            if names.count(part) > 1:
                raise ConfigError(f"The scenarios of a mixture must differ; {part!r} is in {name!r} more than once.")
        return [self.create(part) for part in names]

    def create(self, name: str, **params: Any) -> Any:
        """The scenario, under its own rules and scale or the changed ones.

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
                read = yaml.safe_load(value)
            except yaml.YAMLError:
                raise ConfigError(f"The value of {rule!r} in {name!r} cannot be read; it is {value!r}.") from None
            if rule in SCALES:
                scenario = scaled(scenario, rule, read)
            else:
                rules[rule] = read
        return replace(scenario, name=name, rules=rules_from(rules, where=f"rules of {base!r}"))
