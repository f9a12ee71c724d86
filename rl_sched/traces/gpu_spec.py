"""Logs that say on which GPU types a job may run, but not how fast it is there: speed 1 where allowed, 0 elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rl_sched.errors import ConfigError


class AllowedTypes(NamedTuple):
    """Classes of jobs by the GPU types that they may use. n jobs, C classes, T types."""

    job_class: np.ndarray | None  # (n,) int64; None: no job says anything
    speed: np.ndarray | None  # (C, T) 0 or 1
    gpu_types: tuple[str, ...]  # (T,)
    nowhere: np.ndarray  # (n,) bool: the job may use none of these types
    unknown: tuple[str, ...]  # types that jobs name and that are not among ``gpu_types``


def check_gpu_types(gpu_types: tuple[str, ...] | None) -> None:
    """Raises unless the parameter ``gpu_types`` of a reader names each type once.

    Raises:
        ConfigError: It does not.
    """
    if gpu_types is not None and len(set(gpu_types)) != len(gpu_types):
        raise ConfigError(f"gpu_types must name every type once; it is {gpu_types!r}.")


def allowed_types(
    specs: Sequence[frozenset[str]], gpu_types: tuple[str, ...] | None, usual: tuple[str, ...]
) -> AllowedTypes:
    """One class per distinct set of types, numbered in order of first appearance.

    Args:
        specs: (n,) names of the types that each job may use; empty: any.
        gpu_types: Columns wanted; () leaves all constraints out; None means ``usual`` if some job has a constraint,
            else ().
        usual: The types of the log's own cluster.
    """
    if gpu_types is None:
        gpu_types = usual if any(specs) else ()
    nowhere = np.zeros(len(specs), dtype=bool)
    if not gpu_types:
        return AllowedTypes(None, None, (), nowhere, ())
    classes = {spec: i for i, spec in enumerate(dict.fromkeys(specs))}
    speed = np.array([[float(not spec or kind in spec) for kind in gpu_types] for spec in classes])
    job_class = np.array([classes[spec] for spec in specs])
    unknown = sorted(frozenset().union(*classes) - set(gpu_types))
    return AllowedTypes(job_class, speed, gpu_types, speed[job_class].max(axis=1) == 0, tuple(unknown))
