"""What all verbs (``python -m rl_sched.VERB``) share: how an error leaves the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rl_sched.errors import RlSchedError

#: Exit code of a mistake in the command, its settings or its files.
EXIT_USAGE = 2
#: Exit code after Ctrl-C, as shells expect it (128 + SIGINT).
EXIT_INTERRUPTED = 130


def python_command() -> str:
    """How to call this interpreter from the present folder, for commands that are printed to be typed."""
    try:
        return str(Path(sys.executable).relative_to(Path.cwd()))
    except ValueError:
        return "python"


def run_verb(main: Callable[[], int | None]) -> int:
    """Calls ``main``; an error raised on purpose becomes one sentence on stderr.

    Use as ``sys.exit(run_verb(main))``.

    Args:
        main: Parses the command line, calls, prints; returns an exit code, or None for 0.

    Returns:
        The exit code: that of ``main``, 2 after an ``RlSchedError``, 130 after Ctrl-C. Other exceptions are bugs and
        pass through with their traceback.
    """
    try:
        return main() or 0
    except RlSchedError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has closed it: not an error. Keep Python from flushing into it again.
        sys.stdout = None  # type: ignore[assignment]
        return 0
