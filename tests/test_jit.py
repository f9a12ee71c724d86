"""How kernels are compiled leaves everybody else's functions alone."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np

from rl_sched.sim import jit


def test_functions_of_others_still_count_from_the_end() -> None:
    def pick(values, index):
        return values[index]

    values = np.arange(5.0)
    assert jit.routine(pick)(values, 2) == 2.0  # compiled in our way, just before
    assert numba.njit(pick)(values, -1) == 4.0


def test_ours_are_compiled_without_it() -> None:
    def pick(values, index):
        return values[index]

    ours, theirs = jit.routine(pick), numba.njit(pick)
    for function in (ours, theirs):
        function(np.arange(5.0), 1)
    length = {f: len(next(iter(f.inspect_llvm().values()))) for f in (ours, theirs)}
    assert length[ours] < length[theirs]


def test_a_kernel_is_made_of_all_it_imports() -> None:
    sources = {file.name for file in jit._sources(Path(jit.__file__).with_name("ranked.py"), {})}
    assert {"ranked.py", "kernels.py", "clock.py", "segments.py", "placement.py", "nodes.py", "record.py"} <= sources
    assert "vector.py" not in sources
