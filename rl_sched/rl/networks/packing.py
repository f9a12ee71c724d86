"""Work on the jobs that exist: padding is removed before the first layer and put back after the last.

A window has W slots, of which about a fifth hold a job. ``pack`` lists the existing jobs of B observations,
sorted by the number of jobs of their observation, and ``attend`` uses that order to cut the observations into
a few groups of nearly equal length: batched products without ragged kernels and with little padding.
On one CPU thread this form took half the time of one padded block and a fifteenth of gathering the keys per job.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MAX_GROUPS = 8
#: Fewer observations than this per group and the calls cost more than the padding they save.
MIN_GROUP = 48


#: Added to the score of a token that is not there: the weight becomes exactly 0.
ABSENT = -1e9

#: Sums over jobs are shown in tenths, about the size of the means.
SUM_SCALE = 0.1


class Packed(NamedTuple):
    """Where the rows of B observations are. Rows = the M existing jobs, then one no-op row per observation.

    Observations appear in the order ``order``: ascending number of jobs.
    """

    order: Tensor  #: (B,) int64, observation at each place
    job_index: Tensor  #: (M,) int64, flat slot ``observation * W + slot`` of each job row
    place: Tensor  #: (M,) int64, place in ``order`` of the observation of each job row
    num_jobs: Tensor  #: (B,) float32 in the order ``order``
    position: Tensor  #: (M + B,) int64, row of each token in the grouped, padded query buffer
    groups: tuple[tuple[int, int, int], ...]  #: (first place, last place + 1, tokens per observation)


def pack(valid: Tensor) -> Packed:
    """Lists the existing jobs.

    Args:
        valid: (B, W) bool, True where a slot holds a job.
    """
    batch, window = valid.shape
    counts, order = valid.sum(dim=1).sort()
    place, slot = valid.index_select(0, order).nonzero(as_tuple=True)
    job_index = order.index_select(0, place) * window + slot

    num_groups = max(1, min(MAX_GROUPS, batch // MIN_GROUP))
    cuts = [batch * i // num_groups for i in range(num_groups + 1)]
    lengths = (counts[[end - 1 for end in cuts[1:]]] + 1).tolist()  # + 1: the no-op token
    groups, first_row, start = [], [], 0
    for begin, end, length in zip(cuts, cuts[1:], lengths, strict=False):
        groups.append((begin, end, length))
        first_row.append(start + length * torch.arange(end - begin))
        start += length * (end - begin)
    base = torch.cat(first_row).to(valid.device)
    # The n jobs of an observation are ranked 1..n in its block, whatever slots they sit in; the no-op is 0.
    ends = counts.cumsum(0)
    rank = torch.arange(place.numel(), device=valid.device) - (ends - counts).index_select(0, place)
    position = torch.cat([base.index_select(0, place) + rank + 1, base])
    return Packed(order, job_index, place, counts.to(torch.float32), position, tuple(groups))


def pool(rows: Tensor, packed: Packed) -> Tensor:
    """(B, 2d) mean and scaled sum of the job rows (M, d) of each observation, in packed order; 0 without a job."""
    total = rows.new_zeros(packed.order.numel(), rows.shape[1]).index_add(0, packed.place, rows)
    return torch.cat([total / packed.num_jobs.clamp_min(1.0).unsqueeze(1), total * SUM_SCALE], dim=1)


def attend(queries: Tensor, tokens: Tensor, absent: Tensor, packed: Packed, heads: int) -> Tensor:
    """Each row attends to the tokens of its own observation.

    Args:
        queries: (M + B, heads * d), already scaled.
        tokens: (B, G, d) in packed order; they are keys and values at once.
        absent: (B, G) in packed order, 1.0 where there is no token, else 0.0.

    Returns:
        (M + B, heads * d): per head, the softmax-weighted mean of the tokens.
    """
    width = tokens.shape[2]
    sizes = [end - begin for begin, end, _ in packed.groups]
    rows = [(end - begin) * length for begin, end, length in packed.groups]
    padded = queries.new_zeros(sum(rows), heads * width).index_copy(0, packed.position, queries)
    parts = []
    hidden = (absent * ABSENT).unsqueeze(1)  # (B, 1, G)
    # split, not slices: the backward pass of a slice writes a zero block of the full size.
    for block, group, bias in zip(padded.split(rows), tokens.split(sizes), hidden.split(sizes), strict=True):
        block = block.view(group.shape[0], -1, width)
        weights = torch.softmax(torch.baddbmm(bias, block, group.transpose(1, 2)), dim=2)
        parts.append(torch.bmm(weights, group).view(-1, heads * width))
    return torch.cat(parts).index_select(0, packed.position)
