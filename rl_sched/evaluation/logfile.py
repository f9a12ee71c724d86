"""The event log of a run as one Parquet file that needs nothing else: jobs, events, rules, and what came out.

Rows are of the kinds of ``eventlog.KIND_NAMES``, in order, with ``time_s``, ``job`` (or ``node``), ``pool`` and, for a
start, ``gpus``. Before them stand the workload: a row of kind ``job`` for each job, with the columns of ``Workload``
and its submission as time, and, for a table of speeds, a row of kind ``class`` for each class. The rest is JSON
in the metadata of the file, under ``rl_sched``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_sched import config
from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.evaluation.files import replacing
from rl_sched.evaluation.outcome import Outcome
from rl_sched.sim.eventlog import KIND_NAMES, NODE_DOWN, START, LogPart
from rl_sched.sim.presets import rules_from
from rl_sched.sim.record import LOG
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload

_KEY = b"rl_sched"
_VERSION = 1
_JOB, _CLASS = len(KIND_NAMES), len(KIND_NAMES) + 1
_KINDS = (*KIND_NAMES, "job", "class")
_NUMBERS = {
    "duration_s": "float64", "num_gpus": "int64", "job_class": "int64", "user": "int64", "vc": "int64",
    "priority": "float64", "gpu_milli": "int64", "deadline_s": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class RunLog:
    """One run: everything that went in, what happened, and what came out."""

    policy: str  # its name
    params: dict[str, Any]  # of the policy
    workload: Workload
    cluster: ClusterSpec
    rules: Rules
    seed: int  # of the workload, if it was generated
    events: LogPart
    outcome: Outcome


def write_log(path: Path, log: RunLog) -> None:
    """Writes a log; the file is there whole or not at all.

    Raises:
        ConfigError: The file cannot be written.
    """
    import pyarrow as pa  # large, and only needed here
    import pyarrow.parquet as pq

    workload, rows = log.workload, log.events.rows
    jobs = len(workload)
    classes = 0 if workload.speed is None else len(workload.speed)
    before, total = classes + jobs, classes + jobs + len(rows)

    def padded(values: np.ndarray, at: int, kind: str) -> Any:
        """A column that holds ``values`` from row ``at`` on and nothing elsewhere."""
        column = np.zeros(total, kind)
        column[at : at + len(values)] = values
        missing = np.ones(total, np.bool_)
        missing[at : at + len(values)] = False
        return pa.array(column, mask=missing)

    def texts(values: tuple[str, ...] | None) -> Any:
        nothing = [None] * total
        return pa.array([*nothing[:classes], *(values or nothing[:jobs]), *nothing[before:]], pa.string())

    kind = np.concatenate([np.full(classes, _CLASS), np.full(jobs, _JOB), rows["kind"]])
    is_node = rows["kind"] >= NODE_DOWN
    number = np.concatenate([np.arange(classes), np.arange(jobs), rows["job"]]).astype(np.int32)
    node = np.concatenate([np.zeros(before, np.bool_), is_node])
    pool = np.concatenate([np.full(before, -1), rows["type"]]).astype(np.int32)
    time_s = np.concatenate([np.zeros(classes), workload.submit_s, rows["time_s"]])
    columns = {
        "time_s": pa.array(time_s, mask=np.arange(total) < classes),
        "kind": pa.DictionaryArray.from_arrays(pa.array(kind.astype(np.int8)), list(_KINDS)),
        "job": pa.array(number, mask=node | (np.arange(total) < classes)),
        "node": pa.array(number, mask=~node),
        "pool": pa.array(pool, mask=pool < 0),
        "gpus": _lists(log.events.gpus, np.concatenate([np.zeros(before, int), rows["gpus"]]), kind == START),
        **{name: padded(getattr(workload, name), classes, type_) for name, type_ in _NUMBERS.items()},
        "estimate_s": padded(np.zeros(0) if workload.estimate_s is None else workload.estimate_s, classes, "float64"),
        "job_id": texts(workload.job_id),
        "status": texts(workload.status),
    }
    if workload.speed is not None:
        lengths = np.where(np.arange(total) < classes, workload.speed.shape[1], 0)
        columns["speed"] = _lists(workload.speed.ravel(), lengths, np.arange(total) < classes)
    meta = {
        "version": _VERSION,
        "policy": log.policy,
        "params": log.params,
        "seed": log.seed,
        "cluster": config.to_dict(log.cluster),
        "rules": config.to_dict(log.rules),
        "workload": {"jobs": jobs, "classes": classes, "gpu_types": workload.gpu_types, "source": workload.source,
                     "vc_names": workload.vc_names, "estimates": workload.estimate_s is not None,
                     "job_ids": workload.job_id is not None, "statuses": workload.status is not None},
        "outcome": log.outcome._asdict(),
    }  # fmt: skip
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(meta).encode()})
    with replacing(path) as part:
        pq.write_table(table, part, compression="zstd")


def _lists(values: np.ndarray, lengths: np.ndarray, present: np.ndarray) -> Any:
    """A column of lists that lie one after the other in ``values``; null where there is none."""
    import pyarrow as pa

    ends = np.cumsum(lengths)
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    where = pa.array(offsets, mask=np.append(~present, False))
    return pa.ListArray.from_arrays(where, pa.array(values))


def read_log(path: Path) -> RunLog:
    """Reads a log.

    Raises:
        ConfigError: The file is missing, is not a log of this version, or its rules have been changed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise ConfigError(f"The event log {str(path)!r} does not exist. Check the path.") from None
    except (OSError, pa.ArrowInvalid) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"{path} must be an event log (simulate --log); it cannot be read: {why}.") from None
    meta = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
    if meta.get("version") != _VERSION:
        raise ConfigError(
            f"{path} must be an event log of version {_VERSION} (simulate --log); its version is "
            f"{meta.get('version', 'not given')}. Simulate again."
        )
    outcome = Outcome(**meta["outcome"])
    if config.content_id(meta["rules"]) != outcome.rules_hash:
        raise ConfigError(f"{path} must hold the rules that were simulated; it holds others. Simulate again.")
    about = meta["workload"]
    before = about["classes"] + about["jobs"]
    return RunLog(
        policy=meta["policy"],
        params=meta["params"],
        workload=_read_workload(table.slice(0, before), about),
        cluster=config.build(ClusterSpec, meta["cluster"], f"{path}: cluster"),
        rules=rules_from(meta["rules"], f"{path}: rules"),
        seed=meta["seed"],
        events=_read_events(table.slice(before)),
        outcome=outcome,
    )


