"""How the version of the code counts for what is done already.

The id of a cell holds its settings, not the code: else a change of a word in a docstring would throw a night of
training away, and ``--extend`` could reuse nothing. Instead the outcome notes two hashes: that of the whole package
(``code``, which reports compare) and that of the part that decides what a training run comes to (``deciding``). A sweep
reuses all outcomes and says how many were made by another deciding code; ``--new-code`` sets these aside and runs
their cells again.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

#: Units of the package whose source decides a result; the others start, record, show and compare trials.
DECIDING = (
    "config.py",
    "cluster.py",
    "workload.py",
    "traces",
    "sim",
    "policies",
    "scenarios",
    "envs",
    "rl",
    "evaluation/protocol.py",
    "evaluation/metrics.py",
    "sweeps/trial.py",
)


@functools.cache
def deciding_hash() -> str:
    """16 hex digits of the source files that decide what a training run comes to."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name in DECIDING:
        unit = root / name
        for file in sorted(unit.rglob("*.py")) if unit.is_dir() else [unit]:
            digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
