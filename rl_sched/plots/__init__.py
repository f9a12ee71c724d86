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
        "run_jct": "rl_sched.plots.run_jct:FIGURE",
        "run_timeline": "rl_sched.plots.run_timeline:FIGURE",
        "run_gantt": "rl_sched.plots.run_gantt:FIGURE",
        "run_heatmap": "rl_sched.plots.run_heatmap:FIGURE",
        "trace_arrivals": "rl_sched.plots.trace_arrivals:FIGURE",
        "trace_durations": "rl_sched.plots.trace_durations:FIGURE",
        "trace_gangs": "rl_sched.plots.trace_gangs:FIGURE",
        "hybrid_latency_cdf": "rl_sched.plots.hybrid_latency:CDF",
        "hybrid_latency_box": "rl_sched.plots.hybrid_latency:BOX",
        "hybrid_cost": "rl_sched.plots.hybrid_bars:COST",
        "hybrid_energy": "rl_sched.plots.hybrid_bars:ENERGY",
        "hybrid_makespan": "rl_sched.plots.hybrid_bars:MAKESPAN",
        "hybrid_speedup": "rl_sched.plots.hybrid_bars:SPEEDUP",
    },
)
