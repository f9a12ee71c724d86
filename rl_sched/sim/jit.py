"""How kernels are compiled.

``nrt`` is numba's reference counting: with it every access to an array inside a tuple costs two atomic operations,
three quarters of the kernels' time. The kernels allocate nothing (scratch is passed in), so it is switched off.
Helpers are inlined by LLVM, since handing a tuple of a dozen arrays to a real call is slow too. And no kernel counts
an index from the end: numba's code for negative ones, at every access, costs a fifth of the time, so that our functions
are compiled without it.
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
from numba.core import types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.np import arrayobj

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


_wrapping_index = arrayobj.fix_integer_index
_lowering_ours = False


def _plain_index(context: Any, builder: Any, idxty: Any, idx: Any, size: Any) -> Any:
    """In place of numba's function of the same signature: in our own functions an index is taken as it is."""
    if not _lowering_ours:
        return _wrapping_index(context, builder, idxty, idx, size)
    return context.cast(builder, idx, idxty, types.intp if idxty.signed else types.uintp)


arrayobj.fix_integer_index = _plain_index


def _optimise(library: Any, **options: Any) -> None:
    """One run of LLVM's passes over a library; numba makes two, the first of them for its reference counting."""
    manager, builder = library._codegen._module_pass_manager(**options)
    manager.run(library._final_module, builder)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """Numba's last pass, with the flag of ``_plain_index`` set."""

    _name = "rl_sched_lowering"

    def run_pass(self, state: Any) -> bool:
        global _lowering_ours
        if state.library is None:
            state.library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
            state.library.enable_object_caching()
            state.library._optimize_final_module = lambda library=state.library: _optimise(library)
        _lowering_ours = True
        try:
            return bool(super().run_pass(state))
        finally:
            _lowering_ours = False


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(_Lowering):
    """The same for a function that only kernels call: it becomes a part of theirs, and no machine code of its own.

    Optimised machine code of every helper, with all that it calls inlined, and of the wrappers that would make it
    callable from Python, more than doubled the time of compiling, and made nothing faster.
    """

    _name = "rl_sched_inner_lowering"

    def run_pass(self, state: Any) -> bool:
        context = state.targetctx
        library = state.library = context.codegen().create_library(state.func_id.func_qualname)
        library._optimize_final_module = lambda: _optimise(library, cost="cheap", slp_vectorize=False)
        library._finalize_specific = lambda: None
        context.get_executable = lambda *_: {}.__getitem__  # numba needs some builtin; called by mistake, this raises
        try:
            return super().run_pass(state)
        finally:
            del context.get_executable


class _Compiler(CompilerBase):
    """Numba's compiler with our last pass."""

    lowering: type[NativeLowering] = _Lowering

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        position = [p for p, _ in manager.passes].index(NativeLowering)
        manager.passes[position] = (self.lowering, manager.passes[position][1])
        manager.finalize()
        return [manager]


class _InnerCompiler(_Compiler):
    lowering = _InnerLowering


_INNER: dict[str, Any] = {
    "_nrt": False,
    "error_model": "numpy",
    "pipeline_class": _InnerCompiler,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def helper(function: Compiled) -> Compiled:
    """A function called by kernels only; inlined."""
    return njit(forceinline=True, **_INNER)(function)


def routine(function: Compiled) -> Compiled:
    """A large function called by kernels only; not inlined."""
    return njit(**_INNER)(function)


def kernel(function: Compiled) -> Compiled:
    """A function called from Python; its machine code is cached on disk."""
    numba.config.CACHE_DIR = _cache_folder(function.__code__.co_filename)
    return njit(_nrt=False, cache=True, error_model="numpy", pipeline_class=_Compiler)(function)
