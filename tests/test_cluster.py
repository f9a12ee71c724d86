"""A sweep on a Ray cluster of three hosts: `ray up`, `ray submit`, a pulled plug, a node with old code, the doctor."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster_lab import Lab, missing

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(3000)]

BODY = "rl_sched.testing.toy_trials:steady"
#: Iterations of a trial and seconds of one.
ITERATIONS, SLEEP_S = 120, 0.5


@pytest.fixture(scope="module")
def lab(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster, up; one CPU a host, because they all share this machine's."""
    if (reason := missing()) is not None:
        pytest.skip(f"no hosts can be made here: {reason}")
    made = Lab(tmp_path_factory.mktemp("lab"), repository)
    try:
        # Compiled kernels stay from one run of the tests to the next.
        made.up(num_cpus=1, RL_SCHED_TOY_SLEEP_S=SLEEP_S, NUMBA_CACHE_DIR=repository / ".numba_cache")
        done = _ray(made, "up", "-y", str(made.cluster_yaml))
        assert done.returncode == 0, done.stdout[-3000:]
        assert f"MLflow: http://{made.head.ip}:5000/#/experiments" in done.stdout, done.stdout[-3000:]
        yield made
    finally:
        made.down()


def _ray(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Ray's command line, on the machine in front of the user."""
    return subprocess.run(_words(*words), **_settings(lab), capture_output=True, text=True, timeout=1500)


def _words(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("ray")), *words]


def _settings(lab: Lab) -> dict:
    environment = {**os.environ, "PYTHONPATH": str(lab.repository), "OMP_NUM_THREADS": "1"}
    return {"cwd": lab.repository, "env": environment, "stdin": subprocess.DEVNULL}


def _plan(lab: Lab, name: str, seeds: int, iterations: int) -> Path:
    file = lab.shared / f"{name}.yaml"
    train = {"steps": 10 * iterations, "num_envs": 10, "val_every": 100, "checkpoint_every": 50}
    plan = {
        "name": name,
        "question": "Does it survive?",
        "base": {"train": train},
        "arms": {"network.name": ["mlp", "cross_attention"]},
        "seeds": list(range(1, seeds + 1)),
        "report": {"episodes": 4, "policies": ["fifo_backfill"]},
    }
    file.write_text(json.dumps(plan))
    return file


def _submit(lab: Lab, plan: Path) -> list[str]:
    return _words("submit", str(lab.cluster_yaml), "experiments/ablation.py", "--", "--plan", str(plan), "--body", BODY)


def test_a_pulled_plug_changes_nothing_in_the_final_table(lab: Lab, tmp_path: Path) -> None:
    plan = _plan(lab, "toy", seeds=3, iterations=ITERATIONS)
    cells = lab.shared / "sweeps" / "toy" / "cells"
    victim = lab.workers[0]
    with (tmp_path / "submit.log").open("w") as log:
        submit = subprocess.Popen(_submit(lab, plan), **_settings(lab), stdout=log, stderr=subprocess.STDOUT)

    def executed() -> dict[str, int]:
        return {file.parent.name: len(file.read_text().splitlines()) for file in cells.glob("*/executed.txt")}

    output = tmp_path / "submit.log"
    # All three hosts work, and each trial has a checkpoint behind it and most of its way before it.
    _wait(lambda: len(executed()) >= 3 and min(executed().values()) > 10, submit, output)
    victim.unplug()
    assert submit.wait(timeout=1500) == 0, output.read_text()[-3000:]
    text = output.read_text()
    assert "it goes on from its last checkpoint (restart 1 of 2)" in text
    link = re.search(r"Browse the trials: (\S+)", text)
    assert link is not None and link[1].startswith(f"http://{lab.head.ip}:5000/#/experiments/")

    after = executed()
    assert len(after) == 6
    # One trial was on the unplugged host: what it did since its last checkpoint is repeated, and nothing else.
    repeated = {cell: n - ITERATIONS for cell, n in after.items() if n != ITERATIONS}
    assert len(repeated) == 1 and 0 < next(iter(repeated.values())) <= 5 + 1, after

    undisturbed = tmp_path / "undisturbed"
    arguments = ["experiments/ablation.py", "--plan", str(plan), "--data", str(undisturbed), "--body", BODY]
    settings = _settings(lab)
    settings["env"]["RL_SCHED_TOY_SLEEP_S"] = "0.001"
    done = subprocess.run([sys.executable, *arguments], **settings, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr
    for file in ("rows.csv", "rows_last.csv", "report.json"):
        ours, theirs = (
            (data / "sweeps" / "toy" / "report" / file).read_text().splitlines() for data in (lab.shared, undisturbed)
        )
        assert _without_costs(file, ours) == _without_costs(file, theirs), file
    victim.boot()


def _without_costs(file: str, lines: list[str]) -> object:
    """The table; CPU seconds differ."""
    if file != "report.json":
        return sorted(lines)
    report = json.loads("\n".join(lines))
    return [{key: value for key, value in part.items() if key != "costs"} for part in report["scenarios"]]


def _wait(condition, process: subprocess.Popen, output: Path, timeout_s: float = 1500.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, output.read_text()[-3000:]
        time.sleep(0.5)


def test_a_node_with_old_code_stops_the_sweep_with_the_command_that_mends_it(lab: Lab) -> None:
    stale = lab.workers[1]
    assert stale.ssh("echo '# old' >> ~/rl_sched/rl_sched/gone.py").returncode == 0
    plan = _plan(lab, "stale", seeds=1, iterations=5)
    refused = subprocess.run(_submit(lab, plan), **_settings(lab), capture_output=True, text=True, timeout=1500)
    text = re.sub(r"\s+", " ", refused.stdout)
    assert refused.returncode != 0 and "Nothing was started" in text, text[-3000:]
    assert not (lab.shared / "sweeps" / "stale" / "cells").exists()
    command = re.search(rf"Node {stale.ip} \(worker2\) has code \w+: `([^`]*)` on the head", text)
    assert command is not None, text[-3000:]
    mended = lab.head.ssh(command[1])
    assert mended.returncode == 0, mended.stderr
    done = subprocess.run(_submit(lab, plan), **_settings(lab), capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0 and "2/2 trials done" in done.stdout, done.stdout[-3000:]


def test_the_doctor_finds_nothing_wrong_and_then_what_is(lab: Lab) -> None:
    def ask() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "rl_sched.doctor", str(lab.cluster_yaml)]
        return subprocess.run(words, **_settings(lab), capture_output=True, text=True, timeout=300)

    healthy = ask()
    assert healthy.returncode == 0 and "All 3 machines are ready." in healthy.stdout, healthy.stdout + healthy.stderr
    assert list(lab.shared.glob(".doctor*")) == []
    first, second = lab.workers
    first.unplug()
    assert second.ssh("echo '# old' >> ~/rl_sched/rl_sched/errors.py").returncode == 0
    sick = ask()
    assert sick.returncode == 1
    assert re.search(rf"^{first.ip}, ssh: .+\.\n  mend: switch it on", sick.stdout, re.MULTILINE), sick.stdout
    mend = re.search(rf"^{second.ip}, code: its package is .+\.\n  mend: (.+)$", sick.stdout, re.MULTILINE)
    assert mend is not None, sick.stdout
    subprocess.run(mend[1], shell=True, check=True, **_settings(lab), capture_output=True, timeout=300)
    assert f"\n{second.ip}, code" not in ask().stdout
