"""The web server: REST, a WebSocket and a page whose files lie in memory. No request names a file."""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import time
from collections.abc import AsyncIterator
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from rl_sched.dashboard import reader, schemas
from rl_sched.dashboard.catalogue import Places
from rl_sched.dashboard.control import FINISHED, PAUSED, RUNNING, Control
from rl_sched.dashboard.guard import Guard
from rl_sched.errors import RlSchedError

INDEX = "index.html"
#: Bytes of a message from a client; it has nothing to say.
MAX_MESSAGE = 1024
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": schemas.Refusal, "description": "It makes no sense now, or names something that is not there."}
}


def page_files() -> dict[str, bytes]:
    """The files of the page by name."""
    folder = resources.files("rl_sched.dashboard") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def create_app(places: Places, *, token: str | None = None) -> Guard:
    """The whole application.

    Args:
        places: Folders that may be looked at.
        token: What clients must show; None = nothing, for this machine only.
    """
    files = page_files()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.control = control = Control(places)
        control.link.open()
        warming = asyncio.create_task(control.catalogue())
        yield
        warming.cancel()
        control.close()

    app = FastAPI(
        title="rl_sched dashboard",
        summary="Policies race on the same jobs; decisions are taken apart; finished sweeps are looked at.",
        description="`WS /ws` sends `simulation_update` messages (the first one with `whole: true` holds everything so "
        "far, the others what is new) and `notification` messages.",
        version="1",
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere; the page shows the API itself
        redoc_url=None,
        responses={422: {"model": schemas.Refusal, "description": "A parameter or the body is malformed."}},
        lifespan=lifespan,
    )
    _add_errors(app)
    _add_commands(app)
    _add_readings(app)
    _add_hybrid(app)
    _add_page(app, files)
    return Guard(app, token)


