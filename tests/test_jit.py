"""How kernels are compiled leaves everybody else's functions alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import pytest

from rl_sched.sim import jit


def ours(function: Callable) -> Callable:
    """Compiled as a kernel is, but without a cache on disk."""
    return numba.njit(_nrt=False, error_model="numpy", pipeline_class=jit._Compiler)(function)


def test_functions_of_others_still_count_from_the_end() -> None:
    def pick(values, index):
        return values[index]

    values = np.arange(5.0)
    assert ours(pick)(values, 2) == 2.0  # compiled in our way, just before
    assert numba.njit(pick)(values, -1) == 4.0


def test_ours_are_compiled_without_it() -> None:
    def pick(values, index):
        return values[index]

    both = ours(pick), numba.njit(pick)
    for function in both:
        function(np.arange(5.0), 1)
    short, long = (len(next(iter(function.inspect_llvm().values()))) for function in both)
    assert short < long


@pytest.mark.parametrize("inner", [jit.helper, jit.routine])
def test_what_kernels_call_is_a_part_of_them_and_nothing_else(inner: Callable) -> None:
    @inner
    def twice(x):
        return 2.0 * x

    @ours
    def four_times(x):
        return twice(twice(x))

    assert four_times(3.0) == 12.0
    with pytest.raises((TypeError, KeyError)):
        twice(3.0)


def test_a_kernel_is_made_of_all_it_imports() -> None:
    sources = {file.name for file in jit._sources(Path(jit.__file__).with_name("ranked.py"), {})}
    assert {"ranked.py", "kernels.py", "clock.py", "segments.py", "placement.py", "nodes.py", "record.py"} <= sources
    assert "vector.py" not in sources
