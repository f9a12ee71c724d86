"""How kernels are compiled.

``nrt`` is numba's reference counting: with it every access to an array inside a tuple costs two atomic operations,
three quarters of the kernels' time. The kernels allocate nothing (scratch is passed in), so it is switched off.
Helpers are inlined by LLVM, since handing a tuple of a dozen arrays to a real call is slow too.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba import njit

Compiled = Callable[..., Any]


_PACKAGE = Path(__file__).resolve().parents[1]
#: Folders whose modules may be compiled into a kernel.
_FOLDERS = ("sim", "policies", "envs")
_IMPORT = re.compile(r"^from rl_sched\.([a-z_.]+) import (.+)$", re.MULTILINE)


def _sources(file: Path, seen: dict[Path, bytes]) -> dict[Path, bytes]:
    """The text of a module and of all modules of ``_FOLDERS`` that it imports, directly or not."""
    if file not in seen and file.is_file():
        seen[file] = file.read_bytes()
        for name, things in _IMPORT.findall(seen[file].decode()):
            parts = name.split(".")
            modules = [parts] if len(parts) > 1 else [[*parts, thing.strip()] for thing in things.split(",")]
            for module in modules:
                if module[0] in _FOLDERS:
                    _sources(_PACKAGE.joinpath(*module).with_suffix(".py"), seen)
    return seen


def _cache_folder(module_file: str) -> str:
    """A folder for machine code that belongs to the present text of a kernel and all it is made of.

    Numba's cache notices a change of the file that holds a kernel, but not of the helpers inlined into it from other
    files: without this a changed helper would go on running in its old form.
    """
    digest = hashlib.sha256()
    for _, text in sorted(_sources(Path(module_file).resolve(), {}).items()):
        digest.update(text)
    base = os.environ.get("NUMBA_CACHE_DIR") or _PACKAGE / "__pycache__"
    return str(Path(base) / f"kernels-{digest.hexdigest()[:12]}")


def helper(function: Compiled) -> Compiled:
    """A function called by kernels only; inlined."""
    return njit(_nrt=False, forceinline=True, error_model="numpy")(function)


def routine(function: Compiled) -> Compiled:
    """A large function called by kernels; not inlined."""
    return njit(_nrt=False, error_model="numpy")(function)


def kernel(function: Compiled) -> Compiled:
    """A function called from Python; its machine code is cached on disk."""
    numba.config.CACHE_DIR = _cache_folder(function.__code__.co_filename)
    return njit(_nrt=False, cache=True, error_model="numpy")(function)