def _read_workload(table: Any, about: dict[str, Any]) -> Workload:
    """The workload of the rows of kind ``class`` and ``job``."""
    classes, types = about["classes"], tuple(about["gpu_types"])
    jobs = table.slice(classes)

    def column(name: str) -> np.ndarray:
        return jobs[name].to_numpy()

    speed = None
    if "speed" in table.column_names:
        speed = table["speed"].slice(0, classes).combine_chunks().flatten().to_numpy().reshape(classes, len(types))
    return Workload.build(
        column("time_s"),
        **{name: column(name) for name in _NUMBERS},
        estimate_s=column("estimate_s") if about["estimates"] else None,
        speed=speed,
        gpu_types=types,
        job_id=jobs["job_id"].to_pylist() if about["job_ids"] else None,
        status=jobs["status"].to_pylist() if about["statuses"] else None,
        vc_names=about["vc_names"],
        source=about["source"],
    )


def _read_events(table: Any) -> LogPart:
    rows = np.zeros(table.num_rows, LOG)
    if not len(rows):
        return LogPart(rows, np.zeros(0, np.int32))
    kind = table["kind"].combine_chunks()
    codes = {name: code for code, name in enumerate(_KINDS)}
    names = np.array([codes[name] for name in kind.dictionary.to_pylist()])
    rows["time_s"] = table["time_s"].to_numpy()
    rows["kind"] = names[kind.indices.to_numpy()]
    rows["job"] = np.where(
        rows["kind"] >= NODE_DOWN, table["node"].fill_null(0).to_numpy(), table["job"].fill_null(0).to_numpy()
    )
    rows["type"] = table["pool"].fill_null(-1).to_numpy()
    gpus = table["gpus"].combine_chunks()
    rows["gpus"] = gpus.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    rows["first"] = np.cumsum(rows["gpus"]) - rows["gpus"]
    return LogPart(rows, gpus.flatten().to_numpy().astype(np.int32))
