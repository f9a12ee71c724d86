"""What can be chosen, by id; made in the reader's process, since it looks at files and loads libraries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched.dashboard.setup import CHECKPOINT, MAX_JOBS, RULE, SCENARIO, TRACE, generators


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that the dashboard may look at; fixed when it starts."""

    data: Path
    checkpoints: Path


class Catalogue(NamedTuple):
    """JSON-ready lists, and what their ids stand for."""

    workloads: list[dict[str, Any]]
    policies: list[dict[str, Any]]
    notes: list[str]
    paths: dict[str, Path]  # of checkpoints, by id; for the server alone


def collect(places: Places) -> Catalogue:
    """Looks around."""
    from rl_sched.config import content_id
    from rl_sched.dashboard.race import look_of
    from rl_sched.policies import POLICIES
    from rl_sched.scenarios import SCENARIOS
    from rl_sched.scenarios.base import TUNED
    from rl_sched.sweeps import catalogue as known
    from rl_sched.tracking.store import Store

    found = known.collect(Store(places.data), places.checkpoints)
    specs = {name: SCENARIOS.create(name) for name in SCENARIOS}
    workloads = [
        {
            "id": SCENARIO + row["name"],
            "name": row["name"],
            "kind": "scenario",
            "missing": row["missing"] or (_too_many(specs[row["name"]].num_jobs)),
            "cluster": _spec_text(specs[row["name"]].cluster),
            "jobs": specs[row["name"]].num_jobs,
            "tuned": sorted(row["tuned"]),
        }
        for row in found.scenarios
    ]
    base = specs["default"]
    workloads += [
        {
            "id": TRACE + name,
            "name": name,
            "kind": "generator",
            "missing": None,
            "cluster": _spec_text(base.cluster),
            "jobs": None,
            "tuned": sorted(base.tuned),
        }
        for name in generators()
    ]
    tuned = sorted({rule for spec in specs.values() for rule in spec.tuned})
    names = [*POLICIES, *(rule + TUNED for rule in tuned)]
    policies = [{"id": RULE + name, "name": name, "kind": "rule", "about": "", **look_of(name)} for name in names]
    paths = {}
    for row in found.checkpoints:
        path = Path(row["checkpoint"]).resolve()
        short = content_id(str(path))[:8]
        paths[CHECKPOINT + short] = path
        name = f"{row['algo']} {short}"
        about = f"{row['network']} on {row['scenario']}, seed {row['seed']}, {row['steps'] or 0:,} steps"
        policies.append(
            {"id": CHECKPOINT + short, "name": name, "kind": "checkpoint", "about": about, **look_of(name)}
        )
    return Catalogue(workloads, policies, found.notes, paths)


def _too_many(jobs: int) -> str | None:
    return f"It has {jobs:,} jobs; a race has at most {MAX_JOBS:,}." if jobs > MAX_JOBS else None


def _spec_text(cluster: Any) -> str | None:
    """The cluster as it may be typed; None where that is too long or would lose its virtual clusters."""
    text = ",".join(f"{g.gpu_type}:{g.nodes}x{g.gpus}" for g in cluster.groups)
    return text if not cluster.vc_names and len(cluster.groups) <= 8 else None