def _control(request: Request) -> Control:
    return request.app.state.control


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RlSchedError)
    async def refuse(request: Request, error: RlSchedError) -> Response:
        return JSONResponse({"detail": str(error)}, 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        parts = [f"{'.'.join(map(str, e['loc'][1:])) or 'the body'}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"detail": "; ".join(parts)}, 422)


def _add_commands(app: FastAPI) -> None:
    options: dict[str, Any] = {"response_model": schemas.Done, "responses": _REFUSED}

    @app.post("/api/start", tags=["race"], summary="Begin a race", **options)
    async def start(request: Request, wanted: schemas.Start) -> Any:
        await _control(request).start(wanted)
        return {"state": _control(request).state}

    @app.post("/api/stop", tags=["race"], summary="End the race and forget it", **options)
    async def stop(request: Request) -> Any:
        await _control(request).stop()
        return {"state": _control(request).state}

    @app.post("/api/pause", tags=["race"], summary="Stop the clock", **options)
    async def pause(request: Request) -> Any:
        await _control(request).command("pause", (RUNNING,))
        return {"state": _control(request).state}

    @app.post("/api/resume", tags=["race"], summary="Let the clock run again", **options)
    async def resume(request: Request) -> Any:
        await _control(request).command("resume", (PAUSED,))
        return {"state": _control(request).state}

    @app.post("/api/step", tags=["race"], summary="Make some decisions of every policy", **options)
    async def step(request: Request, wanted: schemas.Step) -> Any:
        await _control(request).command("step", (PAUSED,), decisions=wanted.decisions)
        return {"state": _control(request).state}

    @app.post("/api/reset", tags=["race"], summary="Back to the first decision", **options)
    async def reset(request: Request) -> Any:
        await _control(request).command("reset", (RUNNING, PAUSED, FINISHED))
        return {"state": _control(request).state}

    @app.post("/api/speed", tags=["race"], summary="Change the speed", **options)
    async def speed(request: Request, wanted: schemas.SetSpeed) -> Any:
        await _control(request).command("speed", (RUNNING, PAUSED, FINISHED), speed=wanted.speed)
        return {"state": _control(request).state}


def _add_readings(app: FastAPI) -> None:
    @app.get("/health", tags=["server"], response_model=schemas.Health, summary="Is the server well?")
    async def health(request: Request) -> Any:
        control = _control(request)
        up = "up" if control.link.pid else "down"
        uptime_s = time.monotonic() - control.began_s
        return {"status": "ok", "simulation": up, "clients": len(control.hub), "uptime_s": uptime_s}

    @app.get("/api/status", tags=["race"], response_model=schemas.Status, summary="Where the race is")
    async def status(request: Request) -> Any:
        return _control(request).status()

    @app.get("/api/catalogue", tags=["race"], response_model=schemas.CatalogueOut, summary="What can be chosen")
    async def catalogue(request: Request, fresh: bool = False) -> Any:
        found = await _control(request).catalogue(fresh=fresh)
        return {"workloads": found.workloads, "policies": found.policies}

    @app.get("/api/workload", tags=["race"], responses=_REFUSED, summary="One workload, before it is chosen")
    async def workload(request: Request, id: Annotated[schemas.Id, Query()]) -> dict[str, Any]:
        return await _control(request).workload(id)

    @app.get("/api/decision", tags=["race"], responses=_REFUSED, summary="One decision, taken apart")
    async def decision(
        request: Request,
        lane: Annotated[schemas.Id, Query(description="id of a policy of the race")],
        index: Annotated[int, Query(ge=0, le=2**31 - 1)],
    ) -> dict[str, Any]:
        return await _control(request).explain(lane, index)

    @app.get(
        "/api/report",
        tags=["race"],
        responses={200: {"content": {"text/html": {}}}, **_REFUSED},
        response_class=Response,
        summary="The race so far as one self-contained HTML page",
    )
    async def report(request: Request) -> Response:
        text = await _control(request).report()
        headers = {"content-disposition": 'attachment; filename="race.html"'}
        return Response(text, media_type="text/html", headers=headers)

    @app.get(
        "/api/full_history", tags=["history"], response_model=list[schemas.HistoryRow], summary="The newest 1,000 runs"
    )
    async def full_history(request: Request) -> Any:
        return _control(request).history.rows()

    @app.get("/api/history/comparative", tags=["history"], response_model=schemas.Comparative, summary="Runs by policy")
    async def comparative(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Any:
        return _control(request).history.comparative(limit)

    @app.delete("/api/history", tags=["history"], response_model=schemas.Deleted, summary="Forget all finished runs")
    async def delete_history(request: Request) -> Any:
        return {"deleted": _control(request).history.clear()}

    @app.get("/api/sweeps", tags=["history"], summary="Sweeps below the data folder, newest first")
    async def list_sweeps(request: Request) -> list[dict[str, Any]]:
        return await _control(request).read(reader.list_sweeps, _control(request).places)

    @app.get("/api/sweep", tags=["history"], responses=_REFUSED, summary="Trials, curves and fronts of one sweep")
    async def sweep(request: Request, id: Annotated[str, Query(min_length=1, max_length=120)]) -> dict[str, Any]:
        return await _control(request).read(reader.read_sweep, _control(request).places, id)

    @app.get("/api/models", tags=["history"], summary="Registered policies, version by version")
    async def models(request: Request) -> dict[str, Any]:
        return await _control(request).read(reader.list_models, _control(request).places)

    @app.get("/api/runs", tags=["history"], response_model=schemas.Runs, summary="The newest runs in MLflow")
    async def runs(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> Any:
        return await _control(request).read(reader.list_runs, _control(request).places, limit)

    @app.get(
        "/api/run", tags=["history"], response_model=schemas.RunCurves, responses=_REFUSED, summary="Curves of one run"
    )
    async def run(request: Request, id: Annotated[str, Query(pattern=r"^[0-9a-f]{32}$")]) -> Any:
        return await _control(request).read(reader.read_run, _control(request).places, id)


def _add_hybrid(app: FastAPI) -> None:
    options: dict[str, Any] = {"response_model": schemas.HybridDone, "responses": _REFUSED, "tags": ["hybrid"]}

    @app.post("/api/hybrid/start", summary="Six strategies on one stream of tasks", **options)
    async def start(request: Request, wanted: schemas.HybridStart) -> Any:
        _control(request).hybrid.start(wanted)
        return {"state": _control(request).hybrid.state}

    # These come before the next one, which would match their paths too.
    @app.put("/api/hybrid/rate", summary="Change how fast tasks come", **options)
    async def rate(request: Request, wanted: schemas.HybridRate) -> Any:
        await _control(request).hybrid.command("rate", rate=wanted.rate)
        return {"state": _control(request).hybrid.state}

    @app.get("/api/hybrid/status", tags=["hybrid"], response_model=schemas.HybridStatus, summary="Where they are")
    async def status(request: Request) -> Any:
        return _control(request).hybrid.whole()

    @app.post("/api/hybrid/{command}", summary="Pause, resume or stop it", **options)
    async def command(request: Request, command: Literal["pause", "resume", "stop"]) -> Any:
        await _control(request).hybrid.command(command)
        return {"state": _control(request).hybrid.state}


def _add_page(app: FastAPI, files: dict[str, bytes]) -> None:
    types = {name: mimetypes.guess_type(name)[0] or "application/octet-stream" for name in files}

    def served(name: str) -> Response:
        return Response(files[name], media_type=types[name], headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return served(INDEX)

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            return JSONResponse({"detail": "There is no such file."}, 404)
        return served(name)

    @app.websocket("/ws")
    async def socket(socket: WebSocket) -> None:
        control: Control = socket.app.state.control
        if control.hub.full:
            await socket.close(1013, "Too many clients; close another page.")
            return
        await socket.accept()
        sending = asyncio.create_task(control.hub.serve(socket))
        listening = asyncio.create_task(_until_closed(socket))
        done, pending = await asyncio.wait([sending, listening], return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*done, *pending, return_exceptions=True)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it has gone without a farewell
            await socket.close()


async def _until_closed(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
