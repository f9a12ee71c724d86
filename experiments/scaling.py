"""How a sweep scales with workers and trials: ``python experiments/scaling.py [--workers 1,2,4] [--trials-each 4]``.

Trials sleep instead of training, the platform around them is the real one. Workers are processes of this machine; or,
if ``RAY_ADDRESS`` names a cluster (as on the head that `ray up` makes), its CPUs: ``ray submit cluster.yaml
experiments/scaling.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.errors import ConfigError
from rl_sched.evaluation.console import text_table
from rl_sched.tracking.store import DEFAULT_DATA_DIR
from rl_sched.verbs import run_verb

if TYPE_CHECKING:
    from rl_sched.sweeps.scaling import Point

COLUMNS = ("workers", "trials", "start s", "trials/min", "efficiency", "inside ms", "between ms", "driver CPU ms")


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, measures, prints, writes table and figure."""
    from rl_sched.plots import FIGURES, style
    from rl_sched.sweeps.scaling import measure

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--workers", type=_numbers, default=[1, 2, 4, 8], metavar="N,N", help="default 1,2,4,8")
    parser.add_argument("--trials-each", type=_numbers, default=[4], metavar="N,N", help="trials a worker (default 4)")
    parser.add_argument("--trial-s", type=float, default=20.0, help="seconds of training of a trial (default 20)")
    parser.add_argument("--out", type=Path, default=Path("results/scaling"), help="folder (default results/scaling)")
    args = parser.parse_args(argv)
    if min(args.trials_each) < 2 or args.trial_s <= 0:
        raise ConfigError("--trials-each must be at least 2, and --trial-s above 0.")

    points: list[Point] = []
    DEFAULT_DATA_DIR.mkdir(parents=True, exist_ok=True)
    for each in args.trials_each:
        for workers in args.workers:
            # Beside the data, which every node of a cluster sees.
            with tempfile.TemporaryDirectory(prefix="scaling-", dir=DEFAULT_DATA_DIR) as folder:
                points.append(measure(Path(folder), workers, each * workers, args.trial_s))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scaling.json").write_text(json.dumps([point._asdict() for point in points], indent=1))
    figure = style.save(FIGURES.load("scaling")(points), args.out / "scaling.png")
    print(text_table(COLUMNS, [_cells(point) for point in points]))
    print(f"\nEfficiency: training per worker and second, while all workers have something to do.\nFigure: {figure}")
    return 0


def _cells(p: Point) -> list[str]:
    return [
        str(p.workers), str(p.trials), f"{p.start_s:.1f}", f"{p.trials_per_min:.2f}", f"{p.efficiency:.3f}",
        f"{1000 * p.inside_s:.0f}", f"{1000 * p.between_s:.0f}", f"{1000 * p.driver_cpu_s:.0f}",
    ]  # fmt: skip


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"A list of whole numbers above 0 is needed, such as 1,2,4; {text!r} was given.")
    return numbers


if __name__ == "__main__":
    sys.exit(run_verb(main))
