"""What the learners of remembered transitions share: minibatches in order, and the errors of each transition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from torch import Tensor

from rl_sched.rl.learners.parts import PartsMixin, take


class ReplayLearner(PartsMixin):
    """Goes before RLlib's DQN or SAC learner; ``errors`` collects |temporal-difference errors| of an update."""

    def build(self) -> None:
        self.errors: list[Tensor] = []
        super().build()

    def pop_errors(self) -> list[Tensor]:
        """(B,) per minibatch since the last call, in the order of the batch."""
        errors, self.errors = self.errors, []
        return [error.cpu() for error in errors]

    def _create_iterator_if_necessary(
        self: Any, *, training_data: TrainingData, minibatch_size: int | None = None, **kwargs: Any
    ) -> Iterator[MultiAgentBatch]:
        """The rows in their order: a replay has drawn them at random."""
        assert training_data.batch is not None and minibatch_size is not None
        ((module_id, batch),) = training_data.batch.policy_batches.items()
        columns = dict(batch)
        for start in range(0, len(batch["weights"]), minibatch_size):
            part = take(columns, slice(start, start + minibatch_size), self.device)
            yield MultiAgentBatch({module_id: SampleBatch(part)}, env_steps=len(part["weights"]))
