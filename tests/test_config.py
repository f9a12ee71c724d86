"""Settings: strict, typed, with the nearest name in every refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.config import ExperimentConfig, apply_overrides, build, content_id, load, to_dict
from rl_sched.errors import ConfigError
from rl_sched.registry import Registry


def test_defaults_survive_the_round_trip() -> None:
    config = ExperimentConfig()
    assert build(ExperimentConfig, to_dict(config)) == config
    assert content_id(config) == content_id(to_dict(config))
    assert content_id(config) != content_id(load(overrides=["seed=2"]))


@given(st.integers(1, 10**6), st.floats(1e-6, 1.0), st.sampled_from(["off", "sorted", "cdf"]))
def test_overrides_survive_the_round_trip(steps: int, lr: float, mode: str) -> None:
    config = load(overrides=[f"train.steps={steps}", f"ppo.lr={lr!r}", f"env.lookahead={mode}"])
    assert (config.train.steps, config.ppo.lr, config.env.lookahead) == (steps, lr, mode)
    assert build(ExperimentConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ppo.lrr=1", "Unknown key 'ppo.lrr'. Did you mean 'lr'?"),
        ("env.guide.polcy=min_min", "Unknown key 'env.guide.polcy'. Did you mean 'policy'?"),
        ("train.steps=many", "train.steps must be a number; it is 'many'."),
        ("train.steps=true", "train.steps must be of type int; it is True."),
        ("ppo.lr=fast", "ppo.lr must be a number; it is 'fast'."),
        ("ppo=3", "ppo must be a mapping of settings; it is 3."),
        ("seed", "An override must look like a.b=value; got 'seed'."),
        ("env.reward_unit=job", "env.reward_unit must be scenario, workload or geometric; it is 'job'."),
        ("env.guide.params=[1]", "env.guide.params must be a mapping; it is [1]."),
        ("seed=-1", "seed must be >= 0; it is -1."),
        ("train.steps=0", "train.steps must be >= 1; it is 0."),
        ("train.val_every=-5", "train.val_every must be >= 1; it is -5."),
        ("ppo.minibatch=0", "ppo.minibatch must be >= 1; it is 0."),
        ("ppo.lr=.nan", "ppo.lr must be > 0; it is nan."),
        ("ppo.gamma=1.5", "ppo.gamma must be between 0 and 1; it is 1.5."),
        ("ppo.entropy=-0.1", "ppo.entropy must be >= 0; it is -0.1."),
        ("network.heads=0", "network.heads must be >= 1; it is 0."),
    ],
)
def test_mistakes_are_one_sentence(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(overrides=[override])
    assert str(error.value) == message


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text("ppo: {lr: 3e-4, epochs: 4}\ntrain: {steps: 1e5}\nenv: {lookahead: off}\n")
    config = load(file)
    assert (config.ppo.lr, config.train.steps, config.env.lookahead) == (3e-4, 100_000, "off")


def test_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.yaml")
    for text, message in (("- 1\n", "must hold a mapping"), ("a: [1\n", "is not valid YAML")):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            load(tmp_path / "bad.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert load(tmp_path / "empty.yaml") == ExperimentConfig()


@pytest.mark.parametrize("value", ["[1,2", "2024-13-45", "'"])
def test_an_override_that_is_not_yaml_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="The value of the override .* is not valid YAML") as error:
        load(overrides=[f"a={value}"])
    assert "\n" not in str(error.value)


def test_an_override_through_a_scalar_is_refused() -> None:
    with pytest.raises(ConfigError, match="goes through 'seed'"):
        apply_overrides({"seed": 1}, ["seed.x=2"])


@dataclass(frozen=True)
class Leaf:
    size: int
    names: tuple[str, ...] = ()
    maybe: float | None = None
    table: dict[str, int] = field(default_factory=dict)


def test_kinds_of_fields() -> None:
    leaf = build(Leaf, {"size": 2.0, "names": ["a"], "maybe": None, "table": {"x": 1}})
    assert leaf == Leaf(2, ("a",), None, {"x": 1})
    with pytest.raises(ConfigError, match="Key 'size' is required"):
        build(Leaf, {})
    with pytest.raises(ConfigError, match="names must be a list"):
        build(Leaf, {"size": 1, "names": "abc"})
    with pytest.raises(ConfigError, match=r"names\[1\] must be of type str"):
        build(Leaf, {"size": 1, "names": ["a", 2]})


def test_registry() -> None:
    registry = Registry("thing", {"leaf": "collections:OrderedDict", "path": "pathlib:Path"})
    assert registry.load("path") is Path
    assert list(registry) == ["leaf", "path"] and len(registry) == 2 and "leaf" in registry
    with pytest.raises(ConfigError, match="Unknown thing 'laef'. Did you mean 'leaf'"):
        registry.create("laef")
    with pytest.raises(ConfigError, match="Known: leaf, path"):
        registry.load("zzzz")
