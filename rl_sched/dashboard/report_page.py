"""One self-contained HTML page about runs of one workload: opens from disk, loads nothing.

Its numbers are those of ``rl_sched.plots``' figures and of ``run_metrics``; its drawing is the dashboard's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from rl_sched.dashboard.race import look_of
from rl_sched.errors import ConfigError
from rl_sched.evaluation.energy import pool_energy_kwh
from rl_sched.evaluation.fragmentation import fragmentation_frac
from rl_sched.evaluation.logfile import RunLog
from rl_sched.evaluation.metrics import run_metrics
from rl_sched.evaluation.priorities import jct_by_priority
from rl_sched.evaluation.replay import replay
from rl_sched.evaluation.report import plain
from rl_sched.evaluation.solo_report import changed
from rl_sched.evaluation.timeline import segments
from rl_sched.plots import FIGURES, run_gantt
from rl_sched.policies.bounds.lower import lower_bounds

#: Runs that one page compares.
MAX_RUNS = 12
_STATIC = resources.files("rl_sched.dashboard") / "static"
_SCRIPTS = ("ui.js", "charts.js", "report.js")


def report_data(logs: Sequence[RunLog], title: str) -> dict[str, Any]:
    """Everything the page shows, JSON-ready.

    Args:
        logs: One a run, of the same jobs on the same cluster.
        title: Of the page.

    Raises:
        ConfigError: There is no run, there are too many, or they had different jobs or clusters.
    """
    if not 1 <= len(logs) <= MAX_RUNS:
        raise ConfigError(f"A report page shows 1 to {MAX_RUNS} runs; {len(logs)} were given.")
    first = logs[0]
    for log in logs[1:]:
        if log.outcome.workload_hash != first.outcome.workload_hash or log.cluster != first.cluster:
            raise ConfigError(
                f"The runs of a report page must have the same jobs on the same cluster; {log.policy!r} and "
                f"{first.policy!r} have not. Make a page for each."
            )
    bounds = lower_bounds(first.workload, first.cluster)
    names = _names(logs)
    results = {name: replay(log) for name, log in zip(names, logs, strict=True)}
    parts = {name: segments(results[name], log.events) for name, log in zip(names, logs, strict=True)}
    jct = FIGURES.load("run_jct").data(results)
    line = FIGURES.load("run_timeline").data({name: (results[name], parts[name]) for name in names})
    runs = []
    for name, log in zip(names, logs, strict=True):
        result = results[name]
        metrics = run_metrics(result, log.rules, parts[name], bounds)
        metrics["fragmentation_frac"] = fragmentation_frac(log)
        heat = FIGURES.load("run_heatmap").data(result, log.events)
        busy, end_s = heat.busy_frac.round(3).tolist(), float(heat.edges_s[-1])
        runs.append(
            {
                "name": name,
                **look_of(log.policy),
                "params": log.params,
                "metrics": metrics,
                "rules": changed(log.rules) or "the defaults",
                "result_hash": log.outcome.result_hash,
                "gantt": _gantt(result, log),
                "heat": {"values": busy, "rows": heat.rows, "end_s": end_s},
                "priorities": [row._asdict() for row in jct_by_priority(result)],
                "energy": _energy(result),
            }
        )
    for run, jct_line, time_line in zip(runs, jct.lines, line.lines, strict=True):
        run["jct"] = np.column_stack([jct_line.jct_s, jct_line.fraction]).round(6).tolist()
        run["slowdown"] = np.column_stack([jct_line.slowdown, jct_line.fraction]).round(6).tolist()
        run["timeline"] = np.column_stack(
            [line.edges_s[:-1], time_line.waiting, time_line.running, time_line.busy_frac]
        )
        run["timeline"] = run["timeline"].round(4).tolist()
    return plain(
        {
            "title": title,
            "jobs": len(first.workload),
            "source": first.workload.source,
            "seed": first.seed,
            "cluster": {"text": first.cluster.describe(), "nodes": first.cluster.num_nodes},
            "workload_hash": first.outcome.workload_hash,
            "code_hash": first.outcome.code_hash,
            "bounds": {"mean_jct_s": bounds.total_jct_s / len(first.workload), "makespan_s": bounds.makespan_s},
            "captions": {"jct": jct.caption, "timeline": line.caption},
            "runs": runs,
        }
    )


def _names(logs: Sequence[RunLog]) -> list[str]:
    """The policies, numbered where one is there several times."""
    names = [log.policy for log in logs]
    return [name if names.count(name) == 1 else f"{name} ({k + 1})" for k, name in enumerate(names)]


def _gantt(result: Any, log: RunLog) -> dict[str, Any]:
    if why := run_gantt.too_large(result, log.events):
        return {"missing": f"{why[0].upper()}{why[1:]}. The heat map shows all nodes."}
    data = run_gantt.data(result, log.events)
    cluster = result.cluster
    return {
        "bars": [[b.job, 0, round(b.start_s, 3), round(b.start_s + b.length_s, 3), b.gpu, b.gpus] for b in data.bars],
        "gpus": data.num_gpus,
        "end_s": data.end_s,
        "node_of": cluster.gpu_node.tolist(),
        "pool_of": cluster.gpu_pool.tolist(),
        "pools": cluster.pool_names,
        "caption": data.caption,
    }


def _energy(result: Any) -> list[dict[str, Any]]:
    """One row a pool: hours, energy, cost."""
    cluster, busy_h = result.cluster, result.pool_busy_gpu_s / 3600.0
    energy = pool_energy_kwh(result)
    types = [cluster.catalogue[cluster.type_names[t]] for t in cluster.pool_type]
    return [
        {
            "pool": name,
            "gpus": int(cluster.pool_gpus[p]),
            "busy_h": float(busy_h[p]),
            "idle_h": float(cluster.pool_gpus[p] * result.makespan_s / 3600.0 - busy_h[p]),
            "energy_kwh": float(energy[p]),
            "cost_usd": float(busy_h[p] * types[p].price_per_h),
        }
        for p, name in enumerate(cluster.pool_names)
    ]


def report_html(logs: Sequence[RunLog], title: str) -> str:
    """The page; see ``report_data``."""
    data = json.dumps(report_data(logs, title), separators=(",", ":")).replace("<", "\\u003c")
    code = "\n".join(_inlined((_STATIC / name).read_text()) for name in _SCRIPTS)
    page = (_STATIC / "report.html").read_text()
    style = (_STATIC / "style.css").read_text()
    for mark, text in (("/*STYLE*/", style), ("/*DATA*/", data), ("/*CODE*/", code)):
        page = page.replace(mark, text)
    safe = title.replace("&", "&amp;").replace("<", "&lt;")
    return page.replace("<title></title>", f"<title>{safe}</title>")


def _inlined(script: str) -> str:
    """A module without what joins it to others: all of them share one scope."""
    script = re.sub(r"^import .*?;$", "", script, flags=re.MULTILINE)
    return re.sub(r"^export ", "", script, flags=re.MULTILINE)


def write_report_page(path: Path, logs: Sequence[RunLog], title: str) -> Path:
    """Writes the page; it is there whole or not at all.

    Raises:
        ConfigError: The file cannot be written.
    """
    from rl_sched.evaluation.files import replacing

    text = report_html(logs, title)
    with replacing(path) as part:
        part.write_text(text)
    return path
