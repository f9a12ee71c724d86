"""The protocol: every policy on the same workloads (common random numbers), as tidy rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from rl_sched.errors import ConfigError
from rl_sched.evaluation.metrics import CDF_GRID_S, jct_cdf, run_metrics
from rl_sched.evaluation.returns import play
from rl_sched.evaluation.scores import ALL_WORKLOADS, COLUMNS, OWN_OBJECTIVES, RULE
from rl_sched.policies import POLICIES
from rl_sched.registry import did_you_mean
from rl_sched.scenarios.base import TUNED

if TYPE_CHECKING:
    from rl_sched.cluster import ClusterSpec
    from rl_sched.config import ExperimentConfig
    from rl_sched.policies.bounds.lower import LowerBounds
    from rl_sched.scenarios.base import Scenario
    from rl_sched.sim.result import RunResult
    from rl_sched.sim.rules import Rules
    from rl_sched.workload import Workload

Row = tuple[str, str, int, int, str, float]
Extra = Mapping[str, Sequence[float] | np.ndarray]

#: The rules of every table.
BASELINES = (
    "random",
    "fifo",
    "fifo_backfill",
    "sjf_backfill",
    "smallest_area",
    "most_gpus",
    "best_fit",
    "min_min",
    "local_search",
    "index",
    "jps",
)
#: What "SJF" means in every sentence: the shortest job that fits, on the fastest free type.
SJF = "sjf_backfill"
CDF_METRIC = "jct_cdf_frac@"
#: Actions of a learned policy that could not be carried out; must be 0.
ILLEGAL_METRIC = "num_illegal_actions"
_ILLEGAL = "illegal"  # in the environment's statistics of an episode


@runtime_checkable
class EpisodePolicy(Protocol):
    """A policy that plays whole episodes by itself, many workloads at once: a learned one."""

    experiment: ExperimentConfig

    def play_episodes(self, scenario: Any, seeds: Sequence[int]) -> list[tuple[RunResult, dict[str, Any]]]:
        """The run of each seed, in their order, with statistics such as ``episode_return`` by the scenario's reward."""


