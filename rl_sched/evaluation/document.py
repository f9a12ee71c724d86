"""A report as a document: what it says, in order."""

from __future__ import annotations

from rl_sched.evaluation.blocks import Block, Bullets, Heading, Paragraph, Picture
from rl_sched.evaluation.comparison import normalised_scores, short
from rl_sched.evaluation.findings import Report, ScenarioReport
from rl_sched.evaluation.tables import ablation_table, compute_table, last_table, marginal_table, metrics_table


def document(report: Report) -> list[Block]:
    """All blocks of a report."""
    blocks: list[Block] = [Heading(1, report.title)]
    if report.notes:
        blocks.append(Bullets(report.notes))
    for s in report.scenarios:
        blocks += _scenario(report, s)
    whole = _pictures(report, None)
    if whole:
        blocks += [Heading(2, "The sweep"), *whole]
    return blocks


def _scenario(report: Report, s: ScenarioReport) -> list[Block]:
    blocks: list[Block] = [Heading(2, f"Scenario `{s.scenario}`")]
    if s.conclusions:
        blocks.append(Bullets(s.conclusions))
    blocks += [ablation_table(s), *(Paragraph(c, small=True) for c in s.captions)]
    if s.last:
        text = "Above, every training run is judged with its best checkpoint on VAL; here with its last one."
        blocks += [Heading(3, "Last checkpoint"), Paragraph(text), last_table(s)]
    for m in s.marginals:
        text = (
            f"Averaged over {m.averaged_over} within each training seed, paired by training seed "
            f"(n = {m.levels[0].score.n}; {m.levels[0].score.method}). The intervals of the differences hold together."
        )
        blocks += [Heading(3, f"Effect of {short(m.factor)}"), Paragraph(text), marginal_table(m, s)]
    blocks += [Heading(3, "Other metrics (means over runs)"), metrics_table(s)]
    if normalised_scores(s.rows):
        text = "Score: 0 = strict FIFO, 1 = the lower bound, which no schedule can beat and few can meet."
        blocks.append(Paragraph(text, small=True))
    if s.costs:
        blocks += [Heading(3, "Compute"), compute_table(s)]
    if pictures := _pictures(report, s.scenario):
        blocks += [Heading(3, "Figures"), *pictures]
    return blocks


def _pictures(report: Report, scenario: str | None) -> list[Block]:
    return [Picture(drawn.file, drawn.title) for drawn in report.figures if drawn.scenario == scenario]
