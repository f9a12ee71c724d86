"""Rebuilds a run from its event log alone: ``python -m rl_sched.replay LOG``; compares two: ``replay diff A B``.

Logs are written by ``python -m rl_sched.simulate --log FILE.parquet``. The first form checks that the events lead to
the stored result bit for bit and prints the metrics. The second names the first decision in which the two policies
differ, the state they were in, and what it led to.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rl_sched.errors import ConfigError
from rl_sched.verbs import run_verb

if TYPE_CHECKING:
    from rl_sched.evaluation.divergence import Act, Change, Downstream, Parting
    from rl_sched.evaluation.logfile import RunLog

_DIFF = "diff"
#: Jobs and GPUs that are named one by one.
_NAMED = 12


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}. See python -m rl_sched.replay --help.")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = _Parser(
        prog="python -m rl_sched.replay", description=__doc__.split("\n\n")[1], allow_abbrev=False,
        usage="%(prog)s LOG [--json] [--report FILE.html]\n       %(prog)s diff A B [--json]",
    )  # fmt: skip
    parser.add_argument("words", nargs="*", metavar="LOG | diff A B", help="event logs")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="of LOG, one page with all figures and tables")
    args = parser.parse_args(argv)
    args.diff = args.words[:1] == [_DIFF]
    args.logs = [Path(word) for word in args.words[args.diff :]]
    if len(args.logs) != (2 if args.diff else 1):
        raise ConfigError(f"replay needs LOG, or diff A B; got {' '.join(args.words) or 'nothing'!r}.")
    if args.diff and args.report is not None:
        raise ConfigError("--report is about one LOG; replay diff has none. Leave it out.")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Reads, checks, prints; returns the exit code."""
    args = parse(argv)
    from rl_sched.evaluation.logfile import read_log

    logs = [read_log(path) for path in args.logs]
    if args.report is not None:
        from rl_sched.dashboard.report_page import write_report_page

        write_report_page(args.report, logs, f"{logs[0].policy}, {args.logs[0].name}")
    return _diff(*logs, as_json=args.json) if args.diff else _replay(logs[0], as_json=args.json)


def _replay(log: RunLog, *, as_json: bool) -> int:
    from rl_sched.evaluation.fragmentation import fragmentation_frac
    from rl_sched.evaluation.metrics import run_metrics
    from rl_sched.evaluation.replay import replay
    from rl_sched.evaluation.report import plain
    from rl_sched.evaluation.timeline import segments
    from rl_sched.policies.bounds.lower import lower_bounds
    from rl_sched.provenance import package_hash

    result = replay(log)
    metrics = run_metrics(result, log.rules, segments(result, log.events), lower_bounds(log.workload, log.cluster))
    metrics["fragmentation_frac"] = fragmentation_frac(log)
    events, same_code = len(log.events.rows), log.outcome.code_hash == package_hash()
    if as_json:
        about = {"policy": log.policy, "params": log.params, "jobs": len(log.workload), "events": events}
        about |= {"cluster": log.cluster.describe(), "source": log.workload.source, "seed": log.seed}
        print(json.dumps(plain({**about, **log.outcome._asdict(), "same_code": same_code, "metrics": metrics})))
        return 0
    params = "".join(f", {name}={value}" for name, value in log.params.items())
    print(f"{log.policy}{params}: {len(log.workload):,} jobs on {log.cluster.describe()}, {events:,} events")
    out = log.outcome
    print(
        f"jobs {out.workload_hash}, rules {out.rules_hash}, result {out.result_hash}: the events give it, bit for bit"
    )
    print(f"written by code {out.code_hash}, {'the present one' if same_code else 'not the present one'}\n")
    width = max(map(len, metrics))
    print("\n".join(f"{name.ljust(width)}  {value:,.6g}" for name, value in metrics.items()))
    return 0


