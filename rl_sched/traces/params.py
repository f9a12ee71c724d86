"""A trace from a command line: its parameters are texts, to be read by the types of the dataclass."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from typing import Any

from rl_sched import config
from rl_sched.errors import ConfigError
from rl_sched.traces import TRACES, Trace

_PATH = "path"


def build_trace(name: str, params: Sequence[str] = (), path: str | None = None) -> Trace:
    """Makes an entry of ``TRACES``.

    Args:
        name: Of the entry.
        params: Texts ``key=value``; a list is written ``a,b`` or ``[a, b]``.
        path: The file, instead of a parameter ``path``.

    Raises:
        ConfigError: The name or a parameter is unknown, a value is not of its type, a file is missing or not wanted.
    """
    cls = TRACES.load(name)
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for text in params:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"A parameter must look like name=value; got {text!r}.")
        values[key.strip()] = _value(hints.get(key.strip()), value.strip())
    if path is not None:
        if _PATH not in hints:
            raise ConfigError(f"The trace {name!r} makes its jobs and reads no file; {path!r} was given. Leave it out.")
        if _PATH in values:
            raise ConfigError(f"The file must be given once; got {path!r} and {_PATH}={values[_PATH]}.")
        values[_PATH] = path
    if _PATH in hints and not values.get(_PATH) and not cls.default_file:
        raise ConfigError(f"The trace {name!r} must be given {cls.needs}; none was given.")
    return config.build(cls, values, where=name)


def _value(hint: Any, text: str) -> Any:
    """What ``config.build`` converts further: text for a field of text (``103959`` is a name), lists for tuples."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if str in options:
        return text
    if any(typing.get_origin(option) is tuple for option in options) and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    return config.apply_overrides({}, [f"value={text}"])["value"]
