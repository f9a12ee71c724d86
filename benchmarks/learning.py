"""What learned policies reach, against the figures that were asked: ``python -m benchmarks.learning [--json]``.

Each study is a plan of tune_configs: it is run, or continued, or taken as it is if it is finished, and its figures are
read from the report. All of it takes many hours on two cores; ``--study NAME`` runs one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.report import machine
from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.comparison import compare
from rl_sched.sweep import sweep_main
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import run_verb

PLANS = Path(__file__).resolve().parents[1] / "tune_configs"
#: An episode of ppo-jobs that returns less has collapsed: its machines ran dry.
COLLAPSED = 0.70
#: The rule that a learner on ``default`` was asked to beat.
OPPONENT = "min_min_tuned"


class Figure(NamedTuple):
    """One number that was asked for."""

    name: str
    asked: str
    measured: float
    low: float | None  #: 95 % interval
    high: float | None
    reached: bool


class Study(NamedTuple):
    """A plan and what is read from its report."""

    plan: str
    figures: Callable[[Results], list[Figure]]


class Results:
    """The report of a finished sweep.

    Args:
        folder: Of the report.
    """

    def __init__(self, folder: Path) -> None:
        self.report = json.loads((folder / "report.json").read_text())
        self.rows = {name: pd.read_csv(folder / f"{name}.csv") for name in ("rows", "rows_last")}

    @property
    def scenarios(self) -> list[dict[str, Any]]:
        """The report's part on each scenario."""
        return self.report["scenarios"]

    def seeds_against(self, scenario: str, arm: str, rule: str) -> list[st.Estimate]:
        """Per training seed the last checkpoint's mean JCT against a rule's, in %, paired by workload."""
        last, rules = self.rows["rows_last"], self.rows["rows"]

        def scores(table: pd.DataFrame, policy: str) -> pd.DataFrame:
            return table[(table.scenario == scenario) & (table.policy == policy) & (table.metric == "mean_jct_s")]

        theirs = scores(rules, rule).set_index("eval_seed").value
        out = []
        for _, own in scores(last, arm).groupby("train_seed"):
            mine = own.set_index("eval_seed").value
            out.append(st.paired_ratio_pct(mine.to_numpy(), theirs[mine.index].to_numpy()))
        return out

    def over_workloads(self, part: dict[str, Any], arm: str) -> st.Estimate:
        """An arm's score, averaged over its training seeds, against the best rule's, in %, paired by workload."""
        rows = self.rows["rows"]
        rows = rows[(rows.scenario == part["scenario"]) & (rows.metric == part["objective"]["metric"])]
        mine = rows[rows.policy == arm].groupby("eval_seed").value.mean()
        theirs = rows[rows.policy == part["best_rule"]].set_index("eval_seed").value
        return st.paired_ratio_pct(mine.to_numpy(), theirs[mine.index].to_numpy())

    def last_against(self, scenario: str, arm: str, rule: str) -> st.Estimate:
        """The last checkpoints' mean JCT against a rule's, in %, over training seeds."""
        last, rules = (table[table.scenario == scenario] for table in (self.rows["rows_last"], self.rows["rows"]))
        table = pd.concat([last[last.policy == arm], rules[rules.policy == rule]])
        return compare(table, others=[rule])[0].versus[rule].difference_pct


