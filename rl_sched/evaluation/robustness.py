"""How policies stand under conditions that they were not made for.

All policies face the same workloads under a condition. Rules keep the parameters that were fitted to the home scenario,
as learned policies keep their weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.blocks import Block, Bullets, Heading, Paragraph, Table
from rl_sched.evaluation.comparison import Row, compare, display, interval_text
from rl_sched.evaluation.conditions import Condition
from rl_sched.evaluation.console import NONE
from rl_sched.evaluation.protocol import SJF, evaluate
from rl_sched.evaluation.scores import MEAN_JCT, policies_of
from rl_sched.evaluation.tables import score_cell

if TYPE_CHECKING:
    from rl_sched.scenarios.base import Scenario


def judge(
    policies: Mapping[str, Any],
    asked: Sequence[Condition],
    seeds_of: Callable[[Scenario], Sequence[int]],
    *,
    on_condition: Callable[[str], None] | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Tidy rows of all policies under all conditions (the column ``scenario`` names the condition).

    Args:
        policies: As ``protocol.evaluate`` takes them.
        asked: The conditions.
        seeds_of: The workload seeds of a scenario.
        on_condition: Called with the name of a condition before it is played.

    Returns:
        The rows, and a sentence for each policy that cannot play under a condition.
    """
    tables, notes = [], []
    for condition in asked:
        if on_condition is not None:
            on_condition(condition.name)
        for name, policy in policies.items():
            try:
                tables.append(evaluate({name: policy}, condition.scenario, seeds_of(condition.scenario)))
            except RlSchedError as error:
                notes.append(f"{name} cannot play under {condition.name!r}: {error}")
    if not tables:
        raise ConfigError(f"No policy can play under any condition. {notes[0] if notes else ''}".strip())
    return pd.concat(tables, ignore_index=True), notes


class Standing(NamedTuple):
    """One policy under one condition; differences in percent, lower is better."""

    condition: str
    family: str
    level: float | None
    row: Row
    versus: st.Estimate | None  #: against the reference rule under the same condition, paired; None for itself
    verdict: str
    change: st.Estimate | None  #: against itself at home, paired by workload; None where the jobs are others


def standings(
    table: pd.DataFrame, asked: Sequence[Condition], reference: str, *, resamples: int = st.RESAMPLES
) -> list[Standing]:
    """Every policy under every condition that it could play under, by mean JCT.

    Args:
        table: From ``judge``.
        asked: The conditions.
        reference: A rule that played under all of them.
        resamples: Of every bootstrap.
    """
    home = policies_of(table[table["scenario"] == asked[0].name])
    found = []
    for condition in asked:
        own = table[table["scenario"] == condition.name]
        here = policies_of(own)
        for row in compare(own, others=[reference], resamples=resamples):
            c = row.versus.get(reference)
            change = None
            if condition.at_home and condition is not asked[0] and row.name in home:
                a, b = here[row.name].workload_scores, home[row.name].workload_scores
                common = a.index.intersection(b.index)
                pair = np.array([a.reindex(common), b.reindex(common)])
                change = st.paired_ratio_pct(*pair, resamples=resamples) if np.isfinite(pair).all() else None
            verdict = NONE if c is None else c.verdict
            versus = None if c is None else c.difference_pct
            found.append(Standing(condition.name, condition.family, condition.level, row, versus, verdict, change))
    return found


def best_rule(table: pd.DataFrame, home: str) -> str:
    """The rule with the lowest mean JCT at home.

    Raises:
        ConfigError: No rule has one.
    """
    rules = {
        p.name: p.workload_scores.mean()
        for p in policies_of(table[table["scenario"] == home]).values()
        if not p.learned
    }
    known = {name: score for name, score in rules.items() if np.isfinite(score)}
    if not known:
        raise ConfigError("Robustness is judged against a rule; name at least one that finishes all jobs at home.")
    return min(known, key=lambda name: known[name])


def robustness_table(found: Sequence[Standing], policies: Sequence[str], reference: str) -> Table:
    """A line for each condition and policy."""
    header = [
        "condition",
        "policy",
        f"{MEAN_JCT.title} [95 %]",
        "change from home %",
        f"against `{reference}` %",
        "verdict",
    ]
    rows = []
    for s in found:
        if s.row.name in policies:
            name = f"**{display(s.row.name)}**" if s.row.learned else f"{s.row.name} (rule)"
            shown = [NONE if e is None else interval_text(e).replace(" %", "") for e in (s.change, s.versus)]
            rows.append([s.condition, name, score_cell(s.row), *shown, s.verdict])
    return Table(header, rows)


def conclusions(found: Sequence[Standing], reference: str) -> list[str]:
    """Under which conditions each learned policy is better, worse, or cannot be told from the reference rule."""
    out = []
    for name in dict.fromkeys(s.row.name for s in found if s.row.learned):
        own = [s for s in found if s.row.name == name]
        parts = [
            f"{what} under {', '.join(names)}"
            for what, verdicts in (
                ("better", ("better",)),
                ("worse", ("worse",)),
                ("inconclusive", ("inconclusive", "equal")),
            )
            if (names := [s.condition for s in own if s.verdict.split(" ")[0] in verdicts])
        ]
        out.append(f"{display(name)} against {reference}: {'; '.join(parts) or 'not compared'}.")
    return out


def document(
    title: str, found: Sequence[Standing], shown: Sequence[str], reference: str, notes: Sequence[str]
) -> list[Block]:
    """The report without its figure."""
    replicated = next((s.row for s in found if s.row.learned), None)
    over = f"{replicated.score.n} {replicated.over}; {replicated.score.method}" if replicated else "workloads only"
    text = (
        f"n = {over}. Differences against `{reference}`, the best rule at home, are paired under each condition; the "
        "change from home is paired by workload, the same jobs under the changed condition. Lower is better."
    )
    blocks: list[Block] = [Heading(1, title)]
    if notes:
        blocks.append(Bullets(list(notes)))
    return [
        *blocks,
        Heading(2, "Robustness"),
        Bullets(conclusions(found, reference)),
        robustness_table(found, shown, reference),
        Paragraph(text, small=True),
    ]


def shown_policies(found: Sequence[Standing], reference: str, most: int = 6) -> list[str]:
    """Learned policies, the reference, SJF, and the next best rules at home."""
    home = [s.row for s in found if s.condition == found[0].condition]
    learned = [r.name for r in home if r.learned]
    rules = [r.name for r in home if not r.learned]
    return list(dict.fromkeys([*learned, reference, *(r for r in rules if r == SJF), *rules]))[
        : len(learned) + most - 1
    ]
