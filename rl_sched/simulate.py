"""Runs policies on a trace: ``python -m rl_sched.simulate --trace FILE --format F --cluster SPEC --policy A[,B...]``.

Every policy faces the same jobs. Files are written as each policy ends, so Ctrl-C loses only the one that runs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from rl_sched.errors import ConfigError
from rl_sched.verbs import EXIT_INTERRUPTED, run_verb

if TYPE_CHECKING:
    from rl_sched.evaluation.solo import SoloRun, Task
    from rl_sched.sim.watching import Progress

#: Seconds between two lines of progress where stderr is no terminal.
LINE_S = 5.0


class _Outputs(NamedTuple):
    """Files of one policy; None = not wanted."""

    jobs: Path | None
    log: Path | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}. See python -m {self.prog.split(' -m ')[-1]} --help.")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = _Parser(prog="python -m rl_sched.simulate", description=__doc__.split("\n\n")[1], allow_abbrev=False)
    add = parser.add_argument
    add("--trace", metavar="FILE", help="the jobs; not for generators")
    add("--format", required=True, metavar="NAME", help="a name of the TRACES table: helios, csv, synthetic, ...")
    add("--trace-param", action="append", default=[], metavar="K=V", help="a parameter of the format; repeatable")
    add("--cluster", required=True, metavar="SPEC", help="TYPE:NODESxGPUS[,...], or a YAML file")
    add("--policy", required=True, metavar="NAME[,...]", help="names of the POLICIES table")
    add("--param", action="append", default=[], metavar="K=V", help="a parameter of the policies that have it")
    add("--rules", default="default", metavar="NAME", help="a preset (default, helios, gavel) or a YAML file")
    add("--placement", metavar="NAME", help="pooled, consolidated, best_fit, worst_fit or fragmentation")
    add("--outages", type=Path, metavar="CSV", help="outages of nodes: node,down_s,up_s")
    add("--set", action="append", default=[], metavar="K=V", help="a field of the rules; repeatable")
    add("--seed", type=int, default=0, metavar="N", help="of a generator (default: %(default)s)")
    add("--jobs-out", type=Path, metavar="CSV", help="one row a job; with several policies one file for each")
    add("--log", type=Path, metavar="FILE.parquet", help="the event log, for rl_sched.replay; one for each policy")
    add("--plot", type=Path, metavar="DIR", help="draw completion times, the cluster over time, and Gantt charts")
    add("--report", type=Path, metavar="FILE.html", help="one page with all figures and tables, for a browser")
    add("--latency", action="store_true", help="measure how long decisions take; every one is made in Python")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    add("--progress", action="store_true", help="show jobs done, simulated time and time left on stderr")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Reads, runs, writes, prints; returns the exit code."""
    args = parse(argv)
    from rl_sched.evaluation.files import check_writable
    from rl_sched.evaluation.solo import notes_on, play
    from rl_sched.policies.params import build_policies

    names = [name.strip() for name in args.policy.split(",") if name.strip()]
    policies = build_policies(names, args.param)
    task, clock_s = _task(args)
    notes = notes_on(policies, task.rules)
    outputs = {
        name: _Outputs(*(_own(path, name, len(policies)) for path in (args.jobs_out, args.log))) for name in policies
    }
    for path in (path for paths in outputs.values() for path in paths if path is not None):
        if args.trace is not None and path.resolve() == Path(args.trace).resolve():
            raise ConfigError(f"{path} holds the trace and cannot be written to. Choose another path.")
        check_writable(path)
    if args.report is not None:
        check_writable(args.report)
    runs: list[SoloRun] = []
    written: dict[str, list[str]] = {}
    shown = _Shown(args.progress)
    try:
        with shown.catching():
            for name, policy in policies.items():
                shown.begin(name, len(task.workload))
                record = any(to is not None for to in (args.log, args.plot, args.report))
                run = play(name, policy, task, record=record, latency=args.latency, progress=shown)
                shown.end()
                written[name] = _write(run, outputs[name], task, clock_s)
                runs.append(run)
            figures = [] if args.plot is None else _draw(args.plot, runs, notes)
            if args.report is not None:
                figures.append(_report(args.report, runs, f"{args.format} on {task.cluster.describe()}"))
    except KeyboardInterrupt:
        _print(args, task, runs, written, [], notes, shown.where() if len(runs) < len(policies) else "at the figures")
        return EXIT_INTERRUPTED
    _print(args, task, runs, written, figures, notes, None)
    return 0


def _task(args: argparse.Namespace) -> tuple[Task, float]:
    """What the command line describes, and what is to be added to its times for the trace's own clock."""
    from rl_sched.cluster import ClusterSpec
    from rl_sched.evaluation.energy import check_tariff
    from rl_sched.evaluation.solo import Task
    from rl_sched.sim.presets import read_outages, read_rules
    from rl_sched.traces.params import build_trace

    cluster = ClusterSpec.parse(args.cluster)
    fields: dict[str, Any] = {} if args.placement is None else {"placement": args.placement}
    if args.outages is not None:
        fields["outages"] = read_outages(args.outages)
    rules = read_rules(args.rules, args.set, **fields)
    check_tariff(rules.rules.tariff, cluster)
    if args.seed < 0:
        raise ConfigError(f"--seed must be >= 0; it is {args.seed}.")
    trace: Any = build_trace(args.format, args.trace_param, args.trace)
    workload = trace.load(args.seed)
    clock_s = 0.0
    if getattr(trace, "rebase", False):
        own = dataclasses.replace(trace, rebase=False).load(args.seed)
        clock_s = float(own.submit_s[0] - workload.submit_s[0])
    workload.offered_load(cluster)  # a job that fits nowhere is refused before anything is run
    return Task(workload, cluster, rules, args.seed), clock_s


