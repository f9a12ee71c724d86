"""The dashboard as a server: commands, messages, limits, and every route against its OpenAPI document."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from rl_sched.dashboard.__main__ import parse
from rl_sched.dashboard.guard import MAX_BODY
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.simulator import simulate
from rl_sched.testing.dashboard_server import Served, served

RACE: dict[str, Any] = {
    "workload": "trace:synthetic",
    "jobs": 60,
    "policies": ["rule:sjf_backfill", "rule:min_min"],
    "speed": 0,
}
COMMANDS = ("stop", "pause", "resume", "reset")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Served]:
    with served(data) as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_runs(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").post("/api/stop")


def test_commands_make_sense_or_are_refused_with_a_reason(server: Served) -> None:
    assert server.get("/api/status")["state"] == "idle"
    for command in COMMANDS:
        status, answer = server.post(f"/api/{command}")
        assert status == 400 and "there is no race. Start one." in answer["detail"]
    assert server.post("/api/start", {**RACE, "paused": True}) == (200, {"state": "paused"})
    assert server.post("/api/pause")[0] == 400
    assert server.post("/api/step", {"decisions": 5}) == (200, {"state": "paused"})
    server.until(lambda: [lane["decisions"] for lane in server.get("/api/status")["lanes"]] == [5, 5])
    assert server.post("/api/resume")[0] == 200
    done = server.until_state("finished")
    assert [lane["done"] for lane in done["lanes"]] == [60, 60]
    for command, detail in (("pause", "is finished"), ("resume", "is finished"), ("step", "is finished")):
        status, answer = server.post(f"/api/{command}", {"decisions": 1} if command == "step" else None)
        assert status == 400 and detail in answer["detail"]
    assert server.post("/api/reset") == (200, {"state": "paused"})
    server.until(lambda: server.get("/api/status")["lanes"][0]["done"] == 0)
    assert server.post("/api/speed", {"speed": 1.0})[0] == 200
    assert server.post("/api/resume") == (200, {"state": "running"})
    status, answer = server.post("/api/start", RACE)
    assert status == 400 and "Stop it first" in answer["detail"]
    assert server.post("/api/stop") == (200, {"state": "idle"})


def test_numbers_are_those_of_the_simulator(server: Served) -> None:
    scenario = SCENARIOS.create("default")
    server.post("/api/start", {"workload": "scenario:default", "policies": RACE["policies"], "seed": 3, "speed": 0})
    status = server.until_state("finished")
    server.until(lambda: len(server.get("/api/full_history")) >= 2)
    for lane in status["lanes"]:
        policy = POLICIES.create(lane["id"].removeprefix("rule:"))
        alone = simulate(policy, scenario.workload(scenario.seeds.val[3]), scenario.cluster, scenario.rules)
        assert lane["mean_jct_s"] == pytest.approx(float(alone.jct_s.mean()), rel=1e-12)
    kept = {row["policy"]: row["metrics"] for row in server.get("/api/full_history")[-2:]}
    assert kept["min_min"]["mean_jct_s"] == pytest.approx(status["lanes"][1]["mean_jct_s"])
    told = server.get("/api/history/comparative?limit=1")
    assert told["races"] == 1 and set(told["policies"]) == {"sjf_backfill", "min_min"}
    explained = server.get("/api/decision?lane=rule:min_min&index=30")
    assert explained["index"] == 30 and explained["others"][0]["id"] == "rule:sjf_backfill"
    status_code, page, heads = server.ask("GET", "/api/report")
    assert status_code == 200 and page.startswith("<!doctype html>") and "attachment" in heads["content-disposition"]


def _messages(ws: Any, seconds: float) -> Iterator[dict[str, Any]]:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            yield json.loads(ws.recv(timeout=left))
        except TimeoutError:
            return


def test_clients_are_told_the_whole_state_and_then_what_is_new(server: Served) -> None:
    server.post("/api/start", {**RACE, "paused": True})
    with connect(server.socket) as one, connect(server.socket) as two:
        first = [json.loads(ws.recv(timeout=60)) for ws in (one, two)]
        assert all(m["type"] == "simulation_update" and m["whole"] and m["setup"]["jobs"] == 60 for m in first)
        server.post("/api/resume")
        seen = []
        for message in _messages(one, 120):
            seen.append(message)
            if message["type"] == "notification":
                break
        assert "The race is over" in seen[-1]["message"]
        updates = [m for m in seen if m["type"] == "simulation_update"]
        logged = [row for m in updates for row in m["lanes"][0]["log"]]
        indices = [row[0] for row in logged]
        assert indices == sorted(set(indices))
        assert updates[-1]["lanes"][0]["done"] == 60
    with connect(server.socket) as late:  # one that comes back knows as much
        whole = json.loads(late.recv(timeout=60))
        assert whole["whole"] and whole["state"] == "finished" and whole["lanes"][0]["points"]
        assert {bar[0] for bar in whole["lanes"][0]["bars"]} == set(range(60))


def test_a_client_that_breaks_off_leaves_no_trace(server: Served) -> None:
    server.post("/api/start", {**RACE, "speed": 1.0})
    before = len(server.output)
    upgrade = (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(upgrade.encode())
            raw.recv(64)
            # No farewell: the system answers what comes later with a reset.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.until(lambda: server.get("/health")["clients"] == 0)
    server.post("/api/stop")
    time.sleep(0.2)
    assert list(server.output)[before:] == []


@pytest.mark.slow
def test_a_killed_simulation_is_noticed_and_begins_anew(server: Served) -> None:
    assert server.post("/api/start", {**RACE, "paused": True})[0] == 200
    children = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(server.process.pid)], capture_output=True, text=True, check=True
    ).stdout
    spawned = [int(line.split()[0]) for line in children.splitlines() if "spawn_main" in line]
    assert spawned
    for pid in spawned:  # the simulation and the reader of files
        subprocess.run(["kill", "-9", str(pid)], check=True)
    status = server.until_state("idle")
    assert "ended unexpectedly" in status["message"]
    server.until(lambda: server.post("/api/start", {**RACE, "paused": True})[0] == 200)
    assert server.get("/api/status")["state"] == "paused"


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"workload": "scenario:nobody"}, 400, "There is no workload"),
    ({"policies": ["rule:nobody"]}, 400, "There is no policy"),
    ({"policies": ["rule:fifo", "rule:fifo"]}, 400, "chosen twice"),
    ({"policies": ["checkpoint:00000000"]}, 400, "There is no policy"),
    ({"policies": []}, 422, "policies"),
    ({"policies": ["../../etc/passwd"]}, 422, "policies.0"),
    ({"workload": "trace:csv"}, 400, "There is no workload"),
    ({"cluster": "/etc/passwd.yaml"}, 422, "cluster"),
    ({"cluster": "b200:1x8"}, 400, "Unknown GPU type"),
    ({"cluster": "a100:9999x8"}, 400, "at most 4,096 GPUs"),
    ({"jobs": 10**9}, 422, "jobs"),
    ({"speed": -1}, 422, "speed"),
    ({"sped": 1}, 422, "sped"),
]


@pytest.mark.parametrize(("change", "status", "detail"), BAD)
def test_bad_races_are_refused_with_a_sentence(server: Served, change: dict, status: int, detail: str) -> None:
    got, answer = server.post("/api/start", {**RACE, **change})
    assert got == status and detail in answer["detail"]
    assert server.get("/api/status")["state"] == "idle"


def test_no_request_reaches_the_file_system(server: Served, data: Path) -> None:
    (data / "sweeps" / "mine" / "cells").mkdir(parents=True, exist_ok=True)
    assert [row["id"] for row in server.get("/api/sweeps")] == ["mine"]
    assert server.get("/api/sweep?id=mine")["scenarios"] == []
    for name in ("../sweeps/mine", "mine/../mine", "..", "/etc", "mine%00"):
        status, answer, _ = server.ask("GET", f"/api/sweep?id={name}")
        assert status == 400 and "No sweep" in answer["detail"]
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/nothing.js", "/app.py"):
        assert server.ask("GET", path)[0] == 404, path


def test_limits_of_size_and_host(server: Served) -> None:
    assert server.ask("POST", "/api/start", b"x" * (MAX_BODY + 1))[0] == 413
    with socket.create_connection(("127.0.0.1", server.port)) as raw:  # no length is given, and it never ends
        raw.sendall(b"POST /api/start HTTP/1.1\r\nHost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n")
        answer = b""
        for _ in range(40):
            raw.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        raw.settimeout(30)
        answer = raw.recv(64)
    assert b" 413 " in answer
    assert server.ask("GET", "/health", headers={"host": "evil.example"})[0] == 403
    assert server.ask("GET", "/health", headers={"host": f"localhost:{server.port}"})[0] == 200
    assert server.ask("POST", "/api/stop", headers={"origin": "http://evil.example"})[0] == 403
    with pytest.raises(InvalidStatus), connect(server.socket, origin="http://evil.example"):  # type: ignore[arg-type]
        pass
    with connect(server.socket) as ws:
        ws.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            while True:
                ws.recv(timeout=30)
    heads = server.ask("GET", "/")[2]
    assert "default-src 'self'" in heads["content-security-policy"]


def test_another_address_needs_a_token() -> None:
    with pytest.raises(ConfigError, match="Add --token new"):
        parse(["--host", "0.0.0.0"])
    with pytest.raises(ConfigError, match="at least 16"):
        parse(["--token", "short"])
    with pytest.raises(ConfigError, match="--port"):
        parse(["--port", "70000"])
    assert len(parse(["--host", "0.0.0.0", "--token", "new"]).token) >= 16


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    token = "a-token-of-24-characters"
    command = [sys.executable, "-m", "rl_sched.dashboard", "--port", "0", "--data", str(tmp_path), "--token", token]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"?token={token}" in line
        port = int(line.split(":")[3].split("/")[0])
        one = Served.__new__(Served)
        one.process, one.port, one.address = process, port, f"http://127.0.0.1:{port}"
        one.until(lambda: one.get("/health").get("status", "no") != "")
        assert one.ask("GET", "/health")[0] == 401 and one.ask("GET", "/")[0] == 401
        assert one.ask("GET", "/health", headers={"authorization": "Bearer wrong-token-wrong-token"})[0] == 401
        assert one.ask("GET", "/health", headers={"authorization": f"Bearer {token}"})[0] == 200
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(f"GET /?token={token} HTTP/1.1\r\nHost: anything\r\nconnection: close\r\n\r\n".encode())
            answer = raw.recv(2000).decode()
        assert " 303 " in answer and f"rl_sched_token={token}; HttpOnly; SameSite=Strict" in answer
        assert one.ask("GET", "/", headers={"cookie": f"rl_sched_token={token}"})[0] == 200
        with pytest.raises(InvalidStatus), connect(f"ws://127.0.0.1:{port}/ws"):
            pass
        with connect(f"ws://127.0.0.1:{port}/ws", additional_headers={"cookie": f"rl_sched_token={token}"}) as ws:
            assert json.loads(ws.recv(timeout=30))["whole"]
    finally:
        process.terminate()
        process.wait(timeout=20)


# ---------------------------------------------------------------- the OpenAPI document

#: Values for parameters and bodies: right ones first, then wrong ones of each kind.
PARAMETERS: dict[str, list[str]] = {
    "lane": ["rule:min_min", "rule:x", "", "a/b", "x" * 200],
    "index": ["0", "999999999", "-1", "x", "1e9"],
    "limit": ["1", "1000", "0", "1001", "x"],
    "id": ["trace:synthetic", "mine", "a" * 32, "b" * 32, "nobody", "", "../x", "x" * 200],
    "fresh": ["false", "maybe"],
    "command": ["pause", "stop", "explode"],
}
BODIES: list[Any] = [
    {}, None, [], "x", 3, {"decisions": 1}, {"decisions": 0}, {"decisions": "x"}, {"speed": 1}, {"speed": None},
    {"rate": 1}, {"rate": 0}, {"unknown": 1}, {"workload": 3}, {"policies": "x"}, {"preset": "../x"},
    {"seed": 1.5}, {"tasks": 0}, b"{", b"\xff\xfe",
]  # fmt: skip


def _calls(api: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Method, path of the document, path to ask, body."""
    for path, methods in api["paths"].items():
        for method, about in methods.items():
            asked = [path]
            for parameter in about.get("parameters", []):
                name, place = parameter["name"], parameter["in"]
                if place == "path":
                    asked = [p.replace(f"{{{name}}}", v) for p in asked for v in PARAMETERS[name] if v]
                else:
                    asked = [f"{p}{'&' if '?' in p else '?'}{name}={v}" for p in asked for v in PARAMETERS[name]]
            asked += [path] if about.get("parameters") and "{" not in path else []
            for body in BODIES if "requestBody" in about else [None]:
                for one in asked:
                    yield method.upper(), path, one, body


