"""JSON logs: objects one by one, each with its line, and their fields, checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

from rl_sched.errors import TraceError
from rl_sched.traces.reading import bad_cell, read_text

_BLANK = " \t\r\n"
_T = TypeVar("_T")


class JsonObject(NamedTuple):
    """One object of a file, and where it stands."""

    path: str
    line: int  # where the object begins
    fields: Mapping[str, Any]
    within: str = ""  # path of a part inside the line's object, for messages: "attempts[0]."

    def get(self, field: str, parse: Callable[[Any], _T], rule: str) -> _T:
        """One field, which must be there.

        Args:
            field: Its name.
            parse: JSON value to value; raises ``ValueError`` or ``TypeError`` if it breaks the rule.
            rule: What must hold, for the message.

        Raises:
            TraceError: It is missing or breaks the rule; the message names file, line and field.
        """
        if field not in self.fields:
            raise bad_cell(self.path, self.line, self.within + field, f"given and {rule}", "missing")
        return self.parse(field, self.fields[field], parse, rule)

    def get_or(self, field: str, default: _T, parse: Callable[[Any], _T], rule: str) -> _T:
        """One field that may be left out (or null), which means ``default``."""
        value = self.fields.get(field)
        return default if value is None else self.parse(field, value, parse, rule)

    def parse(self, field: str, value: Any, parse: Callable[[Any], _T], rule: str) -> _T:
        """A value of this field; see ``get``."""
        try:
            return parse(value)
        except (ValueError, TypeError):
            raise bad_cell(self.path, self.line, self.within + field, rule, value) from None

    def parts(self, field: str) -> list[JsonObject]:
        """The objects of a field that is a list of objects.

        Raises:
            TraceError: It is no such list.
        """
        found = []
        for i, part in enumerate(self.get(field, _as_list, "a list")):
            where = f"{self.within}{field}[{i}]"
            if not isinstance(part, dict):
                raise bad_cell(self.path, self.line, where, "an object", part)
            found.append(JsonObject(self.path, self.line, part, where + "."))
        return found


def text(value: Any) -> str:
    """A JSON text that is not empty and can be written as UTF-8 (no half of a surrogate pair)."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    value.encode()
    return value


def text_of(parse: Callable[[str], _T], absent: Sequence[str] = ()) -> Callable[[Any], _T | None]:
    """The parser of a JSON text by a parser of cells; null and the texts of ``absent`` give None."""

    def parse_or_none(value: Any) -> _T | None:
        if value is None or (isinstance(value, str) and value.strip() in absent):
            return None
        return parse(text(value))

    return parse_or_none


def number_of(parse: Callable[[str], _T]) -> Callable[[Any], _T]:
    """The parser of a JSON number, or of a text that holds one, by a parser of cells."""

    def parse_number(value: Any) -> _T:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError
        return parse(str(value))

    return parse_number


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def read_json(path: str) -> Iterator[JsonObject]:
    """The objects of a file: of one JSON list, or written one after the other (JSON lines). Gzip is unpacked.

    Raises:
        TraceError: The file is missing or is neither; the message names the line.
    """
    content = read_text(path)
    decoder = json.JSONDecoder(parse_constant=_refuse)
    at, line, counted = _skip(content, 0), 1, 0
    is_list = content.startswith("[", at)
    if is_list:
        at = _skip(content, at + 1)
    more = not (is_list and content.startswith("]", at))
    while more and (at < len(content) or is_list):
        line += content.count("\n", counted, at)
        counted = at
        try:
            value, at = decoder.raw_decode(content, at)
        except json.JSONDecodeError as error:
            raise TraceError(
                f"{path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}). Mend this line."
            ) from None
        except (ValueError, RecursionError) as error:
            raise TraceError(f"{path}, line {line}: not readable JSON ({error}). Mend this object.") from None
        if not isinstance(value, dict):
            raise TraceError(
                f"{path}, line {line}: the file must be a list of JSON objects, or one object a line; here is "
                f"{str(value)[:40]!r}. Check that this is the right file."
            )
        yield JsonObject(path, line, value)
        at = _skip(content, at)
        if is_list:
            more = content.startswith(",", at)
            at = _skip(content, at + 1) if more else at
    if is_list and (not content.startswith("]", at) or _skip(content, at + 1) < len(content)):
        raise TraceError(
            f"{path}: the objects of a list must be separated by ',' and end with ']', nothing after it; this one "
            f"breaks off at character {at}. Fetch the file again."
        )


def _skip(content: str, at: int) -> int:
    """Index of the next character that is not blank."""
    while at < len(content) and content[at] in _BLANK:
        at += 1
    return at
