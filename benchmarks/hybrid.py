"""How fast and how well tasks are split between CPU and GPU: ``python -m benchmarks.hybrid [--json]``.

Rates are tasks per CPU second (``time.process_time``: what the machine's other work costs does not count). Batched:
features and forest for many tasks at once. Online: everything, one decision after the other: the machine's queues, the
decision, and a retraining every 50 tasks. Totals are sums of latencies over the oracle's on the same tasks: seed 999,
20,000 tasks of the compatibility preset, whose published totals are in SYSTEMS, and 10,000 of the default one; the
worst of some training seeds, each of which gets other training tasks. Beside them what was measured of an earlier
system: constants, not run here; or the limit that was asked for.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report import emit, figure
from rl_sched.hybrid import PRESETS
from rl_sched.hybrid.agent import RlAgent
from rl_sched.hybrid.engine import Engine
from rl_sched.hybrid.forest_strategy import HybridMl
from rl_sched.hybrid.presets import Preset
from rl_sched.hybrid.rules import Oracle
from rl_sched.hybrid.strategy import Situations, Strategy
from rl_sched.verbs import run_verb

EVAL_SEED = 999
#: Training seeds begin here; far from ``EVAL_SEED``.
TRAIN_SEED = 2_000_001
#: Tasks per CPU second of an earlier system's forest, one row at a time and batched.
EARLIER_ONLINE, EARLIER_BATCHED = 169.0, 287_000.0


class Case(NamedTuple):
    """One preset, and what is beside its figures."""

    tasks: int
    forest_limit: float
    forest_peer: str
    agent_limit: float
    agent_peer: str


CASES = {
    "compatibility": Case(20_000, 1.0029, "an earlier system's forest", 1.25, "an earlier system's DQN"),
    "default": Case(10_000, 1.05, "the limit asked for", 1.10, "the limit asked for"),
}


class Played(NamedTuple):
    """One run of one strategy."""

    total_s: float  #: sum of latencies
    cpu_s: float  #: to play it


def play(preset: Preset, strategy: Strategy, tasks: int) -> Played:
    """Plays so many tasks; drawing them counts."""
    engine = Engine(preset.machine, preset.stream(EVAL_SEED), tasks)
    begin = time.process_time()
    engine.play(strategy, tasks)
    cpu_s = time.process_time() - begin
    return Played(float((engine.tasks["finish_s"] - engine.tasks["arrival_s"]).sum()), cpu_s)


def batched_per_s(preset: Preset, strategy: HybridMl, repeats: int) -> float:
    """Tasks per CPU second of ``decide`` on 2,000 situations, repeated."""
    parts: list[Situations] = []
    engine = Engine(preset.machine, preset.stream(EVAL_SEED), 2000)
    while len(s := engine.look(1)):
        parts.append(s)
        engine.carry_out(s, s.best)
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in ("task", "values", "best")}
    some = Situations(**columns)
    many = Situations(*(np.concatenate([c] * repeats) for c in (some.task, some.values, some.best)))
    strategy.decide(some)  # compiles
    begin = time.process_time()
    strategy.decide(many)
    return len(many) / (time.process_time() - begin)


def measure(name: str, seeds: int, agents: bool, tasks: int | None) -> list[dict[str, Any]]:
    """All figures of one preset."""
    preset, case = PRESETS.create(name), CASES[name]
    tasks = tasks or case.tasks
    play(preset, Oracle(), 100)  # compiles
    oracle = play(preset, Oracle(), tasks)
    trained = [HybridMl.trained(preset, TRAIN_SEED + k) for k in range(seeds)]
    batched = batched_per_s(preset, trained[0], 50)
    played = [play(preset, strategy, tasks) for strategy in trained]
    online = tasks / float(np.median([p.cpu_s for p in played]))
    batched_name = "an earlier system's forest, batched"
    figures = [
        figure(f"hybrid_ml, {name}, batched decisions", "tasks/CPU s", batched, EARLIER_BATCHED, batched_name),
        figure(
            f"hybrid_ml, {name}, online with retraining", "tasks/CPU s", online, EARLIER_ONLINE,
            "an earlier system's forest, row by row",
        ),
        _worst(f"hybrid_ml, {name}", played, oracle, case.forest_limit, case.forest_peer),
    ]  # fmt: skip
    if agents:
        runs = []
        for k in range(seeds):
            agent = RlAgent.trained(preset, TRAIN_SEED + k)
            runs.append(play(preset, agent, tasks))
            ratio = runs[-1].total_s / oracle.total_s
            print(f"rl_agent, {name}, training seed {k}: {ratio:.4f} of the oracle's total", file=sys.stderr)
        figures.append(_worst(f"rl_agent, {name}", runs, oracle, case.agent_limit, case.agent_peer))
    return figures


def _worst(name: str, runs: list[Played], oracle: Played, peer: float, peer_name: str) -> dict[str, Any]:
    ratios = [run.total_s / oracle.total_s for run in runs]
    title = f"{name}, total time over the oracle's, worst of {len(runs)} training seeds (mean {np.mean(ratios):.4f})"
    return figure(title, "ratio", max(ratios), peer, peer_name)


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hybrid", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--seeds", type=int, default=5, help="training seeds (default: %(default)s)")
    parser.add_argument("--preset", choices=list(CASES), help="one of the presets alone")
    parser.add_argument("--no-agents", action="store_true", help="leave out rl_agent, a minute or two per seed")
    parser.add_argument("--tasks", type=int, help="instead of 20,000 and 10,000")
    args = parser.parse_args(argv)
    names = [args.preset] if args.preset else list(CASES)
    emit([row for name in names for row in measure(name, args.seeds, not args.no_agents, args.tasks)], args.json)
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
