"""How kernels are compiled.

``nrt`` is numba's reference counting: with it every access to an array inside a tuple costs two atomic operations,
three quarters of the kernels' time. The kernels allocate nothing (scratch is passed in), so it is switched off.
Helpers are inlined by LLVM, since handing a tuple of a dozen arrays to a real call is slow too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import njit

Compiled = Callable[..., Any]


def _cache_folder() -> str:
    """A folder for machine code that belongs to the present text of all kernels.

    Numba's cache notices a change of the file that holds a kernel, but not of the helpers inlined into it from other
    files: without this a changed helper would go on running in its old form.
    """
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in ("sim", "policies", "envs"):
        for file in sorted((package / folder).glob("*.py")):
            digest.update(file.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or package / "__pycache__"
    return str(Path(base) / f"kernels-{digest.hexdigest()[:12]}")


numba.config.CACHE_DIR = _cache_folder()


def helper(function: Compiled) -> Compiled:
    """A function called by kernels only; inlined."""
    return njit(_nrt=False, forceinline=True, error_model="numpy")(function)


def routine(function: Compiled) -> Compiled:
    """A large function called by kernels; not inlined."""
    return njit(_nrt=False, error_model="numpy")(function)


def kernel(function: Compiled) -> Compiled:
    """A function called from Python; its machine code is cached on disk."""
    return njit(_nrt=False, cache=True, error_model="numpy")(function)