def baselines(scenario: Scenario, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The rules of a table. ``NAME_tuned`` is rule NAME with the parameters that were fitted to the scenario.

    Args:
        scenario: Whose fitted parameters are used.
        names: Which rules; None = ``BASELINES`` and everything fitted.

    Raises:
        ConfigError: A name is not registered or not fitted; the message holds the nearest one.
    """
    fitted = {f"{name}{TUNED}": (name, params) for name, params in scenario.tuned.items()}
    chosen: dict[str, Any] = {}
    for name in (*BASELINES, *fitted) if names is None else names:
        if name in fitted:
            base, params = fitted[name]
            chosen[name] = POLICIES.create(base, **params)
        elif name in POLICIES:
            chosen[name] = POLICIES.create(name)
        else:
            raise ConfigError(f"Unknown policy {name!r}. {did_you_mean(name, [*POLICIES, *fitted])}")
    return chosen


def choose_seeds(scenario: Scenario, split: str, episodes: int, *, at_most: bool = False) -> list[int]:
    """The first ``episodes`` evaluation seeds of a split ("val" or "report"); with ``at_most`` all, if there are fewer.

    Raises:
        ConfigError: Fewer than 1 episode, or more than there are seeds.
    """
    seeds = scenario.seeds.of(split)
    if at_most:
        episodes = min(episodes, len(seeds))
    if not 1 <= episodes <= len(seeds):
        raise ConfigError(
            f"The number of episodes must be between 1 and {len(seeds)}, the {split.upper()} seeds of scenario "
            f"{scenario.name!r}; it is {episodes}."
        )
    return [int(seed) for seed in seeds[:episodes]]


def run_rows(
    results: Sequence[RunResult],
    policy: str,
    scenario: str,
    train_seed: int,
    seeds: Sequence[int],
    extra: Extra | None = None,
    rules: Rules | None = None,
    bounds: Sequence[LowerBounds] | None = None,
) -> list[Row]:
    """Tidy rows (tuples in the order of ``COLUMNS``) of one policy's runs, one run a seed.

    The distribution of completion times is averaged over the workloads (``eval_seed`` -1): one row a grid point,
    so that a table of many arms stays small.

    Args:
        results: One run a seed.
        policy, scenario, train_seed: Labels of all rows.
        seeds: The workloads.
        extra: Further metrics: name -> one value a seed.
        rules: Of the runs; they hold the electricity tariff.
        bounds: Of each workload.
    """
    rows: list[Row] = []
    for i, (seed, result) in enumerate(zip(seeds, results, strict=True)):
        own = run_metrics(result, rules, bounds=None if bounds is None else bounds[i])
        metrics = own | {name: float(values[i]) for name, values in (extra or {}).items()}
        rows += [(policy, scenario, train_seed, int(seed), metric, value) for metric, value in metrics.items()]
    cdf = np.mean([jct_cdf(result) for result in results], axis=0)
    # The tails where nothing happens are left out.
    first = max(int(np.argmax(cdf > 0)) - 1, 0)
    last = int(np.argmax(cdf >= cdf[-1]))
    for x, y in zip(CDF_GRID_S[first : last + 1], cdf[first : last + 1], strict=True):
        rows.append((policy, scenario, train_seed, ALL_WORKLOADS, f"{CDF_METRIC}{x:.6g}s", float(y)))
    return rows


def _run_learned(policy: EpisodePolicy, scenario: Scenario, seeds: Sequence[int]) -> tuple[list[RunResult], Extra]:
    played = policy.play_episodes(scenario, list(seeds))
    extra = {scenario.objective: [row[scenario.objective] for _, row in played]} if _own_objective(scenario) else {}
    if all(_ILLEGAL in row for _, row in played):
        extra[ILLEGAL_METRIC] = [float(row[_ILLEGAL]) for _, row in played]
    return [result for result, _ in played], extra


def _run_rule(
    policy: Any, scenario: Scenario, seeds: Sequence[int], workloads: Sequence[Workload]
) -> tuple[list[RunResult], Extra]:
    from rl_sched.sim.simulator import simulate  # compiles kernels: only when something is run

    legal = {ILLEGAL_METRIC: np.zeros(len(seeds))}  # a rule that asks for the impossible ends the evaluation
    if _own_objective(scenario):
        results, returns = play(policy, scenario, seeds)
        return results, {scenario.objective: returns, **legal}
    return [simulate(policy, w, scenario.cluster, scenario.rules) for w in workloads], legal


def _own_objective(scenario: Scenario) -> bool:
    return scenario.objective in {o.metric for o in OWN_OBJECTIVES}


#: Bounds of workloads by content: policies of a sweep are judged one by one on the same ones, and one takes 50 ms.
_known_bounds: dict[tuple[str, ClusterSpec], LowerBounds] = {}


def _bounds_of(workload: Workload, cluster: ClusterSpec) -> LowerBounds:
    from rl_sched.policies.bounds.lower import lower_bounds  # compiles a kernel: only when something is run

    key = (workload.content_hash(), cluster)
    if key not in _known_bounds:
        _known_bounds[key] = lower_bounds(workload, cluster)
    return _known_bounds[key]


def evaluate(
    policies: Mapping[str, Any],
    scenario: Scenario,
    seeds: Sequence[int],
    *,
    on_policy: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Runs every policy on the workloads of ``seeds``.

    Args:
        policies: Name in the table -> a rule, a learned policy (an ``EpisodePolicy``; its ``experiment.seed`` is the
            training seed), or a list of learned policies, replicates of each other.
        scenario: Workload, cluster and rules.
        seeds: Evaluation seeds; every policy faces the same workloads.
        on_policy: Called with a policy's name before it runs.

    Returns:
        Rows with the columns ``policy, scenario, train_seed, eval_seed, metric, value``: ``train_seed`` is -1 for
        rules; ``eval_seed`` is -1 for rows averaged over the workloads.

    Raises:
        ConfigError: No policy or no seed was given.
        RlSchedError: A learned policy does not fit the scenario.
    """
    if not policies or not len(seeds):
        raise ConfigError(f"An evaluation needs policies and seeds; got {len(policies)} and {len(seeds)}.")
    scenario = replace(scenario, make=functools.cache(scenario.make))  # every policy asks for the same workloads
    bounds = [_bounds_of(scenario.workload(seed), scenario.cluster) for seed in seeds]
    rows: list[Row] = []
    faced: dict[int, str] = {}  # seed -> hash of the workload that the first policy faced
    played = [(name, one) for name, some in policies.items() for one in (some if isinstance(some, list) else [some])]
    for name, policy in played:
        if on_policy is not None:
            on_policy(name)
        if isinstance(policy, EpisodePolicy):
            train_seed = int(policy.experiment.seed)
            results, extra = _run_learned(policy, scenario, seeds)
        else:
            train_seed = RULE
            results, extra = _run_rule(policy, scenario, seeds, [scenario.workload(seed) for seed in seeds])
        for seed, result in zip(seeds, results, strict=True):
            if faced.setdefault(seed, result.workload_hash) != result.workload_hash:
                raise ConfigError(
                    f"All policies must face the same workloads; {name!r} faced another one for seed {seed}. "
                    f"Check that it was built for scenario {scenario.name!r}."
                )
        rows += run_rows(results, name, scenario.name, train_seed, seeds, extra, scenario.rules, bounds)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Every metric of ONE policy's rows averaged over its runs: the figures of a trial, for a tracker.

    A mean over runs in which one left jobs unfinished is nan, as that run's value is.
    """
    runs = table[table["eval_seed"] != ALL_WORKLOADS]
    return {str(m): float(np.mean(v.to_numpy())) for m, v in runs.groupby("metric")["value"]}
