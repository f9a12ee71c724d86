"""Runs a trial of a sweep again and compares: ``python -m rl_sched.reproduce RUN_ID``.

RUN_ID is a cell's id (its folder below ``sweeps/NAME/cells/``) or MLflow's id of its run. The trial is trained anew
from its stored settings, in a folder of its own, and judged on the same workloads; the stored results are not touched.
On the same machine with the same code and the same packages every number is equal to the last bit. Exit code 0 if all
of them agree within the tolerance, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import run_verb

if TYPE_CHECKING:
    from rl_sched.sweeps.repeat import Repeat

#: Relative: no chance difference of a policy's score is as small, and no other processor's rounding as large unless an
#: action changes.
DEFAULT_TOLERANCE = 1e-6
#: Differences that the console names one by one.
SHOWN = 12
EXIT_DIFFERENT = 1


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m rl_sched.reproduce", description=__doc__.split("\n\n")[0])
    parser.add_argument("run", metavar="RUN_ID", help="id of a cell, or MLflow's id of a trial's run")
    parser.add_argument(
        "--tolerance", type=float, default=DEFAULT_TOLERANCE, metavar="R",
        help=f"largest relative difference of a number that counts as equal (default {DEFAULT_TOLERANCE:g})",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the new run in this (new) folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder of MLflow (default {DEFAULT_DATA_DIR})"
    )
    return parser.parse_args(argv)


def show(found: Repeat, tolerance: float) -> None:
    """Prints what was compared and what differs."""
    for sentence in found.notes:
        print(f"Note: {sentence}")
    for name, stored, fresh in found.differences[:SHOWN]:
        print(f"  {name}: {stored!r} then, {fresh!r} now")
    if len(found.differences) > SHOWN:
        print(f"  and {len(found.differences) - SHOWN} more")
    result = f"largest relative difference {found.largest:.3g}, tolerance {tolerance:g}"
    if found.differences:
        print(f"NOT reproduced: {len(found.differences)} of {found.compared} numbers differ ({result}).")
    else:
        print(f"Reproduced: all {found.compared} numbers agree ({result}).")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs and compares; returns the exit code."""
    args = parse(argv)
    from rl_sched.errors import ConfigError
    from rl_sched.evaluation.report import plain
    from rl_sched.sweeps.repeat import find, repeat

    if not 0 <= args.tolerance < 1:
        raise ConfigError(f"--tolerance must be a relative difference from 0 to below 1; it is {args.tolerance:g}.")
    if args.out is not None and args.out.exists():
        raise ConfigError(f"--out must be a new folder; {args.out} exists. Choose another one.")
    cell, folder = find(Store(args.data), args.run)
    if not args.json:
        print(f"{cell.title}: {cell.steps:,} steps, from {folder}", flush=True)

    def progress(step: int) -> None:
        if not args.json and sys.stderr.isatty():
            print(f"\r\033[K{step:,} of {cell.steps:,} steps", end="", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        found = repeat(cell, folder, args.out or Path(scratch), args.tolerance, on_step=progress)
    if not args.json and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps(plain({"cell": cell.id, "title": cell.title, "tolerance": args.tolerance, **found._asdict()})))
    else:
        show(found, args.tolerance)
    return EXIT_DIFFERENT if found.differences else 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
