"""``benchmarks.latency`` measures every policy, or says why not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import latency as benchmark
from rl_sched.policies import POLICIES
from rl_sched.sim.snapshot import Decision, Snapshot, Start


def test_it_prints_one_json_object_with_every_policy(repository: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.latency", "--quick", "--json"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert set(printed) == {"machine", "figures"}
    names = [figure["name"] for figure in printed["figures"]]
    assert names == [f"{name}, 60 waiting jobs, {q}" for name in POLICIES for q in ("p50", "p99")]
    for p50, p99 in zip(printed["figures"][::2], printed["figures"][1::2], strict=True):
        assert set(p50) == {"name", "unit", "ours", "peer", "peer_name", "ratio"}
        assert p50["unit"] == "ms"
        assert 0 < p50["ours"] <= p99["ours"]


@pytest.mark.parametrize("waiting", [100, 300])
def test_the_scene_is_a_full_cluster_with_so_many_waiting_jobs(waiting: int) -> None:
    snapshot = benchmark.Scene.of(waiting, preemption=False).snapshot
    assert len(snapshot.job) == waiting
    assert snapshot.free_gpus.sum() < 0.05 * benchmark.CLUSTER.num_gpus
    assert snapshot.num_running > 200
    assert len(set(snapshot.running.end_s.tolist())) > 200


class Slow:
    """Starts the first job that fits after thinking for long."""

    def decide(self, snapshot: Snapshot) -> Decision:
        time.sleep(0.2)
        row = int(snapshot.feasible.any(axis=1).argmax())
        return Start(int(snapshot.job[row]), int(snapshot.feasible[row].argmax()))


def test_a_policy_that_takes_too_long_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = benchmark.Scene.of(60, preemption=False)
    monkeypatch.setattr(benchmark.Scene, "player", lambda self, name: Slow())
    (row,) = benchmark.figures_of(scene, "slow", 60, benchmark.Sizes(limit_s=0.5))
    assert row["ours"] is None
    assert row["name"] in [f"slow, 60 waiting jobs: skipped, {k} of 30 moments within 0.5 s" for k in (0, 1, 2)]
