"""Files of what was learned: arrays in one ``.npz``, read without executing anything in it."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_sched.errors import CheckpointError

_FORMAT = "format"


def write(path: Path, form: str, arrays: Mapping[str, Any]) -> None:
    """Writes arrays, and the name of their form, which ``opened`` will insist on."""
    np.savez(path, **{_FORMAT: np.array(form), **arrays})  # type: ignore[arg-type]


@contextlib.contextmanager
def opened(path: Path, form: str) -> Iterator[Mapping[str, np.ndarray]]:
    """Provides the arrays of a file; what is wrong with them may be raised inside as a ``ValueError``.

    Raises:
        CheckpointError: The file is missing, damaged, of another form, or not what the block expects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file[_FORMAT]) != form:
                raise ValueError(f"its form is {file[_FORMAT]}")
            yield file
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{str(path)!r} must be a file of the form {form!r} that this version has written; {error}. Delete it and "
            "train again."
        ) from error
