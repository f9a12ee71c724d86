"""Settings: YAML -> strict frozen dataclasses. One experiment = one ``ExperimentConfig``.

``load(path, overrides)`` reads a YAML file (or the defaults) and applies ``a.b=value`` overrides. An unknown key
fails with its path and the nearest known name; a wrong type fails with the path, the type and the value.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union

import yaml

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

D = TypeVar("D")

#: What a number must be -> whether it is (false for nan).
_RANGES: dict[str, Callable[[float], bool]] = {
    "> 0": lambda value: value > 0,
    ">= 0": lambda value: value >= 0,
    ">= 1": lambda value: value >= 1,
    "between 0 and 1": lambda value: 0 <= value <= 1,
}


class _OutOfRange(ConfigError):
    """Its message starts with the name of the setting, so that ``build`` can put the path in front."""


def _check(config: object, **ranges: str) -> None:
    """Raises unless each named field of ``config`` is None, one of "a, b or c", or in a range of ``_RANGES``."""
    for name, rule in ranges.items():
        value = getattr(config, name)
        within = _RANGES.get(rule, re.split(", | or ", rule).__contains__)
        if value is not None and not within(value):
            raise _OutOfRange(f"{name} must be {rule}; it is {value!r}.")


@dataclass(frozen=True, slots=True)
class GuideConfig:
    """A registered rule that guides the learned policy; each part has a switch of its own."""

    policy: str | None = None  #: a compiled rule: local_search, or fitted: local_search_tuned; None = no guide
    params: dict[str, Any] = field(default_factory=dict)  #: parameters of the rule, over those
    feature: bool = True  #: the rule's action is marked in the rows of the jobs
    prior: float = 3.0  #: added to the logit of the rule's action; 0 = nothing
    potential: bool = True  #: shape the reward by the rule's exact cost-to-go (training only)
    arrivals: int | None = None  #: at the start the cost-to-go counts so many arrivals to come only; None = all ...
    arrivals_frac: float = 0.4  #: ... and from this part of the steps on all, more and more until then
    imitation: int = 0  #: environment steps at the start in which the policy learns to copy the rule

    def __post_init__(self) -> None:
        _check(self, imitation=">= 0", arrivals=">= 1", arrivals_frac="between 0 and 1")
        if self.imitation and self.policy is None:
            raise _OutOfRange(f"imitation needs a policy to copy; it is {self.imitation!r} and policy is null.")


@dataclass(frozen=True, slots=True)
class EnvConfig:
    """What the learner sees and is paid for."""

    lookahead: str = "per_gpu"  #: off | per_gpu | sorted | cdf
    reward: str | None = None  #: a name of the REWARDS table, for training; None = the scenario's training reward
    reward_unit: str = "scenario"  #: duration that counts as 1: of the scenario | workload | geometric: mean of both
    discount_s: float | None = None  #: discount by elapsed time: what lies t ahead counts exp(-t / discount_s)
    finish_times: bool = True  #: per job and type: time until enough GPUs are free, and planned finish
    plan: bool = True  #: per job and type: when a plan with reservations for all jobs would start it
    globals: str = "all"  #: all | rows: what the rows of jobs and GPUs tell as well | idle: free GPUs alone
    idle_waits: bool = True  #: waiting is legal while a job could start
    settle: bool = False  #: waits that are the only legal action are played inside a step
    types: int | None = None  #: GPU types that observations have room for; None = as many as the scenarios have
    guide: GuideConfig = field(default_factory=GuideConfig)

    def __post_init__(self) -> None:
        _check(self, discount_s="> 0", types=">= 1", globals="all, rows or idle")
        _check(self, reward_unit="scenario, workload or geometric")
        if self.settle and (self.discount_s is not None or (self.guide.policy is not None and self.guide.potential)):
            raise _OutOfRange("settle must be false with discount_s or guide.potential, which count single steps.")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The policy and value network."""

    name: str = "cross_attention"  #: a name of the NETWORKS table
    hidden: int = 32  #: width of tokens and layers
    heads: int = 1  #: attention heads (cross_attention)
    layers: int = 1  #: times that jobs attend to GPUs (cross_attention)

    def __post_init__(self) -> None:
        _check(self, hidden=">= 1", heads=">= 1", layers=">= 1")


