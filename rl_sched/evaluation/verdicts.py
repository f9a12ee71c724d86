"""What a table says, in sentences: what helps, by how much, what is open and how many seeds would settle it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.comparison import SEEDS, Comparison, Marginal, Row, display, interval_text
from rl_sched.evaluation.scores import MEAN_JCT, Objective

#: Arms that a sentence names one by one; the others are in the table.
NAMED_ARMS = 6


def _versus_sentence(name: str, c: Comparison, what: str, objective: Objective) -> str:
    size = f"{name} against {what} ({c.other}): {interval_text(c.difference_pct)} in {objective.name}"
    return f"{size}, {c.verdict} (n = {c.difference_pct.n} {c.over})."


def conclusions(
    rows: Sequence[Row],
    effects: Sequence[Marginal],
    reference: str | None,
    winner: str | None,
    sjf: str | None,
    best_rule: str | None,
    objective: Objective,
) -> list[str]:
    """The verdict on one scenario.

    Args:
        rows: Compared with the reference, SJF, the best rule and the headline arm.
        effects: Of the factors.
        reference: The arm that the others are compared with.
        winner: The arm that was chosen on VAL.
        sjf, best_rule: Rules.
        objective: What the rows are judged by.
    """
    out = [m.conclusion for m in effects]
    if reference is not None:
        out += against_reference(rows, reference)
    learned = [r for r in rows if r.learned and not math.isnan(r.score.value)]
    if learned:
        chosen = next((r for r in learned if r.name == winner), None)
        best = chosen or learned[0]
        if len(learned) > 1:
            others = [r for r in learned if r is not best]
            out.append(_chosen_arm(best, others) if chosen else _best_arm(best, others))
        name = display(best.name) + (", chosen on VAL," if chosen else "")
        if sjf and sjf in best.versus:
            out.append(_versus_sentence(name, best.versus[sjf], "SJF", objective))
        if best_rule and best_rule != sjf and best_rule in best.versus:
            c = best.versus[best_rule]
            wins = c.verdict == "better"
            out.append(
                _versus_sentence(name, c, "the best rule", objective)
                + ("" if wins else " It does not beat the best rule, so it is not yet a better scheduler.")
            )
    for row in rows:
        if row.num_unfinished and objective == MEAN_JCT:
            out.append(f"{display(row.name)} left {row.num_unfinished} jobs unfinished: it has no mean JCT to compare.")
    return out


def against_reference(rows: Sequence[Row], reference: str) -> list[str]:
    """Which arms are better than the reference arm, which worse, and which cannot be told from it yet."""
    found = [(r, r.versus[reference]) for r in rows if r.learned and reference in r.versus]
    if not found:
        return []
    if all(c.verdict == st.ONE_SEED for _, c in found):
        return [f"Against {display(reference)}: inconclusive with one training seed; run at least 3."]
    better = [f"{display(r.name)} {interval_text(c.difference_pct)}" for r, c in found if c.verdict == "better"]
    worse = [f"{display(r.name)} {interval_text(c.difference_pct)}" for r, c in found if c.verdict == "worse"]
    open_ = [
        f"{display(r.name)} {interval_text(c.difference_pct)}, {_seeds_missing(c)}"
        for r, c in found
        if c.verdict not in ("better", "worse", "equal")
    ]
    parts = (("Better than", better), ("Worse than", worse), ("Inconclusive against", open_))
    return [f"{what} {display(reference)}: {_listed(some)}." for what, some in parts if some]


def _listed(some: Sequence[str]) -> str:
    more = f"; and {len(some) - NAMED_ARMS} more (see the table)" if len(some) > NAMED_ARMS else ""
    return "; ".join(some[:NAMED_ARMS]) + more


def _seeds_missing(c: Comparison) -> str:
    """How many seeds would settle a comparison, and how many more these are than there are."""
    if c.to_settle is None:
        return f"more than {st.MOST_REPLICATES:,} {c.over} would be needed"
    needed = st.rounded_up(max(c.to_settle, c.difference_pct.n + 1))
    return f"about {needed:,} {c.over} would settle it, {needed - c.difference_pct.n:,} more"


def _best_arm(best: Row, followers: Sequence[Row]) -> str:
    """Names the arms that cannot be told from the best one (their own interval against it holds zero)."""
    against = [(r, r.versus[best.name]) for r in followers if best.name in r.versus]
    same = [r.name for r, c in against if c.difference_pct.holds_zero]
    name, n = display(best.name), best.score.n
    if not same:
        return f"Best arm: {name}; every other arm is worse (pairwise 95 % intervals, n = {n} {best.over})."
    if len(same) == len(followers):
        return f"Best arm: inconclusive. {name} is ahead, but no other arm can be told from it (n = {n} {best.over})."
    return f"Best arm: inconclusive. {name} is ahead, but cannot be told from {_some(same)} (n = {n} {best.over})."


def _chosen_arm(chosen: Row, others: Sequence[Row]) -> str:
    """Says how the arm that was chosen on VAL stands among the others."""
    against = [(r, r.versus[chosen.name]) for r in others if chosen.name in r.versus]
    same = [r.name for r, c in against if c.difference_pct.holds_zero]
    better = [r.name for r, c in against if c.verdict == "better"]
    parts = [f"cannot be told from {_some(same)}"] * bool(same) + [f"is worse than {_some(better)}"] * bool(better)
    found = " and ".join(parts) or "every other arm is worse"
    name, n = display(chosen.name), chosen.score.n
    return f"Arm chosen on VAL: {name}; on these workloads {'it ' * bool(parts)}{found} (n = {n} {chosen.over})."


def _some(names: Sequence[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more arms" if len(names) > limit else ""
    return "; ".join(display(name) for name in names[:limit]) + more


def captions(rows: Sequence[Row], episodes: int, objective: Objective) -> list[str]:
    out = []
    gain = "below" if objective.lower_is_better else "above"
    replicated = [r for r in rows if r.over == SEEDS]
    if replicated:
        counts = sorted({r.score.n for r in replicated})
        n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        methods = "; ".join(dict.fromkeys(r.score.method for r in replicated))
        out.append(
            f"Arms: n = {n} training seeds, each scored by its {objective.name} over the same {episodes} workloads; "
            f"{methods}."
        )
        if counts[0] < st.MIN_SEEDS_FOR_BOOTSTRAP:
            smallest_p = 2 / 2 ** counts[0]
            out.append(
                f"Fewer than {st.MIN_SEEDS_FOR_BOOTSTRAP} training seeds are a screening, not a claim: intervals are "
                f"Student's t around the mean, and with {counts[0]} seeds no sign-flip p-value can fall below "
                f"{smallest_p:g}. Run at least {st.MIN_SEEDS_FOR_BOOTSTRAP} seeds for a claim."
            )
        out.append(
            "Differences are paired (arms by training seed, against rules on the same workloads), in % of the other's "
            f"{objective.name}, {gain} zero = better; intervals are for each difference alone; p: sign-flip "
            "permutation, Holm-adjusted over the arms."
        )
    if any(r.learned and r.over != SEEDS for r in rows):
        out.append(
            "A learned policy with one training seed (n = 1): its intervals are over workloads only and say nothing "
            "about another training run."
        )
    rule = next((r for r in rows if not r.learned), None)
    if rule is not None:
        out.append(f"Rules are not trained: n = {rule.score.n} workloads; {rule.score.method}.")
    return out
