"""The jobs of a run as a CSV file, one row a job in order of submission."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from rl_sched.evaluation.files import replacing
from rl_sched.sim.result import RunResult
from rl_sched.workload import Workload

COLUMNS = ("job_id", "submit_s", "start_s", "finish_s", "num_gpus", "wait_s", "preemptions", "nodes")


def write_jobs(path: Path, result: RunResult, workload: Workload, clock_s: float = 0.0) -> None:
    """Writes ``COLUMNS``; the file is there whole or not at all.

    ``start_s`` is the first start, ``wait_s`` all time in the queue, ``nodes`` the ``[[node, GPUs], ...]`` of the last
    segment. Cells of what did not happen are empty; of a job that did not finish ``wait_s`` too.

    Args:
        path: Of the file.
        result: Of the run.
        workload: Its jobs.
        clock_s: What is added to times to get those of the source's own clock.

    Raises:
        ConfigError: The file cannot be written.
    """
    names = workload.job_id or tuple(str(job) for job in range(len(workload)))
    times = (result.submit_s + clock_s, result.start_s + clock_s, result.finish_s + clock_s)
    submit, start, finish = (column.tolist() for column in times)
    waited, preemptions = result.waited_s.tolist(), result.preemptions.tolist()
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for job, name in enumerate(names):
            done = not math.isnan(finish[job])
            writer.writerow(
                [
                    name,
                    number(submit[job]),
                    number(start[job]),
                    number(finish[job]),
                    int(result.num_gpus[job]),
                    number(waited[job]) if done else "",
                    preemptions[job],
                    json.dumps(result.nodes_of(job), separators=(",", ":")) if result.gpu_type[job] >= 0 else "",
                ]
            )


def number(value: float) -> str:
    """The shortest text that gives the same number back; empty for nan."""
    if math.isnan(value):
        return ""
    return str(int(value)) if value.is_integer() else repr(value)
