"""Figures: their numbers, and that what is drawn is what the data say."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError
from rl_sched.evaluation import timeline
from rl_sched.evaluation.comparison import compare
from rl_sched.evaluation.report import build_report, write_report
from rl_sched.evaluation.scores import ALL_WORKLOADS
from rl_sched.plots import FIGURES, style
from rl_sched.plots.jps_front import front
from rl_sched.plots.report_figures import draw_report
from rl_sched.policies import POLICIES
from rl_sched.policies.jps.generate import generate
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.sim.watching import Watch
from rl_sched.traces.synthetic import SyntheticTrace
from rl_sched.workload import Workload
from tests.evaluation_cases import ARMS, ablation, arm, costs, learning_curves

PNG = b"\x89PNG"


@functools.cache
def run_figures() -> dict[str, tuple[tuple, dict]]:
    """Arguments of the figures of single runs: preemptions, failures, shared GPUs."""
    n = 40
    workload = Workload.build(
        [3 * i for i in range(n)], [5 + 13 * i % 47 for i in range(n)], [1 + i % 3 for i in range(n)],
        gpu_milli=[(250, 1000, 1000, 500, 1000, 1000)[i % 6] for i in range(n)],
    )  # fmt: skip
    cluster = ClusterSpec((NodeGroup("v100", 2, 2), NodeGroup("k80", 1, 3)))
    watch = Watch(record=True)
    rules = Rules(preemption=True, restart_s=((1, 2.0),), outages=((0, 30.0, 50.0), (2, 100.0, 1e9)))
    result = simulate(POLICIES.create("srtf"), workload, cluster, rules, watch=watch)
    assert result.preemptions.sum() and result.kills.sum()
    parts = timeline.segments(result, watch.log())
    return {
        "run_jct": (({"srtf": result, "fifo": result},), {}),
        "run_timeline": (({"srtf": (result, parts)},), {}),
        "run_gantt": ((result, watch.log()), {}),
    }


def jps_figures() -> dict[str, tuple[tuple, dict]]:
    """Arguments of the figures of static placement: small instances."""
    some = [generate("base", 3, 7, seed) for seed in range(3)]
    history = pd.DataFrame(
        {"sampler": ["tpe", "tpe", "random"], "alpha": [0.0, 0.5, 0.2], "beta": [1.0, 0.5, 0.3], "samples": [5, 9, 7]}
    ).assign(cost=[1.0, 1.2, 1.1], unfairness=[0.2, 0.1, 0.3])
    return {
        "jps_grid": ((some, (0.0, 0.5), (0.5, 1.0)), {"samples": 4}),
        "jps_front": ((some, (0.25, 1.0)), {"samples": 4}),
        "jps_cdf": ((some,), {"samples": 4}),
        "jps_categories": ((some[0],), {}),
        "jps_workers": ((some[0],), {}),
        "jps_scaling": (((4, 6),), {"num_jobs": 3, "seeds": 2, "samples": 3}),
        "jps_samplers": ((some, (1, 4)), {}),
        "jps_trials": ((history,), {}),
        "jps_gap_time": ((some,), {"samples": (1, 4)}),
    }


def arguments(name: str) -> tuple[tuple, dict]:
    """Something to draw for every registered figure."""
    table = ablation(3, 4)
    return {
        "learning_curves": ((learning_curves(),), {"levels": {"min_min": 105.0}}),
        "jct_cdf": ((table, [arm("mlp", "off"), "min_min", "fifo"]), {}),
        "intervals": ((compare(table),), {"lines": ["min_min"], "captions": ["n = 3."]}),
        **{name: ((SyntheticTrace().load(1),), {}) for name in FIGURES if name.startswith("trace_")},
        **run_figures(),
        **jps_figures(),
    }[name]


@pytest.mark.parametrize("name", list(FIGURES))
def test_every_figure_draws_from_its_data(name: str, tmp_path: Path) -> None:
    kind = FIGURES.load(name)
    args, kwargs = arguments(name)
    data = kind.data(*args, **kwargs)
    assert isinstance(data, tuple) and hasattr(data, "_fields") and data.caption and "n" in data.caption
    figure = kind(*args, **kwargs)
    file = style.save(figure, tmp_path / f"{name}.png")
    assert file.read_bytes().startswith(PNG) and file.stat().st_size > 10_000


def test_learning_curves_aggregate_over_seeds() -> None:
    rows = learning_curves()
    data = FIGURES.load("learning_curves").data(rows)
    assert [title for title, _ in data.panels] == ["network = cross_attention", "network = mlp"]
    curve = next(c for _, curves in data.panels for c in curves if c.arm == arm("mlp", "off"))
    at = rows[(rows["arm"] == curve.arm) & (rows["steps"] == 500_000)]
    k = list(curve.steps).index(500_000)
    assert curve.value[k] == pytest.approx(at["val_score"].mean())
    assert curve.seconds[k] == pytest.approx(at["seconds"].mean())
    assert (curve.low < curve.value).all() and (curve.value < curve.high).all() and curve.n == 3
    assert "Student's t" in data.caption and "n = 3" in data.caption
    five = FIGURES.load("learning_curves").data(learning_curves(5))
    assert "interquartile mean" in five.caption


def test_learning_curves_of_runs_that_validate_at_different_steps() -> None:
    rows = learning_curves()
    shifted = rows.assign(steps=rows["steps"] + 137 * rows["train_seed"])
    curves = [c for _, panel in FIGURES.load("learning_curves").data(shifted).panels for c in panel]
    assert {c.n for c in curves} == {3}
    assert all(len(c.steps) == rows["steps"].nunique() for c in curves)


def test_learning_curves_stop_where_the_first_seed_stops() -> None:
    rows = learning_curves(2)
    cut = rows[~((rows["train_seed"] == 2) & (rows["steps"] > 600_000))]
    data = FIGURES.load("learning_curves").data(cut)
    assert max(c.steps[-1] for _, curves in data.panels for c in curves) == 600_000
    with pytest.raises(ConfigError, match="steps"):
        FIGURES.load("learning_curves").data(rows.drop(columns="steps"))


def test_cdf_is_the_fraction_of_all_jobs() -> None:
    table = ablation(2, 3)
    data = FIGURES.load("jct_cdf").data(table, ["min_min", arm("mlp", "off")])
    rule, learned = data.lines
    own = table[(table["policy"] == "min_min") & (table["eval_seed"] == ALL_WORKLOADS)]
    np.testing.assert_allclose(rule.fraction, own["value"])
    assert (np.diff(learned.fraction) >= 0).all() and learned.fraction[-1] == 1.0
    assert (rule.num_seeds, learned.num_seeds) == (0, 2)
    with pytest.raises(ConfigError, match="no distribution"):
        FIGURES.load("jct_cdf").data(table, ["nobody"])


def test_forest_is_sorted_and_marks_outliers() -> None:
    rows = compare(ablation(3, 4))
    kind = FIGURES.load("intervals")
    data = kind.data(rows, lines=["min_min"])
    values = [b.value for b in data.bars]
    assert values == sorted(values) and len(data.bars) == len(rows)
    axis = kind(rows, lines=["min_min"]).axes[0]
    low, high = axis.get_xlim()
    fifo = next(b for b in data.bars if b.policy == "fifo")
    assert high < fifo.value and any("1" in t.get_text() for t in axis.texts)  # 20 times the others: an arrow
    assert all(low < b.value < high for b in data.bars if b.policy != "fifo")
    assert [t.get_text() for t in axis.get_yticklabels()][0] == style.label(data.bars[0].policy)


def test_a_policy_has_one_colour_everywhere() -> None:
    assert style.look("network=mlp,lookahead=off") == style.look("env.lookahead=off,network.name=mlp")
    arms = [style.look(arm(*key)) for key in ARMS]
    assert len({look.color for look in arms}) == len(arms)
    rules = [style.look(name) for name in POLICIES]
    assert set(POLICIES) <= set(style.RULES) and len(set(rules)) == len(rules)
    assert not {look.color for look in arms} & {look.color for look in rules}
    assert style.look("a=1,b=2") == style.look("b=2,a=1")
    assert style.look("something new").color.startswith("#")
    assert style.label("learned") == "learned" and style.label(arm("mlp", "cdf")) == "mlp, cdf"


def test_a_report_carries_its_figures(tmp_path: Path) -> None:
    both = pd.concat([ablation(2, 3), ablation(2, 3, scenario="philly")])
    curves = learning_curves(2).assign(scenario="philly")
    paths = write_report(both, tmp_path, title="t", curves=curves, costs=costs(2), resamples=200, draw=draw_report)
    names = [f.name for f in paths.figures]
    assert names == [
        "intervals_default.png", "jct_cdf_default.png",
        "intervals_philly.png", "learning_curves_philly.png", "jct_cdf_philly.png",
    ]  # fmt: skip
    text = paths.markdown.read_text()
    assert all((tmp_path / n).read_bytes().startswith(PNG) and f"]({n})" in text for n in names)


def test_rows_without_distributions_draw_no_cdf(tmp_path: Path) -> None:
    table = ablation(2, 3)
    table = table[table["eval_seed"] != ALL_WORKLOADS]
    files = draw_report(build_report(table, title="t", resamples=100), table, None, tmp_path)
    assert [f.name for f in files] == ["intervals_default.png"]


def test_a_gantt_chart_covers_the_busy_time_and_the_outages() -> None:
    (result, log), _ = run_figures()["run_gantt"]
    data = FIGURES.load("run_gantt").data(result, log)
    assert sum(bar.gpus * bar.length_s for bar in data.bars) == pytest.approx(result.busy_gpu_s)
    assert [(bar.gpu, bar.gpus, bar.start_s, bar.length_s) for bar in data.down] == [
        (0, 2, 30.0, 20.0), (4, 3, 100.0, result.makespan_s - 100.0),
    ]  # fmt: skip
    assert data.node_first == [0, 2, 4] and data.pools == [("v100", 2.0), ("k80", 5.5)]
    assert sum(bar.kind == 2 for bar in data.bars) >= result.preemptions.sum()
    for bar in data.bars:  # a gang never reaches beyond the cluster, a sharer never beyond its GPU
        assert 0 <= bar.gpu and bar.gpu + bar.gpus <= (data.num_gpus if bar.gpus >= 1 else int(bar.gpu) + 1)


def test_the_timeline_adds_up() -> None:
    ((runs,), _) = run_figures()["run_timeline"]
    result, _ = runs["srtf"]
    data = FIGURES.load("run_timeline").data(runs)
    width_s = np.diff(data.edges_s)
    (line,) = data.lines
    assert (line.busy_frac * width_s).sum() * result.cluster.num_gpus == pytest.approx(result.busy_gpu_s)
    assert (line.waiting * width_s).sum() == pytest.approx(result.waited_s.sum())
    assert (line.running * width_s).sum() == pytest.approx(result.ran_s.sum())
    kept = FIGURES.load("run_jct").data({"srtf": result}).lines[0]
    assert kept.jct_s.tolist() == np.sort(result.jct_s).tolist() and kept.fraction[-1] == 1


def test_the_front_of_jps_is_not_beaten() -> None:
    data = FIGURES.load("jps_trials").data(jps_figures()["jps_trials"][0][0])
    assert data.on_front.tolist() == [True, True, True]  # the third is alone in its sampler
    assert front(np.array([1.0, 2.0, 2.0]), np.array([2.0, 1.0, 3.0])).tolist() == [True, True, False]
    with pytest.raises(ConfigError, match="alpha"):
        FIGURES.load("jps_trials").data(pd.DataFrame({"cost": [1.0]}))
