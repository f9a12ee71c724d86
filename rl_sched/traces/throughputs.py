"""Gavel's table of throughputs: steps per second of a job class (model, GPUs) on each GPU type, read from JSON.

The keys of the file are Python tuples written as text, ``"('ResNet-18 (batch size 16)', 1)"``. An entry is a number,
or an object: under the key ``"null"`` the throughput of the class alone, under any other class the two throughputs
``[own, other]`` when both share the GPUs. Types named ``*_unconsolidated`` hold gangs spread over several machines.
"""

from __future__ import annotations

import ast
import json
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_sched.errors import ConfigError, TraceError
from rl_sched.registry import did_you_mean
from rl_sched.traces.log import TRACES_VARIABLE
from rl_sched.traces.reading import file_stamp, read_text

DEFAULT_FILE = "throughputs/gavel_simulation_throughputs.json.gz"
_SPREAD = "_unconsolidated"
_ALONE = "null"


class JobClass(NamedTuple):
    """What a throughput belongs to."""

    model: str  # with its batch size
    num_gpus: int


class Throughputs(NamedTuple):
    """Steps per second by GPU type and class; 0 where the class does not fit. A class may be missing on a type."""

    path: str
    alone: dict[str, dict[JobClass, float]]  # the gang on one machine
    spread: dict[str, dict[JobClass, float]]  # its workers on different machines; types may be missing
    shared: dict[str, dict[JobClass, dict[JobClass, tuple[float, float]]]]  # (own, other) on the same GPUs

    def knows(self, job: JobClass, gpu_types: tuple[str, ...]) -> bool:
        """Whether the class was measured on one of the types at least."""
        return any(job in self.alone[gpu] for gpu in gpu_types)

    def table(self, classes: list[JobClass], gpu_types: tuple[str, ...], *, spread: bool = False) -> np.ndarray:
        """(C, T) steps per second, 0 where a class does not fit or was not measured."""
        by_type = self.spread if spread else self.alone
        return np.array([[by_type.get(gpu, {}).get(job, 0.0) for gpu in gpu_types] for job in classes]).reshape(
            len(classes), len(gpu_types)
        )

    def check_types(self, gpu_types: tuple[str, ...]) -> None:
        """Raises a ``ConfigError`` unless all of them were measured."""
        for gpu in gpu_types:
            if gpu not in self.alone:
                raise ConfigError(
                    f"{self.path} has no throughputs of GPU type {gpu!r}. {did_you_mean(gpu, self.alone)}"
                )


def find_throughputs(path: str) -> str:
    """The path, or that of the default file below ``$RL_SCHED_TRACES`` if it is empty.

    Raises:
        TraceError: No path was given and the default file is not there.
    """
    if path:
        return path
    folder = os.environ.get(TRACES_VARIABLE)
    if not folder or not (Path(folder) / DEFAULT_FILE).is_file():
        raise TraceError(
            f"Gavel's throughputs must be given by throughputs=..., or lie at {DEFAULT_FILE} under the folder named by "
            f"the environment variable {TRACES_VARIABLE}, which is {folder if folder else 'not set'}."
        )
    return str(Path(folder) / DEFAULT_FILE)


def read_throughputs(path: str) -> Throughputs:
    """Reads the table from a plain or gzipped JSON file; the result is shared, so do not change it.

    Raises:
        TraceError: The file is missing or no such table; the message names file, GPU type and key.
    """
    return _read(path, file_stamp(path))


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int]) -> Throughputs:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    try:
        content = json.loads(read_text(path))
    except ValueError as error:  # of json; bytes that are no text have been reported by read_text
        raise TraceError(f"{path}: the file must be JSON; {error}.") from None
    except RecursionError:
        raise TraceError(f"{path}: the file must be JSON of three levels; it is nested far deeper.") from None
    if not isinstance(content, dict) or not content:
        raise TraceError(f"{path}: the file must be a JSON object with one entry a GPU type; it is not.")
    found = Throughputs(path, {}, {}, {})
    for gpu, entries in content.items():
        if not isinstance(entries, dict):
            raise TraceError(f"{path}, key {gpu!r}: a GPU type must hold an object of job classes; it holds another.")
        name = gpu.removesuffix(_SPREAD)
        target = found.alone if name == gpu else found.spread
        target[name] = {}
        for key, entry in entries.items():
            job = _job_class(path, gpu, key)
            where = f"{path}, key {gpu!r}, {key!r}"
            shares = entry if isinstance(entry, dict) else {_ALONE: entry}
            if _ALONE not in shares:
                raise TraceError(f"{where}: an entry must have the key {_ALONE!r}, the throughput alone; it has not.")
            target[name][job] = _rate(where, shares[_ALONE])
            if name == gpu:
                pairs = {k: v for k, v in shares.items() if k != _ALONE}
                found.shared.setdefault(gpu, {})[job] = {
                    _job_class(path, gpu, other): _pair(f"{where}, {other!r}", rates) for other, rates in pairs.items()
                }
    if not found.alone:
        raise TraceError(f"{path}: the file must have a GPU type without the ending {_SPREAD!r}; it has none.")
    return found


@lru_cache(maxsize=4096)
def _parse_key(key: str) -> JobClass | None:
    try:
        value = ast.literal_eval(key)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    model, gpus = value
    if not isinstance(model, str) or type(gpus) is not int or gpus < 1:
        return None
    return JobClass(model, gpus)


def _job_class(path: str, gpu: str, key: str) -> JobClass:
    job = _parse_key(key)
    if job is None:
        raise TraceError(
            f"{path}, key {gpu!r}, {key!r}: a job class must be written ('model', GPUs), with GPUs >= 1; it is not."
        )
    return job


def _rate(where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise TraceError(f"{where}: a throughput must be a finite number of steps per second >= 0; it is {value!r}.")
    try:
        return float(value)
    except OverflowError:
        raise TraceError(
            f"{where}: a throughput must be a finite number of steps per second; it is too large."
        ) from None


def _pair(where: str, rates: Any) -> tuple[float, float]:
    if not isinstance(rates, list) or len(rates) != 2:
        raise TraceError(f"{where}: a shared throughput must be a pair [own, other]; it is {rates!r}.")
    return _rate(where, rates[0]), _rate(where, rates[1])
