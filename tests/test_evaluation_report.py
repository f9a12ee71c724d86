"""Verdicts, marginal effects and the report on results made by hand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import (
    compare,
    display,
    interval_text,
    marginal,
    normalised_scores,
    parse_factors,
    short,
)
from rl_sched.evaluation.console import seconds, text_table
from rl_sched.evaluation.document import document
from rl_sched.evaluation.markdown import markdown_table, to_markdown
from rl_sched.evaluation.protocol import run_rows
from rl_sched.evaluation.report import build_report, plain, write_report
from rl_sched.evaluation.scores import COLUMNS, Objective
from rl_sched.evaluation.statistics import ONE_SEED, Estimate
from rl_sched.evaluation.tables import compute_table, hours, metrics_table
from rl_sched.evaluation.verdicts import against_reference
from rl_sched.policies.bounds.lower import LowerBounds
from tests.evaluation_cases import ablation, arm, costs, random_run, run

REFERENCE = arm("mlp", "off")
BEST = arm("cross_attention", "sorted")


def table_of(scores: dict[str, list[list[float]]], metric: str = "mean_jct_s") -> pd.DataFrame:
    """Tidy rows from policy -> training seeds -> workloads; a name without ``=`` is a rule."""
    rows = [
        (policy, "toy", seed if "=" in policy else -1, 100 + e, metric, value)
        for policy, seeds in scores.items()
        for seed, values in enumerate(seeds, start=1)
        for e, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compare_headings(text: str) -> list[str]:
    """Titles of sections in Markdown or LaTeX, without markup."""
    found = re.findall(r"^(?:#{2,} |\\(?:sub)*section\{)(.*?)\}?$", text, re.M)
    return [re.sub(r"\\texttt\{|[`}]", "", title) for title in found]


def test_names_of_arms() -> None:
    assert parse_factors("network=mlp,lookahead=off") == {"network": "mlp", "lookahead": "off"}
    assert parse_factors("min_min") == {} and parse_factors("a=1,b") == {}
    assert short("network.name") == "network" and short("env.lookahead") == "lookahead"
    assert display(REFERENCE) == "network=mlp, lookahead=off"


def test_arms_are_paired_by_training_seed() -> None:
    # Seeds differ a lot, the arms by exactly a tenth: only pairing sees it.
    table = table_of({"n=a": [[90.0], [180.0], [270.0]], "n=b": [[100.0], [200.0], [300.0]]})
    rows = compare(table, others=["n=b"])
    assert [r.name for r in rows] == ["n=a", "n=b"]
    c = rows[0].versus["n=b"]
    assert c.difference_pct[:3] == pytest.approx((-10, -10, -10)) and c.verdict == "better"
    assert c.prob_better == pytest.approx(6 / 9) and c.p == 0.25
    assert rows[0].score[:2] == pytest.approx((180.0, 180 - 4.302653 * 90 / math.sqrt(3)), rel=1e-5)


def test_arms_against_rules_are_judged_over_training_seeds() -> None:
    table = table_of({"n=a": [[80.0, 120.0], [82.0, 122.0], [90.0, 112.0]], "min_min": [[100.0, 100.0]]})
    c = compare(table, others=["min_min"])[0].versus["min_min"]
    assert c.over == "training seeds" and c.difference_pct.n == 3
    assert c.difference_pct.value == pytest.approx(100 * ((100 + 102 + 101) / 300 - 1))
    assert c.verdict.startswith("inconclusive (about ")


def test_one_training_seed_is_judged_over_workloads_and_only_against_rules() -> None:
    values = np.linspace(50, 150, 20)
    table = table_of({"n=a": [list(0.9 * values)], "n=b": [list(values)], "sjf_backfill": [list(values + 1)]})
    rows = compare(table, others=["n=b", "sjf_backfill"])
    assert rows[0].over == "workloads" and rows[0].versus["sjf_backfill"].verdict == "better"
    assert rows[0].versus["n=b"].verdict == ONE_SEED
    assert rows[0].versus["n=b"].difference_pct.value == pytest.approx(-10)


def test_higher_is_better_where_the_objective_says_so() -> None:
    table = table_of({"n=a": [[0.6], [0.62], [0.61]], "n=b": [[0.5], [0.51], [0.52]]}, "episode_return")
    objective = Objective("episode_return", "episode return", lower_is_better=False)
    rows = compare(table, others=["n=b"], objective=objective)
    assert rows[0].name == "n=a"
    c = rows[0].versus["n=b"]
    assert c.verdict == "better" and c.difference_pct.value > 0 and c.prob_better == 1.0
    report = build_report(table, title="t").scenarios[0]
    assert report.objective == objective and report.rows[0].name == "n=a"
    assert report.conclusions[0].startswith("Best n: a (episode return against b: +")


def test_p_values_are_adjusted_over_the_arms() -> None:
    report = build_report(ablation(seeds=5, episodes=6), title="t", reference_arm=REFERENCE, resamples=200)
    found = [r.versus[REFERENCE] for r in report.scenarios[0].rows if REFERENCE in r.versus and r.learned]
    assert len(found) == 7
    assert all(c.p == 0.0625 for c in found if c.prob_better == 1.0)
    assert min(c.p_adjusted for c in found) == pytest.approx(7 * 0.0625)


def test_marginal_effects_name_the_network_and_leave_the_lookahead_open() -> None:
    rows = compare(ablation(seeds=3, episodes=6))
    network = marginal(rows, "network.name")
    assert network is not None
    assert [level.level for level in network.levels] == ["cross_attention", "mlp"]
    c = network.levels[1].versus_best
    assert c is not None and c.verdict == "better" and c.difference_pct.n == 3
    assert network.conclusion.startswith("Best network: cross_attention (mean JCT against mlp: -1")
    assert network.averaged_over == "4 setting(s) of lookahead"
    # By hand: seed by seed, the mean over the four lookahead modes.
    by_seed = {
        level: np.mean([list(r.seed_scores.values()) for r in rows if r.factors.get("network.name") == level], axis=0)
        for level in ("cross_attention", "mlp")
    }
    expected = np.mean(100 * (by_seed["cross_attention"] / by_seed["mlp"] - 1))
    assert c.difference_pct.value == pytest.approx(expected)
    lookahead = marginal(rows, "env.lookahead")
    assert lookahead is not None and "inconclusive" in lookahead.conclusion
    assert "seeds would settle it" in lookahead.conclusion
    assert marginal(rows, "no.such.factor") is None


def test_marginals_use_only_what_every_level_has() -> None:
    table = ablation(seeds=3, episodes=4)
    lost = (table["policy"] == arm("mlp", "off")) & (table["train_seed"] == 2)
    found = marginal(compare(table[~lost]), "network.name")
    assert found is not None and found.levels[0].score.n == 2
    gone = table["policy"].isin([arm("mlp", "off"), arm("mlp", "cdf")])
    found = marginal(compare(table[~gone]), "network.name")
    assert found is not None and found.averaged_over == "2 setting(s) of lookahead"


def test_report_says_what_the_stored_structure_says(tmp_path: Path) -> None:
    table = ablation(seeds=3, episodes=8)
    what = {"title": "Ablation", "reference_arm": REFERENCE, "notes": ["Plan: toy."], "costs": costs()}
    paths = write_report(table, tmp_path / "out", resamples=300, **what)
    text, stored = paths.markdown.read_text(), json.loads(paths.json.read_text())
    assert stored == plain(build_report(table, resamples=300, **what))
    scenario = stored["scenarios"][0]
    assert (scenario["reference"], scenario["sjf"], scenario["best_rule"]) == (REFERENCE, "sjf_backfill", "min_min")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    header = lines[0]
    for heading in ("mean JCT (s) [95 %]", "vs reference %", "P(better)", "adj. p", "verdict", "vs SJF", "vs best rule",
                    "seeds done / failed", "CPU-hours"):  # fmt: skip
        assert heading in header
    for line, row in zip(lines[1 : 1 + len(scenario["rows"])], scenario["rows"], strict=True):
        assert line.startswith(f"| **{display(row['name'])}** |" if row["learned"] else f"| {row['name']} (rule) |")
        score = row["score"]
        assert f"| {seconds(score['value'])} [{seconds(score['low'])}, {seconds(score['high'])}] |" in line
        for other in (REFERENCE, "sjf_backfill", "min_min"):
            c = row["versus"].get(other)
            if c and (row["learned"] or other != REFERENCE):
                assert interval_text(Estimate(**c["difference_pct"])).replace(" %", "") in line
    assert "| 3 / 1 | 0.117 |" in next(line for line in lines if "network=mlp, lookahead=cdf" in line)
    assert compare_headings(paths.latex.read_text()) == compare_headings(text)
    page = paths.html.read_text()
    assert all(display(row["name"]) in page for row in scenario["rows"])
    for sentence in (*scenario["conclusions"], *scenario["captions"], "Plan: toy."):
        assert sentence in text
    assert any("inconclusive" in s for s in scenario["conclusions"])
    assert any(s.startswith("Fewer than 5 training seeds") for s in scenario["captions"])
    assert any("It does not beat the best rule" in s for s in scenario["conclusions"])
    pd.testing.assert_frame_equal(pd.read_csv(paths.rows_csv), table)


def test_the_headline_arm_is_the_one_chosen_on_val_and_last_checkpoints_have_a_table(tmp_path: Path) -> None:
    table, other = ablation(seeds=3, episodes=6), arm("mlp", "cdf")
    last = table[table["policy"].isin([other, BEST])]
    last = last.assign(value=last["value"].where(last["metric"] != "mean_jct_s", 2 * last["value"]))
    paths = write_report(table, tmp_path, title="t", winners={"default": other}, last=last, resamples=100)
    scenario = json.loads(paths.json.read_text())["scenarios"][0]
    versus = [s for s in scenario["conclusions"] if " against SJF " in s or " against the best rule " in s]
    assert len(versus) == 2 and all(s.startswith(f"{display(other)}, chosen on VAL, against") for s in versus)
    (standing,) = [s for s in scenario["conclusions"] if s.startswith("Arm chosen on VAL: network=mlp, lookahead=cdf;")]
    assert "it is worse than" in standing or "is worse than" in standing
    judged, ended = ({r["name"]: r["score"]["value"] for r in scenario[key]} for key in ("rows", "last"))
    assert set(ended) == {other, BEST} and ended[other] == pytest.approx(2 * judged[other])
    text = paths.markdown.read_text()
    block = text[text.index("### Last checkpoint") :].split("###")[1]
    assert "vs SJF" in block and "vs best rule" in block and block.count("| **network=") == 2
    assert len(pd.read_csv(tmp_path / "rows_last.csv")) == len(last)


def test_inconclusive_appears_exactly_where_the_interval_holds_zero() -> None:
    report = build_report(ablation(seeds=4, episodes=6, noise=0.05), title="t", reference_arm=REFERENCE)
    found = [c for r in report.scenarios[0].rows for c in r.versus.values()]
    verdicts = {c.difference_pct.holds_zero: set() for c in found}
    for c in found:
        verdicts[c.difference_pct.holds_zero].add(c.verdict.split()[0])
    assert verdicts == {True: {"inconclusive"}, False: {"better", "worse"}}


def test_unfinished_jobs_are_never_hidden() -> None:
    table = ablation(seeds=2, episodes=3)
    bad = run([0, 0], [0, np.nan], [5, np.nan], [1, 1])
    rows = run_rows([bad] * 3, "stuck=yes", "default", 1, [1000, 1001, 1002])
    table = pd.concat([table, pd.DataFrame(rows, columns=list(COLUMNS))])
    report = build_report(table, title="t", reference_arm=REFERENCE)
    row = next(r for r in report.scenarios[0].rows if r.name == "stuck=yes")
    assert math.isnan(row.score.value) and row.num_unfinished == 3 and row.versus == {}
    assert "stuck=yes left 3 jobs unfinished: it has no mean JCT to compare." in report.scenarios[0].conclusions
    assert plain(row)["score"]["value"] is None
    last_learned = [r.name for r in report.scenarios[0].rows if r.learned][-1]
    assert last_learned == "stuck=yes"


def test_scenarios_are_reported_apart() -> None:
    both = pd.concat([ablation(2, 3), ablation(2, 3, scenario="philly")])
    spent = costs(2).assign(scenario="philly")
    report = build_report(both, title="t", costs=spent)
    assert [s.scenario for s in report.scenarios] == ["default", "philly"]
    assert report.scenarios[0].costs == {} and report.scenarios[1].costs[REFERENCE] == (2, 0, 0, 280.0)
    assert all(s.reference == REFERENCE for s in report.scenarios)


def test_arms_without_any_result_are_listed(tmp_path: Path) -> None:
    table = ablation(2, 3)
    lost = table[table["policy"] != arm("mlp", "cdf")]
    text = write_report(lost, tmp_path, title="t", costs=costs(2), resamples=100).markdown.read_text()
    assert "| **network=mlp, lookahead=cdf** | no result |" in text


def test_wrong_inputs_are_sentences() -> None:
    table = ablation(2, 2)
    with pytest.raises(ConfigError, match="reference arm must be one of"):
        build_report(table, title="t", reference_arm="nobody")
    with pytest.raises(ConfigError, match="cpu_s is missing"):
        build_report(table, title="t", costs=costs(2).drop(columns="cpu_s"))
    with pytest.raises(ConfigError, match="must be one of"):
        compare(table, others=["nobody"])


def test_numbers_are_written_for_readers() -> None:
    assert [seconds(x) for x in (3031.2, 114.53, 0.529, math.nan)] == ["3,031", "114.5", "0.529", "–"]
    assert interval_text(Estimate(-17.31, -21.0, -13.52, 5, "")) == "-17.3 % [-21.0, -13.5]"
    assert interval_text(Estimate(-6.0, -12.0, -0.004, 5, "")) == "-6.00 % [-12.00, -0.00]"
    assert interval_text(Estimate(1665.4, 1551.8, 1782.4, 5, "")) == "+1,665 % [+1,552, +1,782]"
    assert interval_text(Estimate(2.0, math.nan, math.nan, 1, "")) == "+2.0 %"
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == ["| a | b |", "|:--|--:|", "| x\\|y | 1 |"]
    assert text_table(["a", "b", "c"], [["xx", "1", "z"]]).splitlines() == ["a   b  c", "--------", "xx  1  z"]


def test_scores_run_from_fifo_to_the_bound() -> None:
    rng = np.random.default_rng
    runs = {"fifo": 3.0, "sjf_backfill": 1.0, "min_min": 0.5}  # by how slow they are
    played = {name: [random_run(rng(seed), slow) for seed in (1000, 1001)] for name, slow in runs.items()}
    # As if the best of them met the bound.
    bounds = [LowerBounds(float(run.jct_s.sum()), 1.0) for run in played["min_min"]]
    rows = [row for name, two in played.items() for row in run_rows(two, name, "x", -1, (1000, 1001), bounds=bounds)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    scores = normalised_scores(compare(table))
    assert (scores["fifo"], scores["min_min"]) == (0.0, pytest.approx(1.0)) and 0 < scores["sjf_backfill"] < 1
    text = to_markdown(document(build_report(table, title="t", resamples=10)))
    assert "| policy | score | JCT above bound % |" in text and "0 = strict FIFO, 1 = the lower bound" in text
    # Without FIFO, or without bounds, there is no such scale.
    assert normalised_scores(compare(table[table["policy"] != "fifo"])) == {}
    assert normalised_scores(compare(table[~table["metric"].str.contains("bound_s")])) == {}


def test_verdicts_against_the_reference_say_what_helps_and_how_many_seeds_are_missing() -> None:
    seeds = {"n=ref": 100.0, "n=better": 80.0, "n=worse": 130.0}
    scores = {name: [[value + k] for k in range(5)] for name, value in seeds.items()}
    scores["n=open"] = [[104.0], [98.0], [109.0], [101.0], [107.0]]
    rows = compare(table_of(scores), others=["n=ref"])
    better, worse, open_ = against_reference(rows, "n=ref")
    assert better.startswith("Better than n=ref: n=better -19.6 % [") and better.endswith("].")
    assert worse.startswith("Worse than n=ref: n=worse +29.4 % [")
    c = next(r for r in rows if r.name == "n=open").versus["n=ref"]
    assert c.to_settle is not None and c.difference_pct.holds_zero
    assert f"about {c.to_settle} training seeds would settle it, {c.to_settle - 5} more" in open_
    # Settled comparisons need no more seeds; with one seed there is nothing to extrapolate from.
    assert all(r.versus["n=ref"].to_settle is None for r in rows if r.name in ("n=better", "n=worse"))
    alone = compare(table_of({"n=ref": [[1.0, 2.0]], "n=a": [[1.0, 3.0]]}), others=["n=ref"])
    assert against_reference(alone, "n=ref") == ["Against n=ref: inconclusive with one training seed; run at least 3."]
    assert against_reference(compare(table_of(scores)), "n=ref") == []


def test_compute_is_summed() -> None:
    spent = costs(2).assign(steps=1_000)
    report = build_report(ablation(2, 3), title="t", costs=spent, resamples=100).scenarios[0]
    table = compute_table(report)
    assert table.rows[-1] == ["all", "16", "1", "17,000", hours(16 * 140.0 + 3.0)]
    assert len(table.rows) == 9 and hours(3600 * 1234.5) == "1,234" and hours(36.0) == "0.01"


def test_priorities_fairness_and_latency_have_columns() -> None:
    rng = np.random.default_rng
    runs = [replace(random_run(rng(s), 1.0), priority=np.arange(40) % 3) for s in (1, 2)]
    timed = {"p50_decision_latency_s": [2e-4, 2e-4], "p99_decision_latency_s": [1e-3, 3e-3]}
    rows = run_rows(runs, "sjf_backfill", "x", -1, (1, 2), timed)
    table = metrics_table(build_report(pd.DataFrame(rows, columns=list(COLUMNS)), title="t", resamples=10).scenarios[0])
    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert [h for h in table.header if "priority" in h] == [f"JCT, priority {p} (s)" for p in (2, 1, 0)]
    assert cells["decision p50 (ms)"] == "0.2" and cells["decision p99 (ms)"] == "2"
    assert float(cells["max rho"]) >= float(cells["p95 rho"]) > 0
