"""Jobs attend to GPUs: one set of weights for every job, every GPU, and the no-op.

Permuting the jobs permutes their logits; permuting GPUs of one type changes nothing; the numbers of slots and
of GPUs may differ from those seen in training. A GPU of no type is not there. Padding costs nothing (see ``packing``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rl_sched.config import NetworkConfig
from rl_sched.rl.networks.packing import Packed, attend, pack, pool
from rl_sched.rl.networks.types import (
    POLICY_GAIN,
    Obs,
    PolicyOutput,
    SpecLike,
    add_guide_prior,
    arrivals_layer,
    linear,
)

#: Hidden units of the value per unit of token width: it is computed once per observation, not per job.
VALUE_FACTOR = 4


class AttentionLayer(nn.Module):
    """Tokens of jobs attend to the GPUs of their observation, then each passes one layer of its own.

    Keys and values are the GPU tokens themselves: the key matrix is folded into the query's and the value matrix
    into the output's, which is the same family of functions (d x d products) with G projections less.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = linear(width, heads * width, gain=1.0)
        self.attended = linear(heads * width, width, gain=1.0, bias=False)
        self.trunk = linear(width, width)

    def forward(self, tokens: Tensor, gpu: Tensor, absent: Tensor, packed: Packed) -> Tensor:
        """Tokens (M + B, d), GPUs (B, G, d) -> tokens; ``absent`` and ``packed`` as for ``attend``."""
        query = self.query(tokens) * (gpu.shape[2] ** -0.5)
        return self.trunk(tokens + self.attended(attend(query, gpu, absent, packed, self.heads))).relu()


class CrossAttention(nn.Module):
    """Job tokens -> pooled context -> attention to GPU tokens -> T logits per job; the no-op is one more token.

    Attributes:
        any_size: It accepts any window and any number of GPUs.
    """

    any_size = True

    def __init__(self, spec: SpecLike, config: NetworkConfig, guide_prior: float) -> None:
        super().__init__()
        self.guided = spec.guided
        self.guide_prior = guide_prior
        self.num_types = spec.num_types
        d = config.hidden
        self.job_in = linear(spec.job_features, d)
        self.globals_in = linear(spec.global_features, 2 * d)  # one half for the jobs, one for the context
        self.gpu_in = linear(spec.gpu_features, d)
        self.gpu_pool = linear(spec.num_types * d, d, bias=False)
        self.job_pool = linear(2 * d, d, bias=False)
        self.job_hidden = linear(d, d)
        self.context_to_job = linear(d, d, bias=False)
        self.layers = nn.ModuleList(AttentionLayer(d, config.heads) for _ in range(config.layers))
        self.job_head = linear(d, spec.num_types, gain=POLICY_GAIN)
        self.noop_head = linear(d, 1, gain=POLICY_GAIN)
        self.value_hidden = linear(d, VALUE_FACTOR * d)
        self.value_arrivals = arrivals_layer(spec, VALUE_FACTOR * d)
        self.value_head = linear(VALUE_FACTOR * d, 1, gain=1.0)

    def forward(self, obs: Obs) -> PolicyOutput:
        jobs = obs["jobs"]
        batch, window, features = jobs.shape
        packed = pack(jobs[:, :, 0] > 0)
        gpus = obs["gpus"].index_select(0, packed.order)
        glob_job, glob_context = self.globals_in(obs["globals"].index_select(0, packed.order)).chunk(2, dim=1)

        rows = jobs.reshape(batch * window, features).index_select(0, packed.job_index)
        rows = (self.job_in(rows) + glob_job.index_select(0, packed.place)).relu()  # (M, d)
        gpu = self.gpu_in(gpus).relu()  # (B, G, d)
        member = gpus[:, :, -self.num_types :].transpose(1, 2)  # (B, T, G)
        context = (
            self.job_pool(pool(rows, packed)) + self.gpu_pool(_mean_per_type(gpu, member)) + glob_context
        ).relu()  # (B, d)
        hidden = self.value_hidden(context)
        if self.value_arrivals is not None and "arrivals" in obs:
            hidden = hidden + self.value_arrivals(obs["arrivals"].index_select(0, packed.order))
        value = self.value_head(hidden.relu()).squeeze(1)

        rows = (self.job_hidden(rows) + self.context_to_job(context).index_select(0, packed.place)).relu()
        tokens = torch.cat([rows, context])  # (M + B, d)
        absent = (member.sum(dim=1) == 0).to(gpu.dtype)
        for layer in self.layers:
            tokens = layer(tokens, gpu, absent, packed)
        job_tokens, noop_tokens = tokens.split([rows.shape[0], batch])
        job_logits, noop_logit = self.job_head(job_tokens), self.noop_head(noop_tokens)

        slots = job_logits.new_zeros(batch * window, self.num_types).index_copy(0, packed.job_index, job_logits)
        restore = torch.empty_like(packed.order)
        restore[packed.order] = torch.arange(batch, device=restore.device)
        logits = torch.cat([noop_logit.index_select(0, restore), slots.view(batch, window * self.num_types)], dim=1)
        if self.guided:
            logits = add_guide_prior(logits, obs, self.guide_prior)
        return PolicyOutput(logits, value.index_select(0, restore))


def _mean_per_type(gpu: Tensor, member: Tensor) -> Tensor:
    """(B, T * d) mean of the GPU tokens (B, G, d) of each type; ``member`` (B, T, G) is 1 where a GPU is of a type."""
    share = member / member.sum(dim=2, keepdim=True).clamp_min(1.0)
    return torch.bmm(share, gpu).flatten(1)
