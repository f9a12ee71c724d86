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
from rl_sched.evaluation.material import Material
from rl_sched.evaluation.report import build_report, write_report
from rl_sched.evaluation.robustness import shown_policies, standings
from rl_sched.evaluation.scores import ALL_WORKLOADS
from rl_sched.plots import FIGURES, style
from rl_sched.plots.jps_front import front
from rl_sched.plots.report_figures import draw_report
from rl_sched.policies import POLICIES
from rl_sched.policies.jps.generate import generate
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.sim.watching import Watch
from rl_sched.sweeps.scaling import Point
from rl_sched.traces.synthetic import SyntheticTrace
from rl_sched.workload import Workload
from tests.evaluation_cases import ARMS, ablation, arm, costs, learning_curves
from tests.sweep_cases import conditions_and_rows, facts, long_runs, searched, stretches

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
        "run_heatmap": ((result, watch.log()), {}),
    }


def hybrid_figures() -> dict[str, tuple[tuple, dict]]:
    """Arguments of the figures of strategies that split tasks."""
    rng = np.random.default_rng(0)
    latency = {name: k * rng.lognormal(-2.0, 1.0, 500) for k, name in enumerate(("oracle", "greedy", "cpu_only"), 1)}
    one = {name: (float(values.sum()),) for name, values in latency.items()}
    return {
        "hybrid_latency_cdf": ((latency,), {}),
        "hybrid_latency_box": ((latency,), {}),
        **{f"hybrid_{name}": ((one,), {"tasks": 500}) for name in ("cost", "makespan", "speedup")},
        "hybrid_energy": (({name: (3.0 * value, value) for name, (value,) in one.items()},), {"tasks": 500}),
    }


def test_latencies_of_strategies_are_theirs() -> None:
    (latency,), _ = hybrid_figures()["hybrid_latency_cdf"]
    line = FIGURES.load("hybrid_latency_cdf").data(latency).lines[1]
    assert line.strategy == "greedy" and line.fraction[-1] == 1.0
    half = line.latency_s[np.searchsorted(line.fraction, 0.5)]
    assert half == pytest.approx(np.median(latency["greedy"]), rel=0.02)
    boxes = FIGURES.load("hybrid_latency_box").data(latency).boxes
    assert [box.strategy for box in boxes] == ["oracle", "greedy", "cpu_only"]
    assert boxes[0].percentiles_s[2] == np.median(latency["oracle"])
    assert boxes[0].p99_s == np.percentile(latency["oracle"], 99)


def test_bars_of_strategies_begin_with_the_best() -> None:
    values = {"a": (3.0, 1.0), "b": (1.0, 1.0), "c": (5.0, 0.5)}
    energy = FIGURES.load("hybrid_energy").data(values, tasks=7)
    assert energy.strategies == ["b", "a", "c"] and energy.values.tolist() == [[1.0, 1.0], [3.0, 1.0], [5.0, 0.5]]
    assert "n = 7" in energy.caption
    speedup = FIGURES.load("hybrid_speedup").data({"a": (1.0,), "b": (2.0,)}, tasks=7)
    assert speedup.strategies == ["b", "a"]


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
        "jps_gap_time": ((some,), {"samples": (1, 4), "cuts": (6,)}),
        "jps_topology": (((1.0, 100.0),), {"num_jobs": 2, "nodes": 3, "node_size": 2, "seeds": 2, "samples": 3}),
    }


