"""What a sweep ran on: versions of everything, the machine, and the state of the checkout."""

from __future__ import annotations

import getpass
import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, NamedTuple

#: A larger difference is cut: it is evidence, not a backup.
MAX_DIFF_CHARS = 1_000_000


def environment() -> dict[str, Any]:
    """Python, the machine, and every installed package with its version."""
    packages = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def who_and_how() -> dict[str, str]:
    """MLflow's tags of who has made a run, with which command."""
    return {**who(), "mlflow.source.name": sys.argv[0], "mlflow.source.type": "LOCAL"}


def who() -> dict[str, str]:
    """MLflow's tag of who has made a run."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's number without a name
        user = str(os.getuid())
    return {"mlflow.user": user}


class GitState(NamedTuple):
    """A checkout."""

    commit: str
    branch: str
    diff: str  #: of tracked files against the commit; "" = clean
    untracked: tuple[str, ...]

    def tags(self) -> dict[str, str]:
        """For a run; the first is the one that MLflow shows."""
        dirty = "yes" if self.diff or self.untracked else "no"
        return {"mlflow.source.git.commit": self.commit, "git.branch": self.branch, "git.dirty": dirty}


def git_state(root: Path) -> GitState | None:
    """The state of a checkout, or None if the folder is none (a node of a cluster) or there is no git."""
    commit = _git(root, "rev-parse", "HEAD")
    branch, diff = _git(root, "rev-parse", "--abbrev-ref", "HEAD"), _git(root, "diff", "HEAD")
    untracked = _git(root, "ls-files", "--others", "--exclude-standard")
    if commit is None or branch is None or diff is None or untracked is None:
        return None
    return GitState(commit.strip(), branch.strip(), diff[:MAX_DIFF_CHARS], tuple(untracked.splitlines()))


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout if done.returncode == 0 else None
