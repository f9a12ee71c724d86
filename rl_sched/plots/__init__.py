"""The FIGURES table: every figure by name.

A figure is a module with ``data(...) -> NamedTuple`` (numbers, no drawing) and ``draw(data) -> Figure`` (drawing,
no numbers of its own); its entry is a ``FigureKind`` that joins the two.
"""

from rl_sched.registry import Registry

FIGURES = Registry(
    "figure",
    {
        "learning_curves": "rl_sched.plots.learning_curves:FIGURE",
        "jct_cdf": "rl_sched.plots.jct_cdf:FIGURE",
        "intervals": "rl_sched.plots.intervals:FIGURE",
        "forest": "rl_sched.plots.forest:FIGURE",
        "performance_profile": "rl_sched.plots.performance_profile:FIGURE",
        "improvement": "rl_sched.plots.improvement:FIGURE",
        "pareto": "rl_sched.plots.pareto:FIGURE",
        "val_report": "rl_sched.plots.val_report:FIGURE",
        "importance": "rl_sched.plots.importance:FIGURE",
        "parallel_coordinates": "rl_sched.plots.parallel_coordinates:FIGURE",
        "sweep_timeline": "rl_sched.plots.sweep_timeline:FIGURE",
        "stability": "rl_sched.plots.stability:FIGURE",
        "robustness": "rl_sched.plots.robustness:FIGURE",
        "run_jct": "rl_sched.plots.run_jct:FIGURE",
        "run_timeline": "rl_sched.plots.run_timeline:FIGURE",
        "run_gantt": "rl_sched.plots.run_gantt:FIGURE",
        "scaling": "rl_sched.plots.scaling:FIGURE",
        "run_heatmap": "rl_sched.plots.run_heatmap:FIGURE",
        "trace_arrivals": "rl_sched.plots.trace_arrivals:FIGURE",
        "trace_durations": "rl_sched.plots.trace_durations:FIGURE",
        "trace_gangs": "rl_sched.plots.trace_gangs:FIGURE",
        "jps_grid": "rl_sched.plots.jps_grid:FIGURE",
        "jps_front": "rl_sched.plots.jps_front:FIGURE",
        "jps_cdf": "rl_sched.plots.jps_cdf:FIGURE",
        "jps_categories": "rl_sched.plots.jps_categories:FIGURE",
        "jps_workers": "rl_sched.plots.jps_workers:FIGURE",
        "jps_scaling": "rl_sched.plots.jps_scaling:FIGURE",
        "jps_samplers": "rl_sched.plots.jps_samplers:FIGURE",
        "jps_trials": "rl_sched.plots.jps_trials:FIGURE",
        "jps_topology": "rl_sched.plots.jps_topology:FIGURE",
        "jps_gap_time": "rl_sched.plots.jps_gap_time:FIGURE",
        "hybrid_latency_cdf": "rl_sched.plots.hybrid_latency:CDF",
        "hybrid_latency_box": "rl_sched.plots.hybrid_latency:BOX",
        "hybrid_cost": "rl_sched.plots.hybrid_bars:COST",
        "hybrid_energy": "rl_sched.plots.hybrid_bars:ENERGY",
        "hybrid_makespan": "rl_sched.plots.hybrid_bars:MAKESPAN",
        "hybrid_speedup": "rl_sched.plots.hybrid_bars:SPEEDUP",
    },
)
