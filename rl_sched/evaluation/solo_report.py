"""What single runs came to: tables for a terminal, and the same as JSON data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rl_sched import config
from rl_sched.evaluation.console import NONE, seconds, text_table
from rl_sched.evaluation.report import plain
from rl_sched.evaluation.solo import SoloRun, Task
from rl_sched.provenance import package_hash
from rl_sched.sim.rules import Rules


def _percent(value: float) -> str:
    return NONE if math.isnan(value) else f"{100 * value:.1f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _ratio(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.3f}"


def _milliseconds(value: float) -> str:
    return NONE if math.isnan(value) else f"{1000 * value:.3g}"


#: Metric -> heading and how its values are written; a table has the columns of which some run has the metric.
_TIMES = {
    "mean_jct_s": ("mean JCT (s)", seconds),
    "mean_jct_gap_frac": ("above bound %", _percent),
    "median_jct_s": ("median", seconds),
    "p95_jct_s": ("p95", seconds),
    "p99_jct_s": ("p99", seconds),
    "mean_wait_s": ("wait (s)", seconds),
    "mean_bounded_slowdown": ("slowdown", _short),
    "makespan_s": ("makespan (s)", seconds),
    "makespan_gap_frac": ("above bound %", _percent),
    "num_preemptions": ("preempted", _count),
    "num_kills": ("killed", _count),
    "num_unfinished": ("unfinished", _count),
}
_USE = {
    "utilisation_frac": ("util. %", _percent),
    "flops_utilisation_frac": ("FLOPS util. %", _percent),
    "fragmentation_frac": ("fragm. %", _percent),
    "jain_user_frac": ("Jain (users)", _ratio),
    "max_finish_time_fairness": ("worst rho", _short),
    "p95_finish_time_fairness": ("p95 rho", _short),
    "num_deadline_misses": ("late", _count),
    "deadline_miss_frac": ("late %", _percent),
    "energy_kwh": ("energy (kWh)", _short),
    "electricity_cost_usd": ("power ($)", _short),
    "gpu_cost_usd": ("GPUs ($)", _short),
    "noop_share_frac": ("no-op %", _percent),
    "p50_decision_latency_s": ("p50 decision (ms)", _milliseconds),
    "p99_decision_latency_s": ("p99 (ms)", _milliseconds),
}


def as_text(task: Task, runs: Sequence[SoloRun], *, about: str, rules: str, notes: Sequence[str]) -> str:
    """Tables of policies x metrics below a few lines on what they faced."""
    workload, cluster, chosen = task.workload, task.cluster, task.rules.rules
    load = workload.offered_load(cluster)
    lines = [
        f"jobs     {len(workload):,} of {about}: content {runs[0].result.workload_hash}, seed {task.seed}, "
        f"offered load {load:.3g}",
        f"cluster  {cluster.describe()} on {cluster.num_nodes} nodes",
        f"bound    no schedule has a mean JCT below {seconds(task.bounds.total_jct_s / len(workload))} s or a makespan "
        f"below {seconds(task.bounds.makespan_s)} s",
        f"rules    {rules}: {changed(chosen) or 'nothing but the defaults'}; seed {chosen.seed}",
        *(f"note     {note}" for note in notes),
        "",
        _table(runs, _TIMES),
        "",
        _table(runs, _USE),
    ]
    priorities = [name for name in runs[0].metrics if name.startswith("mean_jct_priority_")]
    if priorities:
        columns = {
            name: (f"mean JCT of priority {name.removeprefix('mean_jct_priority_').removesuffix('_s')} (s)", seconds)
            for name in priorities
        }
        lines += ["", _table(runs, columns)]
    return "\n".join(lines)


def _table(runs: Sequence[SoloRun], columns: Mapping[str, tuple[str, Any]]) -> str:
    there = [name for name in columns if any(name in run.metrics for run in runs)]
    cells = [
        [run.policy, *(columns[name][1](run.metrics.get(name, math.nan)) for name in there), run.result.rules_hash]
        for run in runs
    ]
    return text_table(["policy", *(columns[name][0] for name in there), "rules"], cells)


def changed(rules: Rules) -> str:
    """The fields that are not the defaults, as on a command line."""
    usual, own = config.to_dict(Rules()), config.to_dict(rules)
    return ", ".join(f"{name}={value}" for name, value in own.items() if value != usual[name] and name != "seed")


def as_json(
    task: Task,
    runs: Sequence[SoloRun],
    *,
    about: str,
    rules: str,
    files: Mapping[str, Sequence[str]],
    figures: Sequence[str],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The same and all other metrics, for programs."""
    workload = task.workload
    return plain(
        {
            "workload": {
                "trace": about,
                "source": workload.source,
                "jobs": len(workload),
                "content_hash": runs[0].result.workload_hash if runs else workload.content_hash(),
                "seed": task.seed,
                "offered_load": workload.offered_load(task.cluster),
            },
            "cluster": {"gpus": task.cluster.num_gpus, "nodes": task.cluster.num_nodes}
            | {"pools": dict(zip(task.cluster.pool_names, task.cluster.pool_gpus.tolist(), strict=True))},
            "rules": {"name": rules, **config.to_dict(task.rules.rules)},
            "code_hash": package_hash(),
            "runs": [
                {
                    "policy": run.policy,
                    "params": run.params,
                    "preemption": run.rules.preemption,
                    "rules_hash": run.result.rules_hash,
                    "decisions": run.result.decisions,
                    "seconds": run.seconds,
                    "jobs_per_s": len(workload) / run.seconds if run.seconds > 0 else None,
                    "metrics": run.metrics,
                    "files": list(files.get(run.policy, [])),
                }
                for run in runs
            ],
            "figures": list(figures),
            "notes": list(notes),
        }
    )