def arguments(name: str) -> tuple[tuple, dict]:
    """Something to draw for every registered figure."""
    table = ablation(3, 4)
    return {
        "learning_curves": ((learning_curves(),), {"levels": {"min_min": 105.0}}),
        "jct_cdf": ((table, [arm("mlp", "off"), "min_min", "fifo"]), {}),
        "intervals": ((compare(table),), {"lines": ["min_min"], "captions": ["n = 3."]}),
        "scaling": (([Point(w, 4 * w, 9.5, 7.0, 40.0, 20.0 * w, 0.95, 0.2, 0.3, 0.02) for w in (1, 2, 4)],), {}),
        **{name: ((SyntheticTrace().load(1),), {}) for name in FIGURES if name.startswith("trace_")},
        **run_figures(),
        "forest": ((compare(table, others=[arm("mlp", "off")]), arm("mlp", "off")), {}),
        "improvement": ((compare(table), [arm("mlp", "off"), "min_min"]), {}),
        "performance_profile": ((table, [arm("mlp", "off"), "fifo"], "min_min"), {}),
        "pareto": ((table,), {}),
        "val_report": ((facts().runs,), {}),
        "importance": ((facts().searches,), {}),
        "parallel_coordinates": ((searched(),), {}),
        "sweep_timeline": ((facts().stretches, 4), {}),
        "stability": ((long_runs(),), {}),
        "robustness": robustness_arguments(),
        **hybrid_figures(),
        **jps_figures(),
    }[name]


def robustness_arguments() -> tuple[tuple, dict]:
    """Of hand-made conditions."""
    asked, rows = conditions_and_rows()
    found = standings(rows, asked, "min_min", resamples=200)
    return (found, shown_policies(found, "min_min"), "min_min"), {}


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


def test_a_report_carries_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every figure is rendered by the test above; here their names and places count.
    monkeypatch.setattr(style, "save", lambda figure, path: path.write_bytes(PNG + path.suffix.encode()))
    both = pd.concat([ablation(2, 3), ablation(2, 3, scenario="philly")])
    curves = learning_curves(2).assign(scenario="philly")
    what = {"curves": curves, "costs": costs(2), "sweep": facts(), "resamples": 200, "draw": draw_report}
    paths = write_report(both, tmp_path, title="t", **what)
    names = [f.name for f in paths.figures]
    each = ["intervals", "forest", "improvement", "jct_cdf", "performance_profile", "pareto"]
    searches = ["val_report", "importance", "parallel_coordinates_1"]
    of_default = [f"{name}_default.png" for name in (*each, *searches)]
    of_philly = [f"{name}_philly.png" for name in (*each, "learning_curves", "stability")]
    assert names == [*of_default, *of_philly, "sweep_timeline.png"]
    text, page = paths.markdown.read_text(), paths.html.read_text()
    assert all((tmp_path / n).read_bytes().startswith(PNG) and f"]({n})" in text for n in names)
    assert all((tmp_path / n).with_suffix(".pdf").is_file() for n in names)
    assert page.count("data:image/png;base64,") == len(names) and "## The sweep" in text


def test_rows_without_distributions_draw_no_cdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "save", lambda figure, path: path)
    table = ablation(2, 3)
    table = table[table["eval_seed"] != ALL_WORKLOADS]
    table = table[table["metric"].isin(["mean_jct_s", "num_unfinished"]) & (table["train_seed"] < 2)]
    drawn = draw_report(build_report(table, title="t", resamples=100), Material(table, None), tmp_path)
    assert [d.file for d in drawn] == [f"{n}_default.png" for n in ("intervals", "forest", "performance_profile")]


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


def test_the_forest_is_sorted_and_says_what_is_open() -> None:
    reference = arm("mlp", "off")
    rows = compare(ablation(5, 4), others=[reference])
    data = FIGURES.load("forest").data(rows, reference)
    values = [e.value for e in data.effects]
    assert values == sorted(values) and len(values) == len(ARMS) - 1
    assert all((e.low <= 0 <= e.high) == (e.verdict == "inconclusive") for e in data.effects)
    with pytest.raises(ConfigError, match="compared with 'min_min'"):
        FIGURES.load("forest").data(rows, "min_min")


def test_a_profile_is_relative_to_the_same_workload() -> None:
    table = ablation(2, 6)
    data = FIGURES.load("performance_profile").data(table, ["min_min", "fifo", arm("mlp", "off")], "min_min")
    lines = dict(data.lines)
    below = data.factors < 1
    assert lines["min_min"].share[~below].min() == 1.0 and lines["min_min"].share[below].sum() == 0
    jct = table[(table["metric"] == "mean_jct_s") & (table["train_seed"] <= 2)]
    own = jct[jct["policy"] == arm("mlp", "off")].set_index("eval_seed")["value"]
    ratio = own / jct[jct["policy"] == "min_min"].set_index("eval_seed")["value"].reindex(own.index)
    np.testing.assert_allclose(lines[arm("mlp", "off")].share, [(ratio <= f).mean() for f in data.factors])


