"""Blocks as Markdown; figures are linked by file name."""

from __future__ import annotations

from collections.abc import Sequence

from rl_sched.evaluation.blocks import Block, Bullets, Heading, Paragraph, Picture, Table


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|:--" + "|--:" * (len(header) - 1) + "|"]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def to_markdown(blocks: Sequence[Block]) -> str:
    """The whole document."""
    lines: list[str] = []
    for block in blocks:
        lines += [*_lines(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _lines(block: Block) -> list[str]:
    match block:
        case Heading(level, text):
            return [f"{'#' * level} {text}"]
        case Paragraph(text, small):
            return [f"*{text}*" if small else text]
        case Bullets(items):
            return [f"- {item}" for item in items]
        case Table(header, rows):
            return markdown_table(header, rows)
        case Picture(file, title):
            return [f"![{title}]({file})"]
