"""The command line of all sweeps: ``experiments/*.py`` are a plan and a call of ``sweep_main`` each."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.errors import ConfigError, RlSchedError, SweepError
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps.engine import RunSummary, execute
from rl_sched.sweeps.extending import extend
from rl_sched.sweeps.failures import INFRASTRUCTURE, NUMERICS, full_disk, is_full_disk
from rl_sched.sweeps.forecast import forecast
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.objectives import text
from rl_sched.sweeps.plan import Cell, Plan, load_plan
from rl_sched.sweeps.plan_checks import check_plan
from rl_sched.sweeps.progress import ProgressLine, duration_text
from rl_sched.sweeps.space import Distribution
from rl_sched.sweeps.worker import DEFAULT_BODY
from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store
from rl_sched.tracking.tracker import Status
from rl_sched.verbs import EXIT_INTERRUPTED, python_command

if TYPE_CHECKING:
    from rl_sched.sweeps.results import Best

#: Exit code if a trial was given up.
EXIT_FAILED = 1
#: Trials that a note of the report names one by one.
NAMED_TRIALS = 5


def sweep_main(default_plan: Path, description: str, argv: Sequence[str] | None = None) -> int:
    """Parses the command line, runs the sweep, prints the verdict.

    Args:
        default_plan: The plan's YAML file.
        description: For --help.
        argv: Arguments; by default those of the process.

    Returns:
        The exit code.

    Raises:
        RlSchedError: The plan or the command is wrong, or another process runs this sweep.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--plan", type=Path, default=default_plan, help=f"the plan (default {default_plan.name})")
    parser.add_argument("--quick", action="store_true", help="a minute's version of the plan, to see that it runs")
    parser.add_argument("--dry-run", action="store_true", help="print the cells and what they will take, run nothing")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the experiment (train.steps=1000) or of the plan (plan.seeds=[1,2])",
    )
    parser.add_argument(
        "--extend",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="add to a sweep that has run: seeds=[6,7] or seeds=10 (in all), configurations=32 (in all), "
        "scenarios=[philly], arms.env.lookahead=[cdf], listed.NAME={a.b: 1}",
    )
    parser.add_argument("--new-code", action="store_true", help="run again what another version of the code has run")
    parser.add_argument("--no-pilot", action="store_true", help="with --dry-run: the plan's guess, nothing is tried")
    parser.add_argument("--storage", metavar="URL", help="database of a search's studies (default: SQLite in the data)")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    parser.add_argument("--body", default=DEFAULT_BODY, help=argparse.SUPPRESS)  # another trial body, for tests
    args = parser.parse_args(argv)

    plan = load_plan(args.plan, quick=args.quick, overrides=args.overrides)
    store = Store(args.data)
    ledger = Ledger(store.sweeps / plan.name)
    if args.storage:
        plan = dataclasses.replace(plan, storage=args.storage)
        check_plan(plan)
    if args.extend:
        plan = extend(plan, args.extend, ledger)
    # The report of the plan as it stands is not overwritten by that of a variation.
    report = ledger.root / (f"report-{plan.sweep_id[:8]}" if args.overrides else "report")
    scenarios, skipped = _available(plan)
    for sentence in skipped:
        print(sentence)
    if args.dry_run:
        print_dry_run(plan, scenarios, ledger, None if args.no_pilot else args.body)
        return 0
    with ledger.lock():
        try:
            if args.new_code:
                _set_aside(plan, scenarios, ledger)
            return _run(plan, scenarios, skipped, ledger, store, args.body, report)
        except Exception as error:
            if is_full_disk(error) and not isinstance(error, RlSchedError):
                raise full_disk(ledger.root) from error
            raise


def _run(
    plan: Plan,
    scenarios: list[str],
    skipped: list[str],
    ledger: Ledger,
    store: Store,
    body: str,
    report: Path,
) -> int:
    from rl_sched.sweeps.champions import register_winners
    from rl_sched.sweeps.search_notes import notes_of
    from rl_sched.sweeps.tracking import SweepTracking

    begin_s = time.monotonic()
    print(f"Sweep {plan.name}: {plan.question}", flush=True)
    _print_known(plan, scenarios, ledger)
    tracking = SweepTracking(plan, scenarios, ledger, store)
    if (address := tracking.address) is not None:
        print(f"MLflow: {address}/#/experiments", flush=True)
    status: Status = "FAILED"
    note, files = plan.question, list[Path]()
    winners: list[Best] = []
    try:
        summary = execute(plan, scenarios, ledger, tracking.run, body=body, progress=ProgressLine())
        status = "KILLED" if summary.interrupted else "FAILED" if summary.failures or summary.lost else "FINISHED"
        if plan.search and summary.interrupted:
            _print_best_so_far(plan, scenarios, ledger)
        else:
            if summary.interrupted:
                print("Interrupted. What is finished is being reported; Ctrl-C again leaves that out.", flush=True)
            notes = [*skipped, *_open_notes(plan, scenarios, ledger, summary)]
            if plan.search:
                notes += notes_of(plan, scenarios, ledger)
            note, files, winners = _conclude(plan, scenarios, notes, ledger, report)
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracking.finish(note, files, status)
        if (sentence := tracking.close()) is not None:
            print(sentence)
    if not summary.interrupted and sentence is None:
        for told in register_winners(plan.name, winners, store, tracking.run_id):
            print(f"\n{told}")
    elif not summary.interrupted and winners:
        print("The best policies are not registered either: the same command does it when MLflow is back.")
    return _verdict(plan, summary, ledger, time.monotonic() - begin_s, tracking.link or "make mlflow-ui")


