"""Links that jobs share: the cost model, its search, its optimum, by an independent count and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.errors import PlacementError
from rl_sched.policies.jps.arrays import problem_of
from rl_sched.policies.jps.certificates import certify
from rl_sched.policies.jps.communication import equal_share_s
from rl_sched.policies.jps.exhaustive import best_of_all
from rl_sched.policies.jps.generate import FAMILIES, generate, two_levels
from rl_sched.policies.jps.instance import IDLE, Instance
from rl_sched.policies.jps.local_search import search
from rl_sched.policies.jps.placement import measured, place
from rl_sched.policies.jps.topology import Topology


def instance_of(topology: Topology, seed: int, jobs: int = 2, family: str = "base") -> Instance:
    return generate(family, jobs, topology.num_workers, seed, topology=topology)


def random_topology(rng: np.random.Generator, workers: int) -> Topology:
    """Nodes and switches of different sizes and speeds, latencies, any collectives."""
    sizes = []
    while sum(sizes) < workers:
        sizes.append(int(rng.integers(1, workers - sum(sizes) + 1)))
    under = []
    while sum(under) < len(sizes):
        under.append(int(rng.integers(1, len(sizes) - sum(under) + 1)))
    ring = bool(rng.integers(0, 2))
    return Topology.build(
        sizes, under, rng.choice([1e8, 1e9, 1e10, np.inf], len(sizes)), rng.choice([1e8, 1e9, np.inf], len(under)),
        ring=ring, tree=not ring or bool(rng.integers(0, 2)), inside_s=rng.uniform(0, 1e-3),
        between_s=rng.uniform(0, 1e-2),
    )  # fmt: skip


def random_instance(seed: int, jobs: int, workers: int) -> Instance:
    rng = np.random.default_rng(seed)
    return Instance.build(
        rng.uniform(50, 500, (jobs, workers)), rng.uniform(1e5, 1e6, jobs),
        rng.choice([0.0, 1e7, 4e8], jobs), rng.choice([1e9, 2.5e10], workers), topology=random_topology(rng, workers),
    )  # fmt: skip


def counted(instance: Instance, owner: np.ndarray) -> list[float]:
    """JCT of every job by walking: who sends over which link in a ring of its workers, link by link."""
    t = instance.topology
    sides: dict[tuple[str, int], set[int]] = {}
    for n in range(t.num_nodes):
        sides["node", n] = {k for k in range(t.num_workers) if t.node[k] == n}
    for w in range(len(t.switch_bytes_per_s)):
        sides["switch", w] = {k for k in range(t.num_workers) if t.switch[t.node[k]] == w}
    bandwidth = {("node", n): b for n, b in enumerate(t.node_bytes_per_s)}
    bandwidth |= {("switch", w): b for w, b in enumerate(t.switch_bytes_per_s)}
    users: dict[tuple[str, int], set[int]] = {link: set() for link in sides}
    rings = {}
    for job in range(instance.num_jobs):
        ring = sorted(np.flatnonzero(owner == job).tolist(), key=lambda k: (t.switch[t.node[k]], t.node[k], k))
        rings[job] = ring
        for a, b in zip(ring, [*ring[1:], *ring[:1]], strict=True):
            for link, side in sides.items():
                if (a in side) != (b in side):
                    users[link].add(job)
    out = []
    for job, ring in rings.items():
        m, nodes = len(ring), len({int(t.node[k]) for k in ring})
        rate = min(instance.link_bytes_per_s[k] for k in ring)
        rate = min([rate, *(bandwidth[link] / len(users[link]) for link in sides if job in users[link])])
        traffic = instance.traffic_bytes[job]
        times = []
        if t.ring:
            steps = (2 * (m - nodes), 2 * (nodes - 1))
            times.append(2 * (m - 1) / m * traffic / rate + steps[0] * t.inside_s + steps[1] * t.between_s)
        if t.tree:
            depth = next(d for d in range(99) if 2**d >= nodes)
            times.append(2 * traffic / rate + 2 * (m / nodes - 1) * t.inside_s + 2 * depth * t.between_s)
        once = min(times) if m > 1 and traffic > 0 else 0.0
        work = instance.work_samples[job]
        out.append(work / instance.throughput[job, ring].sum() + work / instance.batch * once)
    return out


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 6))
def test_times_are_those_of_a_walk_round_every_ring(seed: int, jobs: int, more: int) -> None:
    instance = random_instance(seed, jobs, jobs + more)
    owner = place(instance, samples=2, rng=seed).owner
    shuffled = np.random.default_rng(seed).permutation(owner)
    for some in (owner, shuffled):
        assert measured(instance, some).jct_s == pytest.approx(counted(instance, some), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**20), st.integers(1, 4), st.integers(0, 7), st.floats(0, 1), st.sampled_from(["promise", "random"])
)
def test_what_the_kernels_say_is_what_is_measured(seed: int, jobs: int, more: int, beta: float, sampler: str) -> None:
    instance = random_instance(seed, jobs, jobs + more)
    found = place(instance, beta=beta, samples=6, rng=seed, sampler=sampler)
    assert found.owner.tolist() == place(instance, beta=beta, samples=6, rng=seed, sampler=sampler).owner.tolist()
    assert (found.counts >= 1).all() and found.counts.sum() <= jobs + more and np.isfinite(found.jct_s).all()
    problem = problem_of(instance)
    assert problem.equal_s == pytest.approx(equal_share_s(instance), rel=1e-9)
    kept, score = search(problem, found.owner[None, :], np.zeros((0, 4), np.int64), beta)
    assert kept.tolist() == found.owner.tolist()  # a local optimum
    if problem.idle:
        assert score == pytest.approx(found.score, rel=1e-6, abs=1e-9 * found.mean_jct_s)
        bound = certify(instance, found, exact=False)
        assert bound.bound_s <= found.mean_jct_s * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_every_placement_is_looked_at(seed: int, beta: float) -> None:
    instance = random_instance(seed, 2, 5) if seed % 2 else instance_of(two_levels(3, 2, 10.0), seed, 2, "identical")
    scores = []
    for owner in itertools.product(range(IDLE, 2), repeat=instance.num_workers):
        if {0, 1} <= set(owner):
            scores.append(measured(instance, np.array(owner), beta).score)
    owner, score = best_of_all(problem_of(instance), beta)
    assert score == pytest.approx(min(scores), rel=1e-9)
    assert measured(instance, owner, beta).score == pytest.approx(min(scores), rel=1e-9)


def test_the_search_comes_near_the_optimum() -> None:
    gaps = []
    for seed in range(18):
        topology = two_levels(*((3, 3), (4, 2))[seed % 2], (2.5, 10.0, 25.0)[seed % 3])
        instance = instance_of(topology, seed, 2 + seed % 2, ("base", "affinity")[seed // 2 % 2])
        best = certify(instance, place(instance))
        assert best.proven and best.method == "every placement"
        gaps.append(best.gap(place(instance, rng=seed)))
    assert np.mean(gaps) <= 2e-3 and max(gaps) <= 0.03


@pytest.mark.parametrize("seed", range(4))
def test_more_bandwidth_never_hurts_the_optimum(seed: int) -> None:
    best = [best_of_all(problem_of(instance_of(two_levels(3, 2, g), seed, 2)))[1] for g in (0.1, 1.0, 5.0, 50.0, 1e9)]
    assert (np.diff(best) <= 1e-9).all() and best[0] > best[-1]
    single = instance_of(Topology.build([6], [1], 1.0), seed, 2)
    assert single.communicates
    same = Instance.build(single.throughput, single.work_samples, single.traffic_bytes, single.link_bytes_per_s)
    owner = place(single).owner  # one node: nothing is between nodes
    assert measured(single, owner).jct_s.tolist() == pytest.approx(measured(same, owner).jct_s.tolist(), rel=1e-12)
    assert place(same, samples=100).mean_jct_s == pytest.approx(place(single, samples=100).mean_jct_s, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20), st.integers(2, 4), st.integers(1, 6))
def test_other_jobs_never_speed_a_job_up(seed: int, jobs: int, more: int) -> None:
    instance = random_instance(seed, jobs, jobs + more)
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(jobs), rng.integers(IDLE, jobs, more)]))
    together = measured(instance, owner).jct_s
    for job in range(jobs):
        alone = Instance.build(
            instance.throughput[[job]], instance.work_samples[job], instance.traffic_bytes[job],
            instance.link_bytes_per_s, instance.batch, instance.topology,
        )  # fmt: skip
        assert measured(alone, np.where(owner == job, 0, IDLE)).jct_s[0] <= together[job] * (1 + 1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**20))
def test_equal_workers_of_a_node_may_be_exchanged(seed: int) -> None:
    rng = np.random.default_rng(seed)
    topology = random_topology(rng, 7)
    speed = rng.uniform(50, 500, (2, topology.num_nodes))[:, topology.node]
    instance = Instance.build(speed, 1e5, [1e8, 3e8], 2.5e10, topology=topology)
    owner = rng.permutation([0, 1, *rng.integers(IDLE, 2, 5)])
    moved = owner.copy()
    for node in range(topology.num_nodes):
        own = np.flatnonzero(topology.node == node)
        moved[own] = rng.permutation(owner[own])
    assert measured(instance, moved).jct_s == pytest.approx(measured(instance, owner).jct_s, rel=1e-12)


def test_without_costly_links_it_is_the_flat_model() -> None:
    for family in FAMILIES:
        flat = generate(family, 3, 8, 3, communication=True)
        wide = Topology.build([2, 3, 3], [2, 1], np.inf)
        same = Instance.build(
            flat.throughput, flat.work_samples, flat.traffic_bytes, flat.link_bytes_per_s, flat.batch, wide
        )  # fmt: skip
        rng = np.random.default_rng(0)
        for _ in range(5):
            owner = rng.permutation([0, 1, 2, *rng.integers(IDLE, 3, 5)])
            assert measured(same, owner).jct_s == pytest.approx(measured(flat, owner).jct_s, rel=1e-12)
        assert best_of_all(problem_of(same))[1] == pytest.approx(
            certify(flat, place(flat)).best.mean_jct_s, rel=1e-9
        )  # fmt: skip


def test_two_jobs_on_one_link_get_half_of_it_each() -> None:
    topology = Topology.build([2, 2], [2], 1e9)
    instance = Instance.build(np.full((2, 4), 100.0), 51_200.0, 5e8, topology=topology)
    apart = measured(instance, np.array([0, 0, 1, 1])).jct_s  # inside their nodes, whose links are free
    assert apart.tolist() == [256.0, 256.0]
    crossed = measured(instance, np.array([0, 1, 0, 1])).jct_s  # 100 iterations x 5e8 bytes at 5e8 bytes/s
    assert crossed.tolist() == [356.0, 356.0]
    one = measured(instance, np.array([0, 1, 0, IDLE])).jct_s
    assert one.tolist() == [306.0, 512.0]


def test_the_tree_has_fewer_steps_and_the_ring_fewer_bytes() -> None:
    for between_s, better in ((0.0, "ring"), (0.1, "tree")):
        times = {}
        for name in ("ring", "tree", "both"):
            topology = Topology.build(
                [1] * 8, [8], 1e9, ring=name != "tree", tree=name != "ring", between_s=between_s
            )  # fmt: skip
            instance = Instance.build(np.full((1, 8), 100.0), 1e5, 1e8, topology=topology)
            times[name] = measured(instance, np.zeros(8, np.int64)).mean_jct_s
        assert times["both"] == times[better] < times["ring" if better == "tree" else "tree"]


def test_wrong_topologies_are_refused() -> None:
    for arguments, match in (
        (([], [1], 1.0), "worker"), (([1, 0], [2], 1.0), "worker"), (([1, 1], [1], 1.0), "sum up to 1"),
        (([1], [1], 0.0), "> 0"), (([1], [1], 1.0, -1.0), "> 0"),
    ):  # fmt: skip
        with pytest.raises(PlacementError, match=match):
            Topology.build(*arguments)
    with pytest.raises(PlacementError, match="neither"):
        Topology.build([1], [1], 1.0, ring=False)
    with pytest.raises(PlacementError, match="2 workers"):
        Instance.build(np.ones((1, 2)), 1.0, topology=Topology.build([1], [1], 1.0))
    with pytest.raises(PlacementError, match="every placement"):
        certify(big := instance_of(two_levels(8, 4, 10.0), 0, 8), place(big, samples=1), exact=True)