@dataclass(frozen=True, slots=True)
class PPOConfig:
    """Proximal policy optimisation (Schulman et al., 2017). Rates decay to ``*_final`` of the start."""

    lr: float = 2e-3
    lr_final: float = 0.05  #: fraction of ``lr`` at the last step
    lr_shape: str = "linear"  #: linear | exponential
    gamma: float = 1.0  #: 1 = undiscounted: discounting the raw cost makes a policy wait for ever
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.003  #: bonus at the start ...
    entropy_final: float = 0.0  #: ... and the fraction of it that is left from 80 % of the steps on
    entropy_jump: float | None = None  #: an observation's entropy counts within so many nats of the acting policy's
    value_coef: float = 0.5
    foresight: bool = True  #: in training alone the value knows the arrivals to come: luck, not merit
    value_clip: bool = False  #: squared error of a value held within ``clip`` of the old one, instead of Huber's loss
    max_grad_norm: float = 0.5
    advantages: str = "minibatch"  #: normalised per minibatch | rollout
    target_kl: float | None = None  #: an update ends with the first minibatch whose divergence exceeds it
    epochs: int = 3
    minibatch: int = 2048
    rollout: int = 64  #: steps per environment and update

    def __post_init__(self) -> None:
        _check(self, lr="> 0", lr_final=">= 0", gamma="between 0 and 1", gae_lambda="between 0 and 1", clip="> 0")
        _check(self, entropy=">= 0", entropy_final="between 0 and 1", value_coef=">= 0", max_grad_norm="> 0")
        _check(self, epochs=">= 1", minibatch=">= 1", rollout=">= 1", target_kl="> 0", entropy_jump="> 0")
        _check(self, lr_shape="linear or exponential", advantages="minibatch or rollout")
        if self.lr_shape == "exponential" and self.lr_final == 0:
            raise _OutOfRange("lr_final must be > 0 with lr_shape=exponential, which never reaches 0; it is 0.")


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """Learning from remembered transitions (DQN and SAC)."""

    capacity: int = 100_000  #: transitions remembered, at about 2 kB each with a window of 50 jobs
    starts: int = 10_000  #: environment steps before the first update
    rollout: int = 4  #: steps per environment between two rounds of updates
    ratio: float = 1.0  #: transitions learned from per environment step
    minibatch: int = 512
    n_step: int = 5  #: rewards summed before the value of the next state stands in for the rest
    priority: float = 0.3  #: exponent of the temporal-difference error (Schaul et al., 2016); 0 = uniform
    priority_beta: float = 0.4  #: exponent of the correction for it at the start; 1 at the last step

    def __post_init__(self) -> None:
        _check(self, capacity=">= 1", starts=">= 0", rollout=">= 1", ratio="> 0", minibatch=">= 1", n_step=">= 1")
        _check(self, priority="between 0 and 1", priority_beta="between 0 and 1")


@dataclass(frozen=True, slots=True)
class DQNConfig:
    """Deep Q-learning, double and dueling (Mnih et al., 2015; van Hasselt et al., 2016; Wang et al., 2016)."""

    lr: float = 1e-3
    lr_final: float = 0.05  #: fraction of ``lr`` at the last step
    gamma: float = 0.3  #: for the reward ``planned``, which shows at once; with raw costs a policy waits for ever
    double: bool = True  #: the network chooses the next action, the target network values it
    dueling: bool = True  #: value plus advantages, else the advantages alone are the values
    epsilon: float = 0.3  #: share of random actions at the start
    epsilon_final: float = 0.02
    epsilon_frac: float = 0.2  #: part of the steps in which it falls from one to the other
    tau: float = 0.02  #: what the target network takes over from the network at every update
    max_grad_norm: float = 10.0

    def __post_init__(self) -> None:
        _check(self, lr="> 0", lr_final=">= 0", gamma="between 0 and 1", epsilon="between 0 and 1")
        _check(self, epsilon_final="between 0 and 1", epsilon_frac="between 0 and 1", tau="between 0 and 1")
        _check(self, max_grad_norm="> 0")


@dataclass(frozen=True, slots=True)
class SACConfig:
    """Soft actor-critic over discrete actions, twin Q (Haarnoja et al., 2018; Christodoulou, 2019)."""

    lr: float = 1e-3  #: of policy and values
    lr_final: float = 0.05  #: fraction of ``lr`` at the last step
    alpha_lr: float = 3e-2  #: of the logarithm of the temperature
    gamma: float = 0.3  #: for the reward ``planned``, which shows at once; with raw costs a policy waits for ever
    alpha: float = 0.05  #: temperature at the start
    entropy_frac: float = 0.5  #: entropy aimed at, as a fraction of what the valid actions of a state allow ...
    entropy_frac_final: float = 0.2  #: ... and at the last step
    entropy_backup: bool = False  #: values count the entropy to come; without, only the policy's loss does
    tau: float = 0.02  #: what the target networks take over at every update
    max_grad_norm: float = 10.0

    def __post_init__(self) -> None:
        _check(self, lr="> 0", lr_final=">= 0", alpha_lr=">= 0", gamma="between 0 and 1", alpha="> 0")
        _check(self, entropy_frac="between 0 and 1", entropy_frac_final="between 0 and 1", tau="between 0 and 1")
        _check(self, max_grad_norm="> 0")


