"""What can be chosen, by id; made in the reader's process, since it looks at files and loads libraries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched.dashboard.choices import BASE_SCENARIO, CHECKPOINT, MAX_GROUPS, MAX_JOBS, RULE, SCENARIO, TRACE


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that the dashboard may look at; fixed when it starts."""

    data: Path
    checkpoints: Path


class Catalogue(NamedTuple):
    """JSON-ready lists, and what their ids stand for."""

    workloads: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    paths: dict[str, Path]  # of checkpoints, by id; for the server alone


def collect(places: Places) -> Catalogue:
    """Looks around; scenarios are not made, since those on logs take seconds to read."""
    from rl_sched.config import content_id
    from rl_sched.dashboard.course import generators
    from rl_sched.dashboard.race import look_of
    from rl_sched.policies import POLICIES
    from rl_sched.scenarios import SCENARIOS
    from rl_sched.scenarios.base import TUNED
    from rl_sched.sweeps.catalogue import checkpoints_of
    from rl_sched.tracking.store import Store

    workloads = [{"id": SCENARIO + name, "name": name, "kind": "scenario"} for name in SCENARIOS]
    workloads += [{"id": TRACE + name, "name": name, "kind": "generator"} for name in generators()]
    names = [(name, "rule") for name in POLICIES] + [(name + TUNED, "fitted rule") for name in POLICIES]
    policies = [{"id": RULE + name, "name": name, "kind": kind, "about": "", **look_of(name)} for name, kind in names]
    paths = {}
    for row in checkpoints_of(Store(places.data), places.checkpoints):
        path = Path(row["checkpoint"]).resolve()
        short = content_id(str(path))[:8]
        paths[CHECKPOINT + short] = path
        name = f"{row['algo']} {short}"
        score = "" if row["val_score"] is None else f", VAL {row['objective']} {row['val_score']:,.4g}"
        about = f"{row['network']} on {row['scenario']}, seed {row['seed']}, {row['steps'] or 0:,} steps{score}"
        ids = {"id": CHECKPOINT + short, "name": name, "kind": "checkpoint", "about": about}
        policies.append({**ids, **look_of(name)})
    return Catalogue(workloads, policies, paths)


def describe_workload(name: str) -> dict[str, Any]:
    """What is to be known of a listed workload before it is chosen."""
    from rl_sched.scenarios import SCENARIOS

    generated = name.startswith(TRACE)
    scenario = SCENARIOS.create(BASE_SCENARIO if generated else name.removeprefix(SCENARIO))
    cluster, missing = scenario.cluster, scenario.available()
    if missing is None and not generated and scenario.num_jobs > MAX_JOBS:
        missing = f"It has {scenario.num_jobs:,} jobs; a race has at most {MAX_JOBS:,}."
    text = ",".join(f"{g.gpu_type}:{g.nodes}x{g.gpus}" for g in cluster.groups)
    return {
        "id": name,
        "missing": missing,
        "cluster": text if not cluster.vc_names and len(cluster.groups) <= MAX_GROUPS else None,
        "cluster_about": cluster.describe(),
        "jobs": None if generated else scenario.num_jobs,
        "seeds": None if generated else len(scenario.seeds.val),
        "fitted": sorted(scenario.tuned),
    }
