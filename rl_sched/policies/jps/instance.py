"""The static problem: S jobs, K workers, and what one of them means for another.

A job trains ``epochs`` times over ``samples`` samples, in iterations of ``batch`` samples. Its workers share an
iteration in proportion to their throughputs, so that they finish together, and then exchange gradients by a ring
all-reduce over the slowest of their links (Patarasuk and Yuan, 2009): each sends 2 (m - 1) / m times the model's bytes.

    JCT_i = w_i / R_i + (w_i / batch) 2 (m - 1) / m D_i / min link,  w_i = epochs_i samples_i,  R_i = sum of throughputs

With a topology jobs also share links with each other (``topology.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import PlacementError
from rl_sched.policies.jps.topology import Topology
from rl_sched.workload import Workload

#: Samples of an iteration, over all workers of a job.
BATCH = 512
#: Owner of a worker that serves nobody.
IDLE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """S jobs and K workers. Use ``Instance.build``, which validates.

    Without traffic a job is never slower on more workers, so all workers are used; with it some may stay idle.
    """

    throughput: np.ndarray  # (S, K) float64 samples/s of each job on each worker, 0 = it cannot run there
    work_samples: np.ndarray  # (S,) float64 > 0: epochs times samples
    traffic_bytes: np.ndarray  # (S,) float64 >= 0: size of the model's gradients
    link_bytes_per_s: np.ndarray  # (K,) float64 > 0 of each worker's own link, inf = free
    batch: int
    reserved: np.ndarray  # (S,) int64: a worker of its own for every job, on which it can run
    topology: Topology | None = None  #: links that jobs share; None = there are none
    communicates: bool = field(init=False)  #: whether any job pays for its gradients

    def __post_init__(self) -> None:
        free = not np.isfinite(self.link_bytes_per_s).any() and (self.topology is None or self.topology.is_free)
        object.__setattr__(self, "communicates", bool((self.traffic_bytes > 0).any()) and not free)

    @classmethod
    def build(
        cls,
        throughput: object,
        work_samples: object,
        traffic_bytes: object = 0.0,
        link_bytes_per_s: object = np.inf,
        batch: int = BATCH,
        topology: Topology | None = None,
    ) -> Instance:
        """Makes an instance; a scalar stands for the same value for all jobs or workers.

        Raises:
            PlacementError: A shape or a value is wrong, or no placement gives every job a worker on which it can run.
        """
        speed = np.array(throughput, dtype=np.float64, order="C")  # one compiled kernel for all
        if speed.ndim != 2 or min(speed.shape) < 1:
            raise PlacementError(f"throughput must have shape (jobs, workers), both >= 1; it has {speed.shape}.")
        s, k = speed.shape
        work = np.broadcast_to(np.asarray(work_samples, np.float64), (s,)).copy()
        traffic = np.broadcast_to(np.asarray(traffic_bytes, np.float64), (s,)).copy()
        link = np.broadcast_to(np.asarray(link_bytes_per_s, np.float64), (k,)).copy()
        if not (np.isfinite(speed).all() and (speed >= 0).all()):
            raise PlacementError("Every throughput must be finite and >= 0; some is not. Write 0 for impossible.")
        if not (np.isfinite(work).all() and (work > 0).all()):
            raise PlacementError(f"Every job's work must be finite and > 0; it is {work.tolist()}.")
        if not ((traffic >= 0).all() and np.isfinite(traffic).all() and (link > 0).all() and batch >= 1):
            raise PlacementError("traffic_bytes must be >= 0 and finite, link_bytes_per_s > 0 and batch >= 1.")
        if topology is not None and topology.num_workers != k:
            raise PlacementError(
                f"The topology must have the {k} workers of throughput; it has {topology.num_workers}."
            )
        return cls(speed, work, traffic, link, int(batch), match(speed), topology)

    @property
    def num_jobs(self) -> int:
        return int(self.throughput.shape[0])

    @property
    def num_workers(self) -> int:
        return int(self.throughput.shape[1])

    @classmethod
    def from_workload(cls, workload: Workload, cluster: ClusterSpec) -> Instance:
        """Jobs of a trace on the GPUs of a cluster, by the trace's measured speeds; their gangs are free to change.

        Work is in GPU-seconds on a type of speed 1, so that a throughput is a speed.

        Raises:
            PlacementError: No placement exists, for instance with more jobs than GPUs.
            WorkloadError: A job fits no pool of the cluster.
        """
        run_s = workload.duration_on(cluster)
        speed = workload.duration_s[:, None] / run_s  # 0 where impossible
        return cls.build(speed[:, cluster.gpu_pool], workload.duration_s * workload.num_gpus)


def match(throughput: np.ndarray) -> np.ndarray:
    """(S,) a worker of its own for every job, on which it can run (augmenting paths; Kuhn, 1955).

    Args:
        throughput: (S, K), 0 = impossible.

    Raises:
        PlacementError: There is none, so there is no placement at all.
    """
    s, k = throughput.shape
    if k < s:
        raise PlacementError(f"Every job needs a worker of its own; there are {s} jobs and {k} workers.")
    # Fast workers first: the matching also mends starts of a search.
    able = [[int(w) for w in np.argsort(-row, kind="stable") if row[w] > 0] for row in throughput]
    taken = [IDLE] * k
    for job in range(s):
        if not _augment(job, able, [False] * k, taken):
            raise PlacementError(
                f"No placement gives every job a worker on which it can run: job {job} can run on {len(able[job])} of "
                f"{k} workers, and the jobs before it need all of those. Leave out a job."
            )
    mine = np.zeros(s, np.int64)
    for worker, owner in enumerate(taken):
        if owner != IDLE:
            mine[owner] = worker
    return mine


def _augment(job: int, able: list[list[int]], seen: list[bool], taken: list[int]) -> bool:
    for worker in able[job]:
        if not seen[worker]:
            seen[worker] = True
            if taken[worker] == IDLE or _augment(taken[worker], able, seen, taken):
                taken[worker] = job
                return True
    return False
