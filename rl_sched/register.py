"""Puts a policy into MLflow's model registry: ``python -m rl_sched.register --checkpoint DIR --name NAME``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rl_sched.verbs import python_command, run_verb


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, registers, prints."""
    from rl_sched.tracking.registering import CHAMPION, register
    from rl_sched.tracking.store import DEFAULT_DATA_DIR, Store

    parser = argparse.ArgumentParser(
        prog="python -m rl_sched.register",
        description="Puts a checkpoint into MLflow's model registry, and moves an alias to it unless the version that "
        "has the alias is better on VAL.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="folder of a trained policy")
    parser.add_argument("--name", required=True, help="the model of which it becomes a version")
    parser.add_argument("--alias", default=CHAMPION, help="what the best version is called (default: %(default)s)")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA_DIR, help=f"data folder (default {DEFAULT_DATA_DIR})")
    args = parser.parse_args(argv)

    registered = register(Store(args.data), args.checkpoint, args.name, args.alias)
    print(registered.sentence)
    more = "" if args.data == DEFAULT_DATA_DIR else f" --data {args.data}"
    print(f"evaluate it: {python_command()} -m rl_sched.evaluate --checkpoint {registered.version.uri}{more}")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
