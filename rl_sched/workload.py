"""What will arrive: a table of jobs, validated once. Immutable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError

#: ``gpu_milli`` of a job that does not share its GPUs.
WHOLE_GPU = 1000


def _numbers(values: object, name: str) -> np.ndarray:
    """An array of numbers: integers as they are, anything else as float64."""
    try:
        array = np.asarray(values)
        return array if array.dtype.kind in "iu" else array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise WorkloadError(f"Column {name!r} must hold numbers: {error}. Convert it first.") from None


def _column(values: object, n: int, name: str) -> np.ndarray:
    """(n,) integers or float64."""
    array = _numbers(values, name)
    if array.shape != (n,):
        raise WorkloadError(f"Column {name!r} must have shape ({n},); it has {array.shape}.")
    return array


def _whole(array: np.ndarray, name: str, labels: Sequence[str] | None, least: int | None = None) -> np.ndarray:
    """(n,) int64 of a column of whole numbers."""
    ok = np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2.0**63)
    if least is not None:
        ok &= array >= least
    _first_bad(ok, "a whole number" if least is None else f"a whole number >= {least}", name, array, labels)
    return array.astype(np.int64)


def _first_bad(ok: np.ndarray, rule: str, name: str, values: np.ndarray, labels: Sequence[str] | None) -> None:
    bad = np.flatnonzero(~ok)
    if bad.size:
        row = int(bad[0])
        label = f" (job {labels[row]!r})" if labels is not None else ""
        more = f" {bad.size - 1} more rows break this rule." if bad.size > 1 else ""
        raise WorkloadError(
            f"Row {row}{label}: {name} must be {rule}; it is {values[row]}. Drop or mend the row.{more}"
        )


@dataclass(frozen=True)
class Workload:
    """Jobs sorted by submission time; one row a job. n jobs, C job classes, T GPU types.

    ``duration_s`` is the run time on a GPU type of speed 1. ``speed`` gives, for each job class, the speed on
    each type named in ``gpu_types`` (0 = the class cannot run there). Without a table every job's speed on a type
    is the type's FLOPS over those of the fastest type of the cluster (1 everywhere on a homogeneous cluster).
    A ``num_gpus`` gang needs all its GPUs at once, on one GPU type. A job with ``gpu_milli`` below 1000 needs that
    share of one GPU, which other such jobs may share.

    Use ``Workload.build``, which validates and sorts.
    """

    submit_s: np.ndarray  # (n,) float64, ascending, >= 0
    duration_s: np.ndarray  # (n,) float64, > 0
    num_gpus: np.ndarray  # (n,) int64, >= 1
    job_class: np.ndarray  # (n,) int64 in [0, C)
    user: np.ndarray  # (n,) int64
    vc: np.ndarray  # (n,) int64
    priority: np.ndarray  # (n,) float64, larger = more urgent
    gpu_milli: np.ndarray  # (n,) int64 in 1..1000: share of each GPU; below 1000 only with num_gpus = 1
    deadline_s: np.ndarray  # (n,) float64, absolute time, inf = none
    estimate_s: np.ndarray | None = None  # (n,) float64 > 0: run time as stated by the user; None = the true one
    speed: np.ndarray | None = None  # (C, T) float64 >= 0
    gpu_types: tuple[str, ...] = ()  # names of the columns of ``speed``
    job_id: tuple[str, ...] | None = None  # (n,) names in the source
    status: tuple[str, ...] | None = None  # (n,) how the job ended in the source, in the source's own words
    vc_names: tuple[str, ...] = ()  # name of each ``vc`` number, if the source has names
    source: str = field(default="", compare=False)

    @classmethod
    def build(
        cls,
        submit_s: object,
        duration_s: object,
        num_gpus: object,
        *,
        job_class: object | None = None,
        user: object | None = None,
        vc: object | None = None,
        priority: object | None = None,
        gpu_milli: object | None = None,
        deadline_s: object | None = None,
        estimate_s: object | None = None,
        speed: object | None = None,
        gpu_types: Sequence[str] = (),
        job_id: Sequence[str] | None = None,
        status: Sequence[str] | None = None,
        vc_names: Sequence[str] = (),
        source: str = "",
    ) -> Workload:
        """Validates the columns and sorts the rows by submission time (stable: file order on ties).

        Raises:
            WorkloadError: A value is missing, negative or impossible; the message names row and column.
        """
        n = len(np.asarray(submit_s))
        if n == 0:
            raise WorkloadError("A workload needs at least one job; none was given.")
        for name, texts in (("job_id", job_id), ("status", status)):
            if texts is not None and len(texts) != n:
                raise WorkloadError(f"{name} must have {n} entries; it has {len(texts)}.")
        submit = _column(submit_s, n, "submit_s").astype(np.float64)
        duration = _column(duration_s, n, "duration_s").astype(np.float64)
        _first_bad(np.isfinite(submit) & (submit >= 0), "a finite time >= 0", "submit_s", submit, job_id)
        _first_bad(np.isfinite(duration) & (duration > 0), "a finite time > 0", "duration_s", duration, job_id)
        gangs = _whole(_column(num_gpus, n, "num_gpus"), "num_gpus", job_id, least=1)
        zeros = np.zeros(n, np.int64)
        optional = {"job_class": job_class, "user": user, "vc": vc}
        klass, users, vcs = (
            _whole(_column(zeros if values is None else values, n, name), name, job_id)
            for name, values in optional.items()
        )
        prio = _column(zeros if priority is None else priority, n, "priority").astype(np.float64)
        _first_bad(np.isfinite(prio), "a finite number", "priority", prio, job_id)
        share = _whole(
            _column(np.full(n, WHOLE_GPU) if gpu_milli is None else gpu_milli, n, "gpu_milli"), "gpu_milli", job_id, 1
        )
        _first_bad(share <= WHOLE_GPU, f"at most {WHOLE_GPU}", "gpu_milli", share, job_id)
        whole = (share == WHOLE_GPU) | (gangs == 1)
        _first_bad(whole, f"{WHOLE_GPU} for a gang of several GPUs", "gpu_milli", share, job_id)
        deadline = _column(np.full(n, np.inf) if deadline_s is None else deadline_s, n, "deadline_s").astype(np.float64)
        _first_bad(~np.isnan(deadline), "a time, or inf for none", "deadline_s", deadline, job_id)
        estimate = None
        if estimate_s is not None:
            estimate = _column(estimate_s, n, "estimate_s").astype(np.float64)
            _first_bad(np.isfinite(estimate) & (estimate > 0), "a finite time > 0", "estimate_s", estimate, job_id)
        table = None
        if speed is not None:
            table = _numbers(speed, "speed").astype(np.float64)
            if table.ndim != 2 or table.shape[1] != len(gpu_types):
                raise WorkloadError(f"speed must be (classes, {len(gpu_types)}); it has shape {table.shape}.")
            if not (np.isfinite(table) & (table >= 0)).all():
                raise WorkloadError("Every entry of speed must be finite and >= 0.")
            _first_bad((klass >= 0) & (klass < len(table)), f"in [0, {len(table)})", "job_class", klass, job_id)
            table.flags.writeable = False
        order = np.argsort(submit, kind="stable")

        def ordered(a: np.ndarray) -> np.ndarray:
            out = a[order]
            out.flags.writeable = False
            return out

        return cls(
            submit_s=ordered(submit),
            duration_s=ordered(duration),
            num_gpus=ordered(gangs),
            job_class=ordered(klass),
            user=ordered(users),
            vc=ordered(vcs),
            priority=ordered(prio),
            gpu_milli=ordered(share),
            deadline_s=ordered(deadline),
            estimate_s=None if estimate is None else ordered(estimate),
            speed=table,
            gpu_types=tuple(gpu_types),
            job_id=None if job_id is None else tuple(job_id[i] for i in order),
            status=None if status is None else tuple(status[i] for i in order),
            vc_names=tuple(vc_names),
            source=source,
        )

    def __len__(self) -> int:
        return len(self.submit_s)

    @property
    def gpu_demand(self) -> np.ndarray:
        """(n,) GPUs that a job keeps busy, a fraction for a job that shares one."""
        return self.num_gpus * (self.gpu_milli / WHOLE_GPU)

    def duration_on(self, cluster: ClusterSpec) -> np.ndarray:
        """Run time of every job on every pool of the cluster: (n, P) seconds, inf where it cannot run.

        A pool is the GPUs of one type, of one virtual cluster if the cluster has these (see ``ClusterSpec``). A job
        cannot run on a type of speed 0, on a pool with fewer GPUs than its gang, nor in another virtual cluster.

        Raises:
            WorkloadError: A job can run nowhere on this cluster, or the speed table lacks a type.
        """
        if self.speed is None:
            speed = np.broadcast_to(cluster.type_flops / cluster.type_flops.max(), (len(self), cluster.num_types))
        else:
            missing = [t for t in cluster.type_names if t not in self.gpu_types]
            if missing:
                raise WorkloadError(
                    f"The workload's speed table knows the GPU types {list(self.gpu_types)}; the cluster also has "
                    f"{missing}. Add the missing columns or choose another cluster."
                )
            columns = [self.gpu_types.index(t) for t in cluster.type_names]
            speed = self.speed[self.job_class][:, columns]
            _first_bad(
                (speed > 0).any(axis=1),
                f"a class with a speed above 0, in the speed table, on some GPU type of the cluster "
                f"({cluster.describe()})",
                "job_class",
                self.job_class,
                self.job_id,
            )
        with np.errstate(divide="ignore"):
            out = np.where(speed > 0, self.duration_s[:, None] / speed, np.inf)[:, cluster.pool_type]
        if cluster.vc_names:
            out[self._home_vc(cluster)[:, None] != cluster.pool_vc[None, :]] = np.inf
        able = " on which the job's class has a speed above 0"
        out[self.num_gpus[:, None] > cluster.pool_gpus[None, :]] = np.inf
        _first_bad(
            np.asarray(np.isfinite(out).any(axis=1)),
            f"a gang that fits one GPU type of {'its virtual cluster in ' if cluster.vc_names else ''}the cluster "
            f"({cluster.describe()}){'' if self.speed is None else able}",
            "num_gpus",
            self.num_gpus,
            self.job_id,
        )
        return out

    def _home_vc(self, cluster: ClusterSpec) -> np.ndarray:
        """(n,) index into ``cluster.vc_names`` of each job's virtual cluster, by name, else by number.

        Raises:
            WorkloadError: A job's virtual cluster is not one of the cluster's.
        """
        names = self.vc_names or tuple(str(v) for v in range(int(self.vc.max()) + 1))
        index = np.array([cluster.vc_names.index(n) if n in cluster.vc_names else -1 for n in names])
        home = index[self.vc]
        known = ", ".join(cluster.vc_names)
        labels = np.array(names)[self.vc]
        _first_bad(home >= 0, f"a virtual cluster of the cluster ({known})", "vc", labels, self.job_id)
        return home

    def offered_load(self, cluster: ClusterSpec) -> float:
        """GPU-seconds of work (each job on its fastest type) per GPU-second of the arrival window."""
        window_s = float(self.submit_s[-1] - self.submit_s[0])
        work = float((self.duration_on(cluster).min(axis=1) * self.gpu_demand).sum())
        return work / (cluster.num_gpus * window_s) if window_s > 0 else float("inf")

    def take(self, rows: np.ndarray, *, rebase: bool = True) -> Workload:
        """The jobs ``rows`` (indices or mask); with ``rebase`` the first submission becomes time 0."""
        index = np.arange(len(self))[rows]
        if index.size == 0:
            raise WorkloadError(f"The slice of {self.source or 'the workload'} holds no job. Widen it.")
        submit = self.submit_s[index]
        shift_s = float(submit.min()) if rebase else 0.0
        return Workload.build(
            submit - shift_s,
            self.duration_s[index],
            self.num_gpus[index],
            job_class=self.job_class[index],
            user=self.user[index],
            vc=self.vc[index],
            priority=self.priority[index],
            gpu_milli=self.gpu_milli[index],
            deadline_s=self.deadline_s[index] - shift_s,
            estimate_s=None if self.estimate_s is None else self.estimate_s[index],
            speed=self.speed,
            gpu_types=self.gpu_types,
            job_id=None if self.job_id is None else [self.job_id[i] for i in index],
            status=None if self.status is None else [self.status[i] for i in index],
            vc_names=self.vc_names,
            source=self.source,
        )

    def between(self, start_s: float, end_s: float) -> Workload:
        """Jobs submitted in ``[start_s, end_s)``, the first of them at time 0."""
        return self.take((self.submit_s >= start_s) & (self.submit_s < end_s))

    def in_vc(self, name: str) -> Workload:
        """Jobs of one virtual cluster.

        Raises:
            WorkloadError: The name is not one of ``vc_names``.
        """
        if name not in self.vc_names:
            raise WorkloadError(f"Unknown virtual cluster {name!r}. Known: {', '.join(self.vc_names) or 'none'}.")
        return self.take(self.vc == self.vc_names.index(name))

    def scale_load(self, factor: float) -> Workload:
        """The same jobs arriving ``factor`` times as fast (submission times divided by it)."""
        if not factor > 0:
            raise WorkloadError(f"The load factor must be > 0; it is {factor}.")
        if factor == 1:
            return self
        submit = self.submit_s / factor
        deadline = submit + (self.deadline_s - self.submit_s)  # the time allowed for a job stays what it is
        submit.flags.writeable = deadline.flags.writeable = False
        return replace(self, submit_s=submit, deadline_s=deadline)

    def content_hash(self) -> str:
        """16 hex digits that depend on every value of every column (not on ``source``)."""
        digest = hashlib.sha256()
        for name in ("submit_s", "duration_s", "num_gpus", "job_class", "user", "vc", "priority"):
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        for name, usual in (("gpu_milli", WHOLE_GPU), ("deadline_s", np.inf)):
            column = getattr(self, name)
            if (column != usual).any():
                digest.update(name.encode() + column.tobytes())
        if self.estimate_s is not None:
            digest.update(b"estimate_s" + self.estimate_s.tobytes())
        if self.speed is not None:
            digest.update(self.speed.tobytes())
            digest.update(repr(self.gpu_types).encode())
        return digest.hexdigest()[:16]
