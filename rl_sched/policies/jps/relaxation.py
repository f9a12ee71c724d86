"""The relaxation: workers are divisible, gradients are free. Its dual has S variables and certifies a bound.

For any v > 0 and any placement without idle workers, w / R >= 2 sqrt(w v) - v R, so that

    sum_i w_i / R_i  >=  sum_i 2 sqrt(w_i v_i) - sum_k max_i v_i rho_ik  =  LB(v)

At the best v the price of a worker is q_k = max_i v_i rho_ik and v_i = w_i / R_i^2: the market clears. LB is concave;
the maximum over k is smoothed by a softmax whose temperature falls, and each level is maximised by a damped Newton
method. The bound that is reported is LB itself, not its smoothed form, at the best v seen and at its best scale.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.sim.jit import helper, kernel

#: Temperatures, relative to a worker's mean price: 0.2, 0.06, ...
_LEVELS, _FIRST, _FALL, _STEPS = 9, 0.2, 0.3, 6
#: A Newton step that would gain less than this, relative, is not made: smoothing costs more.
_CONVERGED = 1e-8
#: Exponents below are not raised: exp of them is lost beside 1.
_NOTHING = -36.0


class Relaxation(NamedTuple):
    """The solved relaxation."""

    bound_s: float  #: no placement has a smaller sum of JCTs
    v: np.ndarray  # (S,) what a unit of rate is worth to each job
    rate: np.ndarray  # (S,) R of each job
    workers: np.ndarray  # (S,) workers of each job, fractions included
    owner: np.ndarray  # (K,) job with the largest part of each worker


def relax(problem: Problem) -> Relaxation:
    """Solves the relaxation of a problem without its communication (a bound for the problem with it, too)."""
    s, k = problem.rate.shape
    v, rate, count, owner = np.zeros(s), np.zeros(s), np.zeros(s), np.zeros(k, np.int64)
    # One array for all scratch: handing over a dozen costs more than the arithmetic of a small problem.
    bound = _relax(problem.rate, problem.work_s, v, rate, count, owner, np.zeros((s + 6, max(s, k))))
    return Relaxation(float(bound), v, rate, count, owner)


@helper
def _exact(rate, work, v):
    """(sum of sqrt(w v), sum over workers of the largest v rho): LB at the best scale of v is their a a / b."""
    s, k = rate.shape
    a, b = 0.0, 0.0
    for i in range(s):
        a += np.sqrt(work[i] * v[i])
    for j in range(k):
        top = 0.0
        for i in range(s):
            top = max(top, v[i] * rate[i, j])
        b += top
    return a, b


@helper
def _smooth(rate, work, v, tau):
    """The bound with the softmax in place of the maximum."""
    s, k = rate.shape
    out = 0.0
    for i in range(s):
        out += 2.0 * np.sqrt(work[i] * v[i])
    for j in range(k):
        top = 0.0
        for i in range(s):
            top = max(top, v[i] * rate[i, j])
        total = 0.0
        for i in range(s):
            below = (v[i] * rate[i, j] - top) / tau
            if below > _NOTHING:
                total += np.exp(below)
        out -= top + tau * np.log(total)
    return out


@helper
def _derivatives(rate, work, v, tau, grad, hess, share):
    """The smoothed bound; its gradient, and minus its Hessian in the first columns of ``hess``, are filled in."""
    s, k = rate.shape
    out = 0.0
    for i in range(s):
        root = np.sqrt(work[i] / v[i])
        out += 2.0 * root * v[i]
        grad[i] = root
        for j in range(s):
            hess[i, j] = 0.0
        hess[i, i] = 0.5 * root / v[i]
    for j in range(k):
        top = 0.0
        for i in range(s):
            top = max(top, v[i] * rate[i, j])
        total = 0.0
        for i in range(s):
            below = (v[i] * rate[i, j] - top) / tau
            share[i] = np.exp(below) if below > _NOTHING else 0.0
            total += share[i]
        out -= top + tau * np.log(total)
        for i in range(s):
            share[i] = share[i] / total * rate[i, j]
            grad[i] -= share[i]
        for i in range(s):
            if share[i] > 0.0:
                hess[i, i] += share[i] * rate[i, j] / tau
                for other in range(i + 1):
                    hess[i, other] -= share[i] * share[other] / tau
    return out


@helper
def _solve(hess, grad, step, s):
    """``step`` = hess^-1 grad by Cholesky, in place of the lower half of ``hess``."""
    for i in range(s):
        for j in range(i + 1):
            value = hess[i, j]
            for t in range(j):
                value -= hess[i, t] * hess[j, t]
            if i == j:
                hess[i, i] = np.sqrt(max(value, 1e-300))
            else:
                hess[i, j] = value / hess[j, j]
    for i in range(s):
        value = grad[i]
        for t in range(i):
            value -= hess[i, t] * step[t]
        step[i] = value / hess[i, i]
    for back in range(s):
        i = s - 1 - back
        value = step[i]
        for t in range(i + 1, s):
            value -= hess[t, i] * step[t]
        step[i] = value / hess[i, i]


@kernel
def _relax(rate, work, v_best, rate_out, count, owner, scratch):
    s, k = rate.shape
    hess = scratch
    grad, step, share, v, trial = scratch[s], scratch[s + 1], scratch[s + 2], scratch[s + 3], scratch[s + 4]
    for i in range(s):
        even = k / s  # the mean rate of a worker is 1
        v[i] = work[i] / (even * even)
    best, best_tau = 0.0, 0.0
    tau = 0.0
    for level in range(_LEVELS):
        for turn in range(_STEPS):
            if turn == 0:
                a, b = _exact(rate, work, v)
                scale = (a / b) * (a / b)
                for i in range(s):
                    v[i] *= scale
                tau = _FIRST * _FALL**level * a * a / b / k
            now = _derivatives(rate, work, v, tau, grad, hess, share)
            _solve(hess, grad, step, s)
            slope, size = 0.0, 1.0
            for i in range(s):
                slope += grad[i] * step[i]
                if v[i] + size * step[i] < 0.2 * v[i]:
                    size = -0.8 * v[i] / step[i]
            if slope <= _CONVERGED * abs(now):
                break
            accepted = False
            for _ in range(12):
                for i in range(s):
                    trial[i] = v[i] + size * step[i]
                if _smooth(rate, work, trial, tau) >= now + 0.1 * size * slope:
                    accepted = True
                    break
                size *= 0.5
            if not accepted:
                break
            for i in range(s):
                v[i] = trial[i]
        a, b = _exact(rate, work, v)
        if a * a / b > best:
            best, best_tau = a * a / b, tau
            scale = (a / b) * (a / b)
            for i in range(s):
                v_best[i] = v[i] * scale
    for i in range(s):
        rate_out[i], count[i] = 0.0, 0.0
    for j in range(k):
        top, total, first = 0.0, 0.0, 0
        for i in range(s):
            if v_best[i] * rate[i, j] > top:
                top, first = v_best[i] * rate[i, j], i
        for i in range(s):
            share[i] = np.exp((v_best[i] * rate[i, j] - top) / best_tau)
            total += share[i]
        for i in range(s):
            count[i] += share[i] / total
            rate_out[i] += share[i] / total * rate[i, j]
        owner[j] = first
    return best
