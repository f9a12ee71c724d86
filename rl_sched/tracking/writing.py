"""What the replay of spools needs of a place that holds MLflow's runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rl_sched.errors import RlSchedError
from rl_sched.tracking.news import RunNews

#: The tag that holds a run's key: finds a run whose id was not written down because of a crash.
KEY_TAG = "rl_sched.run"
#: MLflow's limits for the text of one parameter and of one tag.
MAX_PARAM_CHARS = 6000
MAX_TAG_CHARS = 8000
#: MLflow's tag of the text that its pages show as a description, of a run as of an experiment.
NOTE_TAG = "mlflow.note.content"
#: MLflow's tag of who has made a run.
USER_TAG = "mlflow.user"


def experiment_tags(about: str) -> dict[str, str]:
    """Tags of an experiment: its description."""
    return {NOTE_TAG: about} if about else {}


class StoreReplacedError(RlSchedError):
    """The store is not the one any more that was connected to."""


class Change(NamedTuple):
    """What happens to one run."""

    run_id: str
    is_new: bool
    news: RunNews
    tags: dict[str, str]  #: those of the news, and of a new run all that MLflow itself needs


class RunWriter(Protocol):
    """One experiment of one MLflow.

    Attributes:
        experiment_id: MLflow's id of the experiment.
        group: How many spools are worth writing at once.
    """

    experiment_id: str
    group: int

    def is_there(self) -> bool:
        """Whether it answers, so that an error was a spool's own."""

    def find(self, key: str) -> str | None:
        """The id of the run with a key, if the experiment has one."""

    def exists(self, run_id: str) -> bool:
        """Whether there is a run, in whatever experiment."""

    def create(self, key: str, news: RunNews, tags: dict[str, str]) -> str:
        """The id of a new run, which may be there only after ``write``."""

    def write(self, changes: Sequence[Change]) -> None:
        """Writes changes of different runs, all that they say; may be called again with the same ones.

        Raises:
            StoreReplacedError: Nothing is written; connect again.
            Exception: Whatever the store raises when it is away or full.
        """
