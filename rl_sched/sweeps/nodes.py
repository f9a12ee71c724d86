"""A Ray cluster under a sweep: joining it, and refusing to start on nodes that would run something else.

The classic failure of a cluster is a node with last week's package: its trials succeed, and mean nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import secrets
import socket
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched.errors import SweepError
from rl_sched.provenance import package_hash

#: Ray's own variable: the cluster that a driver joins.
ADDRESS = "RAY_ADDRESS"
#: Hash of the code that a sweep was started with, in the environment of its workers.
CODE = "RL_SCHED_CODE"
#: How the nodes of a cluster get the present code and environment.
UP = "`ray up -y cluster.yaml`, where cluster.yaml is"
#: What ``ray up`` leaves on the head for those who update the workers.
BOOTSTRAP, BOOTSTRAP_KEY = Path("~/ray_bootstrap_config.yaml"), "~/ray_bootstrap_key.pem"
#: A node answers within this time, the start of a worker process on it included.
ANSWER_S = 120.0


class NodeFacts(NamedTuple):
    """What a node says of itself."""

    host: str
    code: str  #: hash of the package
    python: str
    ray: str
    sees_storage: bool  #: the sweep's folder is the driver's


def facts(token: Path) -> NodeFacts:
    """Looks around on the node that calls it."""
    return NodeFacts(
        socket.gethostname(), package_hash(), platform.python_version(), version("ray"), sees_storage=token.is_file()
    )


@contextlib.contextmanager
def joined(address: str, root: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """Joins a running cluster for a sweep, after a look at every node; yields the number of its CPUs.

    Args:
        address: Of the cluster, or ``auto`` on one of its nodes.
        root: The sweep's folder, which every node must see.
        environment: Variables of the trials' processes.

    Raises:
        SweepError: There is no cluster, or a node has other code, another Python or Ray, or not the storage.
    """
    import ray

    environment = {**environment, CODE: package_hash()}
    try:
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": environment}
        )
    except Exception as error:
        raise SweepError(
            f"{ADDRESS} must name a running Ray cluster; it is {address!r}, and Ray says: "
            f"{str(error).splitlines()[0]} Start the cluster ({UP}), or unset {ADDRESS} to use this machine alone."
        ) from error
    try:
        check_nodes(root)
        yield int(ray.cluster_resources().get("CPU", 0))
    finally:
        ray.shutdown()


def check_nodes(root: Path) -> None:
    """Asks every node of the cluster what it would run.

    Raises:
        SweepError: A node is not as this driver is; the message names it, and the command that mends it.
    """
    token = root.resolve() / f".nodes-{secrets.token_hex(4)}"
    token.touch()
    try:
        answers = _ask_all(token)
    finally:
        token.unlink(missing_ok=True)
    mine = facts(root)
    if faults := [fault for address, answer in sorted(answers.items()) for fault in _faults(address, answer, mine)]:
        raise SweepError(
            f"Every node must run what this driver runs (code {mine.code}, Python {mine.python}, Ray {mine.ray}) and "
            f"see {root.resolve()}. {' '.join(faults)} Nothing was started. When that is mended, repeat this command; "
            "`python -m rl_sched.doctor cluster.yaml` looks at every node."
        )


def check_code() -> None:
    """Raises if this worker's package is not the one that the sweep was started with (a node that came later).

    Raises:
        SweepError: It is not.
    """
    expected = os.environ.get(CODE)
    if expected and expected != package_hash():
        raise SweepError(
            f"Every node must run the sweep's code ({expected}); {socket.gethostname()} runs {package_hash()}. "
            f"Bring it up to date with {UP}, then repeat the command."
        )


def _ask_all(token: Path) -> dict[str, NodeFacts | Exception]:
    """Address of each live node -> its facts, or why there are none."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def ask(node_id: str) -> Any:
        here = NodeAffinitySchedulingStrategy(node_id, soft=False)
        return ray.remote(facts).options(num_cpus=0, scheduling_strategy=here, max_retries=0).remote(token)

    asked = {node["NodeManagerAddress"]: ask(node["NodeID"]) for node in ray.nodes() if node["Alive"]}
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
    answers: dict[str, NodeFacts | Exception] = {}
    for address, reference in asked.items():
        try:
            answers[address] = ray.get(reference, timeout=1.0)
        except Exception as error:
            # Old code may lack this very module.
            answers[address] = error
    return answers


def _faults(address: str, answer: NodeFacts | Exception, mine: NodeFacts) -> Iterator[str]:
    if isinstance(answer, Exception):
        lines = str(answer).strip().splitlines() or [type(answer).__name__]
        yield f"Node {address} does not answer ({lines[-1]}): {update_command(address)}."
        return
    name = f"Node {address} ({answer.host})"
    if answer.code != mine.code:
        yield f"{name} has code {answer.code}: {update_command(address)}."
    for what in ("python", "ray"):
        if getattr(answer, what) != getattr(mine, what):
            yield f"{name} has {what.capitalize()} {getattr(answer, what)}: {UP}."
    if not answer.sees_storage:
        yield f"{name} does not see that folder: mount the shared storage there."


def update_command(address: str) -> str:
    """How a node gets this driver's package, files that are gone included (``ray up`` deletes none).

    On a head that ``ray up`` has made, the command that copies it from there; elsewhere that of ``ray up``.
    """
    try:
        auth = json.loads(BOOTSTRAP.expanduser().read_text())["auth"]
        user = auth["ssh_user"]
    except (OSError, ValueError, KeyError):
        return UP
    package = Path(__file__).resolve().parents[1]
    there = Path(os.path.relpath(package, Path.home()))
    key = f" -i {BOOTSTRAP_KEY}" if "ssh_private_key" in auth else ""
    ssh = f"'ssh{key} -o StrictHostKeyChecking=no'"
    return f"`rsync -a --delete --exclude __pycache__ -e {ssh} {package}/ {user}@{address}:{there}/` on the head"
