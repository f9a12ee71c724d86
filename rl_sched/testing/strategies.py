"""What every entry of ``STRATEGIES`` must do. A test module subclasses ``StrategyConformance`` and gives ``make``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rl_sched.errors import CheckpointError
from rl_sched.hybrid import PRESETS
from rl_sched.hybrid.engine import Engine
from rl_sched.hybrid.features import NAMES, features
from rl_sched.hybrid.race import Race
from rl_sched.hybrid.strategy import Learned, Notice, Situations, Strategy

#: Makes a fresh strategy for a preset; two of them with the same name and preset must be equal.
Make = Callable[[str], Strategy]

TASKS = 120


def situations(preset: str, k: int = 40) -> Situations:
    """What the first k tasks of a stream find when every second one goes half to a GPU."""
    made = PRESETS.create(preset)
    engine = Engine(made.machine, made.stream(11), k)
    parts = []
    while len(s := engine.look(1)):
        parts.append(s)
        engine.carry_out(s, 0.5 * (s.task % 2))
    return Situations(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("task", "values", "best")))


class StrategyConformance:
    """Subclass it and give a fixture ``make`` that runs over every registered name."""

    @pytest.fixture
    def make(self) -> Make:
        """Makes the entry under test."""
        raise NotImplementedError("A subclass of StrategyConformance supplies the fixture 'make'.")

    @pytest.fixture(params=list(PRESETS))
    def preset(self, request: pytest.FixtureRequest) -> str:
        """Every preset."""
        return request.param

    def test_fractions_are_fractions(self, make: Make, preset: str) -> None:
        s = situations(preset)
        fractions = make(preset).decide(s)
        assert fractions.shape == (len(s),) and fractions.dtype == np.float64
        assert ((fractions >= 0.0) & (fractions <= 1.0)).all()

    def test_leaves_the_situations_alone(self, make: Make, preset: str) -> None:
        s = situations(preset)
        strategy = make(preset)
        strategy.decide(s)[:] = 0.25  # what it returns is its own, too
        strategy.learn(s)
        for name in ("task", "values", "best"):
            np.testing.assert_array_equal(getattr(s, name), getattr(situations(preset), name))

    def test_no_task_is_no_trouble(self, make: Make, preset: str) -> None:
        s = situations(preset)
        none = Situations(s.task[:0], s.values[:0], s.best[:0])
        assert make(preset).decide(none).shape == (0,)

    def test_one_by_one_is_all_at_once(self, make: Make, preset: str) -> None:
        s = situations(preset)
        rows = [Situations(s.task[i : i + 1], s.values[i : i + 1], s.best[i : i + 1]) for i in range(len(s))]
        strategy = make(preset)
        np.testing.assert_allclose(
            np.concatenate([strategy.decide(row) for row in rows]), make(preset).decide(s), atol=1e-6
        )

    def test_plays_to_the_end_and_again_the_same(self, make: Make, preset: str) -> None:
        runs = []
        for _ in range(2):
            race = Race({"it": make(preset)}, preset, 5, TASKS)
            steps = [race.step(50)["it"] for _ in range(3)]
            assert race.finished and sum(len(step.results) for step in steps) == TASKS
            assert all(isinstance(notice, Notice) and notice.text for step in steps for notice in step.notices)
            runs.append([row for step in steps for row in step.results])
        assert runs[0] == runs[1]
        assert all(row.finish_s > row.ready_s >= row.arrival_s for row in runs[0])

    def test_does_not_touch_the_global_stream(self, make: Make, preset: str) -> None:
        np.random.seed(7)  # noqa: NPY002
        expected = np.random.random(3)  # noqa: NPY002
        np.random.seed(7)  # noqa: NPY002
        Race({"it": make(preset)}, preset, 5, TASKS).step(TASKS)
        np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002

    def test_what_has_learned_can_be_kept(self, make: Make, preset: str, tmp_path: Path) -> None:
        strategy = make(preset)
        if not isinstance(strategy, Learned):
            pytest.skip("it learns nothing")
        strategy.save(tmp_path / "kept.npz")
        again = type(strategy).load(tmp_path / "kept.npz", PRESETS.create(preset))
        s = situations(preset)
        np.testing.assert_array_equal(again.decide(s), strategy.decide(s))
        np.load(tmp_path / "kept.npz", allow_pickle=False).close()
        whole = (tmp_path / "kept.npz").read_bytes()
        for bad in (b"", b"not a file of arrays", whole[: len(whole) // 2]):
            (tmp_path / "bad.npz").write_bytes(bad)
            with pytest.raises(CheckpointError, match=r"bad\.npz.*Delete it and train again"):
                type(strategy).load(tmp_path / "bad.npz", PRESETS.create(preset))
        with pytest.raises(CheckpointError, match="missing"):
            type(strategy).load(tmp_path / "missing.npz", PRESETS.create(preset))


def check_features(preset: str) -> None:
    """Asserts that what learners see is finite and, where relative, bounded."""
    x = features(situations(preset))
    assert x.shape[1] == len(NAMES) and np.isfinite(x).all()
    assert (np.abs(x[:, 5:]) <= 1.0).all()
