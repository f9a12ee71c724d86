"""Looks at traces: ``python -m rl_sched.trace audit|stats|convert|plot FILE --format NAME``, or ``fetch NAME``.

Formats are the names of the TRACES table. FILE may be left out where the format has a default file below the folder
``$RL_SCHED_TRACES``, and for generators.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_sched.errors import ConfigError
from rl_sched.verbs import python_command, run_verb

if TYPE_CHECKING:
    from rl_sched.traces.fetching import Plan
    from rl_sched.traces.public import PublicFile, PublicTrace

FIGURE_NAMES = ("trace_arrivals", "trace_durations", "trace_gangs")
DEFAULT_FOLDER = "traces"


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m rl_sched.trace", description=__doc__.split("\n\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="audit|stats|convert|plot|fetch")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        verb.set_defaults(run=run)
        return verb

    def add_reader(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        verb = add(name, run, text)
        verb.add_argument("file", nargs="?", metavar="FILE", help="plain or gzipped; default: that of the format")
        verb.add_argument("--format", required=True, metavar="NAME", help="a name of the TRACES table")
        verb.add_argument(
            "--param", action="append", default=[], metavar="K=V", help="a parameter of the format; may be repeated"
        )
        verb.add_argument("--seed", type=int, default=0, help="of a generator (default: %(default)s)")
        return verb

    audit = add_reader("audit", _audit, "what became of every row, who cannot run, load and censoring")
    audit.add_argument("--cluster", metavar="SPEC", help="TYPE:NODESxGPUS[,...] or a YAML file, for the offered load")
    audit.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    stats = add_reader("stats", _stats, "arrivals, work, run times, GPU demand, statuses")
    stats.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    convert = add_reader("convert", _convert, "write the jobs as the project's own CSV")
    convert.add_argument("--out", type=Path, required=True, metavar="X.csv", help="jobs; speeds go to X_speeds.csv")
    convert.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")
    plot = add_reader("plot", _plot, "draw arrivals, run times and GPUs per job")
    plot.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for three PNG files")
    fetch = add("fetch", _fetch, "download a public trace from its official address, verified")
    fetch.add_argument("name", nargs="?", metavar="NAME", help="a trace of --list")
    fetch.add_argument("--list", action="store_true", help="show what there is")
    fetch.add_argument(
        "--dir", type=Path, metavar="DIR", help=f"folder of traces (default: $RL_SCHED_TRACES, else {DEFAULT_FOLDER}/)"
    )
    fetch.add_argument("--yes", action="store_true", help="do not ask")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parses, calls, prints."""
    args = parse(argv)
    return args.run(args)


def _audit(args: argparse.Namespace) -> int:
    from rl_sched.cluster import ClusterSpec
    from rl_sched.traces.endings import endings
    from rl_sched.traces.feasibility import deadlines, feasibility
    from rl_sched.traces.report import TraceAudit, audit_text, plain

    cluster = None if args.cluster is None else ClusterSpec.parse(args.cluster)
    trace = _trace(args)
    if not hasattr(trace, "audit"):
        raise ConfigError(f"{args.format} makes its jobs and reads no file: there is nothing to audit. Try stats.")
    jobs, audit = trace.load(args.seed), trace.audit()
    report = TraceAudit(
        audit, endings(jobs, audit), deadlines(jobs), None if cluster is None else feasibility(jobs, cluster)
    )
    print(json.dumps(plain(report)) if args.json else audit_text(report))
    return 0


def _stats(args: argparse.Namespace) -> int:
    from rl_sched.traces.endings import endings
    from rl_sched.traces.report import plain, statistics_text
    from rl_sched.traces.statistics import statistics

    trace = _trace(args)
    jobs = trace.load(args.seed)
    audit = trace.audit() if hasattr(trace, "audit") else None
    found, ended = statistics(jobs), endings(jobs, audit)
    if args.json:
        print(json.dumps({"source": jobs.source, "statistics": plain(found), "endings": plain(ended)}))
    else:
        print(statistics_text(found, ended, jobs.source))
    return 0


