"""JPS against its certificates and its peers: ``python -m benchmarks.jps [--json] [--quick]``.

Gaps are per cent above an exact optimum (branch and bound, or dynamic programming over sets of workers) or above a
certified bound; times are CPU milliseconds of one warm core, compiling excluded. The peer of a gap is random
multi-start local search with the same number of starts, on the same instances; that of a time is HiGHS (SciPy's
``milp``) on the same instance, or where that takes too long the limit that was asked for. ``asked`` is that limit.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report import emit
from rl_sched.errors import PlacementError
from rl_sched.plots.jps_topology import BLIND, blind
from rl_sched.policies.jps.certificates import certify, optimum
from rl_sched.policies.jps.generate import FAMILIES, generate, two_levels
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.milp import by_milp
from rl_sched.policies.jps.placement import measured, place

STARTS = 40
MULTI_START = f"random multi-start local search, {STARTS} starts"
HIGHS = "HiGHS (scipy.optimize.milp), tangent cuts"
LIMIT = "what was asked"


class Sizes(NamedTuple):
    """How much is measured."""

    exact: int = 540  #: instances of S <= 6, K <= 24, over all families
    bounds: int = 12  #: instances a family and ratio K / S
    communication: int = 200
    topology: int = 60  #: instances of S <= 3, K <= 9 with shared links
    wide: int = 6  #: instances of S = 8, K = 32 with shared links
    large: int = 3  #: instances of S = 16, K = 64 with communication
    feasible: int = 10_000
    times: int = 20  #: decisions a size
    highs: int = 3


QUICK = Sizes(exact=12, bounds=1, communication=3, topology=3, wide=1, large=1, feasible=200, times=3, highs=1)


def line(name: str, unit: str, ours: float, peer: float, peer_name: str, asked: float | None = None) -> dict[str, Any]:
    """One figure with the limit that was asked for."""
    ratio = ours / peer if peer else None
    row = {"name": name, "unit": unit, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ratio}
    return {**row, "asked": asked, "holds": None if asked is None else bool(ours <= asked)}


def cpu_ms(call: Callable[[], object]) -> float:
    """CPU milliseconds of a call."""
    begin = time.process_time()
    call()
    return 1e3 * (time.process_time() - begin)


def spread(gaps: list[float]) -> dict[str, float]:
    """Mean, 95th percentile and maximum, in per cent."""
    values = 100.0 * np.array(gaps)
    return {"mean": float(values.mean()), "p95": float(np.percentile(values, 95)), "max": float(values.max())}


def small_instances(count: int, seed: int = 1000) -> Iterator[Instance]:
    """Instances of S <= 6 and K <= 24, the families in turns."""
    rng = np.random.default_rng(seed)
    for n in range(count):
        jobs = int(rng.integers(2, 7))
        yield generate(FAMILIES[n % len(FAMILIES)], jobs, int(rng.integers(max(5, jobs), 25)), seed + n)


def exact_figures(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """The exact solver's time, and JPS against it."""
    ours, peer, took, proven = [], [], [], 0
    for n, instance in enumerate(small_instances(sizes.exact)):
        found = place(instance, samples=STARTS, rng=n)
        begin = time.process_time()
        best = optimum(instance)
        took.append(1e3 * (time.process_time() - begin))
        proven += best.proven
        ours.append(best.gap(found))
        peer.append(best.gap(place(instance, samples=STARTS, rng=n, sampler="random")))
    highs = [cpu_ms(functools.partial(by_milp, i)) for i in small_instances(sizes.highs)]
    unproven = len(took) - proven
    yield line(
        f"exact optimum unproven, of {len(took)}, S <= 6, K <= 24, six families", "instances", unproven, 0, LIMIT, 0
    )
    yield line("exact optimum, p95 time", "ms", float(np.percentile(took, 95)), float(np.median(highs)), HIGHS, 10.0)
    yield line("exact optimum, max time", "ms", max(took), max(highs), HIGHS, 1000.0)
    a, b = spread(ours), spread(peer)
    for key, asked in (("mean", 0.05), ("p95", 0.25), ("max", 2.04)):
        name = f"JPS above the optimum, {key}, {len(ours)} instances"
        yield line(name, "%", a[key], b[key], MULTI_START, asked)
    difference = 100.0 * (np.array(peer) - np.array(ours))
    error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
    yield line(
        "multi-start minus JPS, standard error beside it", "%", float(difference.mean()), error, "standard error"
    )