def _versus(part: dict[str, Any], rows: str, rule: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The best learned row, and its difference to a rule in %."""
    row = next(row for row in part[rows] if row["learned"])
    return row, row["versus"][rule]["difference_pct"]


def _against_rule(asked_pct: float, name: str) -> Callable[[Results], list[Figure]]:
    """The last checkpoints on ``default``, against the rule that was named for it, and SJF."""

    def figures(results: Results) -> list[Figure]:
        (part,) = results.scenarios
        row, sjf = _versus(part, "last", part["sjf"])
        found = results.last_against(part["scenario"], row["name"], OPPONENT)
        seeds = results.seeds_against(part["scenario"], row["name"], OPPONENT)
        below = sum(estimate.high < 0 for estimate in seeds)
        return [
            Figure(
                f"{name}: last checkpoint against {OPPONENT}, %",
                f"at most {asked_pct:+g}",
                found.value, found.low, found.high,
                found.value <= asked_pct,
            ),
            Figure(f"{name}: seeds that are below it by themselves", f"{len(seeds)}", below, None, None,
                   below == len(seeds)),
            Figure(f"{name}: last checkpoint against SJF, %", "at most -29", sjf["value"], sjf["low"], sjf["high"],
                   sjf["value"] <= -29),
        ]  # fmt: skip

    return figures


def _stability(results: Results) -> list[Figure]:
    (part,) = results.scenarios
    out = []
    best = {row["name"]: row["seed_scores"] for row in part["rows"] if row["learned"]}
    for row in part["last"]:
        worse = [100 * (score / best[row["name"]][seed] - 1) for seed, score in row["seed_scores"].items()]
        near = sum(abs(value) <= 1 for value in worse)
        out.append(
            Figure(f"{row['name']}: seeds whose last checkpoint is within 1 % of the best", f"{len(worse)}", near,
                   None, None, near == len(worse))
        )  # fmt: skip
        out.append(Figure(f"{row['name']}: largest of those differences, %", "at most 1", max(worse, key=abs),
                          None, None, max(map(abs, worse)) <= 1))  # fmt: skip
    return out


def _scenarios(results: Results) -> list[Figure]:
    out = []
    for part in results.scenarios:
        row, _ = _versus(part, "rows", part["best_rule"])
        versus = row["versus"][part["best_rule"]]
        sign = 1.0 if part["objective"]["lower_is_better"] else -1.0
        over_seeds = versus["difference_pct"]
        paired = results.over_workloads(part, row["name"])
        name = f"{part['scenario']}: learned against the best rule ({part['best_rule']}), %"
        reaches = [min(sign * low, sign * high) <= 0 for low, high in
                   ((over_seeds["low"], over_seeds["high"]), (paired.low, paired.high))]  # fmt: skip
        out += [
            Figure(f"{name}, over training seeds", "not worse over seeds or not over workloads",
                   over_seeds["value"], over_seeds["low"], over_seeds["high"], any(reaches)),
            Figure(f"{name}, their mean paired by workload", "not worse over seeds or not over workloads",
                   paired.value, paired.low, paired.high, any(reaches)),
        ]  # fmt: skip
    for kind, which in (("rows", "best on VAL"), ("last", "last checkpoints")):
        rows = ((_versus(part, kind, part["best_rule"])[0], part["best_rule"]) for part in results.scenarios)
        better = sum(row["versus"][rule]["verdict"] == "better" for row, rule in rows)
        out.append(Figure(f"scenarios where learned is better over training seeds, {which}", "6", better, None, None,
                          better >= 6))  # fmt: skip
    return out


def _ppo_jobs(results: Results) -> list[Figure]:
    (part,) = results.scenarios
    out = []
    for kind, table, which in (("rows", "rows", "best on VAL"), ("last", "rows_last", "last")):
        row = next(row for row in part[kind] if row["learned"])
        score, rows = row["score"], results.rows[table]
        returns = rows[(rows.policy == row["name"]) & (rows.metric == "episode_return")].value.to_numpy()
        collapsed = 100 * float(np.mean(returns < COLLAPSED))
        out += [
            Figure(f"ppo-jobs, {which}: episode return on REPORT, interquartile mean over seeds", "at least 0.82",
                   score["value"], score["low"], score["high"], score["value"] >= 0.82),
            Figure(f"ppo-jobs, {which}: episodes that return less than {COLLAPSED:.2f}, %", "at most 1", collapsed,
                   None, None, collapsed <= 1),
        ]  # fmt: skip
    return out


def _drl_het(results: Results) -> list[Figure]:
    (part,) = results.scenarios
    out = []
    for row in (row for row in part["rows"] if row["learned"]):
        for rule in ("fifo_backfill", "sjf_backfill", "best_fit"):
            mine = next(r for r in part["rows"] if r["name"] == rule)["score"]["value"]
            pct = 100 * (row["score"]["value"] / mine - 1)
            out.append(Figure(f"drl-het: {row['name']} against {rule}, %", "below 0", pct, None, None, pct < 0))
    return out


STUDIES = {
    "guided": Study("guided", _against_rule(-3.0, "guided")),
    "scratch": Study("scratch", _against_rule(0.0, "from scratch")),
    "stability": Study("stability", _stability),
    "scenarios": Study("scenarios", _scenarios),
    "ppo-jobs": Study("ppo_jobs", _ppo_jobs),
    "drl-het": Study("drl_het", _drl_het),
}


def run(name: str, data: Path, overrides: list[str]) -> list[Figure]:
    """Runs or continues a study, and reads its figures.

    Raises:
        RlSchedError: The sweep did not finish.
    """
    study = STUDIES[name]
    arguments = ["--data", str(data)] + [part for text in overrides for part in ("--set", text)]
    if sweep_main(PLANS / f"{study.plan}.yaml", __doc__ or "", arguments):
        raise RlSchedError(f"The study {name!r} did not finish. The same command continues it.")
    sweep = Store(data).sweeps / study.plan
    reports = sorted(sweep.glob("report*/report.json"), key=lambda file: file.stat().st_mtime)
    return study.figures(Results(reports[-1].parent))


def main(argv: list[str] | None = None) -> int:
    """Parses, runs, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__.split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object after the sweeps' own output")
    parser.add_argument("--study", action="append", metavar="NAME", help=f"one of {', '.join(STUDIES)}; default: all")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help="where sweeps are kept")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE", help="as in sweeps"
    )
    args = parser.parse_args(argv)
    for name in args.study or []:
        if name not in STUDIES:
            raise ConfigError(f"--study must be one of {', '.join(STUDIES)}; it is {name!r}.")
    figures = [figure for name in args.study or STUDIES for figure in run(name, args.data, args.overrides)]
    if args.json:
        print(json.dumps({"machine": machine(), "figures": [figure._asdict() for figure in figures]}))
        return 0
    for figure in figures:
        interval = "" if figure.low is None else f" [{figure.low:.3g}, {figure.high:.3g}]"
        mark = "reached" if figure.reached else "missed"
        print(f"{figure.name}: {figure.measured:.3g}{interval}; asked: {figure.asked}: {mark}")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
