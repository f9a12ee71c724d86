"""Judges a learned policy beside the rules, on the same workloads: ``python -m rl_sched.evaluate --checkpoint DIR``.

A policy may come from MLflow's model registry too (``--checkpoint models:/NAME@champion``). Several checkpoints, one a
training seed, are replicates of one policy. Without ``--checkpoint`` the rules alone. VAL workloads by default;
``--final`` opens REPORT, which is counted. ``--list`` shows what there is to evaluate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_sched.errors import ConfigError
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.verbs import run_verb

if TYPE_CHECKING:
    from rl_sched.evaluation.comparison import Row
    from rl_sched.scenarios.base import Scenario

LEARNED = "learned"
DEFAULT_SCENARIO = "default"
DEFAULT_EPISODES = 128


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


def find_checkpoints(given: Sequence[str], store: Store) -> tuple[list[Path], list[str]]:
    """The folders of checkpoints, and a sentence for each that is given by its name in the model registry.

    Raises:
        CheckpointError: A name is not registered, or its files are gone or have changed.
        ConfigError: A name is not written as one.
        RlSchedError: MLflow's database cannot be read, or the files not be fetched.
    """
    from rl_sched.tracking.models import ModelRegistry
    from rl_sched.tracking.versions import SCHEME

    registry = ModelRegistry(store)
    folders, notes = [], []
    for text in given:
        if not text.startswith(SCHEME):
            folders.append(Path(text))
            continue
        version = registry.find(text)
        folders.append(registry.folder(version))
        notes.append(f"{text} is {version.describe()} of the registered model {version.name}.")
    return folders, notes


def show_list(store: Store, as_json: bool) -> int:
    """Prints what there is to evaluate; returns the exit code."""
    from rl_sched.sweeps.catalogue import collect, to_text

    catalogue = collect(store)
    print(json.dumps(catalogue._asdict()) if as_json else to_text(catalogue))
    return 0


def load_checkpoint(path: Path) -> tuple[Path, Any]:
    """The folder that holds the weights (``best`` of a training folder), and its learned policy.

    Raises:
        CheckpointError: There is no checkpoint, it is incomplete, or it does not give its stored outputs.
    """
    from rl_sched.rl.checkpoint import locate
    from rl_sched.rl.learned_policy import LearnedPolicy  # torch: only when there is something to load

    folder = locate(path)
    return folder, LearnedPolicy.load(folder)


def load_replicates(paths: Sequence[Path]) -> tuple[list[Path], list[Any]]:
    """The folders and the policies of checkpoints of one experiment.

    Raises:
        CheckpointError: One cannot be used.
        ConfigError: Two have the same training seed, or differ in more than the seed.
    """
    loaded = [load_checkpoint(path) for path in paths]
    for i, (folder, policy) in enumerate(loaded):
        for other, earlier in loaded[:i]:
            if policy.experiment.seed == earlier.experiment.seed:
                raise ConfigError(
                    f"Several checkpoints must be of different training seeds; {str(other)!r} and {str(folder)!r} both "
                    f"have seed {policy.experiment.seed}. Leave one out."
                )
            if replace(policy.experiment, seed=0) != replace(earlier.experiment, seed=0):
                raise ConfigError(
                    "Several checkpoints must be of one experiment and differ in the training seed only; "
                    f"{str(other)!r} and {str(folder)!r} differ in more. Evaluate them one by one."
                )
    return [folder for folder, _ in loaded], [policy for _, policy in loaded]


def choose_policies(text: str | None, scenario: Scenario) -> dict[str, Any]:
    """The rules named in ``--policies``, or all baselines.

    Raises:
        ConfigError: A name is not known, or none is left.
    """
    from rl_sched.evaluation.protocol import BASELINES, baselines

    if text is None:
        return baselines(scenario)
    names = tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    if not names:
        raise ConfigError(f"--policies must name at least one rule, as in --policies {BASELINES[0]},{BASELINES[-1]}.")
    return baselines(scenario, names)


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
    from rl_sched.evaluation.markdown import score_cell

    learned = next((r for r in rows if r.learned), None)
    header = ["policy", f"{title} [95 %]", "above bound %", "p95 JCT (s)", "wait (s)", "util. %", "unfinished"]
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
                NONE if c is None else interval_text(c.difference_pct),
                NONE if c is None else c.verdict,
            ]
        )
    print(text_table(header, lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates and prints; returns the exit code."""
    args = parse(argv)
    store = Store(args.data)
    if args.list:
        return show_list(store, args.json)
    from rl_sched.evaluation import protocol
    from rl_sched.evaluation import statistics as st
    from rl_sched.evaluation.comparison import compare
    from rl_sched.evaluation.openings import record_opening
    from rl_sched.evaluation.report import build_report, plain, write_report
    from rl_sched.evaluation.scores import objective_of
    from rl_sched.scenarios import SCENARIOS

    if args.scenario is not None:
        SCENARIOS[args.scenario]  # a wrong name is told before a checkpoint is loaded
    paths, registered = find_checkpoints(args.checkpoint, store)
    folders, learned = load_replicates(paths)
    trained_on = SCENARIOS.names(learned[0].experiment.scenario) if learned else []
    if args.scenario is None and len(trained_on) > 1:
        raise ConfigError(
            "A policy of several scenarios is judged on one at a time; this one was trained on "
            f"{', '.join(trained_on)}. Name one with --scenario."
        )
    scenario = SCENARIOS.create(args.scenario or (trained_on[0] if trained_on else DEFAULT_SCENARIO))
    if (why := scenario.available()) is not None:
        raise ConfigError(why)
    rules = choose_policies(args.policies, scenario)
    split = "report" if args.final else "val"
    episodes = DEFAULT_EPISODES if args.episodes is None else args.episodes
    seeds = protocol.choose_seeds(scenario, split, episodes, at_most=args.episodes is None)
    notes = [f"Scenario {scenario.name}: {len(seeds)} {split.upper()} workloads on {scenario.cluster.describe()}."]
    notes += registered
    opened: list[int] = []
    for folder, policy in zip(folders, learned, strict=True):
        notes.append(f"{LEARNED}: checkpoint {folder}, training seed {policy.experiment.seed}.")
        if args.final:
            opened.append(record_opening(folder, scenario.name, len(seeds)))
            notes.append(f"REPORT opened {opened[-1]} time{'s' * (opened[-1] > 1)} for this checkpoint.")

    if not args.final:
        chosen = ["the checkpoint"] if scenario.name in trained_on else []
        chosen += (
            ["the parameters of the *_tuned rules"] if any(name.endswith(protocol.TUNED) for name in rules) else []
        )
        if chosen:
            notes.append(
                f"VAL workloads also chose {' and '.join(chosen)}, so figures on them are slightly optimistic; --final "
                "judges on the held-out REPORT workloads."
            )

    def progress(name: str) -> None:
        if not args.json and sys.stderr.isatty():
            print(f"\r\033[Kevaluating {name} ...", end="", file=sys.stderr, flush=True)

    policies = {**({LEARNED: learned} if learned else {}), **rules}
    table = protocol.evaluate(policies, scenario, seeds, on_policy=progress)
    if not args.json and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
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
        head = {"scenario": scenario.name, "split": split, "episodes": len(seeds), "first_seed": seeds[0]}
        head |= {"checkpoints": [str(folder) for folder in folders], "report_openings": opened}
        tail = {"conclusions": judged.conclusions, "captions": judged.captions, "notes": notes}
        print(json.dumps(plain({**head, "objective": objective, "rows": rows, **tail})))
        return 0
    print("\n".join(notes), end="\n\n")
    print_table(rows, objective.title, LEARNED if learned else first_rule)
    print()
    print("\n".join([*judged.conclusions, *judged.captions]))
    if out is not None:
        print(f"\nWritten: {out.markdown}, {out.json.name}, {out.rows_csv.name} and {len(out.figures)} figures.")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
