"""The machines of a ``cluster.yaml``, and what they say over ssh."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rl_sched.config import read_yaml
from rl_sched.errors import ConfigError
from rl_sched.tracking.store import DATA_VARIABLE

_PROBE = Path(__file__).with_name("probe.py")
#: A machine that does not answer by then is away.
CONNECT_S = 10
#: As Ray does: a machine that was installed anew has a new host key.
TRUST = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
ANSWER_S = 60


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the doctor needs of a cluster.yaml."""

    path: Path
    head: str
    workers: tuple[str, ...]
    user: str
    key: str | None
    package: str  #: where file_mounts put the package
    data: str  #: the shared folder that its commands name; "" = none does

    @property
    def nodes(self) -> tuple[str, ...]:
        """All addresses, the head first."""
        return (self.head, *self.workers)

    @property
    def ssh(self) -> list[str]:
        """The words before ``USER@ADDRESS``; nothing is asked."""
        key = ["-i", os.path.expanduser(self.key)] if self.key else []
        return ["ssh", *key, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}", *TRUST]

    def command(self, address: str, what: str) -> str:
        """A command line that runs something on a machine, to be typed."""
        key = f" -i {self.key}" if self.key else ""
        return f"ssh{key} {self.user}@{address} {shlex.quote(what)}"


class Answer(NamedTuple):
    """What a machine says, or why it does not."""

    facts: Mapping[str, Any]
    error: str
    skew_s: float  #: its clock minus ours; at least half the time of the answer is not known
    took_s: float


def read_cluster(path: Path) -> Cluster:
    """Reads a cluster.yaml for machines of your own.

    Raises:
        ConfigError: The file is missing, is for a cloud, or lacks a field.
    """
    data = read_yaml(path)
    try:
        provider, auth = data["provider"], data["auth"]
        kind = provider["type"]
        if kind != "local":
            raise ConfigError(
                f"provider.type in {path} must be local for the doctor: it knows machines by address; it is {kind!r}. "
                "A cloud's machines are new each time: the sweep itself looks at them before it starts."
            )
        head, workers = str(provider["head_ip"]), tuple(map(str, provider["worker_ips"]))
        user, key = str(auth["ssh_user"]), auth.get("ssh_private_key")
        (package,) = (there for there, here in data["file_mounts"].items() if Path(here).name == "rl_sched")
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} must have provider.head_ip, provider.worker_ips, auth.ssh_user and file_mounts; "
            f"{error} is missing."
        ) from None
    except ValueError:
        raise ConfigError(f"One of file_mounts in {path} must bring the folder rl_sched to the machines.") from None
    named = re.search(rf"{DATA_VARIABLE}=(\S+)", " ".join(map(str, data.get("setup_commands", []))))
    return Cluster(path, head, workers, user, key, str(package), named[1] if named else "")


def ask_all(cluster: Cluster, token: str) -> dict[str, Answer]:
    """Asks all machines at once, twice: each marks the shared storage, then tells whose marks it sees."""
    with ThreadPoolExecutor(max_workers=32) as pool:
        first = dict(zip(cluster.nodes, pool.map(lambda n: ask(cluster, n, [token]), cluster.nodes), strict=True))
        alive = [node for node, answer in first.items() if not answer.error]
        second = dict(zip(alive, pool.map(lambda n: ask(cluster, n, [token, "end"]), alive), strict=True))
    for node, answer in second.items():
        seen = dict(answer.facts.get("storage", {}))
        merged = {**first[node].facts, "storage": {**first[node].facts["storage"], **seen}}
        first[node] = first[node]._replace(facts=merged)
    for node in alive:
        if folder := first[node].facts["data"]:
            # Whoever sees them removes them.
            marks = shlex.quote(f"{folder}/.doctor-{token}")
            subprocess.run(
                [*cluster.ssh, f"{cluster.user}@{node}", f"rm -rf {marks}"], capture_output=True, timeout=ANSWER_S
            )
    return first


def ask(cluster: Cluster, node: str, arguments: Sequence[str]) -> Answer:
    """Runs the probe on a machine, in the shell that Ray's commands will have: they source ``.bashrc`` themselves."""
    probe = " ".join(shlex.quote(word) for word in (node, cluster.data, *arguments))
    inside = f"source ~/.bashrc; if command -v python >/dev/null; then python - {probe}; else python3 - {probe}; fi"
    words = [*cluster.ssh, f"{cluster.user}@{node}", f"bash --login -i -c {shlex.quote(inside)}"]
    begin_s = time.time()
    try:
        with _PROBE.open() as source:
            done = subprocess.run(words, stdin=source, capture_output=True, text=True, timeout=ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer({}, str(error), 0.0, 0.0)
    took_s = time.time() - begin_s
    for line in done.stdout.splitlines():
        if line.startswith("PROBE"):
            facts = json.loads(line.removeprefix("PROBE"))
            return Answer(facts, "", facts["time_s"] - (begin_s + took_s / 2), took_s)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return Answer({}, lines[-1], 0.0, took_s)