def _convert(args: argparse.Namespace) -> int:
    from rl_sched.traces.csv_file import write_csv, write_throughputs

    jobs = _trace(args).load(args.seed)
    out: Path = args.out
    speeds = None if jobs.speed is None else out.with_name(f"{out.stem}_speeds.csv")
    for path in (out, speeds):
        if path is not None and path.exists() and not args.overwrite:
            raise ConfigError(f"{path} is there already: give --overwrite to replace it, or another --out.")
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_csv(jobs, str(out))
        if speeds is not None:
            write_throughputs(jobs, str(speeds))
    written = str(out) if speeds is None else f"{out} and {speeds}"
    print(f"{len(jobs):,} jobs written to {written}")
    more = [] if speeds is None else ["--param", f"throughputs={speeds}"]
    words = ["-m", "rl_sched.trace", "stats", str(out), "--format", "csv", *more]
    print(f"look at them: {python_command()} {shlex.join(words)}")
    return 0


def _plot(args: argparse.Namespace) -> int:
    from rl_sched.plots import FIGURES, style

    trace = _trace(args)
    jobs = trace.load(args.seed)
    source = Path(jobs.source).name if hasattr(trace, "audit") else jobs.source
    title = source if source.startswith(args.format) else f"{args.format}: {source}"
    with _writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        for name in FIGURE_NAMES:
            kind = FIGURES.load(name)
            path = style.save(kind(jobs, title=title), args.out / f"{name}.png")
            print(path)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from rl_sched.registry import did_you_mean
    from rl_sched.traces.fetching import fetch, plan
    from rl_sched.traces.log import TRACES_VARIABLE
    from rl_sched.traces.public import PUBLIC

    if args.list:
        _print_list(PUBLIC)
        return 0
    if args.name is None:
        raise ConfigError(f"Say which trace to fetch: {', '.join(PUBLIC)}. --list tells more.")
    if args.name not in PUBLIC:
        raise ConfigError(f"Unknown public trace {args.name!r}. {did_you_mean(args.name, PUBLIC)}")
    folder = args.dir or Path(os.environ.get(TRACES_VARIABLE) or DEFAULT_FOLDER)
    todo = plan(PUBLIC[args.name].files, folder)
    _print_plan(args.name, PUBLIC[args.name], todo)
    if todo.missing and not args.yes and not _agreed(todo):
        print("Nothing was fetched.")
        return 0
    for file in todo.missing:
        place = fetch(file, folder, _progress if sys.stderr.isatty() else None)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(f"fetched {place}", flush=True)
    if os.environ.get(TRACES_VARIABLE) != str(folder):
        print(f"Readers find these files with: export {TRACES_VARIABLE}={shlex.quote(str(folder.resolve()))}")
    return 0


def _print_list(table: dict[str, PublicTrace]) -> None:
    width = max(map(len, table))
    for name, trace in table.items():
        count = f"{len(trace.files)} file{'s' * (len(trace.files) > 1)}, {_size(trace.size)}"
        print(f"{name.ljust(width)}  {trace.about}")
        print(f"{' ' * width}  {count}; {trace.licence}; {trace.credit}")


def _print_plan(name: str, trace: PublicTrace, todo: Plan) -> None:
    print(f"{name}: {trace.about}\nlicence  {trace.licence}\ncredit   {trace.credit}\nfolder   {todo.folder}")
    for file in todo.there:
        print(f"there    {file.path}")
    for file in todo.missing:
        zipped = ", zipped here" * file.zipped_here
        print(f"to fetch {file.path}  ({file.size:,} bytes{zipped})\n         {file.address}")
        print(f"         sha256 {file.sha256}")
    if not todo.missing:
        print("All files are there, with the right checksums.")
    sys.stdout.flush()


def _agreed(todo: Plan) -> bool:
    """Asks.

    Raises:
        ConfigError: There is nobody to answer.
    """
    count = f"{len(todo.missing)} file{'s' * (len(todo.missing) > 1)}"
    try:
        return input(f"Fetch {count}, {_size(todo.size)}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        raise ConfigError("Nobody answered whether to fetch; give --yes where nobody can.") from None


def _progress(file: PublicFile, done: int) -> None:
    print(f"\r\033[K{file.path}: {_size(done)} of {_size(file.size)}", end="", file=sys.stderr, flush=True)


def _size(count: int) -> str:
    """Bytes in the unit that reads best."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.3g} {unit}"
    return f"{count} bytes"


def _trace(args: argparse.Namespace) -> Any:
    """The entry of TRACES that the command line describes."""
    from rl_sched.traces.params import build_trace

    return build_trace(args.format, args.param, args.file)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns an error of the file system into one sentence."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror or error}). Choose another --out.") from None


if __name__ == "__main__":
    sys.exit(run_verb(main))
