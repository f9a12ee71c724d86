"""The architecture, held by the code itself: layers, homes of the heavy libraries, light imports, file sizes."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rl_sched"
MAX_LINES = 400

#: A unit may import units to its left, on its own line or on a line above, and nothing else of the package.
#: Modules of ``rl_sched/`` that are not named here are verbs: they may import everything, and nothing imports them.
LAYERS = (
    ("errors", "registry", "provenance"),
    ("config",),
    ("cluster", "workload"),
    ("traces", "sim"),
    ("policies", "scenarios"),
    ("envs",),
    ("rl",),
    ("evaluation", "tracking"),
    ("sweeps",),
    ("plots",),
    ("verbs",),  # what all verbs share
    ("hybrid", "dashboard", "doctor"),
    ("testing",),
)
ORDER = [unit for layer in LAYERS for unit in layer]

HOMES = {
    "numba": {"sim", "policies", "envs"},
    "gymnasium": {"envs", "rl", "hybrid", "testing"},
    "torch": {"rl", "hybrid", "testing"},
    "safetensors": {"rl", "testing"},
    "sklearn": {"hybrid"},
    "ray": {"rl", "sweeps"},
    "optuna": {"sweeps"},
    "mlflow": {"tracking"},
    "highspy": {"policies"},
    "matplotlib": {"plots"},
    "plotly": {"plots"},
    "fastapi": {"dashboard"},
    "uvicorn": {"dashboard"},
    "pydantic": {"dashboard"},
    "pytest": {"testing"},
    "hypothesis": {"testing"},
}
#: Never loaded by importing a package of the project.
HEAVY = ("numba", "torch", "ray", "mlflow", "optuna", "matplotlib", "gymnasium", "sklearn", "fastapi")
MAX_IMPORT_S = 0.5

FILES = sorted(PACKAGE.rglob("*.py"))
PACKAGES = sorted(".".join(p.parent.relative_to(ROOT).parts) for p in FILES if p.name == "__init__.py")


def _unit(file: Path) -> str:
    """The unit of a file: the folder or module directly under ``rl_sched/``; "" for its ``__init__``.

    What ``python -m rl_sched.FOLDER`` runs is a verb, not a part of its folder.
    """
    if file.name == "__main__.py":
        return f"{file.parent.name}.__main__"
    first = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a file imports, inside functions too."""
    package = list(file.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def _layer_faults(file: Path) -> list[str]:
    unit = _unit(file)
    if unit not in ORDER and unit:  # a verb
        allowed = set(ORDER)
    else:
        allowed = set(ORDER[: ORDER.index(unit) + 1]) if unit else set()
    known = {_unit(f) for f in FILES} | set(ORDER)
    faults = []
    for line, name in _imports(file):
        parts = name.split(".")
        if parts[0] != "rl_sched" or len(parts) == 1:
            continue
        target = parts[1]
        if target in known and target != unit and target not in allowed:
            faults.append(f"{file.relative_to(ROOT)}:{line} imports {name}, which is not below {unit or 'the root'}")
    return faults


def test_imports_run_one_way() -> None:
    assert FILES, "no source files found"
    assert [fault for file in FILES for fault in _layer_faults(file)] == []


def test_heavy_libraries_have_one_home() -> None:
    faults = [
        f"{file.relative_to(ROOT)}:{line} imports {name}, whose home is {sorted(HOMES[name.split('.')[0]])}"
        for file in FILES
        for line, name in _imports(file)
        if name.split(".")[0] in HOMES and _unit(file).removesuffix(".__main__") not in HOMES[name.split(".")[0]]
    ]
    assert faults == []


def test_layer_rule_catches_an_upward_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "rl_sched"
    (package / "sim").mkdir(parents=True)
    file = package / "sim" / "bad.py"
    file.write_text(
        "from rl_sched.errors import RlSchedError\n"
        "def f():\n    from ..policies import POLICIES\n    import rl_sched.rl.training\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", package)
    monkeypatch.setattr(sys.modules[__name__], "FILES", [file])
    faults = _layer_faults(file)
    assert len(faults) == 2 and "bad.py:3" in faults[0] and "bad.py:4" in faults[1]


def test_no_file_is_too_long() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in FILES}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_packages_load_no_heavy_library() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {PACKAGES!r}:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = [h for h in {HEAVY!r} if h in sys.modules]\n"
        "    if loaded: print(name, 'loads', *loaded); break\n"
    )
    assert _run(code) == ""


def test_import_is_quick() -> None:
    code = (
        "import time; wall = time.perf_counter()\n"
        "import rl_sched, rl_sched.policies, rl_sched.scenarios, rl_sched.traces\n"
        "print(time.perf_counter() - wall)\n"
    )
    # The best of three: other processes share the cores.
    assert min(float(_run(code)) for _ in range(3)) < MAX_IMPORT_S


def test_mlflow_folder_hides_no_library() -> None:
    assert sorted(str(p) for p in (ROOT / "mlflow").rglob("*.py")) == []
    origin = _run("import importlib.util; print(importlib.util.find_spec('mlflow').origin)")
    assert origin.endswith("__init__.py") and "site-packages" in Path(origin).parts


def _registries() -> list[tuple[str, str]]:
    """Module and variable name of every ``Registry`` made at the top of a module."""
    found = []
    for file in FILES:
        for node in ast.parse(file.read_text()).body:
            value = getattr(node, "value", None)
            if (
                isinstance(node, ast.Assign | ast.AnnAssign)
                and isinstance(value, ast.Call)
                and getattr(value.func, "id", None) == "Registry"
            ):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                found.append((module, ast.unparse(target)))
    return found


@pytest.mark.parametrize(("module", "variable"), _registries())
def test_every_registered_name_loads(module: str, variable: str) -> None:
    table = getattr(importlib.import_module(module), variable)
    assert len(table) > 0
    for name in table:
        assert callable(table.load(name)), f"{variable}[{name!r}] is {table[name]!r}"
