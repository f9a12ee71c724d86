"""A trained policy, loaded from its checkpoint and played without RLlib or Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from rl_sched.config import ExperimentConfig
from rl_sched.envs.joined import JoinedVectorEnv
from rl_sched.envs.observation import ObsSpec
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import CheckpointError
from rl_sched.rl import checkpoint, runtime
from rl_sched.rl.deciding import decision_of
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.playing import acting, play
from rl_sched.rl.rollout import RawVectorEnv
from rl_sched.rl.task import ScenarioEnvs, judged, scenarios_of
from rl_sched.scenarios import SCENARIOS
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.result import RunResult

#: Episodes played side by side; more cost memory and gain nothing.
MAX_ENVS = 256


class LearnedPolicy:
    """The greedy (or sampled) policy of a checkpoint.

    Attributes:
        experiment: The resolved experiment it was trained by.
        meta: What the checkpoint says about itself (steps, scores, code version, ...).
        network: The network with its weights.
        spec: Shapes of the observations it was trained on, without what only the value was told.
    """

    def __init__(self, experiment: ExperimentConfig, network: nn.Module, spec: ObsSpec, meta: dict[str, Any]) -> None:
        self.experiment, self.network, self.spec, self.meta = experiment, network, spec, meta

    @classmethod
    def load(cls, path: str | Path, *, check_features: bool = True) -> LearnedPolicy:
        """Reads a checkpoint folder, or ``best`` of a training folder, and proves that it still works.

        Args:
            path: The folder.
            check_features: Also make the probe's observations anew and compare, if the scenario can run here.

        Raises:
            CheckpointError: It is missing, incomplete or damaged, or it does not reproduce its probe batch.
        """
        runtime.single_thread()
        loaded = checkpoint.read(path)
        experiment = loaded.experiment
        try:
            spec = ObsSpec(**loaded.meta["spec"])
            network = NETWORKS.load(experiment.network.name)(spec, experiment.network, experiment.env.guide.prior)
            network.load_state_dict(loaded.weights)
        except (KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(
                f"The weights of {str(path)!r} do not fit the network that its experiment describes: "
                f"{str(error).splitlines()[0]}"
            ) from None
        network.eval()
        checkpoint.check_answers(loaded, network, repr(str(path)))
        if check_features and all(part.available() is None for part in scenarios_of(experiment)):
            checkpoint.check_observations(loaded, ScenarioEnvs(experiment), repr(str(path)))
        return cls(experiment, network, spec._replace(arrival_features=0), loaded.meta)

    def play_episodes(
        self, scenario: Scenario | str, seeds: Sequence[int], greedy: bool = True
    ) -> list[tuple[RunResult, dict[str, Any]]]:
        """Plays one episode per workload seed, many at once, paid by the scenario's own reward.

        Args:
            scenario: Where to play; it must not have more GPU types than the network was trained with, nor, for
                ``mlp``, a larger window or more GPUs.
            seeds: Workload seeds, each of them once.
            greedy: Take the action that the policy holds best (``deciding``). Otherwise draw one.

        Returns:
            Per seed, in their order, the run and the environment's statistics (return, no-op share, ...).

        Raises:
            CheckpointError: The scenario's observations do not fit the network.
            ConfigError: A seed is there twice.
        """
        act = acting(self.network, decision_of(self.experiment), greedy=greedy)
        where = SCENARIOS.create(scenario) if isinstance(scenario, str) else scenario
        out: list[tuple[RunResult, dict[str, Any]]] = []
        for start in range(0, len(seeds), MAX_ENVS):
            part = list(seeds[start : start + MAX_ENVS])
            env = SchedulingVectorEnv(where, judged(self.experiment.env), len(part), seeds=part)
            shown = self._fitting(env)
            results: dict[int, RunResult] = {}

            def keep(e: int, env: SchedulingVectorEnv = env, results: dict[int, RunResult] = results) -> None:
                results[e] = env.result(e)

            rows = play(act, shown, on_end=keep)
            out.extend((results[e], row) for e, row in enumerate(rows))
        return out

    def _fitting(self, env: SchedulingVectorEnv) -> RawVectorEnv:
        """The environment in the shape of observations that the network knows.

        Raises:
            CheckpointError: It has more of something than the network has room for.
        """
        own, known = env.spec_obs, self.spec
        if getattr(self.network, "any_size", False):
            known = known._replace(window=own.window, num_gpus=own.num_gpus)
        same = (own.num_types, own.window, own.num_gpus) == (known.num_types, known.window, known.num_gpus)
        shown = env if same else JoinedVectorEnv([env], replace(self.experiment.env, types=None), known)
        self._check_fit(shown.spec_obs, env.scenario.name)
        return shown

    def _check_fit(self, spec: ObsSpec, name: str) -> None:
        fixed = () if getattr(self.network, "any_size", False) else ("window", "num_gpus")
        for field in ("job_features", "gpu_features", "global_features", "num_types", *fixed):
            have, need = getattr(spec, field), getattr(self.spec, field)
            if have != need:
                raise CheckpointError(
                    f"The network {self.experiment.network.name!r} was trained with {field} = {need}, and the scenario "
                    f"{name!r} needs {have}. Train one on that scenario, or one with env.types set higher."
                )
