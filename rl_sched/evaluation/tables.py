"""The tables of a report, and how its numbers are written in cells."""

from __future__ import annotations

import math

from rl_sched.evaluation.blocks import Table
from rl_sched.evaluation.comparison import Comparison, Marginal, Row, display, interval_text, normalised_scores, short
from rl_sched.evaluation.console import NONE, seconds
from rl_sched.evaluation.findings import Costs, ScenarioReport
from rl_sched.evaluation.statistics import Estimate

#: Metrics of one priority.
PRIORITY_METRIC = "mean_jct_priority_"


def with_interval(e: Estimate) -> str:
    """``114.5 [112.0, 117.1]``."""
    if math.isnan(e.value):
        return NONE
    return seconds(e.value) if math.isnan(e.low) else f"{seconds(e.value)} [{seconds(e.low)}, {seconds(e.high)}]"


def percent(c: Comparison | None) -> str:
    """``-17.3 [-19.0, -15.2]``, in percent."""
    return NONE if c is None else interval_text(c.difference_pct).replace(" %", "")


def _number(value: float, spec: str) -> str:
    return NONE if math.isnan(value) else format(value, spec)


def score_cell(row: Row) -> str:
    """The score with its interval, or how many jobs are missing for a score."""
    missing = math.isnan(row.score.value) and row.num_unfinished
    return f"none: {row.num_unfinished} unfinished jobs" if missing else with_interval(row.score)


def hours(seconds_: float) -> str:
    """CPU-hours of CPU seconds, with about three digits."""
    value = seconds_ / 3600
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _name(row: Row) -> str:
    return f"**{display(row.name)}**" if row.learned else f"{row.name} (rule)"


def _columns(s: ScenarioReport) -> list[tuple[str, str]]:
    """Policies to compare with: (name, heading)."""
    out = []
    if s.sjf:
        out.append((s.sjf, f"vs SJF (`{s.sjf}`) %"))
    if s.best_rule and s.best_rule != s.sjf:
        out.append((s.best_rule, f"vs best rule (`{s.best_rule}`) %"))
    return out


def ablation_table(s: ScenarioReport) -> Table:
    """Arms, best first, then the rules."""
    arms = any(r.learned for r in s.rows)
    ablation = s.reference is not None
    header = ["policy", f"{s.objective.title} [95 %]"]
    if ablation:
        header += ["vs reference %", "P(better)", "adj. p", "verdict"]
    header += [title for _, title in _columns(s)]
    if arms:
        header += ["seeds done / failed", "CPU-hours"]
    lines = []
    for row in s.rows:
        c = row.versus.get(s.reference) if s.reference else None
        cells = [_name(row), score_cell(row)]
        if ablation:
            if row.name == s.reference:
                cells += ["reference", NONE, NONE, NONE]
            elif row.learned and c is not None:
                cells += [percent(c), f"{c.prob_better:.2f}", _number(c.p_adjusted, ".3g"), c.verdict]
            else:
                cells += [NONE] * 4
        cells += [NONE if row.name == other else percent(row.versus.get(other)) for other, _ in _columns(s)]
        if arms:
            cost = s.costs.get(row.name)
            if cost is not None:
                cells += [f"{cost.done} / {cost.failed}", hours(cost.cpu_s)]
            else:
                cells += [f"{len(row.seed_scores)} / 0" if row.learned else NONE, NONE]
        lines.append(cells)
    known = {r.name for r in s.rows}
    for arm, cost in s.costs.items():  # arms of which no seed finished
        if arm not in known:
            blanks = [NONE] * (len(header) - 4)
            lines.append(
                [f"**{display(arm)}**", "no result", *blanks, f"{cost.done} / {cost.failed}", hours(cost.cpu_s)]
            )
    return Table(header, lines)


def last_table(s: ScenarioReport) -> Table:
    """The arms with their last checkpoints, best first."""
    columns = _columns(s)
    rows = [[_name(r), score_cell(r), *(percent(r.versus.get(other)) for other, _ in columns)] for r in s.last]
    return Table(["arm", f"{s.objective.title} [95 %]", *(title for _, title in columns)], rows)


