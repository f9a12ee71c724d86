"""From tidy rows to verdicts: the ablation table of a scenario as plain data.

An arm with several training seeds is judged over its training seeds (the replicates); an arm with one training
seed, and every rule, only over workloads, which is said wherever it is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from rl_sched.errors import ConfigError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.scores import MEAN_JCT, Objective, Policy, policies_of

SEEDS, WORKLOADS = "training seeds", "workloads"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours against another policy: all differences in percent of the other's score."""

    other: str
    difference_pct: st.Estimate
    over: str  #: what the replicates are: training seeds or workloads
    prob_better: float
    p: float  #: sign-flip permutation, of one comparison
    p_adjusted: float  #: Holm over the comparisons of the same column
    verdict: str
    to_settle: int | None = None  #: replicates that would settle it, where it is inconclusive and they can be told


@dataclass(frozen=True, slots=True)
class Row:
    """One policy of the table. ``score`` is nan in the presence of unfinished jobs."""

    name: str
    learned: bool
    factors: dict[str, str]
    score: st.Estimate  #: of the objective
    over: str
    seed_scores: dict[int, float]  #: training seed (-1 for a rule) -> mean over the workloads
    num_unfinished: int  #: jobs, over all runs
    means: dict[str, float]  #: every other metric, averaged over runs
    versus: dict[str, Comparison] = field(default_factory=dict)  #: other policy -> comparison


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a factor, averaged over the arms that share the other factors."""

    level: str
    score: st.Estimate
    versus_best: Comparison | None


@dataclass(frozen=True, slots=True)
class Marginal:
    """The effect of one factor: its levels, best first, and what can be concluded."""

    factor: str
    levels: list[Level]
    averaged_over: str
    conclusion: str


def parse_factors(arm: str) -> dict[str, str]:
    """``"network=mlp,lookahead=off"`` -> ``{"network": "mlp", "lookahead": "off"}``; {} for a plain name."""
    factors = {}
    for part in arm.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            return {}
        factors[key.strip()] = value.strip()
    return factors


def short(factor: str) -> str:
    """A factor's name for a sentence: ``env.lookahead`` -> ``lookahead``, ``network.name`` -> ``network``."""
    parts = [p for p in factor.split(".") if p != "name"]
    return parts[-1] if parts else factor


def display(policy: str) -> str:
    """A policy's name for a reader: ``network=mlp, lookahead=off`` for an arm, else the name itself."""
    factors = parse_factors(policy)
    return ", ".join(f"{short(k)}={v}" for k, v in factors.items()) if factors else policy


def interval_text(e: st.Estimate) -> str:
    """``-17.3 % [-21.0, -13.5]``; more decimals where one would show zero, none for thousands."""
    values = [v for v in (e.value, e.low, e.high) if not math.isnan(v)]
    digits = 2 if any(v != 0 and abs(v) < 0.05 for v in values) else 0 if max(map(abs, values)) >= 1000 else 1
    shown = f"{e.value:+,.{digits}f} %"
    return shown if math.isnan(e.low) else f"{shown} [{e.low:+,.{digits}f}, {e.high:+,.{digits}f}]"


def _overall(policy: Policy, resamples: int) -> tuple[st.Estimate, str]:
    if policy.replicated:
        return st.estimate(list(policy.seed_scores.values()), resamples=resamples), SEEDS
    return st.estimate_mean(policy.workload_scores.to_numpy(), resamples=resamples), WORKLOADS


