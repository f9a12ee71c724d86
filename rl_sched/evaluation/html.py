"""Blocks as one HTML file that needs nothing else: figures are inlined, nothing is fetched, no script runs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from rl_sched.evaluation.blocks import Block, Bullets, Heading, Paragraph, Picture, Table, spans

_TAGS = {"plain": "{}", "strong": "<strong>{}</strong>", "code": "<code>{}</code>"}
#: Cells with more characters than this may be wrapped.
LONG_CELL = 30
_STYLE = """
:root { color-scheme: light dark; --text: #1d2329; --soft: #59636e; --line: #d9dee3; --back: #ffffff; --band: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --text: #dfe4ea; --soft: #9aa5b1; --line: #37414b; --back: #14191e; --band: #1b2229; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 78rem; background: var(--back); color: var(--text);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.3rem; margin-top: 3rem; padding-top: 1rem;
  border-top: 1px solid var(--line); } h3 { font-size: 1.05rem; margin-top: 2rem; }
p, ul { max-width: 52rem; } .small { color: var(--soft); font-size: .85rem; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
a { color: inherit; } code { font-size: .92em; }
.table { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { background: var(--band); vertical-align: bottom; font-weight: 600; white-space: normal; min-width: 5.5rem; }
td.long { white-space: normal; min-width: 11rem; }
tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--back); }
th:first-child { background: var(--band); }
@media (max-width: 40rem) { th:first-child, td:first-child { white-space: normal; min-width: 7.5rem; } }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
"""


def inline(text: str) -> str:
    """A text with its markup."""
    return "".join(_TAGS[span.kind].format(escape(span.text)) for span in spans(text))


def to_html(blocks: Sequence[Block], folder: Path) -> str:
    """The whole document.

    Args:
        blocks: What it says.
        folder: Where the figures are.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading) and block.level == 1), "Report")
    parts: list[str] = []
    sections: list[tuple[str, str]] = []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append((f"s{len(sections) + 1}", block.text))
            parts.append(f'<h2 id="{sections[-1][0]}">{inline(block.text)}</h2>')
        else:
            parts.append(_text(block, folder))
    links = "".join(f'<li><a href="#{name}">{inline(text)}</a></li>' for name, text in sections)
    if len(sections) > 1:
        parts.insert(1, f'<nav aria-label="Sections"><ul>{links}</ul></nav>')
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _cell(text: str) -> str:
    return f'<td class="long">{inline(text)}</td>' if len(text) > LONG_CELL else f"<td>{inline(text)}</td>"


def _text(block: Block, folder: Path) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{inline(text)}</h{level}>"
        case Paragraph(text, small):
            return f'<p class="small">{inline(text)}</p>' if small else f"<p>{inline(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{inline(item)}</li>" for item in items) + "</ul>"
        case Table(header, rows):
            head = "".join(f'<th scope="col">{inline(cell)}</th>' for cell in header)
            body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
            return f'<div class="table" tabindex="0">{table}</div>'  # can be scrolled with the keys
        case Picture(file, title):
            image = base64.b64encode((folder / file).read_bytes()).decode()
            return f'<figure><img alt="{escape(title)}" src="data:image/png;base64,{image}"></figure>'
