"""Judges a learned policy beside the rules, on the same workloads: ``python -m rl_sched.evaluate --checkpoint DIR``.

A policy may come from MLflow's model registry too (``--checkpoint models:/NAME@champion``). Several checkpoints, one a
training seed, are replicates of one policy. Without ``--checkpoint`` the rules alone. VAL workloads by default;
``--final`` opens REPORT, which is counted. ``--robustness`` plays under conditions that the policies were not made for;
``--list`` shows what there is to evaluate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.errors import ConfigError
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import run_verb

if TYPE_CHECKING:
    from rl_sched.evaluation.blocks import Table
    from rl_sched.evaluation.comparison import Row
    from rl_sched.sweeps.contenders import Setting

#: Of the table of the console.
LATENCY = "p50_decision_latency_s"
#: Other traces for ``--robustness``.
ELSEWHERE = ("default", "poisson", "philly")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m rl_sched.evaluate", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--checkpoint", nargs="+", default=[], metavar="DIR",
        help="folder of a trained policy, or models:/NAME@ALIAS or models:/NAME/VERSION for a registered one; several: "
        "the same experiment with other training seeds",
    )  # fmt: skip
    parser.add_argument("--scenario", metavar="NAME", help="default: the one that the policy was trained on")
    parser.add_argument("--policies", metavar="A,B,...", help="rules to compare with; default: all baselines")
    parser.add_argument("--episodes", type=int, metavar="N", help="workloads (default: 128, or all if there are fewer)")
    parser.add_argument(
        "--robustness", action="store_true",
        help="also under other loads, wrong estimates, a larger cluster, node failures and on other traces",
    )  # fmt: skip
    parser.add_argument(
        "--also", metavar="A,B,...", help=f"scenarios for --robustness (default: {', '.join(ELSEWHERE)}, if there)"
    )
    parser.add_argument("--latency", action="store_true", help="measure how long decisions take, one at a time")
    parser.add_argument("--final", action="store_true", help="use the held-out REPORT workloads; every use is counted")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write report.md, report.json, rows.csv and figures")
    parser.add_argument(
        "--list", action="store_true", help="show rules, scenarios, registered policies and checkpoints"
    )
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder of MLflow (default {DEFAULT_DATA_DIR})"
    )
    return parser.parse_args(argv)


def show_list(store: Store, as_json: bool) -> int:
    """Prints what there is to evaluate; returns the exit code."""
    from rl_sched.sweeps.catalogue import collect, to_text

    catalogue = collect(store)
    print(json.dumps(catalogue._asdict()) if as_json else to_text(catalogue))
    return 0


def print_table(rows: Sequence[Row], title: str, versus: str) -> None:
    """The table of the console.

    Args:
        rows: Compared rows.
        title: Heading of the score.
        versus: The learned policy's name (its differences to every rule are shown), or the rule that all are
            compared with.
    """
    from rl_sched.evaluation.comparison import interval_text
    from rl_sched.evaluation.console import NONE, seconds, text_table
    from rl_sched.evaluation.tables import score_cell

    learned = next((r for r in rows if r.learned), None)
    header = ["policy", f"{title} [95 %]", "above bound %", "p95 JCT (s)", "wait (s)", "util. %", "unfinished"]
    timed = any(LATENCY in r.means for r in rows)
    header += ["p50 / p99 decision (ms)"] * timed
    header += [f"{versus} against it", "verdict"] if learned else [f"against {versus}", "verdict"]
    lines = []
    for row in sorted(rows, key=lambda r: r.name != versus if learned else False):
        c = learned.versus.get(row.name) if learned else row.versus.get(versus)
        m = row.means
        lines.append(
            [
                row.name,
                score_cell(row),
                f"{100 * m['mean_jct_gap_frac']:.1f}",
                seconds(m["p95_jct_s"]),
                seconds(m["mean_wait_s"]),
                f"{100 * m['utilisation_frac']:.1f}",
                f"{row.num_unfinished}",
                *([_latency(m)] if timed else []),
                NONE if c is None else interval_text(c.difference_pct),
                NONE if c is None else c.verdict,
            ]
        )
    print(text_table(header, lines))


def progress_line(as_json: bool) -> Callable[[str], None]:
    """Shows on a terminal what is being evaluated; an empty text clears the line."""

    def show(text: str) -> None:
        if not as_json and sys.stderr.isatty():
            print("\r\033[K" + (f"evaluating {text} ..." if text else ""), end="", file=sys.stderr, flush=True)

    return show


def run_robustness(args: argparse.Namespace, setting: Setting) -> int:
    """Evaluates under all conditions and prints; returns the exit code."""
    from rl_sched.evaluation import robustness as rb
    from rl_sched.evaluation import statistics as st
    from rl_sched.evaluation.conditions import conditions
    from rl_sched.evaluation.report import plain, write_document
    from rl_sched.scenarios import SCENARIOS

    names = [n.strip() for n in args.also.split(",") if n.strip()] if args.also else ELSEWHERE
    others = [SCENARIOS.create(name) for name in names if name != setting.scenario.name]
    missing = [why for other in others if (why := other.available()) is not None]
    if missing and args.also:
        raise ConfigError(missing[0])
    asked, left_out = conditions(setting.scenario, [other for other in others if other.available() is None])
    opened = setting.open_report({f"{setting.scenario.name}: {c.name}": c.scenario for c in asked})
    setting.name_checkpoints(opened)
    show = progress_line(args.json)
    table, refused = rb.judge(setting.policies, asked, setting.seeds, on_condition=show)
    show("")
    resamples = st.RESAMPLES_FINAL if args.final else st.RESAMPLES
    reference = rb.best_rule(table, asked[0].name)
    found = rb.standings(table, asked, reference, resamples=resamples)
    shown = rb.shown_policies(found, reference)
    notes = [*setting.notes, *missing, *left_out, *refused]
    title = f"Robustness of policies made for {setting.scenario.name}"
    blocks = rb.document(title, found, shown, reference, notes)
    written: list[Path] = []
    if args.out is not None:
        from rl_sched.plots import FIGURES, style

        args.out.mkdir(parents=True, exist_ok=True)
        figure = FIGURES.load("robustness")(found, shown, reference, title=title)
        drawn = [style.save(figure, args.out / f"robustness.{suffix}") for suffix in ("png", "pdf")]
        written = [*write_document(blocks, args.out, "robustness", drawn[0]), *drawn, args.out / "rows.csv"]
        table.to_csv(written[-1], index=False)
    if args.json:
        head = {"scenario": setting.scenario.name, "split": setting.split, "reference": reference}
        about = {"checkpoints": [str(folder) for folder in setting.folders], "report_openings": opened}
        said = {"conclusions": rb.conclusions(found, reference), "rows": found, "notes": notes}
        print(json.dumps(plain({**head, **about, **said})))
        return 0
    print("\n".join(notes), end="\n\n")
    print_robustness(rb.robustness_table(found, shown, reference))
    print()
    print("\n".join(rb.conclusions(found, reference)))
    if written:
        print(f"\nWritten: {written[0]} and {', '.join(path.name for path in written[1:])}.")
    return 0


def print_robustness(table: Table) -> None:
    """The table of the console."""
    from rl_sched.evaluation.console import text_table

    rows = [[cell.replace("**", "").replace("`", "") for cell in row] for row in table.rows]
    print(text_table([cell.replace("`", "") for cell in table.header], rows))


def _latency(means: Mapping[str, float]) -> str:
    """``0.31 / 0.52``: milliseconds."""
    return " / ".join(f"{1e3 * means[name]:.2g}" for name in (LATENCY, LATENCY.replace("p50", "p99")))


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates and prints; returns the exit code."""
    args = parse(argv)
    store = Store(args.data)
    if args.list:
        return show_list(store, args.json)
    from rl_sched.sweeps.contenders import look_up

    setting = look_up(store, args.checkpoint, args.scenario, args.policies, args.episodes, args.final)
    return run_robustness(args, setting) if args.robustness else run_evaluation(args, setting)


