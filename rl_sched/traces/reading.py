"""What every reader of trace files shares: opening, tables, cells, and row errors that name file, line and field.

The rule for all readers: a cell that is not of its kind (text where a number must be, a negative time) is an error,
since nobody knows what else of that line is wrong. A cell that the log's own documentation allows but that makes no
job (a run time of 0, a job that never started) is a dropped row, counted with its reason.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import tarfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from rl_sched.errors import TraceError
from rl_sched.registry import did_you_mean

_GZIP_MAGIC = b"\x1f\x8b"
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_DATE_TIME_LENGTH = len("2017-10-09 07:01:55")
_EPOCH = datetime(1970, 1, 1)
#: Largest whole number that a cell may hold: 64 bits with sign.
MAX_WHOLE = 2**63 - 1
#: Up to here every whole number is a float.
MAX_EXACT = 2**53
_T = TypeVar("_T")

#: Reasons for dropping a row that more than one reader uses.
EMPTY_LINE = "empty line"
GANG_TOO_LARGE = "gang larger than max_gpus"
NO_GPU = "no GPU asked for"
NEVER_STARTED = "never started"
NO_RUN_TIME = "run time not above 0"
CENSORED = "censored: no end in the log"


class Audit(NamedTuple):
    """What became of every row of a file; ``rows_read = rows_kept + sum(dropped.values())``."""

    path: str
    rows_read: int  # lines after the header, empty ones included; jobs where ``unit`` says so
    rows_kept: int
    dropped: dict[str, int]  # reason -> rows, only reasons that occurred
    ignored_columns: tuple[str, ...] = ()
    unit: str = "rows"  # what is counted: a log in which several rows make a job counts jobs
    notes: tuple[str, ...] = ()  # sentences on what was assumed or changed

    def describe(self) -> str:
        """One line for people."""
        text = f"{self.path}: {self.rows_kept} of {self.rows_read} {self.unit} kept"
        if self.dropped:
            text += "; dropped " + ", ".join(f"{count} ({reason})" for reason, count in self.dropped.items())
        if self.ignored_columns:
            text += f"; columns not used: {', '.join(self.ignored_columns)}"
        return " ".join((text + ".", *self.notes))


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
                raise bad_cell(self.path, line, name, rule, row[index]) from None
        return values

    def require(self, *names: str) -> None:
        """Raises unless each of these is a column, once.

        Raises:
            TraceError: One is missing or named twice.
        """
        _require(self.path, self.header, names)

    def ignored(self, used: Iterable[str]) -> tuple[str, ...]:
        """Columns of the header that are not among ``used``."""
        names = set(used)
        return tuple(name for name in self.header if name not in names)


def bad_cell(path: str, line: int, field: str, rule: str, value: object) -> TraceError:
    """The error for one cell that breaks its rule; long values are cut."""
    return TraceError(
        f"{path}, line {line}, field {field!r}: the value must be {rule}; it is {shortened(repr(value))}. "
        "Mend or remove this line."
    )


def shortened(text: str, length: int = 80) -> str:
    """The text, cut to this length: what a message shows of a file that may hold anything."""
    return text if len(text) <= length else text[: length - 3] + "..."


def file_stamp(path: str) -> tuple[int, int]:
    """Size and time of change: part of a cache key, so that an edited file is read again.

    Raises:
        TraceError: There is no such file.
    """
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        raise TraceError(f"The trace file {path!r} must exist and be readable; it is not. Check the path.") from None
    return stat.st_size, stat.st_mtime_ns


def read_text(path: str) -> str:
    """The whole file as text; gzip, and a tar with one file in it, are unpacked (told by their bytes, not the name).

    Raises:
        TraceError: The file is missing, damaged, not UTF-8, or a tar of several files.
    """
    file_stamp(path)
    try:
        raw = Path(path).read_bytes()
        if raw.startswith(_GZIP_MAGIC):
            raw = gzip.decompress(raw)
        if raw[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
            raw = _only_member(path, raw)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise TraceError(
            f"{path}, line {line}: the file must be UTF-8 text; byte {error.start} is not. Convert it."
        ) from None
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise TraceError(f"{path}: the file cannot be read ({error}). Fetch or unpack it again.") from None


def _only_member(path: str, raw: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        if len(members) != 1:
            raise TraceError(f"{path}: the archive must hold one file; it holds {len(members)}. Unpack it.")
        content = archive.extractfile(members[0])
        return content.read() if content is not None else b""


def read_table(path: str, required: Sequence[str], *, delimiter: str = ",", quoted: bool = True) -> Table:
    """Reads a plain or gzipped CSV file with a header. Empty lines are skipped and counted.

    Args:
        path: The file.
        required: Columns that must be there, once each; others are kept as well.
        delimiter: What separates fields.
        quoted: Whether ``"`` quotes a field; without it the character stands for itself.

    Raises:
        TraceError: The file is missing, unreadable or has no rows; a required column is missing or named twice;
            a row has more or fewer fields than the header.
    """

    def header_of(first: list[str], line: int) -> tuple[str, ...]:
        header = tuple(name.strip() for name in first)
        _require(path, header, required)
        return header

    return _read_rows(path, header_of, True, delimiter, quoted)


def _require(path: str, header: tuple[str, ...], columns: Sequence[str]) -> None:
    for name in columns:
        if header.count(name) != 1:
            names = shortened(", ".join(header), 300) or "no header"
            found = f"it has {names}" if name not in header else "it has two of them"
            near = f" {shortened(did_you_mean(name, header), 300)}" if header and name not in header else ""
            raise TraceError(f"{path}: the header must have one column {name!r}; {found}.{near}")


def read_headerless(
    path: str, layouts: Sequence[Sequence[str]], *, delimiter: str = ",", quoted: bool = True, keep: Sequence[str] = ()
) -> Table:
    """Reads a file without a header; which of the layouts it has is told by the number of fields of its first row.

    Args:
        path: The file.
        layouts: Names of the columns, in order; of different lengths.
        delimiter: What separates fields.
        quoted: Whether ``"`` quotes a field; without it the character stands for itself.
        keep: Columns wanted, in any order; none: all of them. Dropping wide columns saves memory.

    Raises:
        TraceError: The file is missing, unreadable or empty, or a row has more or fewer fields than the layout.
    """

    def header_of(first: list[str], line: int) -> tuple[str, ...]:
        for layout in layouts:
            if len(layout) == len(first):
                return tuple(layout)
        lengths = " or ".join(str(len(layout)) for layout in layouts)
        raise TraceError(
            f"{path}, line {line}: a row must have {lengths} fields; it has {len(first)}. Check that this is the right "
            "file."
        )

    return _read_rows(path, header_of, False, delimiter, quoted, keep)


def _read_rows(
    path: str,
    header_of: Callable[[list[str], int], tuple[str, ...]],  # of the first row and its line
    has_header: bool,
    delimiter: str,
    quoted: bool,
    keep: Sequence[str] = (),
) -> Table:
    text = io.StringIO(read_text(path), newline="")
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    # strict: a quote that is not closed would swallow the lines after it.
    reader = csv.reader(text, delimiter=delimiter, quoting=quoting, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    header: tuple[str, ...] | None = None
    picks: list[int] | None = None
    empty = 0
    try:
        for row in reader:
            if header is None and (has_header or "".join(row).strip()):
                header = header_of(row, reader.line_num)
                picks = [header.index(name) for name in keep] if keep else None
                if has_header:
                    continue
            if header is not None and len(row) == len(header):
                rows.append(row if picks is None else [row[i] for i in picks])
                lines.append(reader.line_num)
            elif not "".join(row).strip():
                empty += 1
            else:
                wanted = header or ()
                raise TraceError(
                    f"{path}, line {reader.line_num}: a row must have the {len(wanted)} fields of the "
                    f"{'header' if has_header else 'layout'} ({', '.join(wanted)}); it has {len(row)}. "
                    "Mend or remove this line."
                )
    except csv.Error as error:
        raise TraceError(f"{path}, line {reader.line_num}: not valid CSV ({error}). Mend this line.") from None
    if header is None and has_header:
        header_of([], 1)
    if not rows or header is None:
        raise TraceError(f"{path}: a trace needs at least one row{' below its header' * has_header}; it has none.")
    return Table(path, tuple(keep) if keep else header, rows, lines, empty)


# --- cells: text to value, ``ValueError`` if it breaks the rule ---------------------------------------------------


def finite(text: str) -> float:
    """Text to a finite number; ``ValueError`` otherwise."""
    value = float(text)
    if not math.isfinite(value) or "_" in text:  # Python reads 1_000 as 1000
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


def whole(text: str) -> int:
    """Text (``4`` or ``4.0``) to a whole number in [0, 2^63); exact for texts of digits; ``ValueError`` otherwise."""
    if text.isascii() and text.isdigit():
        value = int(text)
    else:
        number = non_negative(text)
        value = int(number)
        if value != number:
            raise ValueError
    if value > MAX_WHOLE:
        raise ValueError
    return value


def gang_size(text: str) -> int:
    """Text (``4`` or ``4.0``) to a whole number >= 1 that a float holds exactly; ``ValueError`` otherwise."""
    value = whole(text)
    if not 1 <= value <= MAX_EXACT:
        raise ValueError
    return value


def name(text: str) -> str:
    """Text without blanks around it, not empty; ``ValueError`` otherwise."""
    stripped = text.strip()
    if not stripped:
        raise ValueError
    return stripped


def date_time(text: str) -> float:
    """Text ``YYYY-MM-DD HH:MM:SS`` since 1970, without a zone, to seconds since 1970 on the log's own clock."""
    if len(text) != _DATE_TIME_LENGTH or text[4] != "-" or text[7] != "-":
        raise ValueError
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None or moment < _EPOCH:
        raise ValueError
    return (moment - _EPOCH).total_seconds()


DATE_TIME_RULE = "a time 'YYYY-MM-DD HH:MM:SS'"


def or_none(parse: Callable[[str], _T], absent: Sequence[str] = ("",)) -> Callable[[str], _T | None]:
    """The parser that gives None for a cell whose text, without blanks, is one of ``absent``."""

    def parse_or_none(text: str) -> _T | None:
        return None if text.strip() in absent else parse(text)

    return parse_or_none


def numbered(texts: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """(n,) number of each name in order of first appearance, and the names."""
    order = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return [order[text] for text in texts], tuple(order)
