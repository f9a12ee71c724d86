"""Changes to a placement whose jobs share links: what one job does then changes the times of others.

A change lets two jobs cross other links than before, so the loads of all links are adjusted by those two, and the
times of all jobs follow from the loads; nothing is counted anew.
"""

from __future__ import annotations

from rl_sched.policies.jps.scoring import crosses, give, refresh, retime, score_of, time_now
from rl_sched.sim.jit import helper, routine


@helper
def _count(s, job, sign):
    """Adds a job to the loads that are tried, or takes it out of them."""
    if job >= 0:
        for link in range(s.tried.shape[0]):
            if crosses(s, job, link):
                s.tried[link] += sign


@routine
def score_shared(p, s, beta, k, job, other):
    """The score if worker ``k`` went to ``job`` and worker ``other`` (-1 = none) to its owner; nothing is changed."""
    owner = s.owner[k]
    rate_owner, rate_job = 0.0, 0.0
    for link in range(s.load.shape[0]):
        s.tried[link] = s.load[link]
    _count(s, owner, -1)
    _count(s, job, -1)
    if owner >= 0:
        rate_owner = s.rate[owner]
    if job >= 0:
        rate_job = s.rate[job]
    give(p, s, k, job)
    if other >= 0:
        give(p, s, other, owner)
    _count(s, owner, 1)
    _count(s, job, 1)
    total, ratio, square = 0.0, 0.0, 0.0
    for i in range(p.work_s.shape[0]):
        time_s = time_now(p, s, i, s.tried)
        relative = time_s / p.equal_s[i]
        total += time_s
        ratio += relative
        square += relative * relative
    if other >= 0:
        give(p, s, other, job)
    give(p, s, k, owner)
    if owner >= 0:  # as they were, to the last bit
        s.rate[owner] = rate_owner
    if job >= 0:
        s.rate[job] = rate_job
    return score_of(beta, p.work_s.shape[0], total, ratio, square)


@routine
def leave_links(p, s, beta, score, least_gain):
    """Lets a job go without its workers below one of the links that it crosses where that helps; returns the score."""
    for i in range(p.work_s.shape[0]):
        for link in range(s.load.shape[0]):
            if not crosses(s, i, link):
                continue
            level = 0 if link < p.nodes else 1
            for k in range(s.owner.shape[0]):
                if s.owner[k] == i and p.above[k, level] == link:
                    give(p, s, k, -1)
                    s.looked[k] = -2  # marks those that went
            left = retime(p, s, beta)
            for k in range(s.owner.shape[0]):
                if s.looked[k] == -2:
                    s.looked[k] = 0
                    if not left < score * (1.0 - least_gain):
                        give(p, s, k, i)
            score = refresh(p, s, beta)
    return score
