"""``python -m rl_sched.tune_rule --policy NAME --scenario NAME``: fits a rule's parameters in seconds."""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.verbs import run_verb


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rl_sched.tune_rule",
        description="Searches a rule's parameters on TRAIN workloads and chooses on VAL workloads.",
    )
    parser.add_argument("--policy", required=True, help="a rule with parameters: min_min or index")
    parser.add_argument("--scenario", default="default", help="a name of the SCENARIOS table (default: %(default)s)")
    parser.add_argument("--candidates", type=int, default=200, help="parameter sets to try (default: %(default)s)")
    parser.add_argument("--episodes", type=int, default=128, help="workloads of each split (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the search (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Parses, tunes, prints."""
    args = _parse(argv)
    from rl_sched.evaluation.tuning import tune
    from rl_sched.scenarios import SCENARIOS

    scenario = SCENARIOS.create(args.scenario)
    if (why := scenario.available()) is not None:
        raise ConfigError(why)
    started = time.monotonic()
    show = sys.stderr.isatty() and not args.json

    def progress(done: int, best: float) -> None:
        if show:
            print(f"\r{done}/{args.candidates} candidates, best {best:.4g} on TRAIN", end="", file=sys.stderr)

    tuned = tune(
        scenario,
        args.policy,
        candidates=args.candidates,
        train_episodes=min(args.episodes, len(scenario.seeds.train)),
        val_episodes=min(args.episodes, len(scenario.seeds.val)),
        seed=args.seed,
        on_candidate=progress,
    )
    if show:
        print(file=sys.stderr)
    difference = tuned.val - tuned.default_val
    base = float(np.mean(tuned.default_val))
    half = float(1.96 * difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else float("nan")
    out = {
        "policy": args.policy,
        "scenario": scenario.name,
        "objective": scenario.objective,
        "params": tuned.params,
        "default_params": tuned.default_params,
        "val_mean": float(np.mean(tuned.val)),
        "val_mean_default": base,
        "val_difference_percent": 100 * float(difference.mean()) / abs(base),
        "val_difference_halfwidth_percent": 100 * half / abs(base),
        "val_episodes": len(difference),
        "candidates": tuned.candidates,
        "seconds": round(time.monotonic() - started, 1),
    }
    if args.json:
        print(json.dumps(out))
        return 0
    shown = ", ".join(f"{name}={value}" for name, value in tuned.params.items())
    print(f"{args.policy} on {scenario.name}: {shown}")
    print(
        f"VAL {scenario.objective}: {out['val_mean']:.4g} tuned, {base:.4g} with the defaults "
        f"({out['val_difference_percent']:+.2f} % +- {out['val_difference_halfwidth_percent']:.2f}, 95 % interval "
        f"over {len(difference)} paired workloads; chosen on these workloads, so slightly optimistic)"
    )
    print(f"{tuned.candidates} candidates in {out['seconds']} s")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
