"""ElasticFlow's scaling curves: iterations per second of a model by batch size and number of GPUs, a CSV a model.

The first column is ``global_batch_size``, the others are GPU counts. An empty cell, ``nan`` or 0 means not measured
or does not fit; such a count is left out of the curve.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from rl_sched.errors import TraceError
from rl_sched.traces.reading import bad_cell, file_stamp, gang_size, non_negative, read_table

_BATCH = "global_batch_size"


class Curves(NamedTuple):
    """The curves of one folder, that is of one GPU type."""

    folder: str
    rates: dict[tuple[str, int], dict[int, float]]  # (model, batch size) -> GPUs -> iterations per second, > 0


def read_curves(folder: str) -> Curves:
    """Reads ``MODEL.csv`` and ``MODEL.csv.gz`` of a folder; the result is shared, so do not change it.

    Raises:
        TraceError: There is no such folder, it holds no CSV file, or one of them cannot be read.
    """
    try:
        files = sorted(str(file) for file in Path(folder).iterdir() if file.name.endswith((".csv", ".csv.gz")))
    except (OSError, ValueError):
        raise TraceError(f"The folder of throughputs {folder!r} must exist; it does not. Check the path.") from None
    if not files:
        raise TraceError(f"The folder of throughputs {folder!r} must hold one CSV file a model; it holds none.")
    return _read(folder, tuple((file, file_stamp(file)) for file in files))


@lru_cache(maxsize=8)
def _read(folder: str, files: tuple[tuple[str, tuple[int, int]], ...]) -> Curves:
    """The parsed files; the stamps only serve to read changed files again."""
    rates: dict[tuple[str, int], dict[int, float]] = {}
    for path, _ in files:
        model = Path(path).name.removesuffix(".gz").removesuffix(".csv")
        table = read_table(path, (_BATCH,))
        counts = table.ignored((_BATCH,))
        batches = table.column(_BATCH, gang_size, "a whole number >= 1")
        for count in counts:
            try:
                gpus = gang_size(count)
            except ValueError:
                raise bad_cell(path, 1, "header", "a number of GPUs", count) from None
            column = table.column(count, _rate, "a number of iterations per second >= 0, or empty")
            for batch, rate in zip(batches, column, strict=True):
                if rate:
                    rates.setdefault((model, batch), {})[gpus] = rate
    return Curves(folder, rates)


def _rate(text: str) -> float | None:
    if not text.strip() or math.isnan(float(text)):
        return None
    return non_negative(text)
