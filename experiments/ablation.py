"""Which network and which lookahead mode schedules best: ``python experiments/ablation.py [--quick] [--dry-run]``."""

from __future__ import annotations

import sys

from rl_sched.provenance import checkout
from rl_sched.sweep import sweep_main
from rl_sched.verbs import run_verb

PLAN = checkout() / "tune_configs" / "ablation.yaml"


if __name__ == "__main__":
    sys.exit(run_verb(lambda: sweep_main(PLAN, __doc__)))
