"""One step of N environments: decode, decide, let time pass, observe. And a guide's advice and cost-to-go.

The rules that may guide are in kernels of their own: they take a minute to compile, and most learners need none.
"""

from __future__ import annotations

import numpy as np

from rl_sched.envs.observation import (
    enter_window,
    write_advice,
    write_globals,
    write_jobs,
    write_plan,
    write_remaining,
)
from rl_sched.envs.window import Shown, fill_look, follows, look_again, occupy, remove
from rl_sched.policies.look import Look
from rl_sched.policies.planning_kernels import plan_first, planned_loss
from rl_sched.policies.rule_kernels import choose, play
from rl_sched.sim.jit import helper, kernel
from rl_sched.sim.kernels import anything_fits, can_start, can_wait, complete, cut, decide, mark_fits
from rl_sched.sim.record import Views
from rl_sched.sim.segments import fastest_s

#: Action that does nothing in its environment: only observe it.
SKIP = -1

#: What happened in the last step of an environment.
STEP = np.dtype(
    [
        ("span_s", "f8"),  # time passed
        ("job_seconds", "f8"),  # increase of the integral of jobs in the system
        ("cost_s", "f8"),  # the same discounted by elapsed time, where the environment discounts
        ("lost_s", "f8"),  # time that jobs waited, and what the started one takes longer than on its fastest type
        ("planned_s", "f8"),  # increase of the time that the plan of the waiting jobs loses; 0 where none is made
        ("age_s2", "f8"),  # increase of the integral of the ages (time since submission) of the waiting jobs
        ("busy_gpu_s", "f8"),  # increase of the integral of busy GPUs
        ("done_work", "f8"),  # GPU-seconds (fastest type) of the jobs that finished
        ("done_priority", "f8"),  # sum of the priorities of these jobs
        ("waited", "?"),  # no job was started
        ("could_start", "?"),  # some job could have been started
        ("illegal", "?"),
        ("terminated", "?"),  # all jobs are done
        ("truncated", "?"),  # cut by a deadline or a step limit
    ],
    align=True,
)
#: The episode that runs in an environment.
EPISODE = np.dtype(
    [
        ("length", "i8"),  # steps
        ("waits", "i8"),  # of these the ones that waited although a job could have been started
        ("illegal", "i8"),  # of these the illegal ones
        ("mean_jct_s", "f8"),  # written at the end, as is the next; nan if the episode was cut
        ("num_unfinished", "i8"),
    ],
    align=True,
)


@helper
def _act(s, e, action, shown, out_jobs, step, episode):
    """Carries out one action, which may be illegal."""
    num_types = len(shown.kinds)
    slot, chosen, kind = -1, -1, -1
    bad = False
    if action > 0:
        slot, kind = (action - 1) // num_types, (action - 1) % num_types
        bad = True
        if slot < s.head[e].window_len:
            chosen = shown.rows[e, slot].job
            bad = not can_start(s, e, chosen, kind)
    elif action == 0:
        bad = not can_wait(s, e) and anything_fits(s, e)
    if bad or action < 0:
        bad = True
        chosen = -1
    step.illegal = bad
    step.waited = chosen < 0
    step.could_start = s.head[e].one_start == 0 or anything_fits(s, e)
    episode.length += 1
    episode.illegal += bad
    episode.waits += step.waited and step.could_start
    now, job_seconds, done_work = s.head[e].now, s.head[e].job_seconds, s.head[e].done_work
    age_s2, busy_gpu_s, done_priority = s.head[e].age_s2, s.head[e].busy_gpu_s, s.head[e].done_priority
    lost = -s.head[e].waiting_seconds
    if chosen >= 0:
        lost += s.dur[e, chosen, kind] - fastest_s(s, e, chosen)
    if chosen >= 0 and follows(s, e):
        occupy(s, e, shown, chosen, kind)
        remove(e, shown, out_jobs, slot)
    decide(s, e, chosen, kind)
    step.span_s = s.head[e].now - now
    step.job_seconds = s.head[e].job_seconds - job_seconds
    step.cost_s = s.head[e].discounted_s if s.head[e].discount_s > 0.0 else step.job_seconds
    step.lost_s = lost + s.head[e].waiting_seconds
    step.age_s2 = s.head[e].age_s2 - age_s2
    step.busy_gpu_s = s.head[e].busy_gpu_s - busy_gpu_s
    step.done_work = s.head[e].done_work - done_work
    step.done_priority = s.head[e].done_priority - done_priority


@helper
def _rest(step):
    """Nothing happened."""
    step.span_s = 0.0
    step.job_seconds = 0.0
    step.cost_s = 0.0
    step.lost_s = 0.0
    step.age_s2 = 0.0
    step.busy_gpu_s = 0.0
    step.done_work = 0.0
    step.done_priority = 0.0
    step.waited = False
    step.could_start = False
    step.illegal = False


