"""One step of N environments: decode, decide, let time pass, observe. And the guide's cost-to-go."""

from __future__ import annotations

from rl_sched.envs.observation import write_globals, write_jobs, write_remaining
from rl_sched.policies.rule_kernels import Look, choose_in_record, fill_free_at, play
from rl_sched.sim.jit import kernel
from rl_sched.sim.kernels import anything_fits, can_start, can_wait, complete, cut, decide
from rl_sched.sim.record import Views

#: Action of the flags array: do not act in this environment, only observe it.
SKIP = -1


@kernel
def step_all(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    actions, static, guide_code, guide_params, finish_times, scale, horizon_s,
    out_jobs, out_mask, out_globals, out_remaining, out_guide, slots, shown,
    waited, could_start, illegal, terminated, truncated,
    job, gang, submit, duration, feasible, free_at, plan, done, free,
):  # fmt: skip
    """Acts in and observes the first N = len(actions) records.

    Args:
        actions: (N,) int64; 0 = wait, 1 + slot * T + type, ``SKIP`` = observe only.
        static: (N, J, 3 + T) static job features.
        guide_code: Code of the guiding rule; -1 = none.
        out_jobs: Output (N, W, Fj), as are the other ``out_*``; see ``observation``.
        slots: (N, W) job of each slot; read to decode the actions, then rewritten.
        shown: (N,) rows of ``out_jobs`` that are not padding; read and rewritten.
        waited, could_start, illegal, terminated, truncated: Outputs (N,) bool.
        job, ...: The fields of a ``rule_kernels.Look``, scratch.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    num_types = types.shape[1]
    window = slots.shape[1]
    guided = guide_code >= 0
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, free)
    for e in range(len(actions)):
        action = actions[e]
        if action != SKIP:
            chosen, kind = -1, -1
            bad = False
            if action > 0:
                slot, kind = (action - 1) // num_types, (action - 1) % num_types
                bad = True
                if slot < s.head[e].window_len:
                    chosen = slots[e, slot]
                    bad = not can_start(s, e, chosen, kind)
            elif action == 0:
                bad = not can_wait(s, e) and anything_fits(s, e)
            if bad or action < 0:
                bad = True
                chosen = -1
            illegal[e] = bad
            waited[e] = chosen < 0
            could_start[e] = s.head[e].one_start == 0 or anything_fits(s, e)
            decide(s, e, chosen, kind)
        else:
            illegal[e] = False
            waited[e] = False
            could_start[e] = False
        terminated[e] = complete(s, e)
        truncated[e] = cut(s, e) and not terminated[e]
        row, kind = -1, -1
        if guided:
            row, kind = choose_in_record(s, e, guide_code, guide_params, look)
            out_guide[e] = 1 + row * num_types + kind if row >= 0 else 0
        if finish_times:
            fill_free_at(s, e, look)
        shown[e] = write_jobs(
            s, e, out_jobs, out_mask, slots, static, look.free_at, finish_times, row, kind, guided, scale, shown[e]
        )  # fmt: skip
        write_globals(s, e, out_globals, window, scale)
        write_remaining(s, e, out_remaining, horizon_s)


@kernel
def costs_to_go(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log,
    log_gpus, raw, wanted, code, params, out,
    job, gang, submit, duration, feasible, free_at, plan, done, free,
):  # fmt: skip
    """Job-seconds that each wanted record still costs when the rule plays it to its end.

    Args:
        raw: (N + 1, bytes) the records as bytes; the last one is the scratch.
        wanted: (N,) bool.
        out: (N,) seconds; written where wanted.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    scratch = raw.shape[0] - 1
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, free)
    for e in range(len(wanted)):
        if wanted[e]:
            for k in range(raw.shape[1]):
                raw[scratch, k] = raw[e, k]
            play(s, scratch, code, params, look)
            out[e] = s.head[scratch].job_seconds - s.head[e].job_seconds
