"""Serves the dashboard until Ctrl-C: ``python -m rl_sched.dashboard [--port P]``."""

from __future__ import annotations

import argparse
import secrets
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rl_sched.errors import ConfigError
from rl_sched.verbs import run_verb

DEFAULT_PORT = 8765
LOOPBACK = "127.0.0.1"
MIN_TOKEN = 16


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[0].upper()}{message[1:]}. See python -m rl_sched.dashboard --help.")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line.

    Raises:
        ConfigError: It is not one, or another address than this machine's is given without a token.
    """
    parser = _Parser(prog="python -m rl_sched.dashboard", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=int, default=DEFAULT_PORT, help="0 = any free one (default: %(default)s)")
    add("--host", default=LOOPBACK, metavar="ADDRESS", help="another address than this machine's needs --token")
    add("--token", metavar="TEXT", help="what clients must show; 'new' makes one")
    add("--data", type=Path, default=Path("mlflow/data"), metavar="DIR", help="sweeps, registry (default: %(default)s)")
    add("--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="default: %(default)s")
    args = parser.parse_args(argv)
    if args.token == "new":
        args.token = secrets.token_urlsafe(24)
    if args.token is not None and (len(args.token) < MIN_TOKEN or not args.token.isascii() or not _plain(args.token)):
        raise ConfigError(
            f"A token must have at least {MIN_TOKEN} letters, digits, '-' or '_'; --token new makes a good one."
        )
    if args.host not in (LOOPBACK, "localhost") and args.token is None:
        raise ConfigError(f"On the address {args.host} anyone could reach the dashboard. Add --token new.")
    if not 0 <= args.port < 65536:
        raise ConfigError(f"--port must be between 0 and 65535; it is {args.port}.")
    return args


def _plain(text: str) -> bool:
    return all(c.isalnum() or c in "-_" for c in text)


def main(argv: Sequence[str] | None = None) -> int:
    """Serves; returns the exit code."""
    args = parse(argv)
    import uvicorn

    from rl_sched.dashboard.app import MAX_MESSAGE, create_app
    from rl_sched.dashboard.catalogue import Places

    try:
        listener = socket.create_server((args.host, args.port))
    except OSError as error:
        raise ConfigError(
            f"Port {args.port} on {args.host} must be free: {error.strerror}. Choose another --port."
        ) from None
    port = listener.getsockname()[1]
    shown = f"?token={args.token}" if args.token else ""
    print(f"Dashboard: http://{args.host}:{port}/{shown}  (Ctrl-C ends it)", flush=True)
    app = create_app(Places(args.data, args.checkpoints), token=args.token)
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_level="warning", access_log=False, ws="websockets-sansio", ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False, timeout_graceful_shutdown=2, lifespan="on",
        )
    )  # fmt: skip
    server.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
