"""Shows all trials in MLflow's user interface, on this machine only: ``python -m rl_sched.mlflow_ui [--port P]``."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.errors import RlSchedError
from rl_sched.verbs import run_verb

if TYPE_CHECKING:
    from rl_sched.tracking.store import Store

DEFAULT_PORT = 5000


def main(argv: list[str] | None = None) -> int:
    """Serves until Ctrl-C."""
    from rl_sched.tracking.server import HOST, check_port_free
    from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store

    parser = argparse.ArgumentParser(prog="python -m rl_sched.mlflow_ui", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port to listen on (default {DEFAULT_PORT})")
    parser.add_argument(
        "--host", default=HOST, help=f"address to listen on (default {HOST}); there is no password: never a public one"
    )
    parser.add_argument(
        "--background", action="store_true", help="return when it serves; if one serves already, print its link"
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    args = parser.parse_args(argv)

    store = Store(args.data)
    if args.background:
        return _start(store, args.host, args.port)
    check_port_free(args.port, args.host)
    if not store.database.is_file() and not store.sweeps.is_dir():
        raise RlSchedError(f"There are no trials below {args.data} yet. Run `make ablation` first.")
    return _serve(store, args.host, args.port)


def _serve(store: Store, host: str, port: int) -> int:
    from rl_sched.sweeps.tracking import OBJECTIVE_METRIC, sync_all
    from rl_sched.tracking.newest import newest_sweep
    from rl_sched.tracking.server import UiServer
    from rl_sched.tracking.store import trials_link

    store.ensure()
    # Both end the server too; a shell's background jobs start with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    server = UiServer(store, port, host)
    try:
        for sentence in sync_all(store, store.uri):
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


def _start(store: Store, host: str, port: int) -> int:
    """Starts this verb in a session of its own, and returns when it serves: for the head of a cluster."""
    from rl_sched.tracking.server import START_TIMEOUT_S, check_port_free, running_address

    if (address := running_address(store)) is None:
        check_port_free(port, host)
        store.sweeps.mkdir(parents=True, exist_ok=True)  # a cluster has no trials yet
        command = [sys.executable, "-m", "rl_sched.mlflow_ui", "--host", host, "--port", str(port)]
        log = store.data_dir / "mlflow_ui.out"
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "--data", str(store.data_dir)],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + 2 * START_TIMEOUT_S  # its tables, then the server
        while (address := running_address(store)) is None:
            if process.poll() is not None:
                raise RlSchedError(f"MLflow's server must keep running; it ended at once. See {log}.")
            if time.monotonic() > deadline:
                raise RlSchedError(f"MLflow's server must answer by now; it is still starting. See {log}.")
            time.sleep(0.2)
    print(f"MLflow: {address}/#/experiments", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
