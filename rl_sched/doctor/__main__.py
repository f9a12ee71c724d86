"""Says whether the machines of a cluster can run a sweep, and how to mend each that cannot.

Looks at ssh, rsync, the versions of Python and Ray, clocks, disks, the shared storage, and the code on every machine.
Changes nothing. Exit code 0 = all is well, 1 = something must be mended.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from rl_sched.verbs import run_verb

#: Exit code if something must be mended.
EXIT_FAULT = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, asks, prints."""
    from rl_sched.doctor.checks import CHECKS, examine, here, summary
    from rl_sched.doctor.nodes import ask_all, read_cluster
    from rl_sched.evaluation.console import text_table

    parser = argparse.ArgumentParser(prog="python -m rl_sched.doctor", description=__doc__)
    parser.add_argument("cluster", type=Path, nargs="?", default=Path("cluster.yaml"), help="Ray's launcher file")
    args = parser.parse_args(argv)

    cluster = read_cluster(args.cluster)
    local = [finding for finding in here() if not finding.ok]
    if not local:
        findings = examine(cluster, ask_all(cluster, secrets.token_hex(4)))
        print(text_table(["machine", "ssh", *CHECKS], summary(cluster, findings)))
        local = [finding for finding in findings if not finding.ok]
    for finding in local:
        print(f"\n{finding.node}, {finding.check}: {finding.fault.rstrip('.')}.\n  mend: {finding.mend}")
    if not local:
        print(f"\nAll {len(cluster.nodes)} machines are ready.")
    return EXIT_FAULT if local else 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
