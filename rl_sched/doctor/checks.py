"""What must hold on the machines of a cluster, and how to mend it where it does not."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple

from rl_sched.doctor.nodes import TRUST, Answer, Cluster
from rl_sched.provenance import package_hash
from rl_sched.tracking.store import DATA_VARIABLE

#: Clocks that differ by more confuse logs, timelines and make.
MAX_SKEW_S = 2.0
#: The environment takes 6 GB of a home; a sweep's folder about 2 MB a trial.
MIN_HOME_BYTES, MIN_DATA_BYTES = 2 * 1024**3, 5 * 1024**3
_GB = 1024**3
#: Where everything is brought up to date.
UP = "ray up -y {path}"


class Finding(NamedTuple):
    """The result of one check on one machine."""

    node: str
    check: str
    fault: str  #: what is wrong; "" = it is as it must be
    mend: str  #: a command or an action

    @property
    def ok(self) -> bool:
        """Whether the check has passed."""
        return not self.fault


Answers = Mapping[str, Answer]
#: Yields machine, fault ("" = fine) and mend.
Check = Callable[[Cluster, Answers], Iterator[tuple[str, str, str]]]


def examine(cluster: Cluster, answers: Answers) -> list[Finding]:
    """All checks on all machines; those that do not answer fail the first one and are left out of the others."""
    alive = {node: answer for node, answer in answers.items() if not answer.error}
    found = [Finding(node, "ssh", *rest) for node, *rest in _ssh(cluster, answers)]
    return found + [
        Finding(node, name, *rest) for name, check in CHECKS.items() for node, *rest in check(cluster, alive)
    ]


def here() -> list[Finding]:
    """What this machine needs to reach the others."""
    found = []
    for program, package in (("ssh", "openssh-client"), ("rsync", "rsync")):
        fault = "" if shutil.which(program) else f"{program} is not installed"
        found.append(Finding("here", program, fault, f"sudo apt-get install -y {package}"))
    return found


def _ssh(cluster: Cluster, answers: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in answers.items():
        key = f" -i {cluster.key}.pub" if cluster.key else ""
        mend = f"switch it on, check the address; if it asks for a password: ssh-copy-id{key} {cluster.user}@{node}"
        yield node, answer.error, mend


def _rsync(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in alive.items():
        fault = "" if answer.facts["rsync"] else "rsync is not installed"
        yield node, fault, cluster.command(node, "sudo apt-get install -y rsync")


def _python(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    mine = platform.python_version_tuple()[:2]  # Ray compares these two numbers
    for node, answer in alive.items():
        its, where = answer.facts["python"], answer.facts["executable"]
        fault = "" if tuple(its.split(".")[:2]) == mine else f"Python {its} ({where}); here it is {'.'.join(mine)}"
        yield node, fault, f"install Python {'.'.join(mine)} with venv, then {_up(cluster)}"


def _ray(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in alive.items():
        its = answer.facts["ray"]
        yield (
            node,
            "" if its == version("ray") else f"{_ray_text(its)}; this machine has {version('ray')}",
            _up(cluster),
        )


def _ray_text(its: str) -> str:
    return f"Ray {its}" if its else "no Ray in its environment"


def _clock(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in alive.items():
        # Half of the answer's time may have passed before the clock was read.
        skew_s = max(abs(answer.skew_s) - answer.took_s / 2, 0.0)
        fault = "" if skew_s <= MAX_SKEW_S else f"its clock is {answer.skew_s:+.1f} s from this machine's"
        yield node, fault, cluster.command(node, "sudo timedatectl set-ntp true")


def _disk(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in alive.items():
        places = [("its home", answer.facts["home_free"], MIN_HOME_BYTES)]
        if answer.facts["storage"]:
            places.append((answer.facts["data"], answer.facts["data_free"], MIN_DATA_BYTES))
        short = [
            f"{place} has {free / _GB:.1f} GB free; {need / _GB:.0f} GB are needed"
            for place, free, need in places
            if free < need
        ]
        yield node, "; ".join(short), cluster.command(node, "df -h")


def _storage(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in alive.items():
        folder, state = answer.facts["data"], answer.facts["storage"]
        mend = cluster.command(node, f"sudo mount -t nfs SERVER:/PATH {folder or '/mnt/rl_sched'}")
        if not folder:
            yield node, f"{DATA_VARIABLE} is not set there, and {cluster.path} does not name it", _up(cluster)
        elif not state:
            yield node, f"there is no folder {folder}", mend
        elif not state["writable"]:
            yield (
                node,
                f"{folder} cannot be written ({state['error']})",
                cluster.command(node, f"sudo chown {cluster.user} {folder}"),
            )
        else:
            unseen = [other for other in alive if other not in state.get("seen", [])]
            fault = f"{folder} is not the same as on {', '.join(unseen)}" if unseen else ""
            yield node, fault, mend


def _code(cluster: Cluster, alive: Answers) -> Iterator[tuple[str, str, str]]:
    for node, answer in alive.items():
        its = answer.facts["code"]
        if not its:
            yield node, "the package is not installed in its environment", _up(cluster)
            continue
        fault = (
            ""
            if its == package_hash()
            else f"its package is {its} ({answer.facts['package']}); here it is {package_hash()}"
        )
        ssh = " ".join(["ssh", *(["-i", cluster.key] if cluster.key else []), *TRUST])
        there = cluster.package.removeprefix("~/")
        copy = f"rsync -a --delete --exclude __pycache__ -e '{ssh}' rl_sched/ {cluster.user}@{node}:{there}/"
        yield node, fault, copy


def _up(cluster: Cluster) -> str:
    return UP.format(path=cluster.path)


#: Name -> check, in the order in which they are shown.
CHECKS: dict[str, Check] = {
    "rsync": _rsync,
    "python": _python,
    "ray": _ray,
    "clock": _clock,
    "disk": _disk,
    "storage": _storage,
    "code": _code,
}


def summary(cluster: Cluster, findings: Sequence[Finding]) -> list[list[str]]:
    """A table: a line for each machine, a column for each check."""
    names = ["ssh", *CHECKS]
    state = {(f.node, f.check): "ok" if f.ok else "FAULT" for f in findings}
    return [[node, *(state.get((node, name), "?") for name in names)] for node in cluster.nodes]
