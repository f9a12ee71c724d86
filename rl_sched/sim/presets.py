"""Rules from a command line: a preset or a YAML file, with overrides. docs/simulator.md describes the presets."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched import config
from rl_sched.errors import ConfigError
from rl_sched.registry import Registry
from rl_sched.sim.rules import Rules

PRESETS = Registry(
    "rules preset",
    {
        "default": "rl_sched.sim.rules:Rules",
        "helios": "rl_sched.sim.presets:helios",
        "gavel": "rl_sched.sim.presets:gavel",
    },
)
_YAML = (".yaml", ".yml")
_OUTAGE_COLUMNS = ("node", "down_s", "up_s")
_PREEMPTION, _RESTARTS, _TARIFF = "preemption", "restart_s", "tariff"


def helios() -> Rules:
    """Those of the simulator of Helios (Hu et al., SC 2021), for policies with and without preemption."""
    return Rules(preemption=True, restart_s=((1, 7.0), (8, 30.0), (9, 60.0)), preemptive_tail_s=1.0)


def gavel() -> Rules:
    """Those of Gavel's simulator (Narayanan et al., OSDI 2020): rounds of 6 minutes, preemption at no cost."""
    return Rules(preemption=True, round_s=360.0)


class RulesChoice(NamedTuple):
    """The rules, and whether the user said anything about preemption."""

    rules: Rules
    says_preemption: bool


def read_rules(source: str = "default", overrides: Sequence[str] = (), **fields: Any) -> RulesChoice:
    """The rules of a preset or a YAML file.

    Args:
        source: Name of a preset, or path of a YAML file with fields of ``Rules``.
        overrides: Texts ``field=value``, the value as in YAML.
        fields: Further fields, stronger than the source and weaker than the overrides.

    Raises:
        ConfigError: No such preset or file, an unknown field (the nearest one is named), a bad value.
    """
    is_file = source.endswith(_YAML)
    data = config.read_yaml(source) if is_file else config.to_dict(PRESETS.create(source))
    said = _PREEMPTION in data if is_file else bool(data[_PREEMPTION])
    data = config.apply_overrides({**data, **fields}, overrides)
    said |= any(text.partition("=")[0].strip() == _PREEMPTION for text in overrides)
    return RulesChoice(rules_from(data, where=source if is_file else ""), said)


def rules_from(data: Mapping[str, Any], where: str = "") -> Rules:
    """``Rules`` from plain data, strictly; the inverse of ``config.to_dict``.

    ``restart_s`` and ``tariff`` may be mappings as well as lists of pairs, the prices of a tariff one number, and the
    whole tariff too.

    Raises:
        ConfigError: An unknown field, or a value that is not of its kind.
    """
    plain = dict(data)
    for name in (_RESTARTS, _TARIFF):
        if isinstance(pairs := plain.get(name), Mapping):
            plain[name] = list(pairs.items())
    tariff = plain.get(_TARIFF)
    if isinstance(tariff, (int, float)):
        plain[_TARIFF] = [("*", [tariff])]
    elif isinstance(tariff, (list, tuple)) and all(isinstance(row, (list, tuple)) for row in tariff):
        plain[_TARIFF] = [[[cell] if isinstance(cell, (int, float)) else cell for cell in row] for row in tariff]
    return config.build(Rules, plain, where)


def read_outages(path: str | Path) -> list[list[float]]:
    """The rows ``[node, from s, to s]`` of a CSV file with the columns ``node,down_s,up_s``; no ``up_s`` = for ever.

    Raises:
        ConfigError: The file is missing, a column is, or a cell is not a number; file and line are named.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"The outages {str(path)!r} cannot be read ({why}). Check the path.") from None
    out = []
    for line, row in rows:
        cells = [row.get(column) for column in _OUTAGE_COLUMNS]
        if None in cells:
            raise ConfigError(f"{path}, line {line}: outages need the columns {','.join(_OUTAGE_COLUMNS)}.")
        node, down, up = (str(cell).strip() for cell in cells)
        where = f"{path}, line {line}"
        out.append(
            [
                _cell(node, int, "a whole number", f"{where}: node"),
                _cell(down, float, "a time in seconds", f"{where}: down_s"),
                _cell(up or "inf", float, "a time in seconds, or empty", f"{where}: up_s"),
            ]
        )
    return out


def _cell(text: str, read: Callable[[str], float], rule: str, where: str) -> float:
    try:
        return read(text)
    except ValueError:
        raise ConfigError(f"{where} must be {rule}; it is {text!r}.") from None
