"""``python -m rl_sched.train [--algo NAME] [--scenario NAME] [--config FILE] [--set a.b=value]``: trains one policy.

It leaves checkpoints; ``python -m rl_sched.train --resume DIR`` continues a run exactly.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rl_sched.config import ExperimentConfig, content_id, load
from rl_sched.errors import ConfigError
from rl_sched.verbs import EXIT_INTERRUPTED, python_command, run_verb

if TYPE_CHECKING:
    from rl_sched.rl.training import Progress

#: Above these, a policy has begun to wait for ever, or decides by luck.
NOOP_ALARM = 0.6
GAP_ALARM = 0.05
#: SAC: factor between the entropy that the temperature sets and the one aimed at: above, it does not do its work.
ENTROPY_ALARM = 2.0
#: Share of the steps before which there is no alarm: a fresh policy's most likely action is often to wait.
QUIET_FRAC = 0.2


#: Flags that stand for a setting.
SHORTCUTS = {
    "algo": ("algo", "NAME", "ppo, dqn or sac"),
    "scenario": ("scenario", "NAME", "what is learned on"),
    "network": ("network.name", "NAME", "cross_attention or mlp"),
    "lookahead": ("env.lookahead", "MODE", "off, per_gpu, sorted or cdf"),
    "seed": ("seed", "N", "training seed"),
    "steps": ("train.steps", "N", "environment steps"),
    "env-runners": ("train.env_runners", "N", "processes that play the environments; 0 = this one"),
}


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rl_sched.train", description="Trains one policy and keeps the best on VAL."
    )
    for flag, (setting, metavar, meaning) in SHORTCUTS.items():
        parser.add_argument(f"--{flag}", metavar=metavar, help=f"{meaning} (setting {setting})")
    parser.add_argument("--config", metavar="FILE", help="YAML with the settings of one experiment")
    parser.add_argument(
        "--set", dest="overrides", metavar="a.b=value", action="append", default=[], help="override a setting"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the checkpoints (default: checkpoints/SCENARIO-ID)")
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument("--resume", metavar="DIR", help="continue the run in DIR, with its own settings")
    earlier.add_argument("--overwrite", action="store_true", help="delete the earlier run in --out and start anew")
    args = parser.parse_args(argv)
    given = {flag: getattr(args, flag.replace("-", "_")) for flag in SHORTCUTS}
    shortcuts = {flag: value for flag, value in given.items() if value is not None}
    if args.resume is not None and (shortcuts or args.config or args.overrides or args.out):
        raise ConfigError(
            "--resume continues a run with the settings it was started with; other settings or another folder were "
            "given too. Give --resume DIR alone, or start a new run without it."
        )
    args.overrides = [f"{SHORTCUTS[flag][0]}={value}" for flag, value in shortcuts.items()] + args.overrides
    return args


def _started(args: argparse.Namespace) -> tuple[ExperimentConfig, Path]:
    """The experiment and the folder of a run that begins or goes on.

    Raises:
        ConfigError: A setting is wrong, or a run would be lost.
    """
    if args.resume is not None:
        from rl_sched.rl import checkpoint

        out_dir = Path(args.resume)
        checkpoint.recover(out_dir / "last")
        if not (out_dir / "last").is_dir():
            raise ConfigError(
                f"There is nothing to resume: {str(out_dir / 'last')!r} does not exist. Give the folder that training "
                "wrote, or start without --resume."
            )
        return checkpoint.read(out_dir / "last").experiment, out_dir
    experiment = load(args.config, args.overrides)
    out_dir = Path(args.out or f"checkpoints/{experiment.scenario}-{content_id(experiment)}")
    if (out_dir / "last").exists() and not args.overwrite:
        raise ConfigError(
            f"{str(out_dir)!r} holds an earlier run: continue it with --resume {out_dir}, delete it with --overwrite, "
            "or give another --out."
        )
    return experiment, out_dir


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
        aim = p.metrics.get("entropy_aim_nats")
        if aim is not None and aim > 0:
            ratio = p.metrics["entropy_tuned_nats"] / aim
            if not 1 / ENTROPY_ALARM <= ratio <= ENTROPY_ALARM:
                at = f"temperature {p.metrics['temperature']:.2g}"
                print(f"    alarm: entropy is {ratio:.2g} x the one aimed at ({at})", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Parses, trains, prints."""
    args = _parse(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    experiment, out_dir = _started(args)
    from rl_sched.rl.training import train

    print(
        f"{experiment.algo}, {experiment.network.name}, lookahead {experiment.env.lookahead}, "
        f"scenario {experiment.scenario}, seed {experiment.seed} -> {out_dir}",
        flush=True,
    )
    result = train(experiment, out_dir, on_progress=_Console(), resume=args.resume is not None)
    verb = "stopped after" if result.stopped_early else "finished"
    print(f"{verb} {result.steps:,} steps in {_duration(result.seconds)}; best on VAL: {result.checkpoint}")
    if result.stopped_early:
        print(f"continue it: {python_command()} -m rl_sched.train --resume {shlex.quote(str(out_dir))}")
    print(f"evaluate it: {python_command()} -m rl_sched.evaluate --checkpoint {result.checkpoint}")
    return EXIT_INTERRUPTED if result.stopped_early else 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
