"""Policies from a command line: names, and parameters as texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rl_sched import config
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.registry import did_you_mean


def build_policies(names: Sequence[str], params: Sequence[str] = ()) -> dict[str, Any]:
    """Makes entries of ``POLICIES``, by name.

    Args:
        names: Which; a name given twice counts once.
        params: Texts ``name=value``, the value as in YAML. Each goes to the policies that have it.

    Raises:
        ConfigError: A policy is unknown, none has a parameter of that name, or its value is not of its kind.
    """
    if not names:
        raise ConfigError(f"At least one policy must be named; none was. {did_you_mean('', POLICIES)}")
    values = config.apply_overrides({}, params)
    classes = {name: POLICIES.load(name) for name in names}
    known = {name: {field.name for field in dataclasses.fields(cls)} for name, cls in classes.items()}
    for key in values:
        if not any(key in fields for fields in known.values()):
            every = set().union(*known.values())
            whose = f"The policy {names[0]!r}" if len(classes) == 1 else f"None of the policies {', '.join(classes)}"
            has = "has no" if len(classes) == 1 else "has a"
            near = did_you_mean(key, every) if every else "They take none." if len(classes) > 1 else "It takes none."
            raise ConfigError(f"{whose} {has} parameter {key!r}. {near}")
    return {
        name: config.build(cls, {key: value for key, value in values.items() if key in known[name]}, where=name)
        for name, cls in classes.items()
    }
