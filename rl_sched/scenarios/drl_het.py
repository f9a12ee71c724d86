"""The cluster, the laws and the reward of the ``drl-het`` system, without that system's defects."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import DEFAULT_SEEDS, Scenario
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES


def drl_het() -> Scenario:
    """250 jobs with priorities on 56 GPUs of four types.

    Its window of 16 jobs and its reward, in continuous time. What differs: the window holds the oldest jobs, in order
    of arrival, and the priority is a feature of each (there the queue was sorted by priority, so that an action's
    meaning changed from step to step); rules choose within the same window as the learner; a gang runs on one GPU type
    (there it could be split over types at no cost); run times depend on the type and the load is about 1 (see the
    trace ``drl-het-jobs``); an action that cannot be carried out is masked; every job is counted, since an episode
    ends when all are done.
    """
    trace = TRACES.create("drl-het-jobs")
    return Scenario(
        name="drl-het",
        cluster=ClusterSpec.of(a100=16, v100=16, t4=12, rtx4090=12),
        rules=Rules(window=16),
        num_jobs=trace.num_jobs,
        make=trace.load,
        splits=DEFAULT_SEEDS,
        time_scale_s=3_000.0,
        lookahead_s=15_000.0,
        reward="drl-het",
        # python -m rl_sched.tune_rule --policy min_min --scenario drl-het --candidates 150
        # python -m rl_sched.tune_rule --policy index --scenario drl-het --candidates 150
        # python -m rl_sched.tune_rule --policy local_search --scenario drl-het --candidates 48 --episodes 64
        tuned={
            "min_min": {"alpha": 1.4, "theta": 1.28, "depth": 8},
            "index": {"duration": 1.39, "gang": -1.45, "area": -0.375, "waiting": -0.136, "speed": 2.7},
            "local_search": {"alpha": 0.946, "theta": 1.72},
        },
    )