@dataclass(frozen=True, slots=True)
class CurriculumConfig:
    """Easier workloads at the start of training, in equal steps up to the scenario's own."""

    frac: float = 0.0  #: part of the steps before the scenario's own workloads are played; 0 = from the start
    load: float = 1.0  #: at the start, jobs arrive this many times as fast
    jobs_frac: float = 1.0  #: at the start, workloads are cut after this part of their jobs

    def __post_init__(self) -> None:
        _check(self, frac="between 0 and 1", load="> 0", jobs_frac="between 0 and 1")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Length and bookkeeping of one training run."""

    steps: int = 1_500_000  #: environment steps in all
    num_envs: int = 128
    env_runners: int = 0  #: processes, on a Ray cluster anywhere in it, that play them; 0 = this one
    val_every: int = 100_000  #: environment steps between two validations
    val_episodes: int = 128  #: at most; fewer where the scenario has fewer VAL seeds
    checkpoint_every: int = 100_000  #: environment steps between two checkpoints
    average_steps: int = 0  #: what is validated and kept are weights averaged over the last so many steps; 0 = newest

    def __post_init__(self) -> None:
        _check(self, steps=">= 1", num_envs=">= 1", val_every=">= 1", val_episodes=">= 1", checkpoint_every=">= 1")
        _check(self, env_runners=">= 0")
        if self.env_runners > self.num_envs:
            raise _OutOfRange(f"env_runners must be at most num_envs ({self.num_envs}); it is {self.env_runners}.")


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """One experiment: everything that decides the result of one training run."""

    scenario: str = "default"  #: or several, trained on at once: "default + philly"
    algo: str = "ppo"  #: ppo | dqn | sac
    seed: int = 1
    env: EnvConfig = field(default_factory=EnvConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    dqn: DQNConfig = field(default_factory=DQNConfig)
    sac: SACConfig = field(default_factory=SACConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)

    def __post_init__(self) -> None:
        _check(self, seed=">= 0")


class _Yaml(yaml.SafeLoader):
    """YAML in which only true and false are booleans: ``off`` is a lookahead mode, not False."""


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))


_hints = functools.cache(typing.get_type_hints)  # evaluated from text: once for each dataclass


def build(cls: type[D], data: Any, where: str = "") -> D:
    """Makes a dataclass of type ``cls`` from a mapping, strictly and recursively.

    Args:
        cls: A dataclass type whose fields are scalars, optionals, tuples, dicts or further dataclasses.
        data: A mapping, as read from YAML or JSON.
        where: Dotted path of ``data``, for messages.

    Raises:
        ConfigError: An unknown key, a missing key, a value of the wrong type or out of its range.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or 'The configuration'} must be a mapping of settings; it is {data!r}.")
    hints = _hints(cls)  # type: ignore[arg-type]
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    values = {}
    for key, value in data.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in fields:
            raise ConfigError(f"Unknown key {path!r}. {did_you_mean(str(key), fields)}")
        values[key] = _convert(hints[key], value, path)
    for name, f in fields.items():
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"Key {f'{where}.{name}' if where else name!r} is required and is missing.")
    try:
        return cls(**values)
    except _OutOfRange as error:
        raise ConfigError(f"{where}.{error}" if where else str(error)) from None


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin = typing.get_origin(hint)
    args = typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        errors = []
        for option in (a for a in args if a is not type(None)):
            try:
                return _convert(option, value, path)
            except ConfigError as error:
                errors.append(error)
        raise errors[0]
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, path)  # type: ignore[arg-type]
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigError(f"{path} must be a list; it is {value!r}.")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) != len(value):
            raise ConfigError(f"{path} must be a list of {len(kinds)}; it is {value!r}.")
        return tuple(
            _convert(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} must be a mapping; it is {value!r}.")
        return {_convert(args[0], k, path): _convert(args[1], v, f"{path}.{k}") for k, v in value.items()}
    if hint in (int, float) and isinstance(value, str):
        # YAML 1.1 reads 3e-4 as text.
        try:
            value = float(value)
        except ValueError:
            raise ConfigError(f"{path} must be a number; it is {value!r}.") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, hint) or (hint in (int, float) and isinstance(value, bool)):
        raise ConfigError(f"{path} must be of type {hint.__name__}; it is {value!r}.")
    return value


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain dicts, lists and scalars (for YAML and JSON); the inverse of ``build``."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        ConfigError: The file is missing or is not a YAML mapping.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"The configuration file {str(path)!r} does not exist. Check the path.")
    try:
        data = yaml.load(file.read_text(), _Yaml)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date, or bytes that are not UTF-8
        raise ConfigError(f"{path} is not valid YAML: {str(error).splitlines()[0]}.") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a mapping of settings; it holds {type(data).__name__}.")
    return data


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Returns ``data`` with ``a.b=value`` overrides applied; values are read as YAML.

    Raises:
        ConfigError: An override has no ``=``, goes through a scalar, or its value is not YAML.
    """
    out = json.loads(json.dumps(data))
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"An override must look like a.b=value; got {text!r}.")
        node = out
        *parents, last = key.strip().split(".")
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"The override {text!r} goes through {part!r}, which is not a group of settings.")
        try:
            node[last] = yaml.load(value, _Yaml)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: an impossible date
            reason = str(error).splitlines()[0]
            raise ConfigError(f"The value of the override {text!r} is not valid YAML: {reason}.") from None
    return out


def load(path: str | Path | None = None, overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The experiment of a YAML file (or the defaults), with overrides applied."""
    return build(ExperimentConfig, apply_overrides(read_yaml(path) if path else {}, overrides))


def content_id(config: Any) -> str:
    """16 hex digits of a configuration's content (a dataclass, or plain data)."""
    data = config if isinstance(config, (dict, list, str)) else to_dict(config)
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
