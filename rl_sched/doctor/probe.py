"""Runs on a machine of the cluster, whatever Python it has, and prints what it finds there as one JSON object.

Sent over ssh as text, so it imports nothing of the project at the top and must stay valid for old Pythons.

    python3 - ADDRESS FOLDER TOKEN      writes its mark for the others into the shared folder
    python3 - ADDRESS FOLDER TOKEN end  reads the marks of all

FOLDER is what cluster.yaml says; RL_SCHED_DATA, where it is set already, is what a sweep will use.
"""

import json
import os
import platform
import shutil
import sys
import time


def storage(folder, address, token, last):
    """Whether the shared folder can be written, and whose marks are in it."""
    marks = os.path.join(folder, ".doctor-" + token)
    mine = os.path.join(marks, address)
    if last:
        seen = sorted(os.listdir(marks)) if os.path.isdir(marks) else []
        return {"seen": seen}
    try:
        os.makedirs(marks, exist_ok=True)
        with open(mine, "w") as file:
            file.write(address)
    except OSError as error:
        return {"writable": False, "error": str(error)}
    return {"writable": True, "error": ""}


def look(address, folder, token, last):
    """Everything that the checks ask for."""
    folder = os.environ.get("RL_SCHED_DATA", folder)
    facts = {
        "time_s": time.time(),
        "data": folder,
        "python": platform.python_version(),
        "executable": sys.executable,
    }
    facts["rsync"] = shutil.which("rsync") or ""
    facts["home_free"] = shutil.disk_usage(os.path.expanduser("~")).free
    facts["data_free"] = shutil.disk_usage(folder).free if folder and os.path.isdir(folder) else 0
    facts["storage"] = storage(folder, address, token, last) if folder and os.path.isdir(folder) else {}
    if last:
        return facts
    try:
        from importlib.metadata import version

        facts["ray"] = version("ray")
    except Exception:
        facts["ray"] = ""
    try:
        from rl_sched import provenance

        facts["code"], facts["package"] = provenance.package_hash(), os.path.dirname(provenance.__file__)
    except Exception:
        facts["code"] = facts["package"] = ""
    return facts


if __name__ == "__main__":
    print("PROBE" + json.dumps(look(sys.argv[1], sys.argv[2], sys.argv[3], len(sys.argv) > 4)))
