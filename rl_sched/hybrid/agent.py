"""The strategy ``rl_agent``: a Q-network that DQN has trained on the environment of this problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rl_sched.hybrid import files
from rl_sched.hybrid.env import observe
from rl_sched.hybrid.features import RELATIVE
from rl_sched.hybrid.presets import Preset
from rl_sched.hybrid.registration import ENV_ID
from rl_sched.hybrid.rules import Rule
from rl_sched.hybrid.strategy import Learned, Situations
from rl_sched.rl.plain_dqn import WEIGHTS, DqnSettings, action_values, train_dqn

#: Fractions that the agent chooses from: 0, 0.05, ..., 1.
ACTIONS = 21
DEFAULTS = DqnSettings()
#: Changes when files of before can no longer be read.
_FORM = "rl_sched.hybrid.agent/1"


class RlAgent(Rule, Learned):
    """The fraction with the highest value.

    Args:
        weights: Arrays of the network, see ``plain_dqn.WEIGHTS``.
    """

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self._weights = weights
        self._fractions = np.linspace(0.0, 1.0, len(weights["advantage_b"]))

    @classmethod
    def trained(
        cls,
        preset: Preset,
        seed: int,
        on_progress: Callable[[str], None] = lambda text: None,
        settings: DqnSettings = DEFAULTS,
    ) -> RlAgent:
        """An agent that RLlib has just trained; takes a minute or two."""
        kwargs = {"preset": preset.name, "actions": ACTIONS}

        said = -1

        def tell(steps: int, loss: float) -> None:
            nonlocal said
            if 10 * steps // settings.steps > said:
                said = 10 * steps // settings.steps
                on_progress(f"rl_agent: {steps:,} of {settings.steps:,} steps, loss {loss:.4f}")

        return cls(train_dqn(ENV_ID, kwargs, settings, seed, tell))

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        """See ``Strategy``."""
        return self._fractions[action_values(self._weights, observe(situations)).argmax(axis=1)]

    def save(self, path: Path) -> None:
        """See ``Learned``."""
        files.write(path, _FORM, self._weights)

    @classmethod
    def load(cls, path: Path, preset: Preset) -> RlAgent:
        """See ``Learned``."""
        with files.opened(path, _FORM) as file:
            weights = {name: file[name] for name in WEIGHTS}
            if weights["w1"].shape[1:] != (len(RELATIVE),):
                raise ValueError(f"its network is for {weights['w1'].shape[1:]} numbers, not {len(RELATIVE)}")
        return cls(weights)
