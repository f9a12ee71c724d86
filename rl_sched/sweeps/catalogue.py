"""What there is to evaluate: rules, scenarios, registered policies, checkpoints. Nothing of it is loaded."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched.errors import CheckpointError, RlSchedError
from rl_sched.evaluation.console import NONE, seconds, text_table
from rl_sched.policies import POLICIES
from rl_sched.rl.checkpoint_files import read_card
from rl_sched.scenarios import SCENARIOS
from rl_sched.tracking.store import Store
from rl_sched.tracking.versions import read_versions

#: Where ``python -m rl_sched.train`` puts its runs.
CHECKPOINTS = Path("checkpoints")
#: Of a training folder, the first of these that exists is listed.
KINDS = ("best", "last")
#: Checkpoints that the console shows; all of them are in the JSON.
SHOWN = 20
WIDTH = 110
#: Columns of registered policies and of checkpoints.
CELLS = ("VAL score", "objective", "steps", "seed", "algo", "scenario")


class Catalogue(NamedTuple):
    """Plain data; see ``collect``."""

    rules: list[str]
    scenarios: list[dict[str, Any]]
    models: list[dict[str, Any]]
    checkpoints: list[dict[str, Any]]
    notes: list[str]  #: what could not be looked at, a sentence each


def collect(store: Store, checkpoints: Path = CHECKPOINTS) -> Catalogue:
    """Looks around.

    Args:
        store: Holds the registry and the sweeps; it need not exist.
        checkpoints: Folder of training runs; it need not exist.
    """
    notes: list[str] = []
    scenarios = []
    for name in SCENARIOS:
        scenario = SCENARIOS.create(name)
        tuned = {rule: dict(params) for rule, params in scenario.tuned.items()}
        row = {"name": name, "missing": scenario.available(), "cluster": scenario.cluster.describe()}
        scenarios.append({**row, "objective": scenario.objective, "tuned": tuned})
    try:
        versions = read_versions(store.database)
    except RlSchedError as error:
        versions = []
        notes.append(str(error))
    models = [
        {"model": v.uri, "name": v.name, "version": v.version, "aliases": list(v.aliases), **_known(v.tags)}
        for v in versions
    ]
    return Catalogue(list(POLICIES), scenarios, models, list(checkpoints_of(store, checkpoints)), notes)


def checkpoints_of(store: Store, folder: Path) -> Iterator[dict[str, Any]]:
    """The checkpoints of training runs and sweeps, newest first; what cannot be read is not one."""
    runs = [*folder.glob("*"), *store.sweeps.glob("*/cells/*/train")]
    here = Path.cwd()
    found = [next((run / kind for kind in KINDS if (run / kind / "meta.json").is_file()), None) for run in runs]
    for one in sorted(filter(None, found), key=lambda f: -(f / "meta.json").stat().st_mtime):
        try:
            card = read_card(one)
        except CheckpointError:
            continue
        shown = one.relative_to(here) if one.is_relative_to(here) else one
        yield {"checkpoint": str(shown), **_known(card.tags())}


def _known(tags: Mapping[str, str]) -> dict[str, Any]:
    """What a version or a checkpoint says about itself; None where it does not (another program registered it)."""
    kinds: dict[str, Callable[[str], Any]] = {"scenario": str, "algo": str, "network": str, "seed": int, "steps": int}
    kinds |= {"objective": str, "val_score": float, "val_episodes": int, "code": str}
    known: dict[str, Any] = {}
    for name, kind in kinds.items():
        try:
            known[name] = kind(tags[name])
        except (KeyError, ValueError):
            known[name] = None
    return known


def to_text(catalogue: Catalogue) -> str:
    """The catalogue for a terminal."""
    names = textwrap.fill(", ".join(catalogue.rules), WIDTH)
    tuned = [
        [f"{rule}_tuned", s["name"], ", ".join(f"{name}={value:g}" for name, value in params.items())]
        for s in catalogue.scenarios
        for rule, params in s["tuned"].items()
    ]
    scenarios = [
        [s["name"], s["objective"], s["cluster"], "yes" if s["missing"] is None else s["missing"]]
        for s in catalogue.scenarios
    ]
    models = [[m["model"], *_cells(m), ", ".join(m["aliases"])] for m in catalogue.models]
    checkpoints = [[c["checkpoint"], *_cells(c)] for c in catalogue.checkpoints[:SHOWN]]
    parts = [
        f"Rules (--policies A,B,...)\n{names}",
        _section("", ["tuned rule", "scenario", "parameters"], tuned),
        _section("Scenarios (--scenario NAME)\n", ["scenario", "objective", "cluster", "available"], scenarios),
        _section(
            "Registered policies (--checkpoint MODEL, or models:/NAME@ALIAS)\n", ["model", *CELLS, "alias"], models
        ),
        _section("Checkpoints (--checkpoint DIR), newest first\n", ["checkpoint", *CELLS], checkpoints),
    ]
    if (more := len(catalogue.checkpoints) - SHOWN) > 0:
        parts[-1] += f"\nand {more} more: --json lists all."
    return "\n\n".join([*parts, *catalogue.notes])


def _cells(row: Mapping[str, Any]) -> list[str]:
    """The columns ``CELLS``."""
    score = NONE if row["val_score"] is None else seconds(row["val_score"])
    return [score, *(NONE if row[name] is None else str(row[name]) for name in CELLS[1:])]


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return title + (text_table(header, rows) if rows else "none")
