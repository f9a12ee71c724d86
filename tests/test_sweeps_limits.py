"""Budgets, kinds of failure and forecasts, without Ray."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from rl_sched.config import build
from rl_sched.errors import ConfigError, SweepError
from rl_sched.sweeps.code import DECIDING, deciding_hash
from rl_sched.sweeps.extending import extend
from rl_sched.sweeps.failures import INFRASTRUCTURE, NUMERICS, USER, cause_of, is_full_disk
from rl_sched.sweeps.forecast import START_S, forecast, pilot
from rl_sched.sweeps.ledger import Ledger, Outcome, read_json, write_json, write_outcome, write_text
from rl_sched.sweeps.limits import Limits, size_of
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.settings import Budget

TOY = "rl_sched.testing.toy_trials:"


def _plan(**change) -> Plan:
    train = {"steps": 1000, "num_envs": 10, "val_every": 250, "val_episodes": 4, "checkpoint_every": 500}
    data = {"name": "toy", "question": "?", "base": {"train": train}, "seeds": [1, 2, 3], "report": {"episodes": 2}}
    return build(Plan, {"arms": {"network.name": ["mlp", "cross_attention"]}, **data, **change})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    (tmp_path / "root").mkdir()
    return Ledger(tmp_path / "root")


def _end(ledger: Ledger, cell: Cell, steps: int = 1000, cpu_s: float = 1800.0) -> None:
    folder = ledger.open_cell(cell)
    write_json(folder / "cpu.json", {"cpu_s": cpu_s})
    write_outcome(folder, Outcome(1.0, {}, steps, 10.0, cpu_s=cpu_s))


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        ({"trials": 3}, "3 trials"),
        ({"env_steps": 3000}, "3,000 environment steps"),
        ({"cpu_hours": 1}, "1 CPU-hours"),
        ({"disk_gb": 1e-6}, "GB of disk"),
    ],
)
def test_a_budget_counts_over_all_commands(ledger: Ledger, budget: dict, word: str) -> None:
    one, two, three, *_ = _plan().cells()
    begin = Limits(Budget(**budget), ledger)
    assert begin.reached([]) is None or "disk" in word
    _end(ledger, one)
    begin.ended(one)
    _end(ledger, two)
    begin.ended(two)
    for limits in (begin, Limits(Budget(**budget), ledger)):
        assert word in (limits.reached([three]) or "")
    begin.ended(two)  # tried again: counts once
    assert (begin.reached([]) is None) == (budget.keys() <= {"trials", "env_steps"})
    ledger.open_cell(three)  # interrupted: it has not ended and does not count yet
    assert Limits(Budget(trials=3), ledger).reached([]) is None
    assert Limits(Budget(), ledger).reached([one, two, three]) is None


def test_wall_clock_and_room_are_looked_at(ledger: Ledger) -> None:
    now = [0.0]
    limits = Limits(Budget(wall_hours=1.0, keep_free_gb=0.0), ledger, lambda: now[0])
    assert limits.expired() is None and not limits.disk_is_full()
    now[0] = 3600.0
    assert "1 hours of this command" in (limits.expired() or "") and limits.reached([]) == limits.expired()
    assert Limits(Budget(keep_free_gb=1e9), ledger, lambda: now[0]).disk_is_full()
    assert size_of(ledger.root / "nothing") == 0.0


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("minibatch must divide the batch"), USER),
        (ConfigError("The loss must be finite; it is nan."), USER),
        (KeyError("nothing"), USER),
        (FileNotFoundError(2, "no such file"), USER),
        (FloatingPointError("overflow"), NUMERICS),
        (ValueError("Expected parameter logits to satisfy the constraint, but found invalid values"), NUMERICS),
        (RuntimeError("loss is nan"), NUMERICS),
        (ValueError("nanny is not a policy"), USER),
        (MemoryError(), INFRASTRUCTURE),
        (RuntimeError("CUDA out of memory. Tried to allocate"), INFRASTRUCTURE),
        (OSError(errno.EIO, "Input/output error"), INFRASTRUCTURE),
        (ConnectionResetError(), INFRASTRUCTURE),
    ],
)
def test_causes(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause


def test_a_full_disk_is_seen_behind_other_errors() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        try:
            raise full
        except OSError as error:
            raise RuntimeError("could not save") from error
    except RuntimeError as error:
        assert is_full_disk(error)
    assert is_full_disk(RuntimeError("(sqlite3.OperationalError) database or disk is full"))
    assert not is_full_disk(ValueError("full")) and not is_full_disk(None)


def test_a_real_full_disk_tears_no_file(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], capture_output=True)
    if made.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        write_json(mount / "done.json", {"value": 1})
        (mount / "filler").write_bytes(b"x" * 200_000)
        with pytest.raises(OSError) as caught:
            write_text(mount / "done.json", "y" * 100_000)
        assert is_full_disk(caught.value)
        assert read_json(mount / "done.json") == {"value": 1} and len(list(mount.iterdir())) == 2
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_pilot_and_forecast(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_sched.testing.toy_trials.SLEEP_S", 0.001)
    plan = _plan()
    cells = plan.cells()
    pace = pilot(cells[0], f"{TOY}steady")
    assert 10 / 0.02 < pace.steps_per_s < 10 / 0.001 and 0 < pace.cpu_share <= 1 and pace.megabytes > 0
    left = [(cell, 1.0) for cell in cells]
    cost = forecast(plan, left, [], ledger, f"{TOY}steady")
    assert cost.trials == 6 and cost.steps == 6000 and cost.source.startswith("from a pilot of 2 short runs")
    assert 0 < cost.cpu_s < 6 * 60 and cost.wall_s > START_S
    guess = forecast(plan, left, [], ledger, None)
    assert guess.source == "the plan's guess" and guess.wall_s == pytest.approx(START_S + 3000 / 9000)
    _end(ledger, cells[0], cpu_s=5.0)
    known = forecast(plan, left[1:], cells[:1], ledger, None)
    assert known.source == "measured in this sweep" and known.cpu_s == pytest.approx(5 * 5.0)
    assert forecast(plan, [], cells, ledger, None).wall_s == 0


def test_a_pilot_leaves_nothing_behind(ledger: Ledger) -> None:
    pilot(_plan(base={"train": {"steps": 20, "num_envs": 10}}).cells()[0], f"{TOY}steady")
    assert list(ledger.root.iterdir()) == []


def test_extend_adds_and_repeats_nothing(ledger: Ledger) -> None:
    plan = _plan()
    with pytest.raises(SweepError, match="--extend needs a sweep that has run"):
        extend(plan, ["seeds=[4]"], ledger)
    write_json(ledger.root / "plan.json", {})
    texts = ["seeds=[3,4]", "arms.network.name=[mlp]", "listed.wide={network.name: mlp, network.hidden: 64}"]
    longer = extend(plan, [*texts, "scenarios=[poisson]", "configurations=20"], ledger)
    assert longer.seeds == (1, 2, 3, 4) and longer.scenarios == ("default", "poisson")
    assert list(longer.arm_settings()) == [*plan.arm_settings(), "wide"] and longer.budget.configurations == 20
    assert {c.id for c in plan.cells()} < {c.id for c in longer.cells()} and longer.sweep_id == plan.sweep_id
    assert extend(longer, [*texts, "configurations=20"], ledger) == longer, "the same command changes nothing more"
    assert extend(plan, ["seeds=5"], ledger).seeds == (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=[4]", "does not know 'seed'. Did you mean 'seeds'"),
        ("seeds=2", "at least the 3 of the plan"),
        ("scenarios=poisson", "must give a list"),
        ("scenarios=[poison]", "Did you mean 'poisson'"),
        ("configurations=3", "at least the 16"),
        ("arms.env.lookahead=[cdf]", "does not know"),
        ("listed.x={network.nam: mlp}", "Unknown key 'network.nam'"),
        ("listed.x=3", "must give the settings of an arm"),
    ],
)
def test_what_is_no_extension_is_named(ledger: Ledger, text: str, message: str) -> None:
    write_json(ledger.root / "plan.json", {})
    with pytest.raises(ConfigError, match=message):
        extend(_plan(), [text], ledger)


def test_leave_one_out_keeps_its_reference_when_extended(ledger: Ledger) -> None:
    write_json(ledger.root / "plan.json", {})
    plan = _plan(design="leave_one_out", arms={"env.lookahead": ["off", "per_gpu"], "env.idle_waits": [False, True]})
    full = next(iter(plan.arm_settings()))
    assert full == "env.lookahead=per_gpu,env.idle_waits=True" and len(plan.arm_settings()) == 3
    longer = extend(plan, ["arms.env.lookahead=[cdf]"], ledger)
    assert next(iter(longer.arm_settings())) == full and set(plan.arm_settings()) < set(longer.arm_settings())


def test_code_that_decides_is_told_from_the_rest(ledger: Ledger) -> None:
    root = Path(__file__).resolve().parents[1] / "rl_sched"
    assert len(deciding_hash()) == 16 and all((root / name).exists() for name in DECIDING)
    cell = _plan().cells()[0]
    assert not ledger.is_of_other_code(cell)
    _end(ledger, cell)
    assert not ledger.is_of_other_code(cell)
    folder = ledger.folder(cell)
    write_json(folder / "done.json", {**(read_json(folder / "done.json") or {}), "deciding": "0ld"})
    assert ledger.is_of_other_code(cell)
    first = ledger.set_aside(cell)
    assert ledger.outcome(cell) is None and (first / "done.json").is_file()
    _end(ledger, cell)
    assert ledger.set_aside(cell) != first