def _conclude(
    plan: Plan, scenarios: list[str], notes: list[str], ledger: Ledger, folder: Path
) -> tuple[str, list[Path], list[Best]]:
    """Writes and prints the report of what is finished; returns note and files of the sweep's run, and the winners."""
    from rl_sched.plots.report_figures import draw_report
    from rl_sched.sweeps.results import best_of, candidates, console_table, note_text, report_sweep

    found = candidates(plan, scenarios, ledger)
    if not found:
        print("No trial has finished, so there is nothing to report.")
        return plan.question, [], []
    winners = best_of(found, ledger)
    paths = report_sweep(
        *(plan, found, ledger, folder),
        winners={best.scenario: best.candidate.arm for best in winners},
        failed=[cell for cell in _open_cells(plan, scenarios, ledger) if ledger.failure(cell) is not None],
        notes=notes,
        draw=draw_report,
    )
    print(f"\n{console_table(paths)}\n\nReport: {_shown(paths.markdown)}")
    if plan.search:
        _print_search_end(plan, scenarios, ledger)
    for best in winners:
        print(f"\nBest on VAL, scenario {best.scenario}: {best.candidate.title}, training seed {best.seed}. Judge it:")
        judge = f"{python_command()} -m rl_sched.evaluate --checkpoint {_shown(best.checkpoint)}"
        print(f"  {judge} --scenario {best.scenario}")
    return note_text(paths), [paths.markdown.parent], winners


def _print_search_end(plan: Plan, scenarios: list[str], ledger: Ledger) -> None:
    from rl_sched.sweeps.search_notes import dashboard_command, front_tables, notes_of

    for text_ in [*notes_of(plan, scenarios, ledger), *front_tables(plan, scenarios, ledger)]:
        print(f"\n{text_}")
    print(f"\nBrowse the search (pip install optuna-dashboard): {dashboard_command(plan, ledger)}")


def _print_best_so_far(plan: Plan, scenarios: list[str], ledger: Ledger) -> None:
    """Before a search has chosen, its report would open REPORT for configurations that may not be chosen."""
    from rl_sched.sweeps.results import best_of, candidates

    print("\nThe search has not ended: its report is written when it has.")
    for best in best_of(candidates(plan, scenarios, ledger), ledger):
        score = text(best.scenario, best.candidate.value)
        print(f"Best on VAL so far, scenario {best.scenario}: {best.candidate.title}, {score}.")


def _verdict(plan: Plan, summary: RunSummary, ledger: Ledger, seconds: float, browse: str) -> int:
    if summary.interrupted:
        print("\nInterrupted. The same command continues the sweep and repeats nothing that is finished.")
        return EXIT_INTERRUPTED
    if summary.failures:
        cell, failure = summary.failures[0]
        folder = ledger.folder(cell)
        advice = (
            "The search has put those configurations aside and chosen among the others; it does not try them again."
            if plan.search
            else "Mend the cause and repeat the command: it continues."
        )
        raise SweepError(
            f"{len(summary.failures)} trials failed; the first was {cell.title}: {failure.kind}: {failure.message} "
            f"(traceback: {_shown(folder / 'failed.json')}). {advice}"
        )
    if summary.limit is not None:
        print(
            f"\nThe budget is used up after {duration_text(seconds)}: {summary.limit}. "
            f"The same command with a larger one continues the sweep.  Browse the trials: {browse}"
        )
    else:
        print(f"\nDone in {duration_text(seconds)}.  Browse the trials: {browse}")
    return EXIT_FAILED if summary.lost else 0


