"""Every shipped plan runs: its ``--quick`` from the command to the report, with real training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps.plan import load_plan

pytestmark = [pytest.mark.sweep, pytest.mark.slow]

FOLDER = Path(__file__).resolve().parents[1] / "tune_configs"
#: But for those of another command, which has a test of its own.
PLANS = sorted(file for file in FOLDER.glob("*.yaml") if "experiments/jps_search.py" not in file.read_text())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("file", PLANS, ids=[file.stem for file in PLANS])
def test_quick_ends_with_a_report(repository: Path, tmp_path: Path, file: Path) -> None:
    plan = load_plan(file, quick=True)
    if missing := [reason for name in plan.scenarios if (reason := SCENARIOS.create(name).available())]:
        pytest.skip(missing[0])
    command = [sys.executable, "experiments/ablation.py", "--plan", str(file), "--quick", "--data", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=repository, env=env, capture_output=True, text=True, timeout=1700)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "Best on VAL" in done.stdout and "Done in" in done.stdout
    assert (tmp_path / "sweeps" / plan.name / "report" / "report.md").is_file()
