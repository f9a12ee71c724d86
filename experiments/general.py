"""One policy for every scenario: trains it on a mixture, judges it also where it never trained.

``python experiments/general.py [--quick] [--seeds N] [--out DIR]``. Repeat the command to continue: runs go on from
their checkpoints, finished ones are only judged.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from rl_sched.config import ExperimentConfig, build
from rl_sched.errors import ConfigError
from rl_sched.verbs import EXIT_INTERRUPTED, run_verb

#: What it trains on; the other scenarios of ``JUDGED_ON`` it has never seen.
MIXTURE = ("default", "heavy-tail", "philly", "openb")
JUDGED_ON = (*MIXTURE, "poisson", "drl-het", "philly-mixed", "google", "gavel")
NAME = "general"
SETTINGS = {
    "scenario": " + ".join(MIXTURE),
    # drl-het has four types. The guide is fitted to nothing; few moves make its cost-to-go quick.
    "env": {"types": 4, "reward_unit": "workload", "guide": {"policy": "local_search", "params": {"moves": 30}}},
    "ppo": {"lr": 1e-3, "gamma": 0.99, "minibatch": 4096, "foresight": False},  # as was published
    "train": {"steps": 1_000_000, "num_envs": 256, "val_every": 100_000, "checkpoint_every": 250_000},
}
QUICK = {
    "scenario": "default + poisson",
    "env": {"types": 3, "reward_unit": "workload", "guide": {"policy": "local_search", "params": {"moves": 10}}},
    "train": {"steps": 8_192, "num_envs": 32, "val_every": 4_096, "val_episodes": 8, "checkpoint_every": 4_096},
    "ppo": {"rollout": 32, "minibatch": 512, "epochs": 1},
}


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python experiments/general.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="minutes instead of hours: two scenarios, few steps")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="training seeds 1 to N (default 5)")
    parser.add_argument("--episodes", type=int, metavar="N", help="REPORT workloads a scenario (default 256, or all)")
    parser.add_argument(
        "--out", type=Path, default=Path("results/general"), metavar="DIR", help="checkpoints and report"
    )
    args = parser.parse_args(argv)
    if args.seeds < 1:
        raise ConfigError(f"--seeds must be at least 1; it is {args.seeds}.")
    args.episodes = args.episodes or (8 if args.quick else 256)
    return args


def _trained(experiment: ExperimentConfig, folder: Path) -> bool:
    """Trains to the last step, from the newest checkpoint; False if it was interrupted."""
    from rl_sched.rl.training import Progress, train

    def show(progress: Progress) -> bool:
        if progress.validated:
            print(f"  seed {experiment.seed}: {progress.steps:>9,} steps, VAL {progress.val_score:.4g}", flush=True)
        return True

    return not train(experiment, folder, on_progress=show, resume=True).stopped_early


def _judge(folders: list[Path], scenarios: list[str], episodes: int) -> pd.DataFrame:
    """Tidy rows of the last checkpoints and of all baselines, on REPORT workloads of every scenario on this machine."""
    from rl_sched.evaluation import protocol
    from rl_sched.evaluation.openings import record_opening
    from rl_sched.rl.learned_policy import LearnedPolicy
    from rl_sched.scenarios import SCENARIOS

    policies = [LearnedPolicy.load(folder) for folder in folders]
    tables = []
    for name in scenarios:
        scenario = SCENARIOS.create(name)
        if (why := scenario.available()) is not None:
            print(f"{name} is left out: {why}")
            continue
        print(f"judging on {name}", flush=True)
        seeds = protocol.choose_seeds(scenario, "report", episodes, at_most=True)
        for folder in folders:
            record_opening(folder, name, len(seeds))
        tables.append(protocol.evaluate({NAME: policies, **protocol.baselines(scenario)}, scenario, seeds))
    return pd.concat(tables, ignore_index=True)


def main(argv: list[str] | None = None) -> int:
    """Trains, judges, writes the report; returns the exit code."""
    args = _parse(argv)
    experiment = build(ExperimentConfig, QUICK if args.quick else SETTINGS)
    root = args.out / ("quick" if args.quick else "full")
    folders = []
    for seed in range(1, args.seeds + 1):
        folder = root / f"seed{seed}"
        if not _trained(replace(experiment, seed=seed), folder):
            print("Interrupted; the same command continues.", file=sys.stderr)
            return EXIT_INTERRUPTED
        folders.append(folder / "last")
    scenarios = list(JUDGED_ON[:2] if args.quick else JUDGED_ON)
    table = _judge(folders, scenarios, args.episodes)

    from rl_sched.evaluation.report import write_report
    from rl_sched.plots.report_figures import draw_report

    notes = [
        f"One policy of PPO, trained on {experiment.scenario}, {experiment.train.steps:,} steps, "
        f"{args.seeds} training seeds; last checkpoints. All other scenarios it had never seen."
    ]
    out = write_report(table, root / "report", title="One policy for every scenario", notes=notes, draw=draw_report)
    print(out.markdown.read_text())
    print(f"Written: {out.markdown}.")
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
