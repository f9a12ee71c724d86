"""The parts of the dashboard without its server: races, what is told of them, decisions taken apart, clients."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from rl_sched.dashboard.bars import MAX_GANTT_GPUS
from rl_sched.dashboard.board import MAX_POINTS, Board
from rl_sched.dashboard.choices import Entrant, Setup
from rl_sched.dashboard.course import course_of, generators
from rl_sched.dashboard.explain import without
from rl_sched.dashboard.history import MAX_ROWS, History
from rl_sched.dashboard.hub import BACKLOG, Hub
from rl_sched.dashboard.lane import Lane, state_after
from rl_sched.dashboard.race import FINISHED, PAUSED, RUNNING, Race
from rl_sched.dashboard.race_logs import logs_of
from rl_sched.errors import ConfigError
from rl_sched.evaluation.metrics import run_metrics, utilisation_frac
from rl_sched.evaluation.outcome import first_difference
from rl_sched.evaluation.replay import replay
from rl_sched.policies import POLICIES
from rl_sched.sim.record import RUNNING as RUNNING_JOB
from rl_sched.sim.result import RunResult
from rl_sched.sim.simulator import simulate

RULES = ("fifo_backfill", "min_min", "srtf")


def setup(*names: str, jobs: int = 40, **more: object) -> Setup:
    entrants = tuple(Entrant(f"rule:{name}", name) for name in names or RULES)
    return Setup("trace:synthetic", entrants, jobs=jobs, **more)  # type: ignore[arg-type]


def played(*names: str) -> Race:
    """A race that has come to its end, updates and all."""
    race = Race(setup(*names), 0.0)
    race.resume()
    while race.state == RUNNING:
        race.move(0.0)
        race.update()
    return race


@pytest.fixture(scope="module")
def race() -> Race:
    return played()


def test_a_race_is_what_the_simulator_says(race: Race) -> None:
    for lane in race.lanes:
        alone = simulate(POLICIES.create(lane.entrant.name), race.course.workload, race.course.cluster, lane.rules)
        assert first_difference(lane.result(), alone) is None, lane.entrant.name
    metrics = {row["policy"]: row["metrics"] for row in race.results()}
    last = {lane["id"].removeprefix("rule:"): lane for lane in race.update()["lanes"]}
    for lane in race.lanes:
        own = run_metrics(lane.result(), lane.rules, bounds=race.bounds)
        told = last[lane.entrant.name]
        assert metrics[lane.entrant.name]["mean_jct_s"] == own["mean_jct_s"]
        assert told["mean_jct_s"] == pytest.approx(own["mean_jct_s"], rel=1e-12)
        assert told["radar"]["jct"] == pytest.approx(1.0 / (1.0 + own["mean_jct_gap_frac"]))
        assert told["radar"]["utilisation"] == pytest.approx(utilisation_frac(lane.result()))
        assert told["radar"]["fairness"] == pytest.approx(own["jain_user_frac"])
        assert told["energy_kwh"] == pytest.approx(own["energy_kwh"])
        assert sum(told["busy_gpu_s"]) == pytest.approx(lane.result().busy_gpu_s, rel=1e-6)


def test_bars_are_the_segments_of_the_event_log() -> None:
    race = Race(setup(), 0.0)
    bars: dict[str, dict] = {lane.entrant.id: {} for lane in race.lanes}
    while race.state != FINISHED:
        race.step(1)  # an update after every decision: nothing happens in between
        for lane in race.update()["lanes"]:
            bars[lane["id"]].update({(bar[0], bar[2]): bar for bar in lane["bars"]})
    for log in logs_of(race.setup, race.record()):
        starts = log.events.rows[log.events.rows["kind"] == 1]
        own = bars[f"rule:{log.policy}"]
        assert len(own) == len(starts)
        for row in starts:
            gpus = log.events.gpus[row["first"] : row["first"] + row["gpus"]]
            bar = own[row["job"], row["time_s"]]
            blocks = zip(bar[4::2], bar[5::2], strict=True)
            assert [g for first, count in blocks for g in range(first, first + count)] == sorted(gpus.tolist())
        ends = np.sort([bar[3] for bar in own.values()])
        closing = log.events.rows[np.isin(log.events.rows["kind"], (2, 3, 4))]
        assert np.array_equal(ends, np.sort(closing["time_s"]))


def test_no_bar_stays_open_after_its_job_has_ended() -> None:
    race = Race(setup("fifo_backfill", jobs=1500), 0.0)
    bars: dict[tuple[int, float], list] = {}
    for decisions in (30, 1000, 1000, 1000):  # more bars at a time than an update tells
        race.step(decisions)
        (lane,) = race.update()["lanes"]
        bars.update({(bar[0], bar[2]): bar for bar in lane["bars"]})
        running = set(np.flatnonzero(race.lanes[0].state.views.jobs["state"][0] == RUNNING_JOB).tolist())
        assert {job for (job, _), bar in bars.items() if bar[3] is None} <= running
    assert race.state == FINISHED


def test_recorded_decisions_lead_to_the_same_run_and_log(race: Race) -> None:
    logs = logs_of(race.setup, race.record())
    for lane, log in zip(race.lanes, logs, strict=True):
        assert first_difference(replay(log), simulate(lane.policy, log.workload, log.cluster, log.rules)) is None


def test_speed_holds_the_clock_and_pause_stops_it() -> None:
    now = [100.0]
    race = Race(setup(), 50.0, clock=lambda: now[0])
    race.resume()
    begun_s = race.now_s
    now[0] += 2.0
    assert race.move(1e9)  # ahead: it waits for the wall's clock
    assert race.now_s == pytest.approx(begun_s + 100.0)
    assert all(lane.over or lane.now_s > race.now_s for lane in race.lanes)
    race.pause()
    now[0] += 50.0
    decisions = [len(lane.log) for lane in race.lanes]
    assert race.state == PAUSED and race.move(1e9)
    assert [len(lane.log) for lane in race.lanes] == decisions
    race.resume()
    race.move(1e9)
    assert race.now_s == pytest.approx(begun_s + 100.0)  # time that was paused does not count
    race.step(3)
    assert [len(lane.log) for lane in race.lanes] == [d + 3 for d in decisions]
    race.reset()
    assert race.state == PAUSED and all(len(lane.log) == 0 for lane in race.lanes)


def test_a_decision_is_taken_apart(race: Race) -> None:
    for lane in race.lanes:
        for index in range(0, len(lane.log), 7):
            told = race.explain(lane.entrant.id, index)
            kind, log = lane.log.kind[index], lane.log
            assert told["taken"]["kind"] == ("wait", "start", "preempt")[kind]
            assert told["time_s"] == log.time_s[index] and told["waiting"] == log.waiting[index]
            chosen = [c["job"] for c in told["candidates"] if c["chosen"]]
            assert chosen == ([log.job[index]] if kind == 1 else [])
            assert len(told["others"]) == len(race.lanes) - 1
            if lane.entrant.name == "fifo_backfill" and chosen:
                fitting = [c["job"] for c in told["candidates"] if any(c["fits"])]
                assert fitting[0] == chosen[0]  # in order of the keys, the first that fits
                assert told["candidates"][0]["scores"] == sorted(c["scores"] for c in told["candidates"])[0]
            if lane.entrant.name == "min_min" and chosen:
                assert told["candidates"][0]["job"] == chosen[0] and told["candidates"][0]["rank"] == 0
    json.dumps(told, allow_nan=False)


def test_what_the_others_would_have_done_is_asked_at_that_moment(race: Race) -> None:
    lane = race.lanes[0]
    twin = Lane(lane.entrant, lane.policy, lane.course)
    from rl_sched.dashboard.explain import explain

    for index in range(0, len(lane.log), 11):  # a policy agrees with itself
        assert all(other["same"] for other in explain(lane, index, [lane, twin])["others"])


def test_without_a_job_all_other_columns_stay(race: Race) -> None:
    from rl_sched.sim.simulator import snapshot_of

    lane = race.lanes[0]
    index = max(range(len(lane.log)), key=lambda i: lane.log.waiting[i])
    state = state_after(lane.course, lane.rules, lane.log.decisions(index))
    snapshot = snapshot_of(state, 0, lane.course.workload)
    assert len(snapshot.job) > 1
    for job in snapshot.job.tolist():
        less = without(snapshot, job)
        assert job not in less.job and len(less.job) == len(snapshot.job) - 1
        for name, column in snapshot._asdict().items():
            if isinstance(column, np.ndarray) and len(column) == len(snapshot.job) and name not in ("gpu_type",):
                assert len(getattr(less, name)) in (len(less.job), len(column)), name


def test_what_cannot_be_chosen_is_refused() -> None:
    assert "synthetic" in generators()
    with pytest.raises(ConfigError, match="belong to the scenario"):
        course_of(Setup("scenario:default", (), jobs=10))
    with pytest.raises(ConfigError, match="1,024 VAL workloads"):
        course_of(Setup("scenario:default", (), seed=5000))
    with pytest.raises(ConfigError, match="at most 4,096 GPUs"):
        course_of(setup(cluster="a100:999x8"))
    with pytest.raises(ConfigError, match="Unknown GPU type"):
        course_of(setup(cluster="b200:1x8"))
    with pytest.raises(ConfigError, match="not fitted"):
        Race(setup("easy_tuned"), 0.0)
    with pytest.raises(ConfigError, match="not 'rule:nobody'"):
        Race(setup("fifo"), 0.0).explain("rule:nobody", 0)
    with pytest.raises(ConfigError, match="has made 0 decisions"):
        Race(setup("fifo"), 0.0).explain("rule:fifo", 0)


def test_only_the_first_gpus_of_a_large_cluster_are_drawn() -> None:
    race = Race(setup("fifo_backfill", cluster="a100:40x8"), 0.0)
    assert len(race.describe()["cluster"]["gpu_node"]) == MAX_GANTT_GPUS
    while race.state != FINISHED:
        race.step(50)
        for bar in race.update()["lanes"][0]["bars"]:
            assert all(first + count <= MAX_GANTT_GPUS for first, count in zip(bar[4::2], bar[5::2], strict=True))


# ---------------------------------------------------------------- board, hub, history


def _update(now_s: float) -> dict:
    lane = {"id": "rule:fifo", "now_s": now_s, "waiting": 1, "running": 1, "waiting_gpus": 1, "busy_gpus": 1}
    lane |= {"mean_jct_s": None, "busy_frac": None, "over": False, "bars": [[1, 0, now_s, None, 0, 1]], "log": []}
    return {"state": "running", "speed": 0, "clock_s": now_s, "lanes": [lane]}


def test_the_board_thins_lines_out_and_keeps_their_ends() -> None:
    board = Board()
    board.begin({"lanes": [{"id": "rule:fifo"}]})
    for k in range(5 * MAX_POINTS):
        board.add(_update(float(k)))
        points = board.whole()["lanes"][0]["points"]
        assert len(points) <= MAX_POINTS
    times = [p[0] for p in points]
    assert times == sorted(times) and times[0] == 0.0 and times[-1] > 4.9 * MAX_POINTS
    steps = np.diff(times)
    assert steps.max() <= 2 * np.median(steps)
    board.begin(None)
    assert board.whole()["lanes"] == []


class _Socket:
    """Takes a message only when it is let."""

    def __init__(self, *, slow: bool) -> None:
        self.got: list[dict] = []
        self.let = asyncio.Event()
        if not slow:
            self.let.set()

    async def send_text(self, data: str) -> None:
        await self.let.wait()
        self.got.append(json.loads(data))


def test_a_slow_client_holds_nobody_up_and_gets_the_whole_state_instead() -> None:
    async def run() -> tuple[list[dict], list[dict]]:
        told = [0]
        hub = Hub(lambda: {"whole": True, "n": told[0]})
        fast, slow = _Socket(slow=False), _Socket(slow=True)
        tasks = [asyncio.create_task(hub.serve(socket)) for socket in (fast, slow)]
        await asyncio.sleep(0)
        for n in range(1, 10 * BACKLOG):
            told[0] = n
            hub.send({"whole": False, "n": n})
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        slow.let.set()
        for _ in range(10 * BACKLOG):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(hub) == 0
        return fast.got, slow.got

    fast, slow = asyncio.run(run())
    assert [m["n"] for m in fast if not m["whole"]] == list(range(1, 10 * BACKLOG)) or fast[0]["whole"]
    known = 0
    for message in slow:  # whole states may skip ahead; what follows one continues it
        assert message["whole"] or message["n"] == known + 1
        known = message["n"]
    assert known == 10 * BACKLOG - 1 and len(slow) < 3 * BACKLOG


def test_history_outlives_the_server_and_a_cut_line(tmp_path: Path) -> None:
    file = tmp_path / "dashboard" / "history.jsonl"
    history = History(file)
    rows = [
        {"race": f"r{k // 2}", "at": "t", "workload": "w", "policy": "ab"[k % 2], "metrics": {"mean_jct_s": k}}
        for k in range(8)
    ]
    history.add(rows)
    with file.open("a") as out:
        out.write('{"race": "cut')
    again = History(file)
    assert again.rows() == rows
    told = again.comparative(2)
    assert told["races"] == 2 and [row["mean_jct_s"] for row in told["policies"]["a"]] == [4, 6]
    assert again.clear() == 8 and not file.exists() and again.clear() == 0
    again.add(rows * (MAX_ROWS // 4))
    assert len(again.rows()) == MAX_ROWS


def test_result_so_far_counts_running_jobs() -> None:
    race = Race(setup("fifo_backfill"), 0.0)
    race.step(12)
    (told,) = race.update()["lanes"]
    lane = race.lanes[0]
    result = RunResult.of(lane.state, 0, lane.course.workload, lane.rules)
    assert sum(told["busy_gpu_s"]) == pytest.approx(float(result.pool_busy_gpu_s.sum()), abs=1e-2)
    assert told["done"] == len(lane.course.workload) - result.num_unfinished
    assert told["running"] + told["waiting"] + told["done"] == told["arrived"]
