"""A search for PPO's hyperparameters: ``python experiments/ppo_search.py [--quick] [--dry-run]``."""

from __future__ import annotations

import sys
from pathlib import Path

from rl_sched.sweeps.cli import sweep_main
from rl_sched.verbs import run_verb

PLAN = Path(__file__).resolve().parents[1] / "tune_configs" / "ppo.yaml"


def draw(*args):
    """Draws the figures; matplotlib is loaded when there is something to draw."""
    from rl_sched.plots.report_figures import draw_report

    return draw_report(*args)


if __name__ == "__main__":
    sys.exit(run_verb(lambda: sweep_main(PLAN, __doc__, draw=draw)))
