"""Event logs: a file that needs nothing else, a result rebuilt bit for bit, and where two policies part."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched import replay as verb
from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, SimulationError
from rl_sched.evaluation import timeline
from rl_sched.evaluation.divergence import downstream, part
from rl_sched.evaluation.fragmentation import fragmentation_frac
from rl_sched.evaluation.logfile import RunLog, read_log, write_log
from rl_sched.evaluation.metrics import run_metrics
from rl_sched.evaluation.occupancy import Occupancy, events
from rl_sched.evaluation.outcome import Recorder, first_difference
from rl_sched.evaluation.replay import replay
from rl_sched.policies import POLICIES
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start, Wait
from rl_sched.traces import TRACES
from rl_sched.workload import Workload
from tests.rule_worlds import World, worlds


class Chaos:
    """Random legal decisions; after a while it only starts what it can."""

    def __init__(self, seed: int) -> None:
        self._rnd = Random(seed)

    def decide(self, snapshot: Snapshot) -> Decision:
        rnd = self._rnd
        rows, pools = np.nonzero(snapshot.feasible)
        starts = [Start(int(snapshot.job[row]), int(pool)) for row, pool in zip(rows, pools, strict=True)]
        preempts = [Preempt(int(job)) for job in snapshot.running.job] if snapshot.preemptive else []
        late = snapshot.decision > 150
        if starts and (late or not snapshot.can_wait or rnd.random() < 0.6):
            return rnd.choice(starts)
        if preempts and not late and rnd.random() < 0.3:
            return rnd.choice(preempts)
        if rnd.random() < 0.4 and not late:
            return Wait(snapshot.now_s + rnd.uniform(0.01, 5.0))
        return Wait()


def logged(policy: Any, workload: Workload, cluster: ClusterSpec, rules: Rules) -> tuple[RunLog, RunResult]:
    watch = Recorder(record=True)
    result = simulate(policy, workload, cluster, rules, watch=watch)
    return RunLog("some", {}, workload, cluster, rules, 0, watch.log(), watch.outcome(result)), result


def through_a_file(log: RunLog) -> RunLog:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        write_log(path, log)
        assert [file.name for file in Path(folder).iterdir()] == ["log.parquet"]
        return read_log(path)


def assert_told_by_its_log(log: RunLog, result: RunResult) -> None:
    """The log leads to the result, and all that is read from the log agrees with the result."""
    back = through_a_file(log)
    assert first_difference(result, replay(back)) is None
    assert back.events.rows.tobytes() == log.events.rows.tobytes()
    assert back.workload.content_hash() == log.workload.content_hash()
    assert (back.rules, back.cluster, back.outcome) == (log.rules, log.cluster, log.outcome)
    assert (back.workload.job_id, back.workload.status) == (log.workload.job_id, log.workload.status)

    parts = timeline.segments(result, log.events)
    held = np.bincount(parts.pool, (parts.end_s - parts.start_s) * parts.busy_gpus, log.cluster.num_pools)
    np.testing.assert_allclose(held, result.pool_busy_gpu_s, atol=1e-6)
    edges = np.array([result.submit_s[0], timeline.end_of(result)])
    if np.diff(edges)[0] > 0:
        busy = timeline.busy_gpus(result, parts).mean(edges) * np.diff(edges)
        assert busy == pytest.approx(result.busy_gpu_s, abs=1e-6)
        if result.num_unfinished == 0:
            waiting = timeline.waiting_jobs(result, parts).mean(edges) * np.diff(edges)
            assert waiting == pytest.approx(result.waited_s.sum(), abs=1e-6)
    if timeline.one_segment_each(result):
        columns = timeline.segments(result)
        for name in ("job", "pool", "kind"):
            assert sorted(getattr(columns, name)) == sorted(getattr(parts, name))
        assert np.array_equal(np.sort(columns.start_s), np.sort(parts.start_s))

    state = Occupancy(log.workload, log.cluster)
    for event in events(log.events):
        state.apply(event)
        assert all(0 <= idle <= size for idle, size in zip(state.node_idle, log.cluster.node_size, strict=True))
    running = np.isfinite(result.start_s) & np.isnan(result.finish_s)
    assert set(state.running) | set(state.waiting) >= set(np.flatnonzero(running).tolist())
    assert all(state.running[job] == result.gpus_of(job).tolist() for job in state.running)
    share = fragmentation_frac(log)
    assert np.isnan(share) or 0.0 <= share <= 1.0


@settings(max_examples=120)
@given(world=worlds(), seed=st.integers(0, 2**32))
def test_any_run_is_rebuilt_from_its_log(world: World, seed: int) -> None:
    assert_told_by_its_log(*logged(Chaos(seed), world.workload, world.cluster, world.rules))


@settings(max_examples=40)
@given(world=worlds(window=None, max_steps=None), name=st.sampled_from(["fifo", "sjf_backfill", "srtf", "tiresias"]))
def test_compiled_runs_are_rebuilt_from_their_logs(world: World, name: str) -> None:
    policy = POLICIES.create(name)
    rules = dataclasses.replace(world.rules, preemption=getattr(policy, "preemptive", False), horizon_factor=20.0)
    assert_told_by_its_log(*logged(policy, world.workload, world.cluster, rules))


@pytest.mark.parametrize("name", ["fifo", "srtf", "las", "tiresias", "min_min"])
def test_long_runs_are_rebuilt_from_their_logs(name: str) -> None:
    """Long enough for many slices of a compiled run; with names, a table of speeds, failures and restart costs."""
    workload = TRACES.create("synthetic", num_jobs=1500, span_s=20_000.0).load(3)
    workload = dataclasses.replace(workload, job_id=tuple(f"job {i}" for i in range(1500)), status=("done",) * 1500)
    policy = POLICIES.create(name)
    rules = Rules(
        placement="consolidated", preemption=getattr(policy, "preemptive", False), restart_s=((1, 3.0), (8, 9.0)),
        mtbf_s=9000.0, mttr_s=300.0, checkpoint_interval_s=120.0, straggler_share=0.1, straggler_slowdown=1.7,
    )  # fmt: skip
    log, result = logged(policy, workload, ClusterSpec.parse("a100:2x8,v100:2x4"), rules)
    assert result.kills.sum() > 0
    assert_told_by_its_log(log, result)


def small_log(rules: Rules | None = None, policy: str = "fifo") -> tuple[RunLog, RunResult]:
    workload = Workload.build([0, 0, 4], [5, 2, 3], [1, 1, 1], job_id=["a", "b", "c"])
    return logged(POLICIES.create(policy), workload, ClusterSpec.of(gpu=1), rules or Rules())


def test_a_changed_log_is_refused(tmp_path: Path) -> None:
    log, _ = small_log()
    path = tmp_path / "log.parquet"
    write_log(path, log)
    table = pq.read_table(path)
    jobs = len(log.workload)

    def refused(changed: pa.Table, why: str) -> None:
        pq.write_table(changed, path)
        with pytest.raises(SimulationError, match=why):
            replay(read_log(path))

    times, durations = table["time_s"].to_pylist(), table["duration_s"].to_pylist()
    later = [t + 1.0 if i == len(times) - 1 else t for i, t in enumerate(times)]
    refused(table.set_column(0, "time_s", pa.array(later)), "time runs backwards")
    column = table.column_names.index("duration_s")
    longer = pa.array([6.0, *durations[1:]])
    refused(table.set_column(column, "duration_s", longer), "its jobs are not those that were simulated")
    refused(table.slice(0, len(table) - 1), "busy for|another result")
    refused(pa.concat_tables([table.slice(0, jobs), table.slice(jobs + 1)]), "job 0 cannot start at t = 0 s")


def test_files_that_are_no_logs(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(ConfigError, match="does not exist"):
        read_log(path)
    path.write_text("job_id,submit_s\n")
    with pytest.raises(ConfigError, match="must be an event log .* it cannot be read"):
        read_log(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(ConfigError, match="its version is not given"):
        read_log(path)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_log(tmp_path, small_log()[0])


def test_fragmentation_by_hand() -> None:
    # Two nodes of 2 GPUs get two jobs each; from 3 on both have one idle GPU and the gang of 2 fits neither, until 10.
    cluster = ClusterSpec((NodeGroup("gpu", 2, 2),))
    workload = Workload.build([0, 0, 0, 0, 1], [10, 3, 10, 3, 5], [1, 1, 1, 1, 2])
    fifo = POLICIES.create("fifo")
    apart, _ = logged(fifo, workload, cluster, Rules(placement="consolidated"))
    assert fragmentation_frac(apart) == pytest.approx(2 * 7 / (4 * 15))
    pooled, _ = logged(fifo, workload, cluster, Rules())
    assert fragmentation_frac(pooled) == 0.0
    # Shares: two GPUs have 400 thousandths left each from 0 on; a job of 500 waits until 6.
    sharing = Workload.build([0, 0, 1], [6, 8, 2], [1, 1, 1], gpu_milli=[600, 600, 500])
    shared, _ = logged(fifo, sharing, ClusterSpec.of(gpu=2), Rules())
    assert fragmentation_frac(shared) == pytest.approx(0.8 * 5 / (2 * 8))


def test_the_first_decision_in_which_two_policies_differ() -> None:
    first, one = small_log()
    second, two = small_log(policy="sjf")
    parting = part(first, second)
    assert parting is not None and parting.time_s == 0 and parting.is_decision and not parting.only_order
    assert [act[:4] for act in parting.first] == [("start", 0, "a", "gpu")]
    assert [act[:4] for act in parting.second] == [("start", 1, "b", "gpu")]
    assert (parting.waiting, parting.running, parting.free_gpus) == ([0, 1], [], {"gpu": 1})
    cost = downstream(first, one, two)
    assert (cost.total_s, cost.better, cost.worse, cost.same) == (2 - 5, 1, 1, 1)
    assert [(change.name, change.difference_s) for change in cost.gained] == [("b", -5)]
    assert [(change.name, change.difference_s) for change in cost.lost] == [("a", 2)]
    assert part(first, first) is None
    assert downstream(first, one, one)[:5] == (0, 0, 0, 0, 3)


def test_one_starts_while_the_other_waits() -> None:
    cluster, workload = ClusterSpec.of(gpu=2), Workload.build([0, 1, 2], [9, 4, 4], [1, 2, 1])
    strict, _ = logged(POLICIES.create("fifo"), workload, cluster, Rules())
    backfill, _ = logged(POLICIES.create("fifo_backfill"), workload, cluster, Rules())
    parting = part(strict, backfill)
    assert parting is not None and parting.time_s == 2 and parting.first == []
    assert [act[:2] for act in parting.second] == [("start", 2)]
    assert (parting.waiting, parting.running, parting.free_gpus) == ([1, 2], [0], {"gpu": 1})


def test_another_order_of_the_same_decisions_is_told_apart() -> None:
    cluster, workload = ClusterSpec.of(gpu=2), Workload.build([0, 0, 3], [5, 2, 1], [1, 1, 2])
    first, _ = logged(POLICIES.create("fifo"), workload, cluster, Rules())
    second, _ = logged(POLICIES.create("sjf"), workload, cluster, Rules())
    parting = part(first, second)
    assert parting is not None and parting.only_order
    assert [act.job for act in parting.first] == [0, 1] and [act.job for act in parting.second] == [1, 0]
    assert part(first, second, ordered=False) is None


def test_rules_that_differ_show_in_an_event() -> None:
    first, _ = small_log()
    second, _ = small_log(Rules(preemption=True, preemptive_tail_s=1.0), "srtf")
    third, _ = small_log(Rules(preemption=True), "srtf")
    parting = part(third, second)
    assert parting is not None and not parting.is_decision
    assert (parting.first[0].kind, parting.second) == ("finish", [])
    decided = part(third, second, ordered=False)
    assert decided is not None and decided.is_decision and decided.time_s == 2 and decided.second == []
    assert part(first, third) is not None


def test_only_runs_of_the_same_jobs_on_the_same_cluster_are_compared(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    workload = Workload.build([0], [5], [1])
    for path, jobs, cluster in zip(
        paths, (workload, Workload.build([0], [6], [1]), workload),
        (ClusterSpec.of(gpu=1), ClusterSpec.of(gpu=1), ClusterSpec.of(gpu=2)), strict=True,
    ):  # fmt: skip
        write_log(path, logged(POLICIES.create("fifo"), jobs, cluster, Rules())[0])
    with pytest.raises(ConfigError, match="of the same jobs"):
        verb.main(["diff", str(paths[0]), str(paths[1])])
    with pytest.raises(ConfigError, match="of the same cluster"):
        verb.main(["diff", str(paths[0]), str(paths[2])])


def spoken(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert verb.main(list(words)) == 0
    return capsys.readouterr().out


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(tmp_path / f"{name}.parquet") for name in ("fifo", "sjf")]
    log, result = small_log()
    write_log(Path(paths[0]), dataclasses.replace(log, policy="fifo"))
    write_log(Path(paths[1]), dataclasses.replace(small_log(policy="sjf")[0], policy="sjf"))
    text = spoken(capsys, paths[0])
    assert "fifo: 3 jobs on 1 x gpu, 9 events" in text and "bit for bit" in text and "the present one" in text
    data = json.loads(spoken(capsys, paths[0], "--json"))
    assert data["metrics"]["mean_jct_s"] == result.jct_s.mean() and data["same_code"] is True
    assert set(run_metrics(result)) <= set(data["metrics"])
    text = spoken(capsys, "diff", *paths)
    for part_of_it in (
        "A = fifo, B = sjf", "t = 0 s", "A  start job a on gpu (GPU 0)", "B  start job b", "waiting then: 2 jobs",
        "running then: 0 jobs", "idle GPUs: 1 x gpu", "-3 s in total", "1 jobs earlier, 1 later, 1 the same",
        "gained most: job b -5 s (JCT 7 -> 2)", "lost most: job a +2 s",
    ):  # fmt: skip
        assert part_of_it in text, part_of_it
    data = json.loads(spoken(capsys, "diff", *paths, "--json"))
    assert data["parting"]["time_s"] == 0 and data["downstream"]["total_s"] == -3
    assert "the same from beginning to end" in spoken(capsys, "diff", paths[0], paths[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "replay needs LOG, or diff A B; got 'nothing'"),
        (["diff", "a"], "replay needs LOG, or diff A B; got 'diff a'"),
        (["a", "b"], "got 'a b'"),
        (["--jsn", "a"], "Unrecognized arguments: --jsn"),
        (["none.parquet"], "'none.parquet' does not exist"),
    ],
)
def test_mistakes(words: Sequence[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        verb.main(words)


def test_a_mistake_is_one_sentence_and_code_2() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "rl_sched.replay", "none.parquet"], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    assert run.stderr == "error: The event log 'none.parquet' does not exist. Check the path.\n"
