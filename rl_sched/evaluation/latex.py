"""Blocks as LaTeX: one file that compiles as it is, and from which a paper takes its tables and figures.

Packages beside the base: booktabs, graphicx and adjustbox, which make wide tables fit the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from rl_sched.evaluation.blocks import Block, Bullets, Heading, Paragraph, Picture, Table, spans

#: Characters with a meaning of their own, and those that a plain pdflatex does not know.
_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "–": "--", "α": r"$\alpha$", "β": r"$\beta$", "≤": r"$\leq$", "≥": r"$\geq$",
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$",
}  # fmt: skip
_SPANS = {"plain": "{}", "strong": r"\textbf{{{}}}", "code": r"\texttt{{{}}}"}
_SECTIONS = {2: "section", 3: "subsection"}
_PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=2.2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage{adjustbox}
"""


def escape(text: str) -> str:
    """A text without markup."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def inline(text: str) -> str:
    """A text with its markup."""
    return "".join(_SPANS[span.kind].format(escape(span.text)) for span in spans(text))


def to_latex(blocks: Sequence[Block]) -> str:
    """The whole document."""
    title = next((block.text for block in blocks if isinstance(block, Heading) and block.level == 1), "Report")
    body = [_text(block) for block in blocks if not (isinstance(block, Heading) and block.level == 1)]
    head = f"{_PREAMBLE}\\title{{{inline(title)}}}\n\\date{{}}\n\\begin{{document}}\n\\maketitle\n"
    return head + "\n" + "\n\n".join(body) + "\n\n\\end{document}\n"


def _text(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"\\{_SECTIONS.get(level, 'subsubsection')}{{{inline(text)}}}"
        case Paragraph(text, small):
            return f"{{\\small\\itshape {inline(text)}\\par}}" if small else inline(text)
        case Bullets(items):
            return "\n".join(["\\begin{itemize}", *(f"\\item {inline(item)}" for item in items), "\\end{itemize}"])
        case Table(header, rows):
            return _table(header, rows)
        case Picture(file, title):
            # The PDF of a figure lies beside its PNG; without a suffix LaTeX takes what it can use.
            stem = str(PurePath(file).with_suffix(""))
            shown = f"\\includegraphics[width=\\linewidth]{{\\detokenize{{{stem}}}}}"
            return f"\\begin{{figure}}[htbp]\\centering\n{shown}\n\\caption{{{inline(title)}}}\n\\end{{figure}}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [
        "\\begin{center}\\begin{adjustbox}{max width=\\linewidth}",
        f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        "\\toprule",
        " & ".join(map(inline, header)) + r" \\",
        "\\midrule",
        *(" & ".join(map(inline, row)) + r" \\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}\\end{adjustbox}\\end{center}",
    ]
    return "\n".join(lines)
