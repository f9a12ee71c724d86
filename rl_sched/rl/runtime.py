"""The process around a training run: threads, memory, Ray."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

#: ``mallopt`` parameters of glibc (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP_BYTES = 1 << 30


def single_thread() -> None:
    """Makes torch compute on one thread: several trials share few cores, and oversubscription costs far more."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Turns denormal results of this thread into 0: arithmetic on them is ten times slower and teaches nothing.

    Afterwards they count again, if they did before: the mode is the thread's, so that it would change the arithmetic of
    everybody else in the process.
    """
    import torch

    flushed_before = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed_before)


@dataclass
class Interruption:
    """What Ctrl-C does and whether it was pressed."""

    on_first: Callable[[], None] | None = None  #: None = the first one raises
    seen: bool = False


@contextlib.contextmanager
def interruptible(on_first: Callable[[], None] | None = None) -> Iterator[Interruption]:
    """The first Ctrl-C calls ``on_first``, the second one raises ``KeyboardInterrupt`` as usual.

    Outside the main thread, where signals cannot be caught, nothing changes: somebody else deals with them.
    """
    state = Interruption(on_first)

    def handle(number: int, frame: Any) -> None:
        if state.seen or state.on_first is None:
            raise KeyboardInterrupt
        state.seen = True
        state.on_first()

    try:
        before = signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the main thread
        yield state
        return
    try:
        yield state
    finally:
        signal.signal(signal.SIGINT, before)


def keep_freed_memory() -> None:
    """Asks glibc to keep freed blocks instead of handing them back to the kernel after every tensor.

    Every minibatch allocates the same tensors of some megabytes; fresh pages each time cost a third of a forward
    pass. Other C libraries have no such call: then nothing is done.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _KEEP_BYTES - 1)


def give_back_freed_memory() -> None:
    """Hands what ``keep_freed_memory`` kept back to the kernel: for between two trials of one process.

    Every trial is a thread of its own, and what glibc keeps for one is of little use to the next.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def num_gpus() -> int:
    """GPUs that a learner of this process computes on: 1 or 0.

    A program of its own takes the one it sees. A process that Ray started takes only what Ray gave it: Ray hides the
    others no longer, and all trials of a sweep would crowd onto the first GPU of their machine.
    """
    import ray
    import torch

    if not torch.cuda.is_available():
        return 0
    if ray.is_initialized():
        context = ray.get_runtime_context()
        if context.get_actor_id() is not None or context.get_task_id() is not None:
            return min(1, len(ray.get_gpu_ids()))
    return 1


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Operations of torch add in the same order every time, on a GPU too: a resumed run equals an uninterrupted one.

    RLlib asks for it without a GPU only, never takes it back, and then every new tensor is filled before it is written.

    Raises:
        RuntimeError: From torch, inside, at an operation that has no such form.
    """
    import torch

    # cuBLAS reads it when it starts (its documentation, "Results reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]


@contextlib.contextmanager
def embedded_ray(num_cpus: int = 1) -> Iterator[None]:
    """Provides Ray: the one that runs already (inside a Tune trial), that of ``RAY_ADDRESS``, else a local one.

    Args:
        num_cpus: Processes that a local Ray may start side by side.
    """
    import ray

    # Deprecation notices of RLlib about RLlib, and hints about packages that are not needed.
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    cluster = os.environ.get("RAY_ADDRESS")
    ray.init(
        address=cluster or "local",
        **({} if cluster else {"num_cpus": num_cpus, "include_dashboard": False}),
        log_to_driver=False,
        configure_logging=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()
