"""How every benchmark prints: one JSON object, or a table."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """The machine in a few words: processor, cores that this process may use, operating system, Python."""
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor,
        "cores": cores,
        "system": platform.system(),
        "python": platform.python_version(),
    }


def figure(name: str, unit: str, ours: float, peer: float, peer_name: str) -> dict[str, Any]:
    """One figure; ``ratio`` is ours over the peer's (a rate is better larger, a cost smaller)."""
    return {"name": name, "unit": unit, "ours": ours, "peer": peer, "peer_name": peer_name, "ratio": ours / peer}


def emit(figures: list[dict[str, Any]], as_json: bool) -> None:
    """Prints ``{"machine": ..., "figures": [...]}`` as one JSON object, or the figures as a table."""
    if as_json:
        print(json.dumps({"machine": machine(), "figures": figures}))
        return
    about = machine()
    print(f"{about['processor']}, {about['cores']} cores, {about['system']}, Python {about['python']}\n")
    columns = ("name", "unit", "ours", "peer", "ratio", "peer_name")
    rows = [columns] + [tuple(_text(row.get(column)) for column in columns) for row in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in ("ours", "peer", "ratio") else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        print("  ".join(cells).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "-" if value is None else str(value)
