"""Shows all trials in MLflow's user interface, on this machine only: ``python -m rl_sched.mlflow_ui [--port P]``."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from rl_sched.errors import RlSchedError
from rl_sched.verbs import run_verb

DEFAULT_PORT = 5000


def main(argv: list[str] | None = None) -> int:
    """Serves until Ctrl-C."""
    from rl_sched.sweeps.tracking import OBJECTIVE_METRIC, sync_all
    from rl_sched.tracking.newest import newest_sweep
    from rl_sched.tracking.server import UiServer, check_port_free
    from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store, trials_link

    parser = argparse.ArgumentParser(prog="python -m rl_sched.mlflow_ui", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port on 127.0.0.1 (default {DEFAULT_PORT})")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    args = parser.parse_args(argv)

    store = Store(args.data)
    check_port_free(args.port)
    if not store.database.is_file() and not store.sweeps.is_dir():
        raise RlSchedError(f"There are no trials below {args.data} yet. Run `make ablation` first.")
    store.ensure()
    # Both end the server too; a shell's background jobs start with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    server = UiServer(store, args.port)
    try:
        for sentence in sync_all(store):
            print(sentence, file=sys.stderr)
        newest = newest_sweep(store)
        server.wait_until_ready()
        if newest is None:
            print(f"MLflow: {server.address}/#/experiments  (Ctrl-C ends it)", flush=True)
        else:
            link = trials_link(server.address, newest.experiment_id, newest.sweep, OBJECTIVE_METRIC)
            print(f"MLflow, {newest.num_trials} trials of {newest.name} (Ctrl-C ends it):\n{link}", flush=True)
        server.wait()
        raise RlSchedError("MLflow's server must keep running; it ended by itself.")
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(run_verb(main))
