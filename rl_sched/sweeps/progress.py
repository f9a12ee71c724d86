"""One line that tells how far a sweep is: updated in place on a terminal, printed now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TextIO

from rl_sched.sweeps.objectives import text
from rl_sched.sweeps.plan import Cell
from rl_sched.sweeps.source import Amount

TERMINAL_EVERY_S = 1.0
LOG_EVERY_S = 15.0
#: No estimate of the time left before this much time and this share of the work.
WARMUP_S = 10.0
WARMUP_FRAC = 0.02


def duration_text(seconds: float) -> str:
    """Seconds for a reader: ``42 s``, ``7 min``, ``3.2 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class ProgressLine:
    """Prints the state of a sweep.

    Args:
        stream: Where to; a terminal's line is rewritten, anything else gets a new line now and then.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._printed_s = float("-inf")
        self._shown_done = -1
        self._start: tuple[float, float] | None = None  # time and steps left when the first step was seen
        self._heard: set[str] = set()  # trials that have told steps
        self._done_at_first: int | None = None
        self._earlier_steps = 0.0  # that trials had made before this run continued them
        self._text = ""

    def update(
        self,
        amount: Amount,
        running: Mapping[str, tuple[Cell, float]],
        failed: int,
        best: Mapping[str, tuple[str, float]],
        *,
        force: bool = False,
    ) -> None:
        """Prints if it is time to.

        Args:
            amount: How far the sweep is.
            running: Cell id -> cell and its environment steps so far, of the trials that run now.
            failed: Trials that failed.
            best: Scenario -> arm and cost on VAL of the best trial so far.
            force: Print in any case.
        """
        self._hear(running, amount.done)
        now_s = time.monotonic()
        news = amount.done != self._shown_done
        every_s = TERMINAL_EVERY_S if self._terminal else LOG_EVERY_S
        if not force and now_s - self._printed_s < every_s and not (news and now_s - self._printed_s > 1.0):
            return
        self._printed_s, self._shown_done = now_s, amount.done
        left_s = self._seconds_left(amount.steps_left - sum(steps for _, steps in running.values()), now_s)
        shares = ", ".join(f"{min(100 * steps / max(cell.steps, 1), 100):.0f} %" for cell, steps in running.values())
        parts = [f"{amount.done}/{amount.total} {amount.unit} done"]
        parts.append(f"{len(running)} running ({shares})" if running else "none running")
        parts.append(f"{failed} failed")
        parts += [f"best on VAL, {scenario}: {arm} {text(scenario, value)}" for scenario, (arm, value) in best.items()]
        if left_s is not None and amount.done < amount.total:
            parts.append(f"about {duration_text(left_s)} left")
        self._print("; ".join(parts))

    def note(self, text: str) -> None:
        """Prints a sentence on a line of its own."""
        self.close()
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leaves a terminal's cursor on a line of its own."""
        if self._terminal and self._text:
            self._stream.write("\n")
            self._stream.flush()
            self._text = ""

    def _hear(self, running: Mapping[str, tuple[Cell, float]], done: int) -> None:
        """The trials that begin a run may be continued ones: what they tell first is not counted as this run's work."""
        if self._done_at_first is None:
            self._done_at_first = done
        for cell_id, (_, steps) in running.items():
            if steps > 0 and cell_id not in self._heard:
                self._heard.add(cell_id)
                if done == self._done_at_first:
                    self._earlier_steps += steps

    def _seconds_left(self, steps_left: float, now_s: float) -> float | None:
        if self._start is None or steps_left > self._start[1]:
            self._start = (now_s, steps_left)
        seconds, steps = now_s - self._start[0], self._start[1] - steps_left - self._earlier_steps
        # The first steps wait for imports and compilers and say nothing of the rest.
        known = seconds > WARMUP_S and steps > WARMUP_FRAC * self._start[1]
        return max(steps_left, 0.0) * seconds / steps if known else None

    def _print(self, text: str) -> None:
        if text == self._text and not self._terminal:
            return
        self._text = text
        # Carriage return and "erase to the end of the line" on a terminal.
        self._stream.write(f"\r{text}\x1b[K" if self._terminal else f"{text}\n")
        self._stream.flush()
