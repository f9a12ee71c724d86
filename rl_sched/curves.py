"""Draws how training went, from the logs of several runs: ``python -m rl_sched.curves RUN [RUN ...] --out FILE``.

RUN is a folder that training wrote (with ``curve.jsonl``, also as ``train/`` inside) or a cell of a sweep. Runs that
differ in the training seed only are lines of one panel: VAL score, share of no-ops, entropy, temperature. With
``--learning`` the interquartile mean over the seeds instead, against steps and against seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rl_sched.verbs import run_verb


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m rl_sched.curves", description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a training run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .png, .pdf or .svg file")
    parser.add_argument("--learning", action="store_true", help="means over seeds instead of one line a seed")
    parser.add_argument("--title", default="Stability of training", help="of the figure")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Reads, draws and says what is seen; returns the exit code."""
    args = parse(argv)
    from rl_sched.errors import ConfigError
    from rl_sched.evaluation.files import replacing
    from rl_sched.plots import FIGURES, style
    from rl_sched.sweeps.run_logs import read_runs

    if args.out.suffix not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"--out must end in .png, .pdf or .svg; it is {args.out}.")
    curves, objective = read_runs(args.runs)
    kind = FIGURES.load("learning_curves" if args.learning else "stability")
    drawn = kind.data(curves, objective=objective, title=args.title)
    with replacing(args.out) as part:
        figure = kind.draw(drawn)
        figure.savefig(part, dpi=style.DPI, format=args.out.suffix[1:])
    print(f"{drawn.caption}\nWritten: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