def _prepare(server: Served, path: str) -> None:
    """A state in which a command makes sense."""
    status = server.get("/api/status")
    if status["state"] != "paused" or status["lanes"][0]["decisions"] == 0:
        server.post("/api/stop")
        server.post("/api/start", {**RACE, "paused": True})
        server.post("/api/step", {"decisions": 1})
    if path == "/api/pause":
        server.post("/api/speed", {"speed": 0.001})  # still running when the command comes
        server.post("/api/resume")


def _track(database: Path, empty: Path) -> None:
    """One run with one metric in MLflow's database."""
    shutil.copy(empty, database)
    with contextlib.closing(sqlite3.connect(database)) as db, db:
        db.execute(
            "insert into runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, experiment_id) "
            "values (?, 'one', 'FINISHED', 1000, 3000, 'active', 0)", ["a" * 32],
        )  # fmt: skip
        for table in ("metrics", "latest_metrics"):
            db.execute(f"insert into {table} (key, value, timestamp, step, is_nan, run_uuid) "
                       "values ('loss', 0.5, 1000, 7, 0, ?)", ["a" * 32])  # fmt: skip


def test_every_route_answers_as_its_document_says(server: Served, data: Path, mlflow_database: Path) -> None:
    (data / "sweeps" / "mine" / "cells").mkdir(parents=True, exist_ok=True)
    assert server.get("/api/runs") == {"runs": [], "note": None}
    _track(data / "mlflow.db", mlflow_database)
    (run,) = server.get("/api/runs")["runs"]
    assert run["id"] == "a" * 32 and run["metrics"] == {"loss": 0.5} and run["duration_s"] == 2.0
    assert server.get(f"/api/run?id={run['id']}")["curves"] == {"loss": [[7, 0.5]]}
    api = server.get("/openapi.json")
    listed = {"/health", "/api/status", "/api/full_history", "/api/history/comparative", "/api/history"}
    listed |= {f"/api/{name}" for name in ("start", "stop", "pause", "resume")}
    assert listed <= set(api["paths"])
    seen: dict[str, set[int]] = {}
    for method, path, asked, body in _calls(api):
        if path == "/api/hybrid/start" and body in ({}, {"rate": 1}):
            continue  # would train strategies for minutes
        _prepare(server, path)
        status, answer, heads = server.ask(method, asked, body)
        about = api["paths"][path][method.lower()]
        assert str(status) in about["responses"], f"{method} {asked} {body!r}: {status} {answer}"
        kind = heads["content-type"].partition(";")[0]
        content = about["responses"][str(status)].get("content", {})
        assert kind in content, f"{method} {asked}: {kind}"
        if kind == "application/json":
            schema = {**content[kind].get("schema", {}), "components": api["components"]}
            jsonschema.validate(answer, schema)
        seen.setdefault(path, set()).add(status)
    assert [path for path, got in seen.items() if 200 not in got and "hybrid" not in path] == []


