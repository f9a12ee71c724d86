"""All that has been told of the race so far, thinned out: what a client gets that comes late, comes back or is slow."""

from __future__ import annotations

from typing import Any

#: Points of a line before every second one is dropped; bars and decisions that are kept, the newest.
MAX_POINTS, MAX_BARS, MAX_LOG = 800, 600, 200
#: What a point of a lane's lines is made of, beside its time; the page draws these.
SERIES = ("waiting", "running", "waiting_gpus", "busy_gpus", "mean_jct_s", "busy_frac")


class Board:
    """Grows with every update; ``whole`` is one update that holds everything."""

    def __init__(self) -> None:
        self.setup: dict[str, Any] | None = None
        self.last: dict[str, Any] = {}
        self._lanes: dict[str, dict[str, Any]] = {}
        self._seen = 0  # updates since the last thinning of the lines
        self._stride = 1  # only every so many updates become a point

    def begin(self, setup: dict[str, Any] | None) -> None:
        """A race begins; None = there is none."""
        self.setup, self.last, self._seen, self._stride = setup, {}, 0, 1
        lanes = setup["lanes"] if setup else []
        self._lanes = {lane["id"]: {"points": [], "bars": {}, "log": []} for lane in lanes}

    def add(self, update: dict[str, Any]) -> None:
        """Takes an update in, and adds to its lanes the point that it makes, or none."""
        self.last = update
        pointed = self._seen % self._stride == 0
        self._seen += 1
        for lane in update["lanes"]:
            kept = self._lanes[lane["id"]]
            point = [lane["now_s"], *(lane[name] for name in SERIES)]
            moved = not kept["points"] or kept["points"][-1][0] < lane["now_s"]
            lane["points"] = [point] if moved and (pointed or lane["over"]) else []
            kept["points"] += lane["points"]
            for bar in lane["bars"]:
                key = (bar[0], bar[2])
                kept["bars"].pop(key, None)
                kept["bars"][key] = bar
            while len(kept["bars"]) > MAX_BARS:
                del kept["bars"][next(iter(kept["bars"]))]
            kept["log"] = (kept["log"] + lane["log"])[-MAX_LOG:]
        if any(len(kept["points"]) > MAX_POINTS for kept in self._lanes.values()):
            self._stride *= 2
            for kept in self._lanes.values():
                kept["points"] = [*kept["points"][:-1:2], kept["points"][-1]]

    def whole(self) -> dict[str, Any]:
        """Everything so far as one update."""
        if not self.last:
            return {"setup": self.setup, "lanes": []}
        lanes = [
            {**lane, "points": kept["points"], "bars": list(kept["bars"].values()), "log": kept["log"]}
            for lane in self.last["lanes"]
            for kept in [self._lanes[lane["id"]]]
        ]
        return {**self.last, "setup": self.setup, "lanes": lanes}
