"""Audit and figures of a trace as text for people and as plain data for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from rl_sched.traces.endings import STOPPED, Endings
from rl_sched.traces.feasibility import Deadlines, Feasibility
from rl_sched.traces.reading import Audit
from rl_sched.traces.statistics import Statistics

#: More rows than this of GPU demands are summed up in one.
MAX_DEMANDS = 10


class TraceAudit(NamedTuple):
    """Everything that the audit of a trace tells."""

    audit: Audit
    endings: Endings
    deadlines: Deadlines
    feasibility: Feasibility | None  # None: no cluster was given


def plain(value: Any) -> Any:
    """Named tuples as dicts, tuples as lists; numbers that JSON has not (inf, nan) as None."""
    if hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def audit_text(report: TraceAudit) -> str:
    """What became of the rows, who cannot run, the load, what is censored."""
    audit, deadlines = report.audit, report.deadlines
    lines = [audit.path, ""]
    dropped = sum(audit.dropped.values())
    counts = [(f"{audit.unit} read", audit.rows_read), ("kept", audit.rows_kept), ("dropped", dropped)]
    lines += _aligned([[label, f"{count:,}"] for label, count in counts], "lr")
    reasons = sorted(audit.dropped.items(), key=lambda item: -item[1])
    lines += _aligned([["  ", f"{count:,}", reason] for reason, count in reasons], "lrl")
    if audit.ignored_columns:
        lines.append(f"columns not used: {', '.join(audit.ignored_columns)}")
    lines += [f"note: {note}" for note in audit.notes]
    if report.feasibility is not None:
        lines += ["", *_feasibility_lines(report.feasibility, audit.rows_kept)]
    if deadlines.jobs:
        share = _share(deadlines.hopeless / deadlines.jobs)
        cannot = f"{deadlines.hopeless:,} ({share}) cannot be met even without waiting"
        lines += ["", f"jobs with a deadline: {deadlines.jobs:,}; {cannot}"]
    return "\n".join([*lines, "", *_ending_lines(report.endings)])


def statistics_text(stats: Statistics, found: Endings, source: str) -> str:
    """Arrivals, work, run times, GPU demand, statuses."""
    burst = not stats.span_s > 0
    load_1 = "–" if burst else f"{_number(stats.gpus_at_load_1)} GPUs"
    rows = [
        ["jobs", f"{stats.num_jobs:,}"],
        ["arrive", "all at once" if burst else f"within {_time(stats.span_s)}"],
        ["arrivals per hour", "–" if burst else _number(stats.arrivals_per_h)],
        ["gaps: st. deviation / mean", "–" if burst else _number(stats.interarrival_cv)],
        ["GPU-hours", f"{stats.gpu_hours:,.0f}" if stats.gpu_hours >= 10 else _number(stats.gpu_hours)],
        ["kept busy at load 1", load_1],
        ["mean GPUs per job", f"{stats.mean_gpus:.2f}"],
        ["mean run time", _time(stats.mean_duration_s)],
    ]
    quantiles = [[name, f"{value:,.0f} s", _time(value)] for name, value in stats.duration_s.items()]
    return "\n".join(
        [
            source,
            "",
            *_aligned(rows, "lr"),
            "",
            *_aligned([["run time", "", ""], *quantiles], "lrr"),
            "",
            *_demand_lines(stats),
            "",
            *_ending_lines(found),
        ]
    )


def _feasibility_lines(found: Feasibility, jobs: int) -> list[str]:
    lines = [f"on {found.cluster} ({found.num_gpus:,} GPUs)"]
    bad = sum(found.impossible.values())
    lines.append(f"jobs that cannot run there: {bad:,} of {jobs:,}")
    lines += _aligned([["  ", f"{count:,}", reason] for reason, count in found.impossible.items()], "lrl")
    if not found.able_jobs:
        return [*lines, "offered load: none, since no job can run"]
    if math.isinf(found.offered_load):
        return [*lines, "offered load: not defined, since all jobs arrive at once"]
    of = "" if not bad else f" of the {found.able_jobs:,} others"
    return [*lines, f"offered load{of}: {_number(found.offered_load)} (each job on its fastest GPU type)"]


def _ending_lines(found: Endings) -> list[str]:
    lost = [f"dropped because the log does not show their end: {found.dropped_without_end:,}"]
    if not found.rows:
        text = "how jobs ended: the trace has no status, so that censored run times cannot be told from others"
        return [text, *(lost if found.dropped_without_end else [])]
    jobs = sum(row.jobs for row in found.rows)
    hours = sum(row.gpu_hours for row in found.rows)
    table = [["status", "jobs", "share", "GPU-hours", "median run time", "which means"]]
    table += [
        [
            row.status or "(none)",
            f"{row.jobs:,}",
            _share(row.jobs / jobs),
            _share(row.gpu_hours / hours),
            _time(row.median_duration_s),
            row.ending,
        ]
        for row in found.rows
    ]
    lines = _aligned(table, "lrrrrl")
    cut = [f"censored ({STOPPED.split(':')[0]}): {_share(found.censored_job_share)} of the jobs, "
           f"{_share(found.censored_gpu_hour_share)} of the GPU-hours"]  # fmt: skip
    return [*lines, *cut, *(lost if found.dropped_without_end else [])]


def _demand_lines(stats: Statistics) -> list[str]:
    """The most frequent demands in order of size, the others in one row."""
    shown = sorted(sorted(stats.demands, key=lambda d: -d.jobs)[:MAX_DEMANDS])
    rows = [["GPUs", "jobs", "share", "GPU-hours"]]
    rows += [[f"{d.gpus:g}", f"{d.jobs:,}", _share(d.job_share), _share(d.gpu_hour_share)] for d in shown]
    rest = [d for d in stats.demands if d not in shown]
    if rest:
        sums = (sum(d.jobs for d in rest), sum(d.job_share for d in rest), sum(d.gpu_hour_share for d in rest))
        rows.append([f"{len(rest)} others", f"{sums[0]:,}", _share(sums[1]), _share(sums[2])])
    return _aligned(rows, "lrrr")


def _aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Columns two blanks apart; ``sides`` says for each whether it hangs left or right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(sides))] if rows else []
    fill = [str.ljust if side == "l" else str.rjust for side in sides]
    return ["  ".join(fill[i](cell, widths[i]) for i, cell in enumerate(row)).rstrip() for row in rows]


def _share(value: float) -> str:
    """Percent with one decimal; with two where it would round to 100."""
    return f"{100 * value:.1f} %" if 100 * value < 99.95 or value == 1 else f"{100 * value:.2f} %"


def _number(value: float) -> str:
    """About three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    """A time in the unit that reads best."""
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.3g} s"
