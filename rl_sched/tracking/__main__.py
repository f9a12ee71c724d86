"""Brings MLflow up to date with everything that sweeps have measured: ``python -m rl_sched.tracking sync [SWEEP ...]``.

Needed after MLflow was away: a sweep writes to files first, and does not wait for it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rl_sched.errors import RlSchedError
from rl_sched.verbs import run_verb


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, replays, prints."""
    from rl_sched.sweeps.tracking import sync_all
    from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store

    parser = argparse.ArgumentParser(prog="python -m rl_sched.tracking", description=(__doc__ or "").split("\n\n")[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    sync = verbs.add_parser("sync", help="replay what MLflow lacks; nothing is written twice")
    sync.add_argument("sweeps", nargs="*", metavar="SWEEP", help="names of sweeps (default: all)")
    sync.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    sync.add_argument("--uri", help="address of the tracking server (default: MLFLOW_TRACKING_URI, else the database)")
    args = parser.parse_args(argv)

    store = Store(args.data)
    uri = args.uri or store.tracking_uri
    if not store.sweeps.is_dir():
        raise RlSchedError(f"There must be sweeps below {store.sweeps}; there is no such folder.")
    if problems := sync_all(store, uri, args.sweeps):
        raise RlSchedError(" ".join(problems))
    print(f"{uri} has everything that the sweeps below {store.sweeps} have measured so far.")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
