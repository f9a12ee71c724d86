"""Hand-made facts of sweeps for the tests of reports and figures: nothing is trained."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rl_sched.evaluation.conditions import ELSEWHERE, LOAD, Condition
from rl_sched.evaluation.material import Importance, Searched, Stretch, SweepFacts, TrainedRun
from rl_sched.scenarios import SCENARIOS
from tests.evaluation_cases import ARMS, ablation, arm

BEGIN_S = 1_790_000_000.0


def stretches() -> tuple[Stretch, ...]:
    """Two hosts; a death and its continuation; a long pause in which nothing ran; a failure after it."""
    name = arm("mlp", "off")

    def of(place: str, begin_s: float, end_s: float, end: str = "done") -> Stretch:
        return Stretch(f"{place} {begin_s}", name, "default", place, BEGIN_S + begin_s, BEGIN_S + end_s, end)

    return (
        of("a", 0, 100), of("a", 100, 160, "lost"), of("a", 20, 130), of("b", 0, 90), of("b", 95, 200, "pruned"),
        of("a", 170, 200), of("a", 10_000, 10_040, "failed"), of("b", 10_000, 10_080, "interrupted"),
    )  # fmt: skip


def searched(count: int = 24) -> Searched:
    """The learning rate decides, the batch size a little; the activation not at all."""
    rng = np.random.default_rng(5)
    lr, batch = 10 ** rng.uniform(-4, -2, count), rng.integers(64, 512, count)
    value = 100 + 30 * (np.log10(lr) + 3) ** 2 + 0.01 * batch + rng.normal(0, 0.3, count)
    table = pd.DataFrame({"ppo.lr": lr, "ppo.minibatch": batch, "act": rng.choice(["relu", "gelu"], count)})
    shares = (Importance("ppo.lr", 0.8, 0.6, 0.9), Importance("ppo.minibatch", 0.2, 0.1, 0.4))
    params = ("ppo.lr", "ppo.minibatch", "act")
    return Searched("base", "default", params, ("ppo.lr",), table.assign(value=value), shares, "By hand")


def facts() -> SweepFacts:
    """Everything of a sweep."""
    runs = tuple(
        TrainedRun(arm(*key), "default", s, 100 * slow + s, 104 * slow) for key, slow in ARMS.items() for s in (1, 2)
    )
    return SweepFacts(runs, stretches(), (searched(),), 4)


def long_runs(seeds: int = 5) -> pd.DataFrame:
    """Curves of two arms: one stays good, of the other one seed runs away to waiting."""
    rng = np.random.default_rng(2)
    rows = []
    for name, bad in (("ppo.gamma=1", -1), ("ppo.gamma=0.9", 3)):
        for seed in range(1, seeds + 1):
            for k in range(1, 21):
                away = max(k - 10, 0) / 10 if seed == bad else 0.0
                score = 100 + 60 * np.exp(-k / 3) + 80 * away + 0.2 * rng.normal()
                rows.append((name, seed, k * 150_000, 10.0 * k, score, 0.4 + 0.5 * away, 1.3 * np.exp(-k / 20)))
    columns = ["arm", "train_seed", "steps", "seconds", "val_score", "val_noop_share", "entropy_nats"]
    return pd.DataFrame(rows, columns=columns)


def conditions_and_rows() -> tuple[list[Condition], pd.DataFrame]:
    """Three conditions with made-up rows; the scenarios are never played."""
    home = SCENARIOS.create("default")
    asked = [
        Condition("home", ELSEWHERE, None, home, True),
        Condition("load +50 %", LOAD, 1.5, home, True),
        Condition("other", ELSEWHERE, None, home, False),
    ]
    table = ablation(3, 4)
    table = table[table["policy"].isin(["min_min", "sjf_backfill", "fifo", arm("mlp", "off")])]
    changed = {"home": 1.0, "load +50 %": 1.5, "other": 40.0}
    parts = [
        table.assign(
            scenario=name, value=table["value"].where(table["metric"] != "mean_jct_s", factor * table["value"])
        )
        for name, factor in changed.items()
    ]
    return asked, pd.concat(parts, ignore_index=True)