def _own(path: Path | None, policy: str, policies: int) -> Path | None:
    """The file of one policy."""
    return path if path is None or policies == 1 else path.with_name(f"{path.stem}_{policy}{path.suffix}")


def _write(run: SoloRun, to: _Outputs, task: Task, clock_s: float) -> list[str]:
    from rl_sched.evaluation.jobs_csv import write_jobs
    from rl_sched.evaluation.logfile import write_log

    if to.jobs is not None:
        write_jobs(to.jobs, run.result, task.workload, clock_s)
    if to.log is not None and run.log is not None:
        write_log(to.log, run.log)
    return [str(path) for path in to if path is not None]


def _draw(folder: Path, runs: Sequence[SoloRun], notes: list[str]) -> list[str]:
    """Draws all figures of the runs, whose logs are kept; says in ``notes`` what is left out."""
    from rl_sched.evaluation.files import check_writable
    from rl_sched.evaluation.timeline import segments
    from rl_sched.plots import FIGURES, style
    from rl_sched.plots.run_gantt import too_large

    check_writable(folder / "run_jct.png")
    kept = {run.policy: (run.result, run.log.events) for run in runs if run.log is not None}
    over_time = {name: (result, segments(result, events)) for name, (result, events) in kept.items()}
    figures = {
        "run_jct": FIGURES.load("run_jct")({run.policy: run.result for run in runs}),
        "run_timeline": FIGURES.load("run_timeline")(over_time),
    }
    for name, (result, events) in kept.items():
        if why := too_large(result, events):
            notes.append(f"No Gantt chart of {name}: {why}.")
        else:
            figures[f"run_gantt_{name}"] = FIGURES.load("run_gantt")(result, events, title=f"Jobs on GPUs: {name}")
    return [str(style.save(figure, folder / f"{name}.png")) for name, figure in figures.items()]


def _report(path: Path, runs: Sequence[SoloRun], title: str) -> str:
    """Writes the page about all runs, whose logs are kept."""
    from rl_sched.dashboard.report_page import write_report_page

    return str(write_report_page(path, [run.log for run in runs if run.log is not None], title))


def _print(
    args: argparse.Namespace,
    task: Task,
    runs: Sequence[SoloRun],
    written: dict[str, list[str]],
    figures: Sequence[str],
    notes: Sequence[str],
    interrupted: str | None,
) -> None:
    """What came out, as tables or as JSON; an interruption is told on stderr."""
    from rl_sched.evaluation.solo_report import as_json, as_text

    about = f"{args.format}, {Path(args.trace).name}" if args.trace is not None else args.format
    if args.json:
        data = as_json(task, runs, about=about, rules=args.rules, files=written, figures=figures, notes=notes)
        print(json.dumps(data | ({} if interrupted is None else {"interrupted": interrupted})))
    elif runs:
        print(as_text(task, runs, about=about, rules=args.rules, notes=notes))
        files = [*(path for paths in written.values() for path in paths), *figures]
        if files:
            print("\nwritten: " + ", ".join(files))
    if interrupted is not None:
        done = ", ".join(run.policy for run in runs) or "none"
        print(f"interrupted {interrupted}; policies done: {done}. Nothing is half written.", file=sys.stderr)


class _Shown:
    """Progress on stderr, and a memory of it."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._terminal = sys.stderr.isatty()
        self._name, self._jobs, self._done, self._now_s = "", 0, 0, 0.0
        self._printed_s, self._interrupted = 0.0, False
        self._first: tuple[float, int] | None = None  # time and jobs done of the first report: loading is over then

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Remembers Ctrl-C: while kernels are compiled, the exception alone may get lost in a foreign library."""
        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            self._clear()

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True
        raise KeyboardInterrupt

    def begin(self, name: str, jobs: int) -> None:
        self._name, self._jobs, self._done, self._now_s = name, jobs, 0, 0.0
        self._printed_s, self._first = time.monotonic(), None
        if self._wanted and self._terminal:
            self._show(f"{name}: loading; a first run compiles its kernels, which takes about a minute")

    def __call__(self, progress: Progress) -> None:
        self._check()
        self._done, self._now_s, now_s = progress.done, progress.now_s, time.monotonic()
        if self._first is None:
            self._first = now_s, progress.done
        if self._wanted and (self._terminal or now_s - self._printed_s >= LINE_S):
            self._printed_s = now_s
            passed_s, done = now_s - self._first[0], progress.done - self._first[1]
            rate = f", {done / passed_s:,.0f} jobs/s" if passed_s > 0 else ""
            left_s = passed_s * (self._jobs - progress.done) / done if done else None
            left = "" if left_s is None else f", {left_s // 60:.0f}:{left_s % 60:02.0f} left"
            self._show(self._so_far() + rate + left)

    def _so_far(self) -> str:
        return f"{self._name}: {self._done:,} of {self._jobs:,} jobs, t = {self._now_s:,.0f} s"

    def where(self) -> str:
        """What was being done."""
        return f"during {self._so_far()}"

    def _show(self, text: str) -> None:
        print(f"\r\033[K{text}" if self._terminal else text, end="" if self._terminal else "\n", file=sys.stderr)
        sys.stderr.flush()

    def end(self) -> None:
        """The run is over."""
        self._clear()
        self._check()

    def _clear(self) -> None:
        if self._wanted and self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def _check(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(run_verb(main))