def _forbidden(schema: dict[str, Any]) -> Iterator[Any]:
    """Values that a schema of a property or parameter forbids."""
    if "anyOf" in schema:  # a value or null
        yield from (value for value in _forbidden(schema["anyOf"][0]) if value is not None)
        return
    kind = schema.get("type")
    yield {"object": True}
    if kind in ("integer", "number"):
        yield from ("x", True, [])
        if "minimum" in schema:
            yield schema["minimum"] - 1
        if "maximum" in schema:
            yield schema["maximum"] + 1
        if kind == "integer":
            yield 1.5
    elif kind == "string":
        yield from (3, None, [])
        if "maxLength" in schema or "pattern" in schema:
            yield "x" * 4000
        if "pattern" in schema:
            yield from ("\u0000", "a b", "../../etc/passwd")
    elif kind == "array":
        yield from ("x", None)
        yield [3] * max(1, schema.get("minItems", 1))
        if "maxItems" in schema:
            yield [f"rule:p{k}" for k in range(schema["maxItems"] + 1)]
        if schema.get("minItems", 0) > 0:
            yield []
    elif kind == "boolean":
        yield from ("maybe", 7)


def test_what_the_document_forbids_is_refused(server: Served) -> None:
    """Negative data, as schemathesis makes them: wrong types, numbers out of range, long and odd strings."""
    api, asked = server.get("/openapi.json"), 0
    for path, methods in api["paths"].items():
        for method, about in methods.items():
            for parameter in about.get("parameters", []):
                name, schema = parameter["name"], parameter["schema"]
                if parameter["in"] == "query" and schema.get("type") != "boolean":
                    texts = [v for v in _forbidden(schema) if isinstance(v, str | int | float) and v is not True]
                    if schema.get("type") == "string":
                        texts = [v for v in texts if isinstance(v, str)]
                    for text in texts:
                        query = urllib.parse.urlencode({name: text})
                        status, answer, _ = server.ask(method.upper(), f"{path}?{query}")
                        assert status == 422 and answer["detail"], (path, name, text)
                        asked += 1
            if "requestBody" not in about:
                continue
            reference = about["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            model = api["components"]["schemas"][reference.rpartition("/")[2]]
            bodies = [{name: value} for name, schema in model["properties"].items() for value in _forbidden(schema)]
            for body in [*bodies, {"undocumented": 1}, [], "x", *([{}] if model.get("required") else [])]:
                status, answer, _ = server.ask(method.upper(), path, body)
                assert status == 422 and answer["detail"], (path, body)
                asked += 1
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
                status, answer, _ = server.ask(method.upper(), path, b"speed=1", {"content-type": kind})
                assert status in (415, 422) and str(status) in about["responses"], (path, kind)
                asked += 1
    assert asked > 80
    assert server.get("/api/status")["state"] == "idle"


def test_methods_that_are_not_documented_are_refused_and_told(server: Served) -> None:
    for path, methods in server.get("/openapi.json")["paths"].items():
        for method in {"get", "post", "delete", "put", "patch", "trace", "options"} - set(methods):
            if method == "post" and path.startswith("/api/hybrid/"):
                continue  # is the path /api/hybrid/{command} too
            status, _, heads = server.ask(method.upper(), path.replace("{command}", "pause"))
            assert status == 405 and heads["allow"], (method, path)
            assert {m.strip().lower() for m in heads["allow"].split(",")} & set(methods), (method, path)


@pytest.mark.slow
def test_nothing_is_left_when_the_server_is_killed(tmp_path: Path) -> None:
    one = Served(tmp_path)
    assert one.ask("GET", "/api/sweeps")[1] == []  # the reader of files is there too
    folder = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children")
    children = [Path(f"/proc/{pid}") for pid in folder.read_text().split()]
    assert len(children) >= 2
    one.kill()
    end = time.monotonic() + 60
    while any(child.exists() for child in children):
        assert time.monotonic() < end, "a process has outlived the server"
        time.sleep(0.1)
