"""Rules from a command line: a preset or a YAML file, with overrides. docs/simulator.md describes the presets."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Mapping, Sequence
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
_PREEMPTION = "preemption"


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

    ``restart_s`` and ``tariff`` may be mappings as well as lists of pairs, and a tariff one number.

    Raises:
        ConfigError: An unknown field, or a value that is not of its kind.
    """
    prefix = f"{where}." if where else ""
    rest = {key: value for key, value in data.items() if key not in _TABLES}
    tables: dict[str, Any] = {name: read(data[name], prefix + name) for name, read in _TABLES.items() if name in data}
    return dataclasses.replace(config.build(Rules, rest, where), **tables)


def read_outages(path: str | Path) -> list[list[float]]:
    """The rows ``[node, from s, to s]`` of a CSV file with the columns ``node,down_s,up_s``; no ``up_s`` = for ever.

    Raises:
        ConfigError: The file is missing, a column is, or a cell is not a number; file and line are named.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
            lines = range(2, len(rows) + 2)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"The outages {str(path)!r} cannot be read ({why}). Check the path.") from None
    out = []
    for line, row in zip(lines, rows, strict=True):
        cells = [row.get(column) for column in _OUTAGE_COLUMNS]
        if None in cells:
            raise ConfigError(f"{path}, line {line}: outages need the columns {','.join(_OUTAGE_COLUMNS)}.")
        node, down, up = (str(cell).strip() for cell in cells)
        out.append([_whole(node, f"{path}, line {line}: node"), _number(down, f"{path}, line {line}: down_s")])
        out[-1].append(_number(up, f"{path}, line {line}: up_s") if up else math.inf)
    return out


def _number(value: Any, path: str) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{path} must be a number; it is {value!r}.") from None


def _whole(value: Any, path: str) -> int:
    number = _number(value, path)
    if not number.is_integer():
        raise ConfigError(f"{path} must be a whole number; it is {value!r}.")
    return int(number)


def _rows(value: Any, path: str, width: int, rule: str) -> list[Sequence[Any]]:
    """A list of rows of ``width`` cells; a mapping is a list of pairs."""
    rows = list(value.items()) if isinstance(value, Mapping) else value
    ok = isinstance(rows, Sequence) and not isinstance(rows, str)
    if not ok or not all(isinstance(row, (list, tuple)) and len(row) == width for row in rows):
        raise ConfigError(f"{path} must be a list of {rule}; it is {value!r}.")
    return list(rows)


def _restarts(value: Any, path: str) -> tuple[tuple[int, float], ...]:
    rows = _rows(value, path, 2, "pairs [largest gang, seconds], as [[1, 7], [8, 30]]")
    return tuple((_whole(gang, path), _number(seconds, path)) for gang, seconds in rows)


def _outages(value: Any, path: str) -> tuple[tuple[int, float, float], ...]:
    rows = _rows(value, path, 3, "rows [node, from s, to s], as [[0, 3600, 7200], [3, 0, .inf]]")
    return tuple((_whole(node, path), _number(down, path), _number(up, path)) for node, down, up in rows)


def _tariff(value: Any, path: str) -> tuple[tuple[str, tuple[float, ...]], ...]:
    if isinstance(value, (int, float)):
        value = {"*": value}
    rows = _rows(value, path, 2, "pairs [GPU type, $/kWh or 24 of them], or a mapping of these")
    return tuple(
        (str(name), tuple(_number(p, path) for p in (prices if isinstance(prices, (list, tuple)) else [prices])))
        for name, prices in rows
    )


#: The fields that are tables, and how they are read.
_TABLES = {"restart_s": _restarts, "outages": _outages, "tariff": _tariff}
