"""A sweep looks at every node of a cluster before it starts, and says how to mend those that differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rl_sched.errors import SweepError
from rl_sched.provenance import package_hash
from rl_sched.sweeps import nodes
from rl_sched.sweeps.nodes import CODE, NodeFacts, check_code, check_nodes, facts, joined, update_command

MINE = NodeFacts("head", package_hash(), "3.11.7", "2.60.0", True)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that no `ray up` has been at."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def _check(monkeypatch: pytest.MonkeyPatch, root: Path, **answers) -> None:
    monkeypatch.setattr(nodes, "facts", lambda token: MINE)
    monkeypatch.setattr(nodes, "_ask_all", lambda token: {a.replace("_", "."): answer for a, answer in answers.items()})
    check_nodes(root)


def test_nodes_that_are_alike_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _check(monkeypatch, tmp_path, n1=MINE, n2=MINE._replace(host="worker"))
    assert list(tmp_path.glob(".nodes-*")) == [], "no mark is left"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (MINE._replace(host="w", code="0" * 16), r"Node n2 \(w\) has code 0000000000000000: `ray up -y cluster.yaml`"),
        (MINE._replace(host="w", ray="2.9.0"), r"Node n2 \(w\) has Ray 2.9.0: `ray up"),
        (MINE._replace(host="w", python="3.12.1"), r"has Python 3.12.1"),
        (MINE._replace(sees_storage=False), "does not see that folder: mount the shared storage there"),
        (ModuleNotFoundError("No module named 'rl_sched'"), r"Node n2 does not answer \(No module named 'rl_sched'\)"),
    ],
)
def test_a_node_that_differs_stops_the_sweep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: NodeFacts | Exception, fault: str
) -> None:
    with pytest.raises(SweepError, match=f"Every node must run .*{fault}.* Nothing was started"):
        _check(monkeypatch, tmp_path, n1=MINE, n2=answer)
    assert list(tmp_path.glob(".nodes-*")) == []


def test_on_the_head_of_a_launched_cluster_the_command_is_exact(home: Path) -> None:
    assert update_command("10.0.0.12").startswith("`ray up -y cluster.yaml`")
    (home / "ray_bootstrap_config.yaml").write_text(json.dumps({"auth": {"ssh_user": "u", "ssh_private_key": "~/k"}}))
    package = Path(nodes.__file__).resolve().parents[1]
    command = update_command("10.0.0.12")
    assert command.startswith("`rsync -a --delete --exclude __pycache__ -e 'ssh -i ~/ray_bootstrap_key.pem ")
    assert f"{package}/ u@10.0.0.12:" in command and command.endswith("` on the head")


def test_facts_are_those_of_this_machine(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert not facts(token).sees_storage
    token.touch()
    assert facts(token).sees_storage and facts(token).code == package_hash()


def test_a_node_that_joins_later_with_other_code_refuses_its_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CODE, raising=False)
    check_code()
    monkeypatch.setenv(CODE, package_hash())
    check_code()
    monkeypatch.setenv(CODE, "0" * 16)
    with pytest.raises(SweepError, match=f"must run the sweep's code .0000000000000000.; .* runs {package_hash()}"):
        check_code()


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ray

    def refuse(**settings: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nmore")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(SweepError, match="RAY_ADDRESS must name a running Ray cluster; it is 'auto'.* or unset"):
        with joined("auto", tmp_path, {}):
            pass
