"""What goes over the wire, for the server to check and for OpenAPI to describe."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rl_sched.dashboard.choices import MAX_JOBS, MAX_POLICIES

#: Ids as they are listed: never a path.
Id = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[a-z]+:[A-Za-z0-9_\-]+$")]
#: One to eight groups of nodes.
ClusterText = Annotated[
    str, Field(max_length=120, pattern=r"^[a-z0-9]{1,12}:\d{1,4}x\d{1,2}(,[a-z0-9]{1,12}:\d{1,4}x\d{1,2}){0,7}$")
]
#: Simulated seconds per second; 0 = as fast as possible.
Speed = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)  # true is no number, "3" neither


class Start(Strict):
    """What to race. Ids are those of ``GET /api/catalogue``."""

    workload: Id = "scenario:default"
    policies: Annotated[list[Id], Field(min_length=1, max_length=MAX_POLICIES)] = ["rule:sjf_backfill", "rule:min_min"]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="of a generator; number of the VAL workload")] = 0
    jobs: Annotated[int | None, Field(ge=1, le=MAX_JOBS, description="generators only")] = None
    load: Annotated[float | None, Field(ge=0.05, le=20, description="offered load, generators only")] = None
    cluster: Annotated[ClusterText | None, Field(description="TYPE:NODESxGPUS[,...]; null = its own")] = None
    speed: Speed = 60.0
    paused: bool = False


class SetSpeed(Strict):
    """How fast."""

    speed: Speed


class Step(Strict):
    """How far."""

    decisions: Annotated[int, Field(ge=1, le=1000, description="of every policy")] = 1


class Refusal(BaseModel):
    """Why something was not done, and what to do."""

    detail: str


class Health(BaseModel):
    """The server answers; ``simulation`` tells whether its process is there."""

    status: Literal["ok"]
    simulation: Literal["up", "down"]
    clients: int
    uptime_s: float


State = Literal["idle", "starting", "running", "paused", "finished"]


class Status(BaseModel):
    """Where the race is."""

    state: State
    is_running: bool
    is_paused: bool
    speed: float
    clock_s: float
    race: dict[str, Any] | None = Field(description="what races: jobs, cluster, policies, bounds")
    lanes: list[dict[str, Any]] = Field(description="the newest numbers of every policy, without lines and bars")
    message: str | None = Field(description="why the last race broke off")


class Done(BaseModel):
    """The state that a command led to."""

    state: State


class HistoryRow(BaseModel):
    """One policy's finished run."""

    race: str
    at: str = Field(description="UTC, ISO 8601")
    workload: str
    about: str
    cluster: str
    policy: str
    metrics: dict[str, float | None]


class Comparative(BaseModel):
    """Finished runs by policy, oldest first."""

    races: int
    policies: dict[str, list[dict[str, Any]]]


class Deleted(BaseModel):
    """How many rows went."""

    deleted: int


class CatalogueOut(BaseModel):
    """What can be chosen."""

    workloads: list[dict[str, Any]]
    policies: list[dict[str, Any]]


class RunRow(BaseModel):
    """A run in MLflow's database."""

    id: str
    experiment: str
    name: str
    kind: str = Field(description="sweep, trial, hybrid, strategy, ...")
    parent: str | None = Field(description="id of the run that it belongs to")
    status: str
    start_s: float = Field(description="since 1970")
    duration_s: float | None = Field(description="null = it has not ended")
    metrics: dict[str, float] = Field(description="latest values")


class Runs(BaseModel):
    """Newest first."""

    runs: list[RunRow]
    note: str | None = Field(description="why there are none")


class RunCurves(BaseModel):
    """Every metric of one run."""

    id: str
    curves: dict[str, list[tuple[int, float]]] = Field(description="[step, value], thinned out")


class HybridStart(Strict):
    """Which tasks the strategies of the hybrid view split."""

    preset: Annotated[str, Field(pattern=r"^[a-z]{1,32}$")] = "default"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    rate: Annotated[float, Field(ge=0.1, le=10_000, description="tasks per second of the clock on the wall")] = 5.0
    tasks: Annotated[int | None, Field(ge=1, le=100_000, description="null = 100,000")] = None


class HybridRate(Strict):
    """How fast tasks come."""

    rate: Annotated[float, Field(ge=0.1, le=10_000)]


class HybridStatus(BaseModel):
    """Where the strategies are: the same as in the WebSocket's message."""

    model_config = ConfigDict(extra="allow")

    state: Literal["idle", "preparing", "running", "paused", "finished"]
    message: str
    rate: float


class HybridDone(BaseModel):
    """The state that a command led to."""

    state: Literal["idle", "preparing", "running", "paused", "finished"]