def bound_figures(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """The dual bound where there are at least four workers a job."""
    for family, asked in (("base", 0.5), ("affinity", 2.04)):
        ours, peer = [], []
        for jobs, ratio in ((4, 4), (8, 4), (16, 4), (16, 8), (16, 16)):
            for seed in range(sizes.bounds):
                instance = generate(family, jobs, ratio * jobs, 500 + seed)
                ours.append(place(instance, rng=seed).gap)
                peer.append(place(instance, rng=seed, sampler="random").gap)
        name = f"certified gap, K >= 4 S up to 256, {family}, p95 of {len(ours)}"
        yield line(name, "%", spread(ours)["p95"], spread(peer)["p95"], MULTI_START, asked)


def communication_figures(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """JPS with gradients against the optimum, and against placing without looking at them."""
    rng = np.random.default_rng(7)
    ours, peer, blind, idle = [], [], [], 0
    for n in range(sizes.communication):
        jobs = int(rng.integers(2, 5))
        workers = 15 if n % 10 == 0 else int(rng.integers(max(6, jobs), 13))  # 15 takes a second each
        instance = generate(("base", "affinity")[n // 2 % 2], jobs, workers, 300 + n, communication=True)
        best = certify(instance, place(instance), exact=True)
        ours.append(best.gap(place(instance, rng=n)))
        peer.append(best.gap(place(instance, rng=n, sampler="random")))
        free = Instance.build(instance.throughput, instance.work_samples)
        blind.append(best.gap(measured(instance, place(free, rng=n).owner)))
        idle += int((best.best.owner < 0).any())
    a, b = spread(ours), spread(peer)
    for key, asked in (("mean", 0.15), ("p95", 1.0), ("max", 3.0)):
        name = f"with communication above the optimum, {key}, {len(ours)} instances"
        yield line(name, "%", a[key], b[key], MULTI_START, asked)
    yield line(
        "with communication, if placed without looking at it, mean", "%", spread(blind)["mean"], a["mean"], "JPS"
    )
    gaps, others = [], []
    for seed in range(sizes.large):
        instance = generate("base", 16, 64, seed, communication=True)
        found = place(instance, rng=seed)
        bound = certify(instance, found)
        gaps.append(bound.gap(found))
        others.append(bound.gap(place(instance, rng=seed, sampler="random")))
    name = f"with communication, S = 16, K = 64, certified gap, max of {len(gaps)}"
    yield line(name, "%", spread(gaps)["max"], spread(others)["max"], MULTI_START, 5.0)


def topology_figures(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """JPS with shared links against every placement, and against placing for less than the topology."""
    found: dict[str, list[float]] = {name: [] for name in ("ours", "peer", *BLIND)}
    for n in range(sizes.topology):
        nodes, node_size = ((3, 3), (4, 2), (3, 2))[n % 3]
        topology = two_levels(nodes, node_size, (2.5, 10.0, 25.0, 100.0)[n // 3 % 4])
        instance = generate(
            ("base", "affinity")[n // 12 % 2], 2 + n // 24 % 2, nodes * node_size, 600 + n, topology=topology
        )  # fmt: skip
        best = certify(instance, place(instance, samples=1), exact=True)
        found["ours"].append(best.gap(place(instance, rng=n)))
        found["peer"].append(best.gap(place(instance, rng=n, sampler="random")))
        for name, seen in blind(instance).items():
            found[name].append(best.gap(measured(instance, place(seen, rng=n).owner)))
    gaps = {name: spread(values) for name, values in found.items()}
    for key in ("mean", "p95", "max"):
        name = f"with shared links above the optimum, {key}, {sizes.topology} instances"
        yield line(name, "%", gaps["ours"][key], gaps["peer"][key], MULTI_START)
    for name in BLIND:
        yield line(
            f"with shared links, if placed for {name}, mean", "%", gaps[name]["mean"], gaps["ours"]["mean"], "JPS"
        )
    saved: dict[str, list[float]] = {"peer": [], **{name: [] for name in BLIND}}
    certified: dict[str, list[float]] = {"ours": [], "peer": []}
    for seed in range(sizes.wide):
        instance = generate(
            ("base", "affinity")[seed % 2], 8, 32, seed, topology=two_levels(8, 4, 10.0, nodes_per_switch=4)
        )  # fmt: skip
        ours = place(instance, rng=seed)
        others = {"peer": place(instance, rng=seed, sampler="random")}
        bound = certify(instance, ours)
        certified["ours"].append(bound.gap(ours))
        certified["peer"].append(bound.gap(others["peer"]))
        others |= {name: measured(instance, place(seen, rng=seed).owner) for name, seen in blind(instance).items()}
        for name, other in others.items():
            saved[name].append(1.0 - ours.mean_jct_s / other.mean_jct_s)
    of = f"S = 8, K = 32, mean of {sizes.wide}"
    for name in BLIND:
        less, starts = spread(saved[name])["mean"], spread(saved["peer"])["mean"]
        yield line(f"mean JCT saved over placing for {name}, {of}", "%", less, starts, MULTI_START)
    gap, peer_gap = (spread(values)["mean"] for values in certified.values())
    yield line(f"with shared links, certified gap, {of}", "%", gap, peer_gap, MULTI_START)


def time_figures(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """Times of decisions."""
    for jobs, workers, communication, asked in (
        (4, 15, False, 1.0), (6, 24, False, 10.0), (16, 256, False, 100.0), (4, 15, True, 6.0), (16, 64, True, 200.0),
    ):  # fmt: skip
        instance = generate("base", jobs, workers, 1, communication=communication)
        repeats = 20 if workers < 64 else 1  # the clock's grain
        place(instance)

        def decisions(instance: Instance = instance, repeats: int = repeats) -> None:
            for n in range(repeats):
                place(instance, rng=n)

        took = [cpu_ms(decisions) / repeats for _ in range(sizes.times)]
        name = f"decision, S = {jobs}, K = {workers}{', communication' if communication else ''}"
        yield line(name, "ms", float(np.median(took)), asked, LIMIT, asked)
    shared = generate("base", 4, 16, 1, topology=two_levels(4, 4, 10.0))
    ours, flat = (
        float(np.median([cpu_ms(functools.partial(place, one, rng=n)) for n in range(sizes.times)]))
        for one in (shared, next(iter(blind(shared).values())))
    )
    yield line("decision, S = 4, K = 16, shared links", "ms", ours, flat, "the same without a topology")


def feasible_figures(sizes: Sizes) -> Iterator[dict[str, Any]]:
    """Random instances, degenerate ones included: each is placed or refused for a reason."""
    rng = np.random.default_rng(11)
    placed = refused = 0
    for n in range(sizes.feasible):
        jobs = int(rng.integers(1, 6))
        workers = jobs + int(rng.integers(-1, 8))
        throughput = rng.choice([0.0, 1.0, 1.0, 2.0], (jobs, max(workers, 1))) * rng.uniform(1, 1e3)
        if n % 5 == 0:
            throughput[:] = 5.0  # equal workers, one type
        traffic = rng.uniform(0, 4e8, jobs) if n % 3 == 0 else 0.0
        try:
            instance = Instance.build(throughput, rng.uniform(1e4, 1e7, jobs), traffic, 1e9)
        except PlacementError:
            refused += 1
            continue
        found = place(instance, beta=float(rng.uniform()), samples=4, rng=n)
        placed += bool((found.counts >= 1).all() and np.isfinite(found.jct_s).all())
    name = f"infeasible placements, of {sizes.feasible} instances ({refused} refused with a reason)"
    yield line(name, "instances", sizes.feasible - placed - refused, 0, LIMIT, 0)


PARTS = (
    exact_figures,
    bound_figures,
    communication_figures,
    topology_figures,
    time_figures,
    feasible_figures,
)


def main(argv: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a few instances of each, to see that it runs")
    args = parser.parse_args(argv)
    sizes = QUICK if args.quick else Sizes()
    place(generate("base", 4, 15, 0))  # compiles
    place(generate("base", 4, 15, 0, communication=True))
    place(generate("base", 2, 6, 0, topology=two_levels(3, 2, 1.0)))
    optimum(generate("base", 3, 6, 0))
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        for row in part(sizes):
            rows.append(row)
            if not args.json:
                print(f"{row['name']}: {row['ours']:.4g} {row['unit']} (asked {row['asked']})", file=sys.stderr)
    emit(rows, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
