"""What a sweep costs and survives: ``python -m benchmarks.sweep [--json] [--figures overhead,kills]``.

Every figure is a file below ``benchmarks/sweeps/``; its docstring says what is measured and how.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from benchmarks.report import emit
from benchmarks.sweeps.options import Options
from rl_sched.errors import ConfigError
from rl_sched.registry import Registry
from rl_sched.verbs import run_verb

FIGURES = Registry(
    "figure",
    {
        "overhead": "benchmarks.sweeps.overhead:figures",
        "logging": "benchmarks.sweeps.logging_cost:figures",
        "efficiency": "benchmarks.sweeps.efficiency:figures",
        "kills": "benchmarks.sweeps.kills:figures",
    },
)


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--figures", default=",".join(FIGURES), help=f"some of {','.join(FIGURES)}")
    parser.add_argument("--trials", default="500,2000", help="no-op trials of the overhead (default 500,2000)")
    parser.add_argument("--kills", type=int, default=20, help="kills of the driver")
    args = parser.parse_args(argv)
    names = args.figures.split(",")
    for name in names:
        FIGURES[name]
    try:
        options = replace(Options(), trials=tuple(int(text) for text in args.trials.split(",")), kills=args.kills)
    except ValueError:
        raise ConfigError(f"--trials must be whole numbers, 500,2000; it is {args.trials!r}.") from None
    emit([figure for name in names for figure in FIGURES.load(name)(options)], args.json)
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