def _compare(ours: Policy, other: Policy, objective: Objective, resamples: int) -> Comparison | None:
    """Paired by training seed where both are replicated, else each training seed against the other's mean over
    the same workloads, else by workload. None if fewer than one pair is left or a score is nan."""
    if ours.replicated:
        seeds = list(ours.seed_scores)
        if other.learned:
            seeds = [s for s in seeds if s in other.seed_scores]
            theirs = [other.seed_scores[s] for s in seeds]
            rivals = list(other.seed_scores.values())
        else:
            theirs = [float(other.workload_scores.reindex(ours.workloads).mean())] * len(seeds)
            rivals = theirs[:1]
        mine = [ours.seed_scores[s] for s in seeds]
        if not seeds or not np.isfinite([*mine, *theirs]).all():
            return None
        differences = st.relative_pct(mine, theirs)
        size = st.estimate(differences, resamples=resamples)
        better, over = _prob_better(mine, rivals, objective), SEEDS
    else:
        common = ours.workloads.intersection(other.workloads)
        a = ours.workload_scores.reindex(common).to_numpy()
        b = other.workload_scores.reindex(common).to_numpy()
        if not len(common) or not np.isfinite([a, b]).all():
            return None
        differences = 100.0 * (a - b) / abs(b.mean())
        size = st.paired_ratio_pct(a, b, resamples=resamples)
        gain = objective.sign * (b - a)
        better, over = float(((gain > 0) + 0.5 * (gain == 0)).mean()), WORKLOADS
    p = st.sign_flip_p(differences) if len(differences) > 1 else float("nan")
    unit = "seeds" if over == SEEDS else "workloads"
    needed = st.replicates_to_settle(differences)
    verdict = st.verdict(size, needed, unit, objective.lower_is_better)
    if over == WORKLOADS and ours.learned and other.learned:
        verdict = st.ONE_SEED  # two training runs differ on any workload; that says nothing about their methods
    return Comparison(other.name, size, over, better, p, p, verdict, needed if size.holds_zero else None)


Scores = Sequence[float] | np.ndarray


def _prob_better(mine: Scores, rivals: Scores, objective: Objective) -> float:
    return st.probability_of_improvement(objective.sign * np.array(mine), objective.sign * np.array(rivals))


def _with_column(
    rows: list[Row], policies: Mapping[str, Policy], other: str, objective: Objective, resamples: int
) -> None:
    """Adds the comparison of every row with ``other``; p-values adjusted over the learned rows and the rules apart."""
    for group in ([r for r in rows if r.learned], [r for r in rows if not r.learned]):
        rest = [row for row in group if row.name != other]
        made = [(row, _compare(policies[row.name], policies[other], objective, resamples)) for row in rest]
        found = [(row, c) for row, c in made if c is not None]
        for (row, c), adjusted in zip(found, st.holm([c.p for _, c in found]), strict=True):
            row.versus[other] = replace(c, p_adjusted=adjusted)


def compare(
    table: pd.DataFrame, *, others: Sequence[str] = (), objective: Objective = MEAN_JCT, resamples: int = st.RESAMPLES
) -> list[Row]:
    """The rows of one scenario's table, learned ones first, best first, each compared with every name in ``others``.

    Args:
        table: Tidy rows of ONE scenario.
        others: Policies to compare with: the reference arm, SJF, the best rule.
        objective: The metric to judge by.
        resamples: Of the bootstrap.

    Raises:
        ConfigError: A name in ``others`` is not in the table.
    """
    policies = policies_of(table, objective.metric)
    for name in others:
        if name not in policies:
            raise ConfigError(f"A policy to compare with must be one of {list(policies)}; it is {name!r}.")
    rows = []
    for policy in policies.values():
        score, over = _overall(policy, resamples)
        rows.append(
            Row(
                policy.name,
                policy.learned,
                parse_factors(policy.name) if policy.learned else {},
                score,
                over,
                policy.seed_scores,
                policy.num_unfinished,
                policy.means,
            )
        )
    rows.sort(key=lambda r: (not r.learned, np.isnan(r.score.value), objective.sign * r.score.value))
    for other in dict.fromkeys(others):
        _with_column(rows, policies, other, objective, resamples)
    return rows


#: The policy whose normalised score is 0.
_SCORE_ZERO = "fifo"


def normalised_scores(rows: Sequence[Row]) -> dict[str, float]:
    """Mean JCT on a scale on which strict FIFO is 0 and the lower bound 1, so that scenarios can be averaged.

    Returns:
        ``(m_FIFO - m) / (m_FIFO - m_bound)`` of every policy; {} without FIFO, without bounds, or where the score of
        the rows is not the mean JCT.
    """
    zero = next((row for row in rows if row.name == _SCORE_ZERO), None)
    if zero is None or "mean_jct_bound_s" not in zero.means or MEAN_JCT.metric in zero.means:
        return {}
    span_s = zero.score.value - zero.means["mean_jct_bound_s"]
    return {row.name: (zero.score.value - row.score.value) / span_s for row in rows} if span_s > 0 else {}


