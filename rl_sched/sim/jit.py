"""How kernels are compiled.

``nrt`` is numba's reference counting: with it every access to an array inside a tuple costs two atomic operations,
two thirds of the kernels' time. The kernels allocate nothing (scratch is passed in), so it is switched off.
Helpers are inlined by LLVM, since handing a tuple of a dozen arrays to a real call is slow too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Compiled = Callable[..., Any]


def helper(function: Compiled) -> Compiled:
    """A function called by kernels only; inlined."""
    return njit(_nrt=False, forceinline=True, error_model="numpy")(function)


def routine(function: Compiled) -> Compiled:
    """A large function called by kernels; not inlined."""
    return njit(_nrt=False, error_model="numpy")(function)


def kernel(function: Compiled) -> Compiled:
    """A function called from Python; its machine code is cached on disk."""
    return njit(_nrt=False, cache=True, error_model="numpy")(function)
