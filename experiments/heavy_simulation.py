"""All strategies that split tasks between CPU and GPU on the same tasks: ``python experiments/heavy_simulation.py``.

Trains what has to be trained first (once; kept in --models), then plays 10,000 tasks, and writes CSV, figures and
MLflow runs. Ctrl-C ends it with what has been done by then.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_sched.errors import ConfigError
from rl_sched.hybrid import PRESETS, STRATEGIES
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import EXIT_INTERRUPTED, run_verb

#: Printed of each strategy: column, field of its totals, how.
COLUMNS = (
    ("total (s)", "total_time_s", ",.1f"), ("mean (s)", "mean_latency_s", ".4f"), ("p95 (s)", "p95_latency_s", ".3f"),
    ("p99 (s)", "p99_latency_s", ".3f"), ("makespan (s)", "makespan_s", ",.1f"),
    ("tasks/s", "throughput_per_s", ".2f"), ("energy (kJ)", "energy_j", ",.1f"), ("cost ($)", "cost_usd", ".4f"),
    ("on GPU", "gpu_fraction", ".0%"),
)  # fmt: skip


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="experiments/heavy_simulation.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--tasks", type=int, default=10_000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=999, help="of the tasks (default: %(default)s)")
    parser.add_argument("--preset", default="default", help=f"{' or '.join(PRESETS)} (default: %(default)s)")
    parser.add_argument(
        "--strategies", default=",".join(STRATEGIES), metavar="A,B,...", help="which (default: all: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="results (default: results/heavy-PRESET-SEED-TASKS)")
    parser.add_argument("--overwrite", action="store_true", help="replace the results of an earlier run in --out")
    parser.add_argument("--models", type=Path, metavar="DIR", help="trained strategies (default: checkpoints/hybrid)")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"MLflow's (default {DEFAULT_DATA_DIR})")
    parser.add_argument("--no-mlflow", action="store_true", help="leave the runs in --out, for a later replay")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, trains, plays, prints."""
    args = parse(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from rl_sched.hybrid.heavy import SPOOL, Plan, run, to_mlflow
    from rl_sched.hybrid.prepared import FOLDER, ready
    from rl_sched.rl.runtime import interruptible

    plan = Plan(args.preset, args.tasks, args.seed)
    names = list(dict.fromkeys(name.strip() for name in args.strategies.split(",") if name.strip()))
    if not names:
        raise ConfigError("--strategies must name at least one strategy; it is empty.")
    out: Path = args.out or Path(f"results/heavy-{plan.preset}-{plan.seed}-{plan.tasks}")
    if (out / SPOOL).exists():
        if not args.overwrite:
            raise ConfigError(f"{str(out)!r} holds an earlier run: replace it with --overwrite, or give another --out.")
        (out / SPOOL).unlink()
        (out / SPOOL).with_suffix(".sync.json").unlink(missing_ok=True)
    console = _Console()
    strategies = ready(names, plan.preset, args.models or FOLDER, seed=plan.seed, on_progress=console.training)
    stop: list[bool] = []
    with interruptible(lambda: stop.append(True)):
        outcome = run(plan, strategies, out, lambda progress: console.playing(progress) and not stop)
        console.clear()
        print(table(outcome.totals))
        print(f"{outcome.decided:,} of {plan.tasks:,} tasks; CSV and figures: {out}")
    if not args.no_mlflow:
        try:
            to_mlflow(out, Store(args.data))
            print(f"MLflow: experiment heavy_simulation in {args.data}")
        except Exception as error:
            # Whatever keeps MLflow from taking it: the spool has everything.
            print(f"MLflow is not up to date ({str(error).splitlines()[0]}); nothing is lost: {out / SPOOL}")
    return EXIT_INTERRUPTED if outcome.stopped else 0


def table(totals: dict[str, Any]) -> str:
    """A line per strategy, the smallest total first."""
    rows = [["strategy", *(title for title, _, _ in COLUMNS)]]
    for name, total in sorted(totals.items(), key=lambda item: item[1].total_time_s):
        values = {**{f: getattr(total, f) for _, f, _ in COLUMNS}, "energy_j": total.energy_j / 1e3}
        rows.append([name, *(format(values[field], how) for _, field, how in COLUMNS)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


class _Console:
    """A line that renews itself on a terminal; elsewhere one in ten."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said = -1

    def training(self, text: str) -> None:
        self._show(text, due=True)

    def playing(self, progress: Any) -> bool:
        done = progress.decided / progress.tasks
        left_s = progress.elapsed_s * (1 / done - 1)
        best = min(progress.totals.values(), key=lambda t: t.total_time_s)
        text = (
            f"{progress.decided:>7,} / {progress.tasks:,} tasks  {left_s:.0f} s left  "
            f"best mean latency {best.mean_latency_s:.4f} s ({best.strategy})"
        )
        if progress.notices:
            text += f"  {len(progress.notices)} retrainings"
        due = int(10 * done) > self._said
        self._said = max(self._said, int(10 * done))
        self._show(text, due)
        return True

    def clear(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _show(self, text: str, due: bool) -> None:
        if self._live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif due:
            print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(run_verb(main))
