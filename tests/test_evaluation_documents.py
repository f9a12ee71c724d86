"""The three writings of a report say the same, and each is well-formed."""

from __future__ import annotations

import base64
import html.parser
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as hs

from rl_sched.evaluation.blocks import Block, Bullets, Heading, Paragraph, Picture, Span, Table, spans
from rl_sched.evaluation.html import to_html
from rl_sched.evaluation.latex import escape, to_latex
from rl_sched.evaluation.markdown import to_markdown

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
BLOCKS: list[Block] = [
    Heading(1, "A & B"),
    Bullets(["one < two", "`code_1` and **bold**"]),
    Heading(2, "Scenario `x`"),
    Table(
        ["policy", "95 %"], [["**a=1**", "1 | 2"], ["fifo (rule)", "inconclusive (about 120 seeds would settle it)"]]
    ),
    Paragraph("n = 5 <b>", small=True),
    Heading(2, "Figures"),
    Picture("dot.png", "a dot"),
]


class _Checker(html.parser.HTMLParser):
    """Every tag that is opened is closed, in order; collects texts, links and sources."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_one_file_that_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(PIXEL)
    page = to_html(BLOCKS, tmp_path)
    checker = _Checker()
    checker.feed(page)
    assert checker.open == []
    assert all(a.startswith(("#s", "data:image/png;base64,")) for a in checker.addresses)
    assert {a for a in checker.addresses if a.startswith("#")} == {"#s1", "#s2"} and page.count('id="s') == 2
    (image,) = [a for a in checker.addresses if a.startswith("data:")]
    assert base64.b64decode(image.partition(",")[2]) == PIXEL
    assert "<script" not in page and "http" not in page and "url(" not in page and "@import" not in page
    for said in ("A & B", "one < two", "code_1", "bold", "1 | 2", "n = 5 <b>"):
        assert said in checker.text
    assert '<td class="long">inconclusive' in page and "width=device-width" in page


def test_latex_is_balanced_and_escaped() -> None:
    text = to_latex(BLOCKS)
    for environment in re.findall(r"\\begin\{(\w+)\}", text):
        assert text.count(f"\\begin{{{environment}}}") == text.count(f"\\end{{{environment}}}")
    assert r"\title{A \& B}" in text and r"\texttt{code\_1} and \textbf{bold}" in text
    assert r"\textbf{a=1} & 1 \textbar{} 2 \\" in text and r"policy & 95 \% \\" in text
    assert r"\includegraphics[width=\linewidth]{\detokenize{dot}}" in text and r"\section{Scenario \texttt{x}}" in text


@given(hs.text(hs.characters(min_codepoint=32, max_codepoint=126)))
def test_nothing_of_a_text_is_a_command_of_latex(text: str) -> None:
    left = escape(text)
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}", r"\textgreater{}",
                    r"\textbar{}", *(rf"\{c}" for c in "{}$&#%_")):  # fmt: skip
        left = left.replace(command, "")
    assert not set(left) & set("\\{}$&#%_~^<>|")


def test_markdown_and_markup() -> None:
    text = to_markdown(BLOCKS)
    assert text.startswith("# A & B\n\n- one < two\n") and text.endswith("![a dot](dot.png)\n")
    assert "| **a=1** | 1 \\| 2 |" in text and "*n = 5 <b>*" in text
    assert list(spans("a **b** `c`d")) == [
        Span("plain", "a "), Span("strong", "b"), Span("plain", " "), Span("code", "c"), Span("plain", "d"),
    ]  # fmt: skip


@given(hs.text())
def test_no_character_gets_lost_between_spans(text: str) -> None:
    marks = {"plain": "{}", "strong": "**{}**", "code": "`{}`"}
    assert "".join(marks[s.kind].format(s.text) for s in spans(text)) == text