def test_the_sweeps_timeline_cuts_pauses_and_counts_idle_slots() -> None:
    data = FIGURES.load("sweep_timeline").data(stretches(), 4)
    assert data.lanes == ["a", "a", "b"]
    for one in data.bars:  # nothing overlaps on a lane
        others = [b for b in data.bars if b.lane == one.lane and b is not one]
        assert all(b.end_s <= one.begin_s or b.begin_s >= one.end_s for b in others)
    (pause,) = data.pauses
    assert pause.length_s == 9_800.0
    busy_s = sum(s.end_s - s.begin_s for s in stretches())
    assert data.idle_frac == pytest.approx(1 - busy_s / (4 * (200 + 80)))
    assert max(b.end_s for b in data.bars) == pytest.approx(280 * 1.02)
    assert "1 failed, 1 lost, 1 pruned, 1 interrupted" in data.caption
    with pytest.raises(ConfigError, match="there is none"):
        FIGURES.load("sweep_timeline").data([], 4)


def test_stability_counts_the_runs_that_stayed_good() -> None:
    data = FIGURES.load("stability").data(long_runs())
    assert list(data.arms) == ["ppo.gamma=1", "ppo.gamma=0.9"]
    behind = {c.seed: c.behind_frac for c in data.arms["ppo.gamma=0.9"]}
    assert behind[3] > 0.5 and all(b <= 0.01 for seed, b in behind.items() if seed != 3)
    assert "9 of 10 runs" in data.caption and data.columns == ["val_score", "val_noop_share", "entropy_nats"]


def test_val_against_report_and_parallel_coordinates_leave_nothing_out_silently() -> None:
    runs = [*facts().runs, facts().runs[0]._replace(report=float("nan"))]
    data = FIGURES.load("val_report").data(runs)
    assert len(data.runs) == len(runs) - 1 and "1 runs without a score are left out" in data.caption
    assert data.rank_correlation > 0.9
    found = FIGURES.load("parallel_coordinates").data(searched())
    table = searched().configurations
    best = int(table["value"].argmin())
    assert found.rank[best] == 0 and [a.name for a in found.axes] == [
        "ppo.lr",
        "ppo.minibatch",
        "act",
        "VAL mean JCT (s)",
    ]
    assert found.axes[-1].at[best] == 0.0 and {text for _, text in found.axes[2].ticks} == {"relu", "gelu"}
    lr = np.log(table["ppo.lr"])
    np.testing.assert_allclose(found.axes[0].at, (lr - lr.min()) / (lr.max() - lr.min()))


def test_heat_map_adds_up_to_the_busy_time() -> None:
    ((result, log), _) = run_figures()["run_heatmap"]
    data = FIGURES.load("run_heatmap").data(result, log)
    assert data.rows == ["v100 0", "v100 1", "k80 2"] and data.busy_frac.shape == (3, len(data.edges_s) - 1)
    busy_s = (data.busy_frac * np.diff(data.edges_s)).sum(axis=1) @ result.cluster.node_size
    assert busy_s == pytest.approx(float(result.pool_busy_gpu_s.sum()), rel=1e-9)
    down = (data.edges_s[1:] < 50.0) & (data.edges_s[:-1] > 30.0)  # node 0 is out of order then
    assert (data.busy_frac[0, down] == 0).all()


def test_the_front_of_jps_is_not_beaten() -> None:
    data = FIGURES.load("jps_trials").data(jps_figures()["jps_trials"][0][0])
    assert data.on_front.tolist() == [True, True, True]  # the third is alone in its sampler
    assert front(np.array([1.0, 2.0, 2.0]), np.array([2.0, 1.0, 3.0])).tolist() == [True, True, False]
    with pytest.raises(ConfigError, match="alpha"):
        FIGURES.load("jps_trials").data(pd.DataFrame({"cost": [1.0]}))
