"""N scheduling environments over one kernel, as a Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from rl_sched.config import EnvConfig
from rl_sched.envs import LOOKAHEADS, REWARDS, kernels
from rl_sched.envs.bank import Bank
from rl_sched.envs.foresight import show_arrivals
from rl_sched.envs.guide import Guide
from rl_sched.envs.lookahead import per_gpu
from rl_sched.envs.observation import spec_of
from rl_sched.envs.plan import Plan
from rl_sched.envs.rewards import WORKLOAD_SHARE, Steps
from rl_sched.envs.spaces import Obs, columns_of, empty_observation, hide_globals, space_of
from rl_sched.envs.window import new_shown
from rl_sched.errors import ConfigError, SimulationError
from rl_sched.policies.look import new_look
from rl_sched.scenarios import SCENARIOS
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.invariants import check
from rl_sched.sim.record import State
from rl_sched.sim.result import RunResult
from rl_sched.sim.simulator import snapshot_of
from rl_sched.sim.snapshot import Snapshot

#: Rewards whose cost a guide's cost-to-go continues; they differ by potentials, so that the shaped reward is the same.
SHAPED_REWARDS = ("jct", "lost", "planned")
#: The reward that is discounted exactly within a step.
DISCOUNTED_REWARD = "jct"


class SchedulingVectorEnv(gym.vector.VectorEnv):
    """N environments that step together. Autoreset mode NEXT_STEP.

    Args:
        scenario: A scenario or its name.
        env: What the learner sees and is paid for; None = the defaults.
        num_envs: N.
        seed: Decides which workloads each environment plays.
        split: ``train`` draws workloads of the TRAIN seeds at random; ``val`` and ``report`` play theirs in order.
        seeds: Workload seeds to play in order instead of a split's.
        shaped: Whether a guide's potential shapes the reward; None = on the TRAIN stream only. It costs two rollouts of
            the guide for every step that deviates from it.
        foresight: Whether observations hold the arrivals to come, for the value of a learner (see ``foresight``).
        strict: An illegal action raises instead of being a counted no-op.

    The arrays of an observation are buffers that the next step overwrites when ``reset_raw`` and ``step_raw`` are
    used; ``reset`` and ``step`` return copies.
    """

    def __init__(
        self,
        scenario: Scenario | str = "default",
        env: EnvConfig | None = None,
        num_envs: int = 1,
        seed: int = 0,
        split: str = "train",
        *,
        seeds: Sequence[int] | None = None,
        shaped: bool | None = None,
        foresight: bool = False,
        strict: bool = False,
    ) -> None:
        if num_envs < 1:
            raise ConfigError(f"num_envs must be at least 1; it is {num_envs}.")
        self.scenario = SCENARIOS.create(scenario) if isinstance(scenario, str) else scenario
        self.config = env or EnvConfig()
        self.num_envs = num_envs
        self.strict = strict
        self._sequence = list(seeds) if seeds is not None else None
        if self._sequence is None and split != "train":
            self._sequence = list(self.scenario.seeds.of(split))
        self._train_seeds = self.scenario.seeds.train
        self._lookahead = LOOKAHEADS.load(self.config.lookahead)
        missing = self.scenario.available()
        if missing:
            raise ConfigError(missing)
        reward = self.config.reward or self.scenario.reward
        self._reward = REWARDS.load(reward)
        self.guide = Guide(self.config.guide, self.scenario)
        learning = split == "train" and seeds is None
        self._shaped = self.guide.active and self.config.guide.potential and (learning if shaped is None else shaped)
        if self._shaped and reward not in SHAPED_REWARDS:
            raise ConfigError(
                f"A guide's potential is its cost in job-seconds and shapes the rewards {', '.join(SHAPED_REWARDS)} "
                f"only; the reward is {reward!r}. Set env.guide.potential=false or env.reward={SHAPED_REWARDS[0]}."
            )
        cluster = self.scenario.cluster
        self.spec_obs = spec_of(cluster.num_pools, cluster.num_gpus, self.scenario.window, self.config, foresight)
        self._plan = Plan(self.config, self.spec_obs, self.scenario.time_scale_s, num_envs, pays=reward == "planned")
        if self._shaped and self.config.discount_s is not None:
            raise ConfigError(
                "A guide's potential is an undiscounted cost; with env.discount_s the reward is discounted. Set one of "
                "env.discount_s=null and env.guide.potential=false."
            )
        if self.config.discount_s is not None and reward != DISCOUNTED_REWARD:
            raise ConfigError(
                f"env.discount_s discounts the reward {DISCOUNTED_REWARD!r} only; the reward is {reward!r}. Set "
                f"env.reward={DISCOUNTED_REWARD} or env.discount_s=null."
            )
        self._bank = Bank(self.scenario)
        self._state = State(cluster, self.scenario.rules, num_envs, self._bank.sizes)
        self._type_columns = [columns_of(cluster.gpu_pool == t) for t in range(cluster.num_pools)]
        self._allocate(num_envs, cluster.num_gpus, cluster.num_pools)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.render_mode = None
        self.single_observation_space = space_of(self.spec_obs)
        self.single_action_space = gym.spaces.Discrete(self.spec_obs.num_actions)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, num_envs)
        self._seed = seed
        self._difficulty: tuple[float, float] = (1.0, 1.0)
        self._start(seed)

    def _allocate(self, n: int, num_gpus: int, num_types: int) -> None:
        spec = self.spec_obs
        self._obs = empty_observation(n, spec)
        self._guide_actions = np.zeros(n, np.int64)
        if spec.guided:
            self._obs["guide"] = self._guide_actions
        cluster = self.scenario.cluster
        self._obs["gpus"][:, :, 1] = (cluster.pool_flops / cluster.pool_flops.max())[cluster.gpu_pool]
        self._obs["gpus"][:, np.arange(num_gpus), 2 + cluster.gpu_pool] = 1.0
        self._look = new_look(spec.window, num_types, num_gpus)
        self._static = np.zeros((n, self.scenario.num_jobs, 3 + num_types), np.float32)
        # In the mode per_gpu the kernel writes the lookahead itself. The other buffer is strided too: for a contiguous
        # one the kernel would be compiled a second time.
        self._writes_lookahead = self._lookahead is per_gpu
        buffer = self._obs["gpus"] if self._writes_lookahead else np.zeros((n, num_gpus, 2), np.float32)
        self._remaining = buffer[:, :, 0]
        self._shown = new_shown(n, spec.window, num_types, num_gpus)
        self._step = np.zeros(n, kernels.STEP)
        self._unit_s = np.zeros(n)
        self._steps = Steps(
            self._step, self._state.views.head[:n], self._remaining,
            self.scenario.num_jobs, self._unit_s, self.scenario.lookahead_s,
        )  # fmt: skip
        self._episodes = np.zeros(n, kernels.EPISODE)
        self._done = np.zeros(n, np.bool_)
        self._ended: list[int] = []  # where
        self._episode_seed, self._episode_number = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._return = np.zeros(n)
        self._finished: list[dict[str, Any]] = []
        self._playing: list[tuple[int, float, float]] = [(0, 1.0, 1.0)] * n  # arguments of ``Bank.at``
        obs = self._obs
        self._buffers = (
            self._step, self._episodes, self._static,
            self.config.finish_times, self.scenario.time_scale_s, self.scenario.lookahead_s,
            obs["jobs"], obs["action_mask"], obs["globals"], self._remaining, *self._shown,
        )  # fmt: skip

    # ---------------------------------------------------------------- episodes

    def _start(self, seed: int) -> None:
        self._seed = seed
        self._rngs = [np.random.default_rng([seed, e]) for e in range(self.num_envs)]
        self._episode_number[:] = 0
        self._finished.clear()

    def _next_seed(self, e: int) -> int:
        k = int(self._episode_number[e])
        self._episode_number[e] += 1
        if self._sequence is not None:
            return self._sequence[(e + k * self.num_envs) % len(self._sequence)]
        return self._train_seeds[int(self._rngs[e].integers(len(self._train_seeds)))]

    def _reset_env(self, e: int) -> None:
        seed = self._next_seed(e)
        loaded = self._bank.at(seed, *self._difficulty)
        self._state.raw[e] = loaded.record
        self._state.views.head["discount_s"][e] = self.config.discount_s or 0.0
        self._static[e, : len(loaded.static)] = loaded.static
        share = WORKLOAD_SHARE[self.config.reward_unit]
        self._unit_s[e] = self.scenario.time_scale_s ** (1.0 - share) * loaded.mean_run_s**share
        self._playing[e] = (seed, *self._difficulty)
        self._episode_seed[e] = seed
        self._return[e] = 0.0

    def _call(self, actions: np.ndarray, fresh: np.ndarray, done: np.ndarray) -> int:
        """One call of the kernel; writes ``done`` and returns how many episodes ended."""
        num_ended = kernels.step_all(*self._state.views, actions, fresh, done, *self._buffers)
        self._plan.show(self._state, self._shown, self._look, fresh, self._step, self._obs["jobs"])
        if self.guide.active:
            self.guide.advise(self._state, self._shown, self._look, self._obs["jobs"], self._guide_actions)
        if not self._writes_lookahead:
            lookahead = self._obs["gpus"][:, :, 0]
            for columns in self._type_columns:
                lookahead[:, columns] = self._lookahead(self._remaining[:, columns])
        hide_globals(self.config.globals, self._obs["globals"], self._state.views.head[: self.num_envs], self._shown)
        if "arrivals" in self._obs:
            show_arrivals(self._state, self.scenario.time_scale_s, self._obs["arrivals"])
        if not self.config.idle_waits:
            mask = self._obs["action_mask"]
            mask[:, 0] &= ~mask[:, 1:].any(axis=1)
        return num_ended

    def _settle(self, done: np.ndarray) -> np.ndarray:
        """Waits where nothing else is legal, until there is a choice or the episode is over.

        Args:
            done: (N,) updated.

        Returns:
            (N,) what the waits pay.
        """
        total = np.zeros(self.num_envs)
        nowhere, ended = np.zeros(self.num_envs, np.bool_), np.empty(self.num_envs, np.bool_)
        while True:
            forced = ~done & ~self._obs["action_mask"][:, 1:].any(axis=1)
            if not forced.any():
                return total
            self._call(np.where(forced, 0, kernels.SKIP), nowhere, ended)
            total += np.where(forced, self._reward(self._steps), 0.0)
            done |= ended

    # ---------------------------------------------------------------- the fast door

    def reset_raw(self, seed: int | None = None) -> Obs:
        """Starts new episodes everywhere; returns the observation buffers."""
        if seed is not None:
            self._start(seed)
        for e in range(self.num_envs):
            self._reset_env(e)
        everywhere = np.ones(self.num_envs, np.bool_)
        self._done, self._ended = np.zeros(self.num_envs, np.bool_), []
        self._call(np.full(self.num_envs, kernels.SKIP), everywhere, np.zeros(self.num_envs, np.bool_))
        if self.config.settle:
            self._return += self._settle(self._done)
            self._ended = np.flatnonzero(self._done).tolist()
        return self._obs

    def step_raw(self, actions: np.ndarray) -> tuple[Obs, np.ndarray, np.ndarray, np.ndarray]:
        """One step; returns observation buffers, rewards (N,) float32, done (N,) and was_reset (N,).

        Where the last step ended an episode, the action is ignored, a new episode starts, the reward is 0 and
        ``was_reset`` is set.

        Raises:
            SimulationError: In strict mode, an action is illegal.
        """
        was_reset, resets = self._done, self._ended
        for e in resets:
            self._reset_env(e)
        actions = np.asarray(actions, np.int64)
        if self._shaped:
            deviates = (actions != self._guide_actions) & (actions != kernels.SKIP) & ~was_reset
            horizon = self.guide.horizon(self._state, self.num_envs)
            guided_s = self.guide.costs_to_go(self._state, deviates, horizon, self._look)
        debug = self.scenario.rules.debug
        before_s = self._state.views.head["now"].copy() if debug else None
        done = np.empty(self.num_envs, np.bool_)
        num_ended = self._call(actions, was_reset, done)
        reward = self._reward(self._steps)
        if resets:
            reward[resets] = 0.0
        self._return += reward
        if self.config.settle:
            before = done.copy()
            settled = self._settle(done)
            num_ended += int(np.count_nonzero(done & ~before))
            self._return += settled
            settled[was_reset] = 0.0  # what passes before the first decision of an episode is nobody's doing
            reward = reward + settled
        if self._shaped:
            # The jct reward plus the change of the potential -(cost-to-go of the guide); exactly 0 where it was obeyed.
            spent, going_on = self._step["job_seconds"], deviates & ~self._step["terminated"]
            after_s = self.guide.costs_to_go(self._state, going_on, horizon, self._look)
            reward = np.where(deviates, guided_s - after_s - spent, 0.0) / (self.scenario.num_jobs * self._unit_s)
        if self.strict and self._step["illegal"].any():
            e = int(np.flatnonzero(self._step["illegal"])[0])
            raise SimulationError(f"Action {int(actions[e])} of environment {e} is illegal. Obey the action mask.")
        if before_s is not None:
            for e in range(self.num_envs):
                check(self._state, e, 0.0 if was_reset[e] else float(before_s[e]))
        self._done = done
        self._ended = np.flatnonzero(done).tolist() if num_ended else []
        for e in self._ended:
            self._finish(e)
        return self._obs, reward.astype(np.float32), done, was_reset

    def _finish(self, e: int) -> None:
        length, waits, illegal, mean_jct_s, num_unfinished = self._episodes[e].item()
        self._finished.append(
            {
                "seed": int(self._episode_seed[e]),
                "mean_jct_s": mean_jct_s,
                "episode_return": float(self._return[e]),
                "length": length,
                "noop_share": waits / max(length, 1),
                "illegal": illegal,
                "num_unfinished": num_unfinished,
                "env": e,
                "scenario": self.scenario.name,
            }
        )

    def set_difficulty(self, load_factor: float = 1.0, jobs_frac: float = 1.0) -> None:
        """Of the episodes that start from now on.

        Args:
            load_factor: Jobs arrive this many times as fast.
            jobs_frac: Only this part of the jobs, the first ones, is there; at least one job.
        """
        if self._difficulty != (load_factor, jobs_frac):
            self._difficulty = (load_factor, jobs_frac)
            self._bank.forget()

    def set_progress(self, frac: float) -> None:
        """Says which part of the training is done; see ``Guide``."""
        self.guide.set_progress(frac)

    @property
    def groups(self) -> np.ndarray:
        """(N,) number of the scenario of each environment: 0."""
        return np.zeros(self.num_envs, np.int64)

    def pop_finished(self) -> list[dict[str, Any]]:
        """Statistics of the episodes that ended since the last call, in the order of their ends."""
        out, self._finished = self._finished, []
        return out

    def _kept(self) -> list[np.ndarray]:
        """All arrays that decide what follows."""
        shown = self._shown
        return [
            self._state.raw, *self._obs.values(), self._guide_actions, self._remaining, self._static, self._step,
            shown.used, shown.rows, shown.duration, shown.ends, self._episodes, self._done,
            self._plan.loss_s, self._unit_s, self._episode_seed, self._episode_number, self._return,
        ]  # fmt: skip

    def get_state(self) -> dict[str, Any]:
        """All that decides what follows, as a copy; statistics of finished episodes that were not popped are not in."""
        return {
            "arrays": [array.copy() for array in self._kept()],
            "ended": list(self._ended),
            "difficulty": self._difficulty,
            "playing": list(self._playing),
            "rngs": [rng.bit_generator.state for rng in self._rngs],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from ``get_state`` of an environment made with the same arguments."""
        for array, kept in zip(self._kept(), state["arrays"], strict=True):
            array[...] = kept
        self._ended = list(state["ended"])
        self._difficulty = tuple(state["difficulty"])
        self._playing = [tuple(key) for key in state["playing"]]
        for rng, kept_rng in zip(self._rngs, state["rngs"], strict=True):
            rng.bit_generator.state = kept_rng

    @property
    def observation(self) -> Obs:
        """The observation buffers."""
        return self._obs

    @property
    def discounts(self) -> np.ndarray:
        """(N,) what the future counted for, after the time that the last step took: exp(-t / discount_s), else 1."""
        if self.config.discount_s is None:
            return np.ones(self.num_envs)
        return np.exp(self._step["span_s"] / -self.config.discount_s)

    @property
    def episode_seed(self) -> np.ndarray:
        """(N,) workload seeds of the running episodes."""
        return self._episode_seed

    def snapshot(self, e: int = 0) -> Snapshot:
        """What a policy would see in environment ``e``."""
        return snapshot_of(self._state, e, self._bank.at(*self._playing[e]).workload)

    def result(self, e: int = 0) -> RunResult:
        """The jobs of environment ``e`` so far; after an episode's last step, until the next one."""
        return RunResult.of(self._state, e, self._bank.at(*self._playing[e]).workload, self.scenario.rules)

    # ---------------------------------------------------------------- Gymnasium's door

    def _copy(self) -> Obs:
        return {key: value.copy() for key, value in self._obs.items()}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Obs, dict[str, Any]]:
        """Starts new episodes; ``seed`` decides which workloads are played from now on."""
        first = seed[0] if isinstance(seed, (list, tuple)) else seed
        self.reset_raw(first)  # type: ignore[arg-type]
        return self._copy(), {"workload_seed": self._episode_seed.copy()}

    def step(self, actions: Any) -> tuple[Obs, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of all environments; info: ``illegal`` and ``workload_seed``, (N,) each."""
        _, reward, _, was_reset = self.step_raw(np.asarray(actions))
        info: dict[str, Any] = {"illegal": self._step["illegal"].copy(), "workload_seed": self._episode_seed.copy()}
        return self._copy(), reward, self._step["terminated"].copy(), self._step["truncated"].copy(), info
