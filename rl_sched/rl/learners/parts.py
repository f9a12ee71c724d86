"""What all learners share: one fused Adam, and metrics logged once per update."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rl_sched.config import ExperimentConfig

ADAM_EPS = 1e-5


class PartsMixin:
    """Goes before an RLlib learner; ``parts`` collects what the losses of one update were made of.

    Attributes:
        imitating: The policy learns to copy the guide; the algorithm sets it.
    """

    imitating = False

    @property
    def experiment(self: Any) -> ExperimentConfig:
        """The resolved experiment."""
        return self.config.env_config["experiment"]

    def build(self) -> None:
        self.parts: list[dict[str, Tensor]] = []
        super().build()  # type: ignore[misc]

    def catch_up(self, steps: int) -> None:
        """Called after a learner's state has been restored at ``steps`` environment steps."""

    def add_adam(self: Any, module_id: str, params: list[Any], lr: Any, name: str | None = None) -> None:
        """Registers one Adam over ``params``."""
        names = {} if name is None else {"optimizer_name": name}
        optimizer = torch.optim.Adam(params, eps=ADAM_EPS, fused=True)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=params, lr_or_lr_schedule=lr, **names)

    def after_gradient_based_update(self: Any, *, timesteps: dict[str, Any]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)  # type: ignore[misc]
        for module_id in self.module.keys():
            for name in self.parts[0] if self.parts else ():
                mean = torch.stack([parts[name] for parts in self.parts]).mean().item()
                self.metrics.log_value((module_id, name), mean, window=1)
        self.parts.clear()


def take(columns: Any, rows: Tensor | slice, device: torch.device | str | None = None) -> Any:
    """The chosen rows of every tensor in a nested dict, on a device (None = where they are)."""
    if isinstance(columns, dict):
        return {key: take(value, rows, device) for key, value in columns.items()}
    chosen = columns[rows] if isinstance(rows, slice) else columns.index_select(0, rows)
    return chosen if device is None else chosen.to(device)