@kernel
def step_all(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    actions, fresh, ended, steps, episodes, static, finish_times, scale, horizon_s,
    out_jobs, out_mask, out_globals, out_remaining, used, rows, duration, ends, kinds,
):  # fmt: skip
    """Acts in and observes the first N = len(actions) records; returns the number of episodes that ended.

    Args:
        actions: (N,) int64; 0 = wait, 1 + slot * T + type, ``SKIP`` = observe only.
        fresh: (N,) bool: the record has just been loaded, only observe it.
        ended: Output (N,) bool.
        steps: Output (N,) STEP.
        episodes: (N,) EPISODE.
        static: (N, J, 3 + T) static job features.
        out_jobs: Output (N, W, Fj), as are the other ``out_*``; see ``observation``.
        used, ...: The fields of a ``window.Shown``, which follows the records.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    window = rows.shape[1]
    shown = Shown(used, rows, duration, ends, kinds)
    num_ended = 0
    for e in range(len(actions)):
        step, episode = steps[e], episodes[e]
        previous = used[e]
        if fresh[e]:
            used[e] = 0
            episode.length = 0
            episode.waits = 0
            episode.illegal = 0
        if fresh[e] or actions[e] == SKIP:
            _rest(step)
        else:
            _act(s, e, actions[e], shown, out_jobs, step, episode)
        step.terminated = complete(s, e)
        step.truncated = cut(s, e) and not step.terminated
        ended[e] = step.terminated or step.truncated
        if ended[e]:
            num_ended += 1
            h = s.head[e]
            episode.mean_jct_s = h.job_seconds / h.num_jobs if step.terminated else np.nan
            episode.num_unfinished = h.num_jobs - h.num_done
        if not follows(s, e):
            look_again(s, e, shown)
        enter_window(s, e, shown, out_jobs, static)
        any_fits = mark_fits(s, e)
        write_jobs(s, e, out_jobs, out_mask, shown, any_fits, finish_times, scale, previous)
        write_globals(s, e, out_globals, window, scale)
        write_remaining(s, e, out_remaining, horizon_s)
    return num_ended


@kernel
def advise_all(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    code, params, column, out_jobs, out_guide,
    used, rows, duration, ends, kinds, job, gang, submit, job_duration, feasible, free_at, plan, done, bound, block,
    free, when, turn,
):  # fmt: skip
    """Asks a rule in the first N = len(out_guide) records, right after ``step_all``.

    Args:
        code, params: The rule.
        column: First of the T columns of ``out_jobs`` that tell its choice; -1 = none do.
        out_jobs: (N, W, Fj) as written by ``step_all``.
        out_guide: Output (N,) int64, the action.
        used, ...: The fields of a ``window.Shown``.
        job, ...: The fields of a ``look.Look``, scratch.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    shown = Shown(used, rows, duration, ends, kinds)
    look = Look(job, gang, submit, job_duration, feasible, free_at, plan, done, bound, block, free, when, turn)
    for e in range(len(out_guide)):
        fill_look(s, e, shown, look)
        h = s.head[e]
        row, kind = choose(code, params, look, h.window_len, h.now, h.decisions, can_wait(s, e))
        out_guide[e] = 1 + row * len(kinds) + kind if row >= 0 else 0
        if column >= 0:
            write_advice(out_jobs, e, h.window_len, len(kinds), column, row, kind)


@kernel
def plan_jobs(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    params, scale, column, fresh, steps, loss, out_jobs,
    used, rows, duration, ends, kinds, job, gang, submit, job_duration, feasible, free_at, plan, done, bound, block,
    free, when, turn,
):  # fmt: skip
    """Plans the jobs of the windows of the first N = len(out_jobs) records, right after ``step_all``.

    Args:
        params: Of ``planning_kernels.plan_first``.
        column: First of the T columns of ``out_jobs`` that tell the plan; -1 = none do.
        fresh: (N,) bool, as for ``step_all``.
        steps: (N,) STEP; writes ``planned_s``.
        loss: (N,) seconds that the plans of the last call lose; updated.
        out_jobs: (N, W, Fj) as written by ``step_all``.
        used, ...: The fields of a ``window.Shown``.
        job, ...: The fields of a ``look.Look``, scratch.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    shown = Shown(used, rows, duration, ends, kinds)
    look = Look(job, gang, submit, job_duration, feasible, free_at, plan, done, bound, block, free, when, turn)
    for e in range(len(out_jobs)):
        fill_look(s, e, shown, look)
        n = s.head[e].window_len
        plan_first(look, n, params, n)
        before, loss[e] = loss[e], planned_loss(look, n)
        steps[e].planned_s = 0.0 if fresh[e] else loss[e] - before
        if column >= 0:
            write_plan(out_jobs, e, n, len(kinds), column, look.when, look.turn, scale)


@kernel
def costs_to_go(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    raw, wanted, arrivals, code, params, out, job, gang, submit, duration, feasible, free_at, plan, done, bound, block,
    free, when, turn,
):  # fmt: skip
    """Job-seconds that each wanted record still costs when the rule plays it to its end.

    Args:
        raw: (N + 1, bytes) the records as bytes; the last one is the scratch.
        wanted: (N,) bool.
        arrivals: (N,) int64; jobs that arrive after so many of the workload, and after now, do not count.
        out: (N,) seconds; written where wanted.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    scratch = raw.shape[0] - 1
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free, when, turn)
    for e in range(len(wanted)):
        if wanted[e]:
            for k in range(raw.shape[1]):
                raw[scratch, k] = raw[e, k]
            h = s.head[scratch]
            h.num_jobs = min(h.num_jobs, max(h.num_arrived, arrivals[e]))
            play(s, scratch, code, params, look)
            out[e] = s.head[scratch].job_seconds - s.head[e].job_seconds
