"""The learning benchmark reads its figures from a sweep's report."""

from __future__ import annotations

import copy

import pytest

from benchmarks import learning
from rl_sched.errors import ConfigError
from rl_sched.evaluation.report import write_report
from tests.evaluation_cases import ablation, arm

ARM = arm("cross_attention", "sorted")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> learning.Results:
    """One arm with five training seeds, 3.5 % above min_min and 22.8 % below SJF; its last checkpoints are the best."""
    folder = tmp_path_factory.mktemp("report")
    table = ablation(seeds=5, noise=0.001)
    table = table[(table.policy == ARM) | (table.train_seed == -1)].replace({"policy": {"min_min": "min_min_tuned"}})
    last = table[table.policy == ARM].copy()
    write_report(table, folder, title="toy", last=last, resamples=500)
    return learning.Results(folder)


def test_against_the_rule_that_was_named(results: learning.Results) -> None:
    against, seeds, sjf = learning.STUDIES["guided"].figures(results)
    assert against.measured == pytest.approx(3.5, abs=0.5) and against.low < 3.5 < against.high and not against.reached
    assert seeds.measured == 0 and seeds.asked == "5" and not seeds.reached
    assert sjf.measured == pytest.approx(100 * (1.035 / 1.34 - 1), abs=0.5) and not sjf.reached
    assert all(abs(e.value - 3.5) < 1 for e in results.seeds_against("default", ARM, "min_min_tuned"))
    assert all(e.high < 0 for e in results.seeds_against("default", ARM, "sjf_backfill"))


def test_last_checkpoints_beside_the_best(results: learning.Results) -> None:
    near, largest = learning.STUDIES["stability"].figures(results)
    assert near.measured == 5 and near.reached and largest.measured == pytest.approx(0) and largest.reached
    drifted = copy.deepcopy(results)
    for scores in (row["seed_scores"] for row in drifted.scenarios[0]["last"]):
        scores["3"] *= 1.02
    near, largest = learning.STUDIES["stability"].figures(drifted)
    assert near.measured == 4 and not near.reached and largest.measured == pytest.approx(2) and not largest.reached


def test_scenarios_are_won_in_the_direction_of_their_objective(results: learning.Results) -> None:
    """3.5 % above the best rule is worse where less is better, and better where more is."""
    seeds, workloads, best, last = learning.STUDIES["scenarios"].figures(results)
    assert seeds.measured == pytest.approx(3.5, abs=0.5) and workloads.measured == pytest.approx(3.5, abs=0.5)
    assert workloads.low is not None and workloads.low > 0
    assert not seeds.reached and not workloads.reached and best.measured == last.measured == 0
    turned = copy.deepcopy(results)
    (part,) = turned.scenarios
    part["objective"]["lower_is_better"] = False
    (row,) = [row for row in part["rows"] if row["learned"]]
    row["versus"][part["best_rule"]]["verdict"] = "better"
    seeds, workloads, best, last = learning.STUDIES["scenarios"].figures(turned)
    assert seeds.reached and workloads.reached and (best.measured, last.measured) == (1, 0)


def test_every_study_has_its_plan() -> None:
    assert all((learning.PLANS / f"{study.plan}.yaml").is_file() for study in learning.STUDIES.values())
    with pytest.raises(ConfigError, match="--study must be one of guided"):
        learning.main(["--study", "guide"])
