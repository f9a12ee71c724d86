"""The ledger of REPORT openings: how often the held-out seeds of a checkpoint were looked at.

REPORT is meant to be opened once, at the end. Every opening is one line of ``report_openings.jsonl`` inside the
checkpoint's folder, so that the count travels with the checkpoint and starts anew when it is overwritten.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from rl_sched.errors import CheckpointError

LEDGER = "report_openings.jsonl"


def openings(checkpoint: Path) -> list[dict[str, object]]:
    """The recorded openings, oldest first; a line that was cut by a crash still counts (it holds no details)."""
    ledger = checkpoint / LEDGER
    if not ledger.is_file():
        return []
    entries = []
    for line in ledger.read_text().splitlines():
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            entries.append({})
    return entries


def record_opening(checkpoint: Path, scenario: str, episodes: int) -> int:
    """Appends one opening and returns how many there are now, this one included.

    Raises:
        CheckpointError: The ledger cannot be written.
    """
    entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "scenario": scenario, "episodes": episodes}
    try:
        with open(checkpoint / LEDGER, "a") as ledger:
            ledger.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise CheckpointError(
            f"An opening of the REPORT seeds must be recorded in {str(checkpoint / LEDGER)!r}, which cannot be "
            f"written ({error.strerror}). Make the checkpoint's folder writable, or copy it."
        ) from None
    return len(openings(checkpoint))
