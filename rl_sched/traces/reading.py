"""What every reader of trace files shares: opening, row errors that name file, line and field, the audit."""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from rl_sched.errors import TraceError
from rl_sched.registry import did_you_mean

_GZIP_MAGIC = b"\x1f\x8b"
_T = TypeVar("_T")

#: Reasons for dropping a row that more than one reader uses.
EMPTY_LINE = "empty line"
GANG_TOO_LARGE = "gang larger than max_gpus"


class Audit(NamedTuple):
    """What became of every row of a file; ``rows_read = rows_kept + sum(dropped.values())``."""

    path: str
    rows_read: int  # lines after the header, empty ones included
    rows_kept: int
    dropped: dict[str, int]  # reason -> rows, only reasons that occurred
    ignored_columns: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for people."""
        text = f"{self.path}: {self.rows_kept} of {self.rows_read} rows kept"
        if self.dropped:
            text += "; dropped " + ", ".join(f"{count} ({reason})" for reason, count in self.dropped.items())
        if self.ignored_columns:
            text += f"; columns not used: {', '.join(self.ignored_columns)}"
        return text + "."


class Table(NamedTuple):
    """A CSV file as text. n rows, all as long as the header."""

    path: str
    header: tuple[str, ...]
    rows: list[list[str]]  # n
    lines: list[int]  # (n,) line number of each row in the file, the header being line 1
    empty_lines: int

    def column(self, name: str, parse: Callable[[str], _T], rule: str) -> list[_T]:
        """Parses one column.

        Args:
            name: A name of the header.
            parse: Text to value; raises ``ValueError`` if it breaks the rule.
            rule: What must hold, for the message ("a time in seconds >= 0").

        Raises:
            TraceError: A cell cannot be parsed; the message names file, line, field and value.
        """
        index = self.header.index(name)
        values: list[_T] = []
        for row, line in zip(self.rows, self.lines, strict=True):
            try:
                values.append(parse(row[index]))
            except ValueError:
                raise TraceError(
                    f"{self.path}, line {line}, field {name!r}: the value must be {rule}; it is {row[index]!r}. "
                    "Mend or remove this line."
                ) from None
        return values


def file_stamp(path: str) -> tuple[int, int]:
    """Size and time of change: part of a cache key, so that an edited file is read again.

    Raises:
        TraceError: There is no such file.
    """
    try:
        stat = Path(path).stat()
    except OSError:
        raise TraceError(f"The trace file {path!r} must exist and be readable; it is not. Check the path.") from None
    return stat.st_size, stat.st_mtime_ns


def _read_text(path: str) -> str:
    """The whole file as text, unzipped if it is gzip (decided by its first bytes, not by its name)."""
    file_stamp(path)
    try:
        raw = Path(path).read_bytes()
        return (gzip.decompress(raw) if raw.startswith(_GZIP_MAGIC) else raw).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: the file must be UTF-8 text; byte {error.start} is not. Convert it.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: the file cannot be read ({error}). Fetch or unpack it again.") from None


def read_table(path: str, required: Sequence[str]) -> Table:
    """Reads a plain or gzipped CSV file with a header. Empty lines are skipped and counted.

    Raises:
        TraceError: The file is missing, unreadable or has no rows; a required column is missing or named twice;
            a row has more or fewer fields than the header.
    """
    reader = csv.reader(io.StringIO(_read_text(path), newline=""))
    rows: list[list[str]] = []
    lines: list[int] = []
    empty = 0
    try:
        header = tuple(name.strip() for name in next(reader, ()))
        for name in required:
            if header.count(name) != 1:
                found = f"it has {', '.join(header) or 'no header'}" if name not in header else "it has two of them"
                near = f" {did_you_mean(name, header)}" if header and name not in header else ""
                raise TraceError(f"{path}: the header must have one column {name!r}; {found}.{near}")
        for row in reader:
            if len(row) == len(header):
                rows.append(row)
                lines.append(reader.line_num)
            elif not row or not "".join(row).strip():
                empty += 1
            else:
                raise TraceError(
                    f"{path}, line {reader.line_num}: a row must have the {len(header)} fields of the header "
                    f"({', '.join(header)}); it has {len(row)}. Mend or remove this line."
                )
    except csv.Error as error:
        raise TraceError(f"{path}, line {reader.line_num}: not valid CSV ({error}). Mend this line.") from None
    if not rows:
        raise TraceError(f"{path}: a trace needs at least one row below its header; it has none.")
    return Table(path, header, rows, lines, empty)


def finite(text: str) -> float:
    """Text to a finite number; ``ValueError`` otherwise."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def non_negative(text: str) -> float:
    """Text to a finite number >= 0; ``ValueError`` otherwise."""
    value = finite(text)
    if value < 0:
        raise ValueError
    return value


def positive(text: str) -> float:
    """Text to a finite number > 0; ``ValueError`` otherwise."""
    value = finite(text)
    if value <= 0:
        raise ValueError
    return value


def gang_size(text: str) -> int:
    """Text (``4`` or ``4.0``) to a whole number >= 1; ``ValueError`` otherwise."""
    value = positive(text)
    if value != int(value):
        raise ValueError
    return int(value)
