"""What an exception in a trial means: whose fault it is decides whether it is tried again."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from rl_sched.errors import ConfigError, SweepError

#: A machine, a process, a file system: likely to be gone at the next try.
INFRASTRUCTURE = "infrastructure"
#: nan, overflow: of this configuration, perhaps of this moment.
NUMERICS = "numerics"
#: A setting or a piece of code: the next hundred trials would fail in the same way.
USER = "user"

#: ``Failure.kind`` of a cell whose process died too often.
LOST = "ProcessDied"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_USER_FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
#: Parts of messages of libraries that raise a ValueError or RuntimeError for anything.
_NUMERIC_WORDS = ("nan", "not finite", "non-finite", "singular matrix", "invalid values")
_MACHINE_WORDS = ("out of memory", "cannot allocate memory", "cuda error")
_FULL_WORDS = ("no space left on device", "disk is full", "disk quota exceeded")


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception in a trial's body, or the death of its process."""

    kind: str  #: name of the exception's type, or ``LOST``
    message: str
    traceback: str
    cause: str = USER  #: infrastructure | numerics | user


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an exception, or one that it came from, says that a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(words in str(error).lower() for words in _FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def full_disk(folder: object) -> SweepError:
    """What a user is told then."""
    return SweepError(
        f"The disk that holds {folder} must have room; it is full. Nothing is lost: free some space and give the "
        "same command again, it continues."
    )


def cause_of(error: BaseException) -> str:
    """Whose fault an exception in a trial's body is."""
    if isinstance(error, ConfigError):
        return USER
    text = str(error).lower()
    if (
        isinstance(error, FloatingPointError | OverflowError | ZeroDivisionError)
        or type(error).__name__ == "LinAlgError"
    ):
        return NUMERICS
    if isinstance(error, MemoryError | ConnectionError | TimeoutError | EOFError):
        return INFRASTRUCTURE
    if isinstance(error, OSError):
        return USER if isinstance(error, _USER_FILES) else INFRASTRUCTURE
    if type(error).__module__.startswith("ray.exceptions") or any(words in text for words in _MACHINE_WORDS):
        return INFRASTRUCTURE
    words = text.replace(",", " ").replace(":", " ").replace("(", " ").replace(")", " ").split()
    numeric = any(part in words if part == "nan" else part in text for part in _NUMERIC_WORDS)
    return NUMERICS if numeric and isinstance(error, ValueError | RuntimeError) else USER