def _shown(path: Path) -> Path:
    """A path as the user would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _available(plan: Plan) -> tuple[list[str], list[str]]:
    """The scenarios that can run here, and a sentence for each of the others."""
    scenarios, skipped = [], []
    for name in plan.scenarios:
        reason = SCENARIOS.create(name).available()
        if reason is None:
            scenarios.append(name)
        else:
            skipped.append(f"Scenario {name} is skipped: {reason}")
    if not scenarios:
        raise SweepError("At least one scenario of the plan must be available. " + " ".join(skipped))
    return scenarios, skipped


def _open_cells(plan: Plan, scenarios: list[str], ledger: Ledger) -> list[Cell]:
    """Cells without an outcome; none for a search, whose cells are not known beforehand."""
    return [] if plan.search else [cell for cell in plan.cells(scenarios) if ledger.outcome(cell) is None]


def _open_notes(plan: Plan, scenarios: list[str], ledger: Ledger, summary: RunSummary) -> list[str]:
    """Names the trials that the report lacks."""
    open_cells = _open_cells(plan, scenarios, ledger)
    failed = [cell for cell in open_cells if ledger.failure(cell) is not None]
    missing = [cell for cell in open_cells if cell not in failed]
    if plan.search:
        failed = [*(cell for cell, _ in summary.failures), *summary.lost]
    notes = []
    if summary.limit is not None:
        notes.append(f"The budget was used up: {summary.limit}.")
    if missing:
        notes.append(f"This report is partial: {len(missing)} trials are not finished: {_named(missing)}.")
    if failed:
        causes = [failure.cause for cell in failed if (failure := ledger.failure(cell)) is not None]
        died, sick = causes.count(INFRASTRUCTURE), causes.count(NUMERICS)
        why = f", {died} of them because their processes or machines failed again and again" if died else ""
        why += f", {sick} of them because numbers were not finite" if sick else ""
        partial = "" if plan.search else "This report is partial: "
        notes.append(f"{partial}{len(failed)} trials failed{why}: {_named(failed)}.")
    return notes


def _named(cells: Sequence[Cell]) -> str:
    more = f" | and {len(cells) - NAMED_TRIALS} more" if len(cells) > NAMED_TRIALS else ""
    return " | ".join(cell.title for cell in cells[:NAMED_TRIALS]) + more


def _print_known(plan: Plan, scenarios: list[str], ledger: Ledger) -> None:
    """Says what an earlier command has finished, and whether another version of the code did it."""
    if plan.search:
        return
    done = [cell for cell in plan.cells(scenarios) if ledger.outcome(cell) is not None]
    if done:
        print(f"{len(done)} of {len(plan.cells(scenarios))} trials are finished already and are not repeated.")
    if old := [cell for cell in done if ledger.is_of_other_code(cell)]:
        print(
            f"{len(old)} of them were run by another version of the code that trains and judges; --new-code runs them "
            "again."
        )


def _set_aside(plan: Plan, scenarios: list[str], ledger: Ledger) -> None:
    """Makes what another version of the code has finished run again."""
    if plan.search or plan.population is not None:
        raise ConfigError(
            "--new-code is for plans without a search or a population, which have chosen by the old results; give "
            "the plan another name."
        )
    old = [cell for cell in plan.cells(scenarios) if ledger.is_of_other_code(cell)]
    for cell in old:
        ledger.set_aside(cell)
    print(f"{len(old)} trials of another version of the code are set aside and run again.")


def print_dry_run(plan: Plan, scenarios: list[str], ledger: Ledger, body: str | None) -> None:
    """Prints the cells and what they will take; ``body`` is what a pilot runs, None = no pilot."""
    print(f"Sweep {plan.name}: {plan.question}")
    done: list[Cell] = []
    if plan.search:
        left = _search_cells(plan, scenarios)
    elif plan.population is not None:
        members = plan.population.members
        left = [(cell, float(members)) for cell in plan.cells(scenarios) if ledger.outcome(cell) is None]
        print(f"  {len(left)} populations of {members} members, {plan.population.generations} generations each")
        _print_space(plan.population.space)
    else:
        cells = plan.cells(scenarios)
        done = [cell for cell in cells if ledger.outcome(cell)]
        for cell in cells:
            state = "done" if ledger.outcome(cell) else "failed" if ledger.failure(cell) else "to run"
            print(f"  {cell.id}  {state:7s} {cell.title}")
        left = [(cell, 1.0) for cell in cells if ledger.outcome(cell) is None]
        print(f"{len(cells)} trials: {len(done)} done, {len(left)} to run.")
    cost = forecast(plan, left, done, ledger, body)
    print(
        f"About {duration_text(cost.wall_s)} and {cost.cpu_s / 3600:.2f} CPU-hours for {cost.steps:,.0f} environment "
        f"steps in {cost.trials:.0f} trials, {plan.max_concurrent} at a time; about {cost.megabytes:.0f} MB below "
        f"{_shown(ledger.root)} and in MLflow ({cost.source})."
    )


def _search_cells(plan: Plan, scenarios: list[str]) -> list[tuple[Cell, float]]:
    """A cell of each arm and scenario with the number of trials to expect of it."""
    trials = plan.budget.configurations * plan.budget.trials_per_configuration(len(plan.seeds))
    for arm in plan.arm_settings():
        print(f"  {arm} on {', '.join(scenarios)}: {plan.budget.configurations} configurations")
    _print_space(plan.search)
    middle = {path: (values := d.grid())[len(values) // 2] for path, d in plan.search.items()}
    return [
        (plan.cell(arm, scenario, plan.seeds[0], middle), trials)
        for arm in plan.arm_settings()
        for scenario in scenarios
    ]


def _print_space(space: Mapping[str, Distribution]) -> None:
    for path, dimension in space.items():
        print(f"  {path}: {dimension.describe()}")