def marginal(
    rows: Sequence[Row], factor: str, objective: Objective = MEAN_JCT, resamples: int = st.RESAMPLES
) -> Marginal | None:
    """The effect of a factor, averaged over the others within each training seed, paired by training seed.

    Only combinations of the other factors that exist for every level enter, and only training seeds that finished
    in all of those arms: every level is averaged over the same things. The intervals of the k - 1 comparisons with
    the best level hold together (Bonferroni), because the best level was chosen by looking at them.

    Returns:
        None if the factor has fewer than two levels or nothing is left to average.
    """
    arms = {tuple(sorted(r.factors.items())): r for r in rows if r.learned and factor in r.factors}
    levels = list(dict.fromkeys(r.factors[factor] for r in arms.values()))
    rest_of = {level: {_without(k, factor) for k in arms if dict(k)[factor] == level} for level in levels}
    if len(levels) < 2 or not (common := set.intersection(*rest_of.values())):
        return None
    cells = {
        level: [r.seed_scores for k, r in arms.items() if dict(k)[factor] == level and _without(k, factor) in common]
        for level in levels
    }
    every = [scores for group in cells.values() for scores in group]
    seeds = sorted(s for s in every[0] if all(np.isfinite(scores.get(s, np.nan)) for scores in every))
    if not seeds:
        return None
    means = {level: np.array([np.mean([c[s] for c in cells[level]]) for s in seeds]) for level in levels}
    scores = {level: st.estimate(values, resamples=resamples) for level, values in means.items()}
    order = sorted(levels, key=lambda level: objective.sign * scores[level].value)
    best, confidence = order[0], 1 - (1 - st.CONFIDENCE) / (len(order) - 1)
    differences = {level: st.relative_pct(means[best], means[level]) for level in order[1:]}
    found = [
        Comparison(
            level,
            size := st.estimate(d, confidence=confidence, resamples=resamples),
            SEEDS,
            _prob_better(means[best], means[level], objective),
            p := st.sign_flip_p(d) if len(d) > 1 else float("nan"),
            p,
            st.verdict(size, st.replicates_to_settle(d, confidence), lower_is_better=objective.lower_is_better),
        )
        for level, d in differences.items()
    ]
    adjusted = st.holm([c.p for c in found])
    found = [replace(c, p_adjusted=a) for c, a in zip(found, adjusted, strict=True)]
    others = sorted({name for k in common for name, _ in k})
    return Marginal(
        factor,
        [Level(best, scores[best], None), *(Level(c.other, scores[c.other], c) for c in found)],
        f"{len(common)} setting(s) of {' and '.join(map(short, others))}" if others else "nothing else",
        _conclude(short(factor), best, found, len(seeds), objective.name),
    )


def _without(key: tuple[tuple[str, str], ...], factor: str) -> tuple[tuple[str, str], ...]:
    return tuple(item for item in key if item[0] != factor)


def _conclude(factor: str, best: str, comparisons: Sequence[Comparison], n: int, score: str) -> str:
    if n < 2:
        return f"Best {factor}: inconclusive. {best} is ahead with one training seed; run at least 3."

    def against(found: Sequence[Comparison], verdicts: bool) -> str:
        return "; ".join(
            f"{c.other}: {interval_text(c.difference_pct)}" + (f", {c.verdict}" if verdicts else "") for c in found
        )

    open_ = [c for c in comparisons if c.difference_pct.holds_zero]
    beaten = [c for c in comparisons if not c.difference_pct.holds_zero]
    better = f"{score} against {against(beaten, False)}"
    if not open_:
        return f"Best {factor}: {best} ({better}; n = {n} training seeds)."
    return (
        f"Best {factor}: inconclusive. {best} is ahead, but not clearly so (against {against(open_, True)})"
        + (f"; it is better than the rest ({better})" if beaten else "")
        + f"; n = {n} training seeds."
    )