def _diff(first: RunLog, second: RunLog, *, as_json: bool) -> int:
    from rl_sched.evaluation.divergence import check_comparable, downstream, part
    from rl_sched.evaluation.replay import replay
    from rl_sched.evaluation.report import plain

    check_comparable(first, second)
    parting = part(first, second)
    unclear = parting is not None and (parting.only_order or not parting.is_decision)
    other = part(first, second, ordered=False) if unclear else None
    cost = downstream(first, replay(first), replay(second))
    rules = _rules_apart(first, second)
    if as_json:
        data = {"first": first.policy, "second": second.policy, "rules": rules, "parting": parting}
        print(json.dumps(plain({**data, "parting_of_decisions": other, "downstream": cost})))
        return 0
    names = _names(first, second)
    print(f"A = {names[0]}, B = {names[1]}: {len(first.workload):,} jobs on {first.cluster.describe()}")
    for field, (one, two) in rules.items():
        print(f"their rules differ: {field} is {one} for A and {two} for B")
    if parting is None:
        print("\nA and B do the same from beginning to end.")
        return 0
    _print_parting(parting, first)
    if parting.only_order:
        print("\nThere both do the same, in another order.")
    if other is not None:
        _print_parting(other, first)
    elif unclear:
        print("\nThey never decide anything else.")
    _print_downstream(cost)
    return 0


def _names(first: RunLog, second: RunLog) -> tuple[str, str]:
    """The policies, with their parameters where the names are equal."""
    if first.policy != second.policy:
        return first.policy, second.policy
    one, two = (f"{log.policy} ({', '.join(f'{k}={v}' for k, v in log.params.items())})" for log in (first, second))
    return (one, two) if one != two else (first.policy, second.policy)


def _rules_apart(first: RunLog, second: RunLog) -> dict[str, tuple[object, object]]:
    """The fields in which the rules differ."""
    one, two = first.rules, second.rules
    fields = {name: (getattr(one, name), getattr(two, name)) for name in one.__dataclass_fields__}
    return {name: values for name, values in fields.items() if values[0] != values[1]}


def _print_parting(parting: Parting, log: RunLog) -> None:
    from rl_sched.evaluation.divergence import job_name

    what = "first decision in which they differ" if parting.is_decision else "first event that only one of them has"
    print(f"\n{what}: t = {parting.time_s:,.6g} s")
    for name, acts in (("A", parting.first), ("B", parting.second)):
        print(f"  {name}  {_acts_text(acts, parting.is_decision)}")
    gangs = log.workload.num_gpus
    for name, jobs in (("waiting", parting.waiting), ("running", parting.running)):
        shown = ", ".join(f"{job_name(log, job)} ({gangs[job]})" for job in jobs[:_NAMED])
        more = ", ..." if len(jobs) > _NAMED else ""
        print(f"  {name} then: {len(jobs)} jobs{' (GPUs): ' if jobs else ''}{shown}{more}")
    print("  idle GPUs: " + ", ".join(f"{count} x {pool}" for pool, count in parting.free_gpus.items()))


def _acts_text(acts: Sequence[Act], is_decision: bool) -> str:
    if not acts:
        return "waits" if is_decision else "nothing"
    texts = []
    for act in acts[:3]:
        subject = f"{act.kind.removeprefix('node_')} node" if act.kind.startswith("node_") else f"{act.kind} job"
        gpus = ", ".join(map(str, act.gpus[:_NAMED])) + (", ..." if len(act.gpus) > _NAMED else "")
        texts.append(f"{subject} {act.name}" + (f" on {act.pool} (GPU {gpus})" if act.gpus else ""))
    return "; ".join(texts) + (f"; and {len(acts) - 3} more" if len(acts) > 3 else "")


def _print_downstream(cost: Downstream) -> None:
    print(
        f"\nwhat followed, B against A: completion times {cost.total_s:+,.6g} s in total "
        f"({cost.mean_s:+,.6g} s a job); {cost.better:,} jobs earlier, {cost.worse:,} later, {cost.same:,} the same"
    )
    for count, where in ((cost.only_first, "A only"), (cost.only_second, "B only"), (cost.neither, "neither")):
        if count:
            print(f"  {count:,} jobs finished in {where}; they are not in the sums")
    for name, changes in (("gained", cost.gained), ("lost", cost.lost)):
        if changes:
            print(f"  {name} most: " + "; ".join(map(_change_text, changes)))


def _change_text(change: Change) -> str:
    return (
        f"job {change.name} {change.difference_s:+,.6g} s (JCT {change.first_jct_s:,.6g} -> {change.second_jct_s:,.6g})"
    )


if __name__ == "__main__":
    sys.exit(run_verb(main))
