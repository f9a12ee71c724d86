"""The potential that counts few arrivals only: exact against whole simulations, and growing until all count."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from rl_sched.config import EnvConfig, ExperimentConfig, GuideConfig, build
from rl_sched.envs.guide import EVERY_JOB, Guide
from rl_sched.envs.joined import JoinedVectorEnv
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.rl.training import train
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.simulator import simulate
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait

RULE = {"alpha": 1.25, "theta": 1.2, "depth": 4}


def guide(**settings: object) -> GuideConfig:
    return GuideConfig(policy="min_min", params=RULE, **settings)  # type: ignore[arg-type]


@dataclass
class First:
    """Makes given decisions, and then leaves all others to a rule."""

    given: list[Decision]
    made: int = field(default=0)

    def decide(self, snapshot: Snapshot) -> Decision:
        self.made += 1
        if self.made <= len(self.given):
            return self.given[self.made - 1]
        return POLICIES.create("min_min", **RULE).decide(snapshot)


def decision_of(env: SchedulingVectorEnv, action: int) -> Decision:
    """What an action of the first environment means."""
    if action == 0:
        return Wait()
    slot, kind = divmod(action - 1, env.scenario.cluster.num_pools)
    return Start(int(env._shown.rows["job"][0, slot]), kind)


@pytest.mark.parametrize("arrivals", [1, 6])
@pytest.mark.parametrize("scenario", ["default", "poisson"])
def test_a_potential_of_few_arrivals_is_that_of_a_workload_that_ends_with_them(scenario: str, arrivals: int) -> None:
    world = SCENARIOS.create(scenario)
    seed = world.seeds.train[3]
    workload = world.workload(seed)
    env = SchedulingVectorEnv(world, EnvConfig(guide=guide(arrivals=arrivals)), 1, seeds=[seed], shaped=True)
    obs = env.reset_raw(0)
    rng = np.random.default_rng(1)
    decisions: list[Decision] = []

    def cost(made: list[Decision], jobs: int) -> float:
        """Job-seconds of the first ``jobs`` jobs when these decisions are made first and the rule makes the others."""
        cut = workload.take(np.arange(jobs), rebase=False)
        return float(simulate(First(made), cut, world.cluster, world.rules).jct_s.sum())

    compared, gained = 0, 0
    for _ in range(50):
        mask = obs["action_mask"]
        action = int((mask * rng.random(mask.shape)).argmax())
        obeyed = action == int(obs["guide"][0])
        counted = env.snapshot().num_arrived + arrivals
        decisions.append(decision_of(env, action))
        obs, reward, done, _ = env.step_raw(np.array([action]))
        assert not done[0]
        if obeyed:
            assert reward[0] == 0.0
        elif env.snapshot().num_arrived <= counted:  # the step itself ran past none that counts
            gain = cost(decisions[:-1], counted) - cost(decisions, counted)
            assert reward[0] == pytest.approx(gain / (world.num_jobs * world.time_scale_s), rel=1e-4, abs=1e-6)
            compared += 1
            gained += gain != 0.0
    assert compared > 20 and gained > 10


def counted(env: SchedulingVectorEnv) -> int:
    """How many arrivals to come count."""
    return int(env.guide.horizon(env._state, 1)[0]) - env.snapshot().num_arrived


def test_the_arrivals_that_count_become_more_until_all_do() -> None:
    env = SchedulingVectorEnv("default", EnvConfig(guide=guide(arrivals=10, arrivals_frac=0.5)), 1)
    joined = JoinedVectorEnv([env], env.config)
    joined.reset_raw(0)
    seen = []
    for frac in (0.0, 0.25, 0.375, 0.5 - 1e-12, 0.5, 1.0):
        joined.set_progress(frac)
        seen.append(counted(env))
    assert seen == [10, 40, 160, EVERY_JOB, EVERY_JOB, EVERY_JOB]
    plain = SchedulingVectorEnv("default", EnvConfig(guide=guide()), 1)
    plain.reset_raw(0)
    assert counted(plain) == EVERY_JOB
    at_once = SchedulingVectorEnv("default", EnvConfig(guide=guide(arrivals=10, arrivals_frac=0.0)), 1)
    at_once.reset_raw(0)
    assert counted(at_once) == EVERY_JOB


def test_training_tells_the_guide_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    inner = Guide.set_progress

    def set_progress(self: Guide, frac: float) -> None:
        told.append(frac)
        inner(self, frac)

    monkeypatch.setattr(Guide, "set_progress", set_progress)
    data = {
        "env": {"guide": {"policy": "min_min", "arrivals": 10}},
        "train": {"steps": 4_096, "num_envs": 16, "val_every": 4_096, "val_episodes": 2},
        "ppo": {"rollout": 64, "minibatch": 512, "epochs": 1},
    }
    train(build(ExperimentConfig, data), tmp_path / "run")
    during = [frac for frac in told if frac > 0]
    assert during[:3] == pytest.approx([0.25, 0.5, 0.75], abs=0.01) and max(during) <= 1.0


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="arrivals must be null where rules.tie_order is heapq; it is 10"):
        Guide(guide(arrivals=10), SCENARIOS.create("ppo-jobs"))
    with pytest.raises(ConfigError, match="arrivals must be >= 1; it is 0"):
        build(GuideConfig, {"policy": "min_min", "arrivals": 0})
