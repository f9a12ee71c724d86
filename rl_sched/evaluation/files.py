"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rl_sched.errors import ConfigError


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turns an error of the file system into one sentence."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror or error}). Choose another path.") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; at the end of the block that file takes the name ``path``, or is gone after an exception.

    Raises:
        ConfigError: The file cannot be written there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    check_writable(path)
    try:
        with _named(path):
            yield part
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises where ``replacing`` would, before anything is computed.

    Raises:
        ConfigError: The file cannot be written there.
    """
    probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        probe.touch()
        probe.unlink()
