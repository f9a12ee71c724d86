"""What will arrive: a table of jobs, validated once. Immutable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError


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
    A ``num_gpus`` gang needs all its GPUs at once, on one GPU type.

    Use ``Workload.build``, which validates and sorts.
    """

    submit_s: np.ndarray  # (n,) float64, ascending, >= 0
    duration_s: np.ndarray  # (n,) float64, > 0
    num_gpus: np.ndarray  # (n,) int64, >= 1
    job_class: np.ndarray  # (n,) int64 in [0, C)
    user: np.ndarray  # (n,) int64
    vc: np.ndarray  # (n,) int64
    priority: np.ndarray  # (n,) float64, larger = more urgent
    speed: np.ndarray | None = None  # (C, T) float64 >= 0
    gpu_types: tuple[str, ...] = ()  # names of the columns of ``speed``
    job_id: tuple[str, ...] | None = None  # (n,) names in the source
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
        speed: object | None = None,
        gpu_types: Sequence[str] = (),
        job_id: Sequence[str] | None = None,
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
        if job_id is not None and len(job_id) != n:
            raise WorkloadError(f"job_id must have {n} entries; it has {len(job_id)}.")
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
            speed=table,
            gpu_types=tuple(gpu_types),
            job_id=None if job_id is None else tuple(job_id[i] for i in order),
            vc_names=tuple(vc_names),
            source=source,
        )

    def __len__(self) -> int:
        return len(self.submit_s)

    def duration_on(self, cluster: ClusterSpec) -> np.ndarray:
        """Run time of every job on every GPU type of the cluster: (n, T) seconds, inf where it cannot run.

        A job cannot run on a type of speed 0, nor on a type with fewer GPUs than its gang.

        Raises:
            WorkloadError: A job can run on no type of this cluster, or the speed table lacks a type.
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
            out = np.where(speed > 0, self.duration_s[:, None] / speed, np.inf)
        able = " on which the job's class has a speed above 0"
        out[self.num_gpus[:, None] > cluster.type_gpus[None, :]] = np.inf
        _first_bad(
            np.asarray(np.isfinite(out).any(axis=1)),
            f"a gang that fits one GPU type of the cluster ({cluster.describe()}){'' if self.speed is None else able}",
            "num_gpus",
            self.num_gpus,
            self.job_id,
        )
        return out

    def offered_load(self, cluster: ClusterSpec) -> float:
        """GPU-seconds of work (each job on its fastest type) per GPU-second of the arrival window."""
        window_s = float(self.submit_s[-1] - self.submit_s[0])
        work = float((self.duration_on(cluster).min(axis=1) * self.num_gpus).sum())
        return work / (cluster.num_gpus * window_s) if window_s > 0 else float("inf")

    def take(self, rows: np.ndarray, *, rebase: bool = True) -> Workload:
        """The jobs ``rows`` (indices or mask); with ``rebase`` the first submission becomes time 0."""
        index = np.arange(len(self))[rows]
        if index.size == 0:
            raise WorkloadError(f"The slice of {self.source or 'the workload'} holds no job. Widen it.")
        submit = self.submit_s[index]
        return Workload.build(
            submit - submit.min() if rebase else submit,
            self.duration_s[index],
            self.num_gpus[index],
            job_class=self.job_class[index],
            user=self.user[index],
            vc=self.vc[index],
            priority=self.priority[index],
            speed=self.speed,
            gpu_types=self.gpu_types,
            job_id=None if self.job_id is None else [self.job_id[i] for i in index],
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
        submit = self.submit_s / factor
        submit.flags.writeable = False
        return replace(self, submit_s=submit)

    def content_hash(self) -> str:
        """16 hex digits that depend on every value of every column (not on ``source``)."""
        digest = hashlib.sha256()
        for name in ("submit_s", "duration_s", "num_gpus", "job_class", "user", "vc", "priority"):
            digest.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        if self.speed is not None:
            digest.update(self.speed.tobytes())
            digest.update(repr(self.gpu_types).encode())
        return digest.hexdigest()[:16]
