"""What runs in the reader's process; the libraries behind it are loaded there and not in the web server."""

from __future__ import annotations

from typing import Any

from rl_sched.dashboard.catalogue import Catalogue, Places, collect, describe_workload
from rl_sched.dashboard.child import follow_parent
from rl_sched.dashboard.choices import Setup


def begin() -> None:
    """Once per process."""
    follow_parent()


def read_catalogue(places: Places) -> Catalogue:
    """See ``catalogue.collect``."""
    return collect(places)


def read_workload(name: str) -> dict[str, Any]:
    """See ``catalogue.describe_workload``."""
    return describe_workload(name)


def list_sweeps(places: Places) -> list[dict[str, Any]]:
    """See ``sweeps.list_sweeps``."""
    from rl_sched.dashboard import sweeps

    return sweeps.list_sweeps(places)


def read_sweep(places: Places, name: str) -> dict[str, Any]:
    """See ``sweeps.read_sweep``."""
    from rl_sched.dashboard import sweeps

    return sweeps.read_sweep(places, name)


def list_models(places: Places) -> dict[str, Any]:
    """See ``sweeps.list_models``."""
    from rl_sched.dashboard import sweeps

    return sweeps.list_models(places)


def list_runs(places: Places, limit: int) -> dict[str, Any]:
    """See ``mlflow_runs.list_runs``."""
    from rl_sched.dashboard import mlflow_runs

    return mlflow_runs.list_runs(places, limit)


def read_run(places: Places, run_id: str) -> dict[str, Any]:
    """See ``mlflow_runs.read_run``."""
    from rl_sched.dashboard import mlflow_runs

    return mlflow_runs.read_run(places, run_id)


def write_report(setup: Setup, record: Any, title: str) -> str:
    """The report page of a race; see ``race_logs.logs_of`` and ``report_page.report_html``."""
    from rl_sched.dashboard.race_logs import logs_of
    from rl_sched.dashboard.report_page import report_html

    return report_html(logs_of(setup, record), title)