def run_evaluation(args: argparse.Namespace, setting: Setting) -> int:
    """Evaluates on one scenario and prints; returns the exit code."""
    import pandas as pd

    from rl_sched.evaluation import protocol
    from rl_sched.evaluation import statistics as st
    from rl_sched.evaluation.comparison import compare
    from rl_sched.evaluation.report import build_report, plain, write_report
    from rl_sched.evaluation.scores import objective_of
    from rl_sched.sweeps.contenders import LEARNED, latency_rows

    scenario, rules, learned, notes = setting.scenario, setting.rules, setting.learned, setting.notes
    seeds = setting.seeds(scenario)
    opened = setting.open_report({scenario.name: scenario})
    setting.name_checkpoints(opened)
    show = progress_line(args.json)
    table = protocol.evaluate(setting.policies, scenario, seeds, on_policy=show)
    if args.latency:
        show("decision latencies")
        table = pd.concat([table, latency_rows(setting, seeds[0])], ignore_index=True)
        notes.append(
            f"Decision latencies: one run of workload {seeds[0]}, one decision at a time, on this machine now."
        )
    show("")
    resamples = st.RESAMPLES_FINAL if args.final else st.RESAMPLES
    objective = objective_of(table)
    judged = build_report(table, title="Evaluation", resamples=resamples).scenarios[0]
    first_rule = protocol.SJF if protocol.SJF in rules else next(iter(rules))
    rows = compare(table, others=list(rules) if learned else [first_rule], objective=objective, resamples=resamples)
    out = None
    if args.out is not None:
        from rl_sched.plots.report_figures import draw_report

        out = write_report(
            table, args.out, title=f"Evaluation on {scenario.name}", notes=notes, resamples=resamples, draw=draw_report
        )
    if args.json:
        head = {"scenario": scenario.name, "split": setting.split, "episodes": len(seeds), "first_seed": seeds[0]}
        head |= {"checkpoints": [str(folder) for folder in setting.folders], "report_openings": opened}
        tail = {"conclusions": judged.conclusions, "captions": judged.captions, "notes": notes}
        print(json.dumps(plain({**head, "objective": objective, "rows": rows, **tail})))
        return 0
    print("\n".join(notes), end="\n\n")
    print_table(rows, objective.title, LEARNED if learned else first_rule)
    print()
    print("\n".join([*judged.conclusions, *judged.captions]))
    if out is not None:
        print(
            f"\nWritten: {out.markdown}, {out.latex.name}, {out.html.name}, {out.json.name}, {out.rows_csv.name} and "
            f"{len(out.figures)} figures."
        )
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
