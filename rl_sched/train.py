"""``python -m rl_sched.train [--config FILE] [--set a.b=value ...]``: trains one policy and leaves checkpoints."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.config import content_id, load
from rl_sched.errors import ConfigError
from rl_sched.verbs import EXIT_INTERRUPTED, python_command, run_verb

if TYPE_CHECKING:
    from rl_sched.rl.training import Progress

#: Above these, a policy has begun to wait for ever, or decides by luck.
NOOP_ALARM = 0.6
GAP_ALARM = 0.05
#: Share of the steps before which there is no alarm: a fresh policy's most likely action is often to wait.
QUIET_FRAC = 0.2


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rl_sched.train", description="Trains one policy with PPO and keeps the best on VAL."
    )
    parser.add_argument("--config", metavar="FILE", help="YAML with the settings of one experiment")
    parser.add_argument(
        "--set", dest="overrides", metavar="a.b=value", action="append", default=[], help="override a setting"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the checkpoints (default: checkpoints/SCENARIO-ID)")
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument("--resume", action="store_true", help="continue from the last checkpoint in --out")
    earlier.add_argument("--overwrite", action="store_true", help="delete the earlier run in --out and start anew")
    return parser.parse_args(argv)


def _continuation(args: argparse.Namespace, out_dir: Path) -> str:
    """The command that continues this run."""
    config = ["--config", args.config] if args.config else []
    overrides = [word for text in args.overrides for word in ("--set", text)]
    words = [python_command(), "-m", "rl_sched.train", *config, *overrides, "--out", str(out_dir), "--resume"]
    return shlex.join(words)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class _Console:
    """Prints a line per validation, and on a terminal a line that renews itself in between."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __call__(self, p: Progress) -> bool:
        head = f"{p.steps:>9,} / {p.total_steps:,} steps  {p.steps_per_s:7,.0f}/s  {_duration(p.seconds_left)} left"
        if p.validated:
            if self._live:
                print("\r\033[K", end="", file=sys.stderr)
            print(f"{head}  VAL {p.objective} {p.val_score:.4g} (best {p.best_val_score:.4g})", flush=True)
            self._alarm(p)
        elif self._live:
            print(f"\r\033[K{head}", end="", file=sys.stderr, flush=True)
        return True

    def _alarm(self, p: Progress) -> None:
        if p.steps < QUIET_FRAC * p.total_steps:
            return
        if p.noop_share is not None and p.noop_share > NOOP_ALARM:
            print(f"    alarm: {p.noop_share:.0%} of the decisions are waits (healthy: 40 to 50 %)", flush=True)
        gap = p.greedy_minus_sampled_frac
        if gap is not None and gap > GAP_ALARM:
            print(f"    alarm: greedy is {gap:.0%} worse than sampled", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Parses, trains, prints."""
    args = _parse(argv)
    experiment = load(args.config, args.overrides)
    out_dir = Path(args.out or f"checkpoints/{experiment.scenario}-{content_id(experiment)}")
    if args.resume and not (out_dir / "last").is_dir():
        raise ConfigError(f"There is nothing to resume: {out_dir / 'last'} does not exist. Start without --resume.")
    if (out_dir / "last").exists() and not (args.resume or args.overwrite):
        raise ConfigError(
            f"{str(out_dir)!r} holds an earlier run: continue it with --resume, delete it with --overwrite, or give "
            "another --out."
        )
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from rl_sched.rl.training import train

    print(
        f"{experiment.network.name}, lookahead {experiment.env.lookahead}, scenario {experiment.scenario}, "
        f"seed {experiment.seed} -> {out_dir}",
        flush=True,
    )
    result = train(experiment, out_dir, on_progress=_Console(), resume=args.resume)
    verb = "stopped after" if result.stopped_early else "finished"
    print(f"{verb} {result.steps:,} steps in {_duration(result.seconds)}; best on VAL: {result.checkpoint}")
    if result.stopped_early:
        print(f"continue it: {_continuation(args, out_dir)}")
    print(f"evaluate it: {python_command()} -m rl_sched.evaluate --checkpoint {result.checkpoint}")
    return EXIT_INTERRUPTED if result.stopped_early else 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
