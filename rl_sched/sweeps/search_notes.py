"""What a reader has to know of a search: how many configurations came to what end, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from rl_sched.evaluation.comparison import display
from rl_sched.evaluation.console import text_table
from rl_sched.sweeps import studies
from rl_sched.sweeps.arms import short_value
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import Plan


def notes_of(plan: Plan, scenarios: Sequence[str], ledger: Ledger) -> list[str]:
    """A sentence for each arm and scenario: how its configurations were suggested."""
    notes = []
    for scenario in scenarios:
        for arm in plan.arm_settings():
            told = studies.suggestions(plan, arm, scenario, ledger)
            if told.total:
                repeated = f", {told.repeated} of them repetitions that did not run" if told.repeated else ""
                notes.append(
                    f"Search of {display(arm)}, scenario {scenario} (sampler {plan.sampler.name}): {told.total} "
                    f"configurations{repeated}; {told.informed} were suggested by a sampler that had learned "
                    f"something ({100 * told.informed / told.total:.0f} %)."
                )
    return notes


def front_tables(plan: Plan, scenarios: Sequence[str], ledger: Ledger) -> list[str]:
    """For several objectives: the Pareto front of each arm and scenario as a table."""
    if len(plan.objectives) < 2:
        return []
    header = [f"{goal.metric} ({goal.towards})" for goal in plan.objectives]
    tables = []
    for scenario in scenarios:
        for arm in plan.arm_settings():
            front = studies.pareto_front(plan, arm, scenario, ledger)
            rows = [
                [*(f"{value:,.4g}" for value in one.values), *(short_value(v) for v in one.searched.values())]
                for one in front
            ]
            if rows:
                title = f"Pareto front of {display(arm)}, scenario {scenario}: on VAL, mean over {front[0].seeds} seeds"
                paths = [path.rpartition(".")[2] for path in plan.search]
                tables.append(f"{title}\n{text_table([*header, *paths], rows)}")
    return tables


def dashboard_command(plan: Plan, ledger: Ledger) -> str:
    """The command that shows the studies in a browser."""
    return f"optuna-dashboard --host 127.0.0.1 {studies.storage_url(plan, ledger)}"