def metrics_table(s: ScenarioReport) -> Table:
    """The other metrics, averaged over runs, the same order."""
    columns = {
        "mean_jct_gap_frac": ("JCT above bound %", lambda v: _number(100 * v, ".1f")),
        "median_jct_s": ("median JCT (s)", seconds),
        "p95_jct_s": ("p95 JCT (s)", seconds),
        "p99_jct_s": ("p99 JCT (s)", seconds),
        "mean_wait_s": ("mean wait (s)", seconds),
        "mean_bounded_slowdown": ("bounded slowdown", lambda v: _number(v, ".2f")),
        "makespan_s": ("makespan (s)", seconds),
        "makespan_gap_frac": ("makespan above bound %", lambda v: _number(100 * v, ".1f")),
        "utilisation_frac": ("utilisation %", lambda v: _number(100 * v, ".1f")),
        **{name: (f"JCT, priority {_priority(name)} (s)", seconds) for name in _priorities(s)},
        "jain_user_frac": ("Jain (users)", lambda v: _number(v, ".3f")),
        "p95_finish_time_fairness": ("p95 rho", lambda v: _number(v, ".2f")),
        "max_finish_time_fairness": ("max rho", lambda v: _number(v, ".1f")),
        "deadline_miss_frac": ("deadlines missed %", lambda v: _number(100 * v, ".1f")),
        "energy_kwh": ("energy (kWh)", lambda v: _number(v, ",.4g")),
        "gpu_cost_usd": ("GPU cost ($)", lambda v: _number(v, ",.4g")),
        "p50_decision_latency_s": ("decision p50 (ms)", lambda v: _number(1e3 * v, ".3g")),
        "p99_decision_latency_s": ("decision p99 (ms)", lambda v: _number(1e3 * v, ".3g")),
        "noop_share_frac": ("no-op %", lambda v: _number(100 * v, ".1f")),
        "num_preemptions": ("preemptions / run", lambda v: _number(v, "g")),
        "num_kills": ("kills / run", lambda v: _number(v, "g")),
        "num_illegal_actions": ("illegal actions / run", lambda v: _number(v, "g")),
        "num_unfinished": ("unfinished / run", lambda v: _number(v, "g")),
    }
    rare = ("num_preemptions", "num_kills", "num_illegal_actions")
    present = [m for m in columns if any((r.means.get(m) if m in rare else m in r.means) for r in s.rows)]
    score = normalised_scores(s.rows)
    title = ["score"] * bool(score)
    rows = [
        [
            _name(r),
            *(_number(score[r.name], ".3f") for _ in title),
            *(columns[m][1](r.means.get(m, math.nan)) for m in present),
        ]
        for r in s.rows
    ]
    return Table(["policy", *title, *(columns[m][0] for m in present)], rows)


def _priorities(s: ScenarioReport) -> list[str]:
    """The metrics of single priorities, the highest priority first."""
    found = {m for r in s.rows for m in r.means if m.startswith(PRIORITY_METRIC)}
    return sorted(found, key=lambda name: -float(_priority(name)))


def _priority(metric: str) -> str:
    return metric.removeprefix(PRIORITY_METRIC).removesuffix("_s")


def marginal_table(m: Marginal, s: ScenarioReport) -> Table:
    """The levels of a factor, best first."""
    rows = [
        [
            f"`{level.level}`",
            with_interval(level.score),
            "best" if level.versus_best is None else percent(level.versus_best),
            NONE if level.versus_best is None else _number(level.versus_best.p_adjusted, ".3g"),
            NONE if level.versus_best is None else level.versus_best.verdict,
        ]
        for level in m.levels
    ]
    header = [short(m.factor), f"{s.objective.title} [95 %]", "best level vs this %", "adj. p", "best level is"]
    return Table(header, rows)


def compute_table(s: ScenarioReport) -> Table:
    """What every arm has cost."""
    rows = [
        [f"**{display(arm)}**", f"{c.done}", f"{c.failed}", f"{c.steps:,}" if c.steps else NONE, hours(c.cpu_s)]
        for arm, c in s.costs.items()
    ]
    done, failed, steps, cpu_s = (sum(getattr(c, f) for c in s.costs.values()) for f in Costs._fields)
    rows.append(["all", f"{done}", f"{failed}", f"{steps:,}" if steps else NONE, hours(cpu_s)])
    return Table(["arm", "training runs done", "failed", "environment steps", "CPU-hours"], rows)
