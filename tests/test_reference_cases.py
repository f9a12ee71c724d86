"""Other people's simulators, run unmodified: what they did on fixed inputs must come out here too.

The cases of the Helios simulator (fifo, sjf, srtf and qssf; both placements) are exact: every start, finish, wait,
count of preemptions and node list.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_sched import simulate as verb
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.evaluation.solo import rules_for
from rl_sched.policies import POLICIES
from rl_sched.sim.presets import RulesChoice, read_rules
from rl_sched.sim.result import RunResult
from rl_sched.sim.simulator import simulate
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.traces import TRACES
from rl_sched.workload import Workload

PLACEMENTS = {"pool": "pooled", "consolidate": "consolidated"}
CASES = [
    *(f"tiny_{policy}_{placer}" for policy in ("fifo", "sjf", "srtf", "qssf") for placer in PLACEMENTS),
    "helios_fifo_pool_1000",
    "helios_fifo_consolidate_2000",
    "helios_srtf_pool_1000",
    "helios_qssf_consolidate_600",
]


class Case:
    """One folder of the reference cases."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.about: dict[str, Any] = json.loads((root / name / "case.json").read_text())
        with open(root / name / "expected.csv", newline="") as file:
            self.rows = list(csv.DictReader(file))

    @property
    def trace(self) -> Path:
        return self.root / self.about["trace"]

    def workload(self) -> Workload:
        return TRACES.create("helios", path=str(self.trace)).load(seed=0)

    def cluster(self) -> ClusterSpec:
        # All jobs lie in one virtual cluster, "*", whatever their column vc says.
        return ClusterSpec((NodeGroup("gpu", self.about["vcs"]["*"], self.about["gpus_per_node"]),))

    def rules(self) -> RulesChoice:
        return read_rules("helios", [f"placement={PLACEMENTS[self.about['placer']]}"])


@pytest.fixture
def case(request: pytest.FixtureRequest, reference_dir: Path) -> Case:
    return Case(reference_dir, request.param)


class HeliosQssf:
    """QSSF with the second of delay of the Helios simulator.

    In a second in which every job of the queue has just come they are ordered by GPUs, not by priority; what is left of
    them is ordered by priority and tried again one second later. ``qssf`` of the POLICIES table is the policy as it is
    published, without this second.
    """

    def __init__(self, priority: np.ndarray) -> None:
        self._priority = priority
        self._second, self._all_new = -1.0, False

    def decide(self, snapshot: Snapshot) -> Decision:
        if snapshot.now_s != self._second:
            self._second, self._all_new = snapshot.now_s, bool((snapshot.submit_s == snapshot.now_s).all())
        if not len(snapshot.job):
            return Wait()
        by_gpus = (snapshot.job, snapshot.num_gpus)
        order = np.lexsort(by_gpus if self._all_new else (*by_gpus, self._priority[snapshot.job]))
        if snapshot.feasible[order[0], 0]:
            return Start(int(snapshot.job[order[0]]), 0)
        return Wait(snapshot.now_s + 1.0)


def policy_of(case: Case, workload: Workload) -> Any:
    name = case.about["policy"]
    if name != "qssf":
        return POLICIES.create(name)
    estimate = workload.duration_s
    if "priority" in case.about:  # predicted run times, which may be negative
        with open(case.root / case.about["priority"], newline="") as file:
            given = {row["job_id"]: float(row["priority"]) for row in csv.DictReader(file)}
        assert workload.job_id is not None
        estimate = np.array([given[name] for name in workload.job_id])
    return HeliosQssf(estimate * workload.num_gpus)


def assert_exact(result: RunResult, case: Case) -> None:
    for column, found in (
        ("submit", result.submit_s),
        ("gpus", result.num_gpus),
        ("start", result.start_s),
        ("finish", result.finish_s),
        ("queue", result.waited_s),
        ("preemptions", result.preemptions),
    ):
        np.testing.assert_array_equal(found, [float(row[column]) for row in case.rows], column)
    for job, row in enumerate(case.rows):
        assert result.nodes_of(job) == json.loads(row["nodes"]), row["job_id"]
    assert result.preemptions.sum() == case.about["expected"]["preemptions"]
    assert result.jct_s.mean() == pytest.approx(case.about["expected"]["avg_jct"])


#: Through both doors; what is no entry of POLICIES has one.
DOORS = [(name, compiled) for name in CASES for compiled in (True, False) if not (compiled and "qssf" in name)]


@pytest.mark.parametrize(("case", "compiled"), DOORS, indirect=["case"])
def test_helios_exactly(case: Case, compiled: bool) -> None:
    workload = case.workload()
    policy = policy_of(case, workload)
    rules = rules_for(policy, case.rules())
    assert_exact(simulate(policy, workload, case.cluster(), rules, compiled=compiled), case)


def test_every_helios_case_is_here(reference_dir: Path) -> None:
    index = json.loads((reference_dir / "index.json").read_text())
    assert sorted(CASES) == sorted(entry["name"] for entry in index if entry["engine"] == "helios")


@pytest.mark.parametrize(
    ("name", "policies"), [("helios_srtf_pool_1000", "srtf"), ("tiny_srtf_consolidate", "fifo,sjf,srtf")]
)
def test_through_the_verb(
    name: str, policies: str, reference_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(reference_dir, name)
    out = tmp_path / "jobs.csv"
    cluster = f"gpu:{case.about['vcs']['*']}x{case.about['gpus_per_node']}"
    words = ["--trace", str(case.trace), "--format", "helios", "--cluster", cluster, "--policy", policies]
    words += ["--rules", "helios", "--placement", PLACEMENTS[case.about["placer"]], "--jobs-out", str(out), "--json"]
    assert verb.main(words) == 0
    said = json.loads(capsys.readouterr().out)
    for run in said["runs"]:
        expected = Case(reference_dir, name.replace("srtf", run["policy"]))
        with open(run["files"][0], newline="") as file:
            rows = list(csv.DictReader(file))
        names = {
            "job_id": "job_id", "submit_s": "submit", "start_s": "start", "finish_s": "finish", "num_gpus": "gpus",
            "wait_s": "queue", "preemptions": "preemptions", "nodes": "nodes",
        }  # fmt: skip
        assert [[row[column] for column in names] for row in rows] == [
            [row[column] for column in names.values()] for row in expected.rows
        ]
        assert run["metrics"]["mean_jct_s"] == pytest.approx(expected.about["expected"]["avg_jct"])
        assert run["metrics"]["mean_wait_s"] == pytest.approx(expected.about["expected"]["avg_queue"])
        assert run["metrics"]["p99_jct_s"] == pytest.approx(expected.about["expected"]["p99_jct"])
        assert run["metrics"]["makespan_s"] == expected.about["expected"]["makespan"]
    assert len(said["runs"]) == len(policies.split(","))
