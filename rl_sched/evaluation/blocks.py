"""What a written report is made of; Markdown, LaTeX and HTML are three writings of the same blocks.

All texts may hold ``**strong**`` and `` `code` ``, as in Markdown, and no other markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Heading(NamedTuple):
    """A title; 1 is the report's own."""

    level: int
    text: str


class Paragraph(NamedTuple):
    """Sentences; ``small`` for what is said below a table."""

    text: str
    small: bool = False


class Bullets(NamedTuple):
    """A list of sentences."""

    items: Sequence[str]


class Table(NamedTuple):
    """Cells in rows; the first column is of names, the others are of numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Picture(NamedTuple):
    """A figure in a file beside the report."""

    file: str
    title: str


Block = Heading | Paragraph | Bullets | Table | Picture

_MARKUP = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`")


class Span(NamedTuple):
    """A stretch of text of one kind: ``plain``, ``strong`` or ``code``."""

    kind: str
    text: str


def spans(text: str) -> Iterator[Span]:
    """The stretches of a text, in order."""
    end = 0
    for found in _MARKUP.finditer(text):
        if found.start() > end:
            yield Span("plain", text[end : found.start()])
        kind = "strong" if found["strong"] is not None else "code"
        yield Span(kind, found[kind])
        end = found.end()
    if end < len(text):
        yield Span("plain", text[end:])
