"""A trained policy that decides one snapshot at a time, beside the rules, and says why.

Its observations come from an environment that mirrors the simulator: the same world, moved by the same decisions, so
that features are those of training and of evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from rl_sched.cluster import ClusterSpec
from rl_sched.envs import kernels as env_kernels
from rl_sched.envs.actions import encode
from rl_sched.envs.joined import JoinedVectorEnv
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import CheckpointError, SimulationError
from rl_sched.rl import masking
from rl_sched.rl.deciding import decision_of
from rl_sched.rl.learned_policy import LearnedPolicy
from rl_sched.rl.networks.cross_attention import AttentionLayer, CrossAttention
from rl_sched.rl.networks.packing import ABSENT
from rl_sched.rl.task import judged
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.following import follow
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.workload import Workload

#: The seed of the mirror's only workload.
_SEED = 0


class Thoughts(NamedTuple):
    """What a network made of one observation. W slots, T pools of the cluster, G GPUs."""

    decision: Decision
    value: float | None  # of the state, in the units of the training reward; None = it asks for arrivals to come
    wait_logit: float
    wait_prob: float
    logits: np.ndarray  # (W, T) of starting the job of a slot on a pool; nan where that is illegal
    probs: np.ndarray  # (W, T) 0 where illegal
    attention: np.ndarray | None  # (W, G) of each job on the GPUs, last layer, mean over heads; None = no attention


class _Mirror(SchedulingVectorEnv):
    """One environment that can be taken along decisions that were made elsewhere."""

    def job_at(self, slot: int) -> int:
        """The job that the observation shows in a slot."""
        return int(self._shown.rows["job"][0, slot])

    def follow(self, decisions: Iterable[Decision]) -> None:
        """Plays decisions from the beginning, then observes.

        Raises:
            SimulationError: A decision is not possible: it was made in another world.
        """
        self.reset_raw(_SEED)
        follow(self._state, 0, decisions)
        self._call(np.full(1, env_kernels.SKIP), np.ones(1, np.bool_), np.zeros(1, np.bool_))


class LivePlanner:
    """A checkpoint as a planner: every run gets a player with a mirror of its own.

    Args:
        policy: The trained policy.
        scenario: Whose time scales the observations are relative to.
    """

    def __init__(self, policy: LearnedPolicy, scenario: Scenario) -> None:
        self._policy, self._scenario = policy, scenario

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> LivePlayer:
        """What decides during one run.

        Raises:
            CheckpointError: The network has no room for this cluster, or the rules allow preemption.
        """
        if rules.preemption:
            raise CheckpointError("A trained policy never preempts; run it under rules without preemption.")
        return LivePlayer(self._policy, self._scenario, workload, cluster, rules)


class LivePlayer:
    """Decides greedily during one run; see the module's text."""

    def __init__(
        self, policy: LearnedPolicy, scenario: Scenario, workload: Workload, cluster: ClusterSpec, rules: Rules
    ) -> None:
        here = replace(
            scenario, cluster=cluster, rules=rules, num_jobs=len(workload), make=lambda seed: workload, missing=None
        )
        self._policy = policy
        self._env = _Mirror(here, judged(policy.experiment.env), 1, seeds=[_SEED])
        self._decision = decision_of(policy.experiment)
        known, own = policy.spec, self._env.spec_obs
        if getattr(policy.network, "any_size", False):
            known = known._replace(window=own.window, num_gpus=own.num_gpus)
        self._joined: JoinedVectorEnv | None = None
        if own != known:
            self._joined = JoinedVectorEnv([self._env], replace(policy.experiment.env, types=None), known)
            if self._joined.spec_obs != known:
                raise CheckpointError(
                    f"The network was trained for {policy.spec.num_types} GPU types, {policy.spec.num_gpus} GPUs and a "
                    f"window of {policy.spec.window} jobs, and this cluster and its rules need {own.num_types}, "
                    f"{own.num_gpus} and {own.window}. Choose a smaller cluster, or another checkpoint."
                )
        self._begun, self._over = False, False

    def decide(self, snapshot: Snapshot) -> Decision:
        """The next decision; snapshots must come in the order of one run.

        Raises:
            SimulationError: It waited until its environment cut the episode.
        """
        if not self._begun:
            self._env.reset_raw(_SEED)
            self._begun = True
        if self._over:
            raise SimulationError("The trained policy only waits: its episode was cut while jobs were left.")
        if self._env.config.settle and self._env.snapshot().decision > snapshot.decision:
            return Wait()  # the environment has already passed the time in which nothing could be started
        decision = self.think().decision
        _, _, done, _ = self._env.step_raw(np.array([encode(decision, snapshot)]))
        self._over = bool(done[0])
        return decision

    def look_back(self, decisions: Iterable[Decision]) -> Thoughts:
        """What it thinks after these decisions from the beginning of the run, whoever made them; for a fresh player."""
        self._env.follow(decisions)
        return self.think()

    @torch.inference_mode()
    def think(self) -> Thoughts:
        """The network's answer to what the mirror shows now."""
        env, network = self._env, self._policy.network
        own = env.spec_obs
        obs = env.observation if self._joined is None else self._joined.observation
        tensors = {key: torch.from_numpy(part) for key, part in obs.items()}
        mask = tensors["action_mask"]
        attention = None
        if isinstance(network, CrossAttention):
            output, attention = _attending(network, tensors, own.window, own.num_gpus)
        else:
            output = network(tensors)
        action = int(self._decision.greedy(output.logits, mask)[0])
        room = self._policy.spec.num_types
        grid = (-1, room)
        legal = mask[0, 1:].numpy().reshape(grid)[: own.window, : own.num_types] != 0
        logits = output.logits[0, 1:].numpy().reshape(grid)[: own.window, : own.num_types]
        probs = masking.log_probs(output.logits, mask).exp()[0]
        decision: Decision = Wait()
        if action > 0:
            slot, kind = divmod(action - 1, room)
            decision = Start(env.job_at(slot), kind)
        return Thoughts(
            decision,
            float(output.value[0]) if network.value_arrivals is None else None,
            float(output.logits[0, 0]),
            float(probs[0]),
            np.where(legal, logits, np.nan),
            np.where(legal, probs[1:].numpy().reshape(grid)[: own.window, : own.num_types], 0.0),
            attention,
        )


def _attending(network: CrossAttention, obs: dict[str, torch.Tensor], window: int, gpus: int) -> tuple:
    """The output for one observation, and the (W, G) weights of its jobs on the GPUs: last layer, mean over heads."""
    last = network.layers[-1]
    assert isinstance(last, AttentionLayer)
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out))
        for name, layer in (("query", last.query), ("gpu", network.gpu_in))
    ]
    try:
        output = network(obs)
    finally:
        for hook in hooks:
            hook.remove()
    tokens = seen["gpu"][0].relu()  # (G, d)
    width = tokens.shape[1]
    query = seen["query"].view(-1, last.heads, width) * width**-0.5  # (M + 1, heads, d), the last one waits
    absent = (obs["gpus"][0, :, -network.num_types :].sum(dim=1) == 0) * ABSENT
    weights = torch.softmax(query @ tokens.T + absent, dim=2).mean(dim=1)
    out = np.zeros((window, gpus))
    slots = (obs["jobs"][0, :, 0] > 0).nonzero().squeeze(1).numpy()
    out[slots] = weights[:-1, :gpus].numpy()
    return output, out
