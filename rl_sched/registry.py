"""Tables of names: ``name -> "module:Thing"``, imported on first use, with a did-you-mean.

A family (policies, traces, networks, ...) is a folder whose ``__init__.py`` holds one ``Registry``.
Adding a thing is one file and one line in that table.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rl_sched.errors import ConfigError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns a sentence that names the nearest known name, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}."


class Registry(Mapping[str, str]):
    """A read-only table of one family.

    Args:
        kind: What an entry is, for messages ("policy", "trace", ...).
        table: ``name -> "module:attribute"``.
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def __getitem__(self, name: str) -> str:
        try:
            return self._table[name]
        except KeyError:
            raise ConfigError(f"Unknown {self.kind} {name!r}. {did_you_mean(name, self._table)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def load(self, name: str) -> Any:
        """Imports and returns the thing itself (a class or a function)."""
        module, _, attribute = self[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def create(self, name: str, **params: Any) -> Any:
        """Calls the thing with ``params``; an unknown parameter is a ``ConfigError`` with the nearest name."""
        thing = self.load(name)
        known = [p.name for p in inspect.signature(thing).parameters.values() if p.kind != p.VAR_KEYWORD]
        for key in params:
            if key not in known:
                raise ConfigError(
                    f"The {self.kind} {name!r} has no parameter {key!r}. "
                    + (did_you_mean(key, known) if known else "It takes none.")
                )
        return thing(**params)
