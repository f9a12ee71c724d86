"""Machines of a cluster on this one: each has its own network, processes, mounts, HOME and sshd.

Killing a host's first process is a power cut, and nothing inside a host can see a process outside: Ray's own
``ray stop`` ends the Ray of one host and no other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

#: Every host's home folder, bound to a folder of its own.
HOME = Path("/home/rayhost")
BRIDGE, PREFIX = "brlab0", "10.77.0"
SSHD = "/usr/sbin/sshd"

BOOT = """
set -e
mount --make-rprivate /
mkdir -p /tmp/ray; mount --bind {root}/tmpray /tmp/ray
mount --bind {root}/home {home}
mount --bind {root}/passwd /etc/passwd
mount -t tmpfs -o size=4g tmpfs /dev/shm
hostname {name}
# `ray stop` kills what it sees: refuse to go on if that were more than this host.
[ $(ls -d /proc/[0-9]* | wc -l) -lt 20 ]
exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin {sshd} -D -e -f {root}/sshd_config
"""
SSHD_CONFIG = """
Port 22
ListenAddress {ip}
HostKey {root}/hostkey
AuthorizedKeysFile {key}.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
PidFile none
MaxSessions 64
MaxStartups 64
"""


def missing() -> str | None:
    """Why there can be no hosts here, or None."""
    if os.geteuid() != 0:
        return "root is needed, for network namespaces"
    for program, package in (
        (SSHD, "openssh-server"), ("rsync", "rsync"), ("ip", "iproute2"), ("unshare", "util-linux"),
    ):  # fmt: skip
        if shutil.which(program) is None:
            return f"{program} is needed: apt-get install {package}"
    probe = "ip link add labprobe type bridge && ip link del labprobe && unshare --pid --fork --mount --uts --ipc true"
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True)
    return f"namespaces are not allowed here: {done.stderr.strip()}" if done.returncode else None


class Host:
    """One machine, switched on by ``boot``.

    Args:
        lab: Folder of all hosts.
        name: Its host name.
        number: The last part of its address.
    """

    def __init__(self, lab: Path, name: str, number: int) -> None:
        self.name, self.ip = name, f"{PREFIX}.{number}"
        self.root = lab / "hosts" / name
        self.home = self.root / "home"
        self._key = lab / "key"
        self._process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Switches it on; returns when it answers."""
        for folder in (self.home, self.root / "tmpray", HOME, Path("/run/sshd")):
            folder.mkdir(parents=True, exist_ok=True)
        passwd = Path("/etc/passwd").read_text().splitlines()
        passwd = [f"root:x:0:0:root:{HOME}:/bin/bash" if line.startswith("root:") else line for line in passwd]
        (self.root / "passwd").write_text("\n".join(passwd) + "\n")
        if not (self.root / "hostkey").exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.root / "hostkey"))
        (self.root / "sshd_config").write_text(SSHD_CONFIG.format(ip=self.ip, root=self.root, key=self._key))
        (self.root / "boot.sh").write_text(BOOT.format(root=self.root, home=HOME, name=self.name, sshd=SSHD))
        (self.home / ".bashrc").touch()
        namespace, cable = f"lab_{self.name}", f"v{self.name}"
        _run("ip", "netns", "add", namespace)
        _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _run("ip", "link", "set", cable, "master", BRIDGE, "up")
        for words in ("link set lo up", f"addr replace {self.ip}/24 dev eth0", "link set eth0 up"):
            _run("ip", "-n", namespace, *words.split())
        _run("ip", "-n", namespace, "route", "replace", "default", "via", f"{PREFIX}.1")
        spaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--mount-proc"]
        with (self.root / "sshd.log").open("w") as log:
            self._process = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *spaces, "bash", str(self.root / "boot.sh")],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while self.ssh("true").returncode != 0:
            assert time.monotonic() < deadline, (self.root / "sshd.log").read_text()
            time.sleep(0.3)

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in a login shell of the host."""
        options = ["-i", str(self._key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        words = ["ssh", *options, "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", f"root@{self.ip}"]
        quoted = "'" + command.replace("'", "'\\''") + "'"
        return subprocess.run([*words, f"bash --login -i -c {quoted}"], capture_output=True, text=True, timeout=300)

    def unplug(self) -> None:
        """Cuts the power: every process of the host is gone at once, and so is its network.

        By the processes in its network, so that it also ends a host that a killed test has left behind.
        """
        namespace = f"lab_{self.name}"
        found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
        for pid in found.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if self._process is not None:
            self._process.wait(timeout=30)
            self._process = None
        subprocess.run(["ip", "link", "del", f"v{self.name}"], capture_output=True)
        subprocess.run(["ip", "netns", "del", namespace], capture_output=True)


class Lab:
    """A head and its workers on one bridge.

    Args:
        folder: Where everything of the hosts is.
        repository: The checkout whose cluster.yaml they are for.
    """

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder, self.repository = folder, repository
        self.shared = folder / "shared"
        self.head = Host(folder, "head", 10)
        self.workers = [Host(folder, f"worker{n}", 10 + n) for n in (1, 2)]
        self.cluster_yaml = folder / "cluster.yaml"

    @property
    def hosts(self) -> list[Host]:
        """All hosts, the head first."""
        return [self.head, *self.workers]

    def up(self, num_cpus: int, **environment: object) -> None:
        """Boots all hosts and writes the checkout's cluster.yaml for them.

        Args:
            num_cpus: CPUs that Ray uses of each host.
            environment: Further variables on every host.
        """
        self.down()  # of a test that was killed
        self.shared.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "key").exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "key"))
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{PREFIX}.1/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        for host in self.hosts:
            host.boot()
        token = self.head.home / ".ray" / "auth_token"  # Ray leaves one behind on a machine that ran a sweep by itself
        token.parent.mkdir(exist_ok=True)
        token.write_text("0123456789abcdef" * 4)
        self.cluster_yaml.write_text(yaml.safe_dump(self._describe(num_cpus, environment), sort_keys=False))

    def down(self) -> None:
        """Switches everything off."""
        for host in self.hosts:
            host.unplug()
        subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True)

    def _describe(self, num_cpus: int, environment: dict[str, object]) -> dict[str, Any]:
        """The committed cluster.yaml with these hosts; they have no internet to install the environment from."""
        text = (self.repository / "cluster.yaml").read_text().replace("/mnt/rl_sched", str(self.shared))
        exports = "".join(f"\nexport {name}={value}" for name, value in environment.items())
        description = yaml.safe_load(text)
        description["provider"] |= {"head_ip": self.head.ip, "worker_ips": [w.ip for w in self.workers]}
        description["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.folder / "key")}
        setup = description["setup_commands"]
        (place,) = (i for i, command in enumerate(setup) if command.startswith("make "))
        setup[place] = f"bash {self._installer()}"
        (place,) = (i for i, command in enumerate(setup) if command.startswith("cat "))
        setup[place] = setup[place].replace("\nEND", f"{exports}\nEND")
        for kind in ("head", "worker"):
            commands = description[f"{kind}_start_ray_commands"]
            commands[:] = [c.replace("ray start ", f"ray start --num-cpus={num_cpus} ") for c in commands]
        return description

    def _installer(self) -> Path:
        """A script that stands for ``make setup``: an environment that borrows this one's packages."""
        script = self.folder / "install.sh"
        environment = Path(sys.prefix)
        packages = next(environment.glob("lib/python3.*/site-packages"))
        base = Path(sys.executable).resolve()
        script.write_text(
            "set -e\ncd ~/rl_sched\n"
            f"[ -x .venv/bin/python ] || {base} -m venv --without-pip .venv\n"
            f"printf '%s\\n' ~/rl_sched {packages} > .venv/lib/{packages.parent.name}/site-packages/lab.pth\n"
            f'sed "1s|.*|#!$HOME/rl_sched/.venv/bin/python|" {environment}/bin/ray > .venv/bin/ray\n'
            "chmod +x .venv/bin/ray\n"
        )
        return script


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
