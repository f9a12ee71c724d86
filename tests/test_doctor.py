"""The doctor of clusters: every check finds its fault and says how to mend it. `ssh` is played by a local shell."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from rl_sched.doctor import __main__ as verb
from rl_sched.doctor.checks import CHECKS, examine
from rl_sched.doctor.nodes import Answer, Cluster, read_cluster
from rl_sched.errors import ConfigError
from rl_sched.provenance import package_hash

HEAD, WORKER = "10.0.0.10", "10.0.0.11"
CLUSTER = Cluster(Path("cluster.yaml"), HEAD, (WORKER,), "ubuntu", "~/.ssh/key", "~/rl_sched/rl_sched", "/mnt/rl_sched")


def _facts(**change) -> dict:
    from importlib.metadata import version

    healthy = {
        "python": "3.11.2", "executable": "/usr/bin/python3", "ray": version("ray"), "code": package_hash(),
        "package": "/home/ubuntu/rl_sched/rl_sched", "rsync": "/usr/bin/rsync", "data": "/mnt/rl_sched",
        "home_free": 10**12, "data_free": 10**12, "storage": {"writable": True, "error": "", "seen": [HEAD, WORKER]},
    }  # fmt: skip
    return {**healthy, **change}


def _answer(skew_s: float = 0.1, error: str = "", **change) -> Answer:
    return Answer({} if error else _facts(**change), error, skew_s, 0.2)


def test_healthy_machines_have_no_fault() -> None:
    findings = examine(CLUSTER, {HEAD: _answer(), WORKER: _answer()})
    assert [f for f in findings if not f.ok] == [] and len(findings) == 2 * (1 + len(CHECKS))


@pytest.mark.parametrize(
    ("check", "sick", "fault", "mend"),
    [
        ("ssh", _answer(error="Permission denied (publickey)."), "Permission denied", "ssh-copy-id -i ~/.ssh/key.pub"),
        ("rsync", _answer(rsync=""), "not installed", f"ssh -i ~/.ssh/key ubuntu@{WORKER} 'sudo apt-get install"),
        ("python", _answer(python="3.9.18"), r"Python 3.9.18 \(/usr/bin/python3\); here it is 3.11", "install Python"),
        ("ray", _answer(ray="2.9.0"), "Ray 2.9.0; this machine has", "ray up -y cluster.yaml"),
        ("ray", _answer(ray=""), "no Ray in its environment", "ray up -y cluster.yaml"),
        ("clock", _answer(skew_s=-60.0), "-60.0 s from this machine's", "timedatectl set-ntp true"),
        ("disk", _answer(data_free=10**9), "/mnt/rl_sched has 0.9 GB free; 5 GB are needed", "df -h"),
        ("disk", _answer(home_free=0), "its home has 0.0 GB free; 2 GB are needed", "df -h"),
        ("storage", _answer(storage={}), "there is no folder /mnt/rl_sched", "sudo mount -t nfs"),
        (
            "storage",
            _answer(storage={"writable": False, "error": "Read-only file system", "seen": []}),
            r"cannot be written \(Read-only file system\)",
            "sudo chown ubuntu /mnt/rl_sched",
        ),
        (
            "storage",
            _answer(storage={"writable": True, "error": "", "seen": [WORKER]}),
            f"not the same as on {HEAD}",
            "sudo mount -t nfs",
        ),
        ("storage", _answer(data="", storage={}), "RL_SCHED_DATA is not set there", "ray up"),
        ("code", _answer(code=""), "the package is not installed", "ray up -y cluster.yaml"),
        (
            "code",
            _answer(code="0" * 16),
            "its package is 0000000000000000",
            f"/dev/null -o LogLevel=ERROR' rl_sched/ ubuntu@{WORKER}:rl_sched/rl_sched/",
        ),
    ],
)  # fmt: skip
def test_each_check_finds_its_fault_and_no_other(check: str, sick: Answer, fault: str, mend: str) -> None:
    (found,) = [f for f in examine(CLUSTER, {HEAD: _answer(), WORKER: sick}) if not f.ok]
    assert (found.node, found.check) == (WORKER, check)
    assert re.search(fault, found.fault) and mend in found.mend


def test_a_slow_answer_is_not_a_wrong_clock() -> None:
    slow = Answer(_facts(), "", 4.0, 9.0)
    assert all(f.ok for f in examine(CLUSTER, {HEAD: slow}) if f.check == "clock")


def test_the_committed_file_is_read(repository: Path) -> None:
    cluster = read_cluster(repository / "cluster.yaml")
    assert cluster.nodes == (HEAD, WORKER, "10.0.0.12") and cluster.package == "~/rl_sched/rl_sched"
    assert cluster.data == "/mnt/rl_sched" and cluster.user == "ubuntu"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"provider": {"type": "aws"}}, "must be local for the doctor.*it is 'aws'"),
        ({"provider": {"type": "local", "head_ip": "a"}}, "'worker_ips' is missing"),
        ({"file_mounts": {"~/x": "elsewhere"}}, "must bring the folder rl_sched"),
    ],
)
def test_other_files_are_refused_in_one_sentence(repository: Path, tmp_path: Path, change: dict, message: str) -> None:
    data = yaml.safe_load((repository / "cluster.yaml").read_text())
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({**data, **change}))
    with pytest.raises(ConfigError, match=message):
        read_cluster(file)


@pytest.fixture
def machines(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two machines: folders whose login shell has this environment and one shared folder; and their cluster.yaml."""
    (tmp_path / "shared").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    for node in (HEAD, WORKER):
        home = tmp_path / node
        home.mkdir()
        (home / ".bashrc").write_text(
            # A login shell may begin with a PATH of its own, so the programs are named here as well.
            f"export PATH={Path(sys.executable).parent}:{programs}:$PATH PYTHONPATH={repository} "
            f"RL_SCHED_DATA={tmp_path}/shared\n"
        )
    ssh = programs / "ssh"
    ssh.write_text(
        "#!/bin/bash\nfor word; do case $word in *@*) node=${word#*@};; esac; done\n"
        f'cd "{tmp_path}/$node" && HOME=$PWD exec bash -c "${{@: -1}}"\n'
    )
    (programs / "rsync").write_text("#!/bin/sh\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    data = yaml.safe_load((repository / "cluster.yaml").read_text())
    data["provider"]["worker_ips"] = [WORKER]
    (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(data))
    return tmp_path


def test_it_asks_all_machines_and_leaves_no_trace(machines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bashrc = machines / WORKER / ".bashrc"
    assert verb.main([str(machines / "cluster.yaml")]) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "All 2 machines are ready." in out and "FAULT" not in out
    assert list((machines / "shared").iterdir()) == []

    # A folder of the same name that is not the shared one, and a package that cannot be imported.
    (machines / "own").mkdir()
    bashrc.write_text(bashrc.read_text().replace("/shared", "/own").replace("PYTHONPATH", "NO_PATH"))
    assert verb.main([str(machines / "cluster.yaml")]) == 1
    out = capsys.readouterr().out
    assert re.search(rf"{WORKER}, storage: .*/own is not the same as on {HEAD}\.", out)
    (machines / WORKER).rename(machines / "gone")
    assert verb.main([str(machines / "cluster.yaml")]) == 1
    out = capsys.readouterr().out
    assert f"{WORKER}, ssh: " in out and f"ssh-copy-id -i ~/.ssh/id_ed25519.pub ubuntu@{WORKER}" in out
    assert list((machines / "own").iterdir()) == []
