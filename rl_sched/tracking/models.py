"""Registered policies: checkpoint folders as versions of models in MLflow's registry.

A version's files are copied to ``data/models/NAME/``, so that it stays what it was when training goes on in the folder
it came from. Its tags say what it is, and hold the digest of its files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from rl_sched.errors import CheckpointError, ConfigError, RlSchedError
from rl_sched.evaluation.openings import LEDGER
from rl_sched.registry import did_you_mean
from rl_sched.rl.checkpoint_files import FILES, digest
from rl_sched.tracking.store import Store, connect
from rl_sched.tracking.versions import SCHEME, Version, read_versions

#: Tag of a version: the digest of its files.
DIGEST = "digest"
_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
#: Description of a model.
_ABOUT = (
    "Scheduling policies, a version each; `champion` is the best on VAL. Judge one: "
    "`python -m rl_sched.evaluate --checkpoint models:/{}@champion`."
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_ALIAS = re.compile(
    r"(?!latest$|v[0-9]+$)[a-z_][a-z0-9_-]*", re.IGNORECASE
)  # MLflow keeps the excluded ones for itself


class ModelRegistry:
    """The models of one store.

    Args:
        store: The store. It is made by ``add`` if it does not exist; without it there are no models.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._client: Any = None

    def versions(self) -> list[Version]:
        """All versions of all models, by name, newest first.

        Raises:
            RlSchedError: The database cannot be read.
        """
        return read_versions(self._store.database)

    def find(self, reference: str) -> Version:
        """The version that ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION`` means.

        Raises:
            ConfigError: It is not written so.
            CheckpointError: There is no such model, alias or version.
            RlSchedError: The database cannot be read.
        """
        parts = _REFERENCE.fullmatch(reference)
        if parts is None:
            raise ConfigError(
                f"A registered policy is written models:/NAME@ALIAS or models:/NAME/VERSION; {reference!r} was given."
            )
        found = self.versions()
        if not found:
            raise CheckpointError(
                f"{reference!r} is not registered: there is no model in {self._store.data_dir}. Register one with "
                "`python -m rl_sched.register`, or name the data folder with --data."
            )
        name, alias = parts["name"], parts["alias"]
        own = [v for v in found if v.name == name]
        if not own:
            advice = _advice(name, {v.name for v in found})
            raise CheckpointError(f"There is no registered model {name!r} in {self._store.data_dir}. {advice}")
        for v in own:
            if alias in v.aliases or (alias is None and v.version == int(parts["version"])):
                return v
        has = f"It has {', '.join(v.describe() for v in own)}."
        if alias is None:
            raise CheckpointError(f"The registered model {name!r} has no version {parts['version']}. {has}")
        known = {a for v in own for a in v.aliases}
        near = f"{did_you_mean(alias, known)} " if known else ""
        raise CheckpointError(f"The registered model {name!r} has no alias {alias!r}. {near}{has}")

    def folder(self, version: Version) -> Path:
        """A folder with the files of a version, as they were registered; fetched once if they are elsewhere.

        Raises:
            CheckpointError: They are gone, or have changed.
            RlSchedError: They cannot be fetched.
        """
        address = urlparse(version.source)
        local = address.scheme in ("", "file")
        folder = Path(unquote(address.path)) if local else self._fetch(version)
        if not folder.is_dir():
            raise CheckpointError(
                f"The files of {version.uri} are gone: {str(folder)!r} does not exist. Register the checkpoint again."
            )
        registered = version.tags.get(DIGEST)
        if registered is not None and digest(folder) != registered:
            raise CheckpointError(
                f"The files of {version.uri} in {str(folder)!r} are not those that were registered: their digest "
                "differs. Register the checkpoint again."
            )
        return folder

    def add(
        self, name: str, folder: Path, tags: Mapping[str, str], run_id: str | None = None, about: str = ""
    ) -> Version:
        """Registers a checkpoint folder; the same files under the same name are registered once.

        Args:
            name: The model; it is made with its first version.
            folder: The checkpoint.
            tags: What the version says about itself.
            run_id: MLflow's run that made it.
            about: Description of the version.

        Raises:
            CheckpointError: A file is missing.
            RlSchedError: MLflow cannot write to its store.
        """
        content = digest(folder)
        kept = self._keep(folder, self._store.models / name / content[:16], content)
        own = [v for v in self.versions() if v.name == name]
        for v in own:
            if v.tags.get(DIGEST) == content:
                return v
        self._store.ensure()
        with self._mlflow(f"register a version of {name}") as client:
            if not own and not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name, description=_ABOUT.format(name))
            made = client.create_model_version(
                name, kept.as_uri(), run_id, {**tags, DIGEST: content}, description=about or None, await_creation_for=0
            )
        return self.find(f"{SCHEME}{name}/{made.version}")

    def point(self, version: Version, alias: str) -> None:
        """Moves an alias of a model to one of its versions.

        Raises:
            RlSchedError: MLflow cannot write to its store.
        """
        with self._mlflow(f"move the alias {alias}") as client:
            client.set_registered_model_alias(version.name, alias, str(version.version))

    def _keep(self, folder: Path, target: Path, content: str) -> Path:
        """Copies the files of a policy, and the record of its REPORT openings, in one step."""
        if target.is_dir() and all((target / name).is_file() for name in FILES) and digest(target) == content:
            return target
        fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            for name in (*FILES, LEDGER):
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, fresh / name)
            shutil.rmtree(target, ignore_errors=True)
            os.rename(fresh, target)
        except OSError as error:
            raise RlSchedError(f"The folder {target.parent} must be writable; {error.strerror}.") from error
        return target

    def _fetch(self, version: Version) -> Path:
        target = self._store.models / ".fetched" / version.name / str(version.version)
        if not target.is_dir():
            with self._mlflow(f"fetch the files of {version.uri}"):
                from mlflow.artifacts import download_artifacts

                fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.mkdir(parents=True)
                got = download_artifacts(version.source, dst_path=str(fresh), tracking_uri=self._store.uri)
                os.rename(got, target)
                shutil.rmtree(fresh, ignore_errors=True)
        return target

    @contextlib.contextmanager
    def _mlflow(self, what: str) -> Iterator[Any]:
        """MLflow's client to do ``what``; whatever it raises becomes one sentence."""
        try:
            if self._client is None:
                self._client = connect(self._store.uri)
            yield self._client
        except Exception as error:  # of MLflow, SQLAlchemy, the file system, a remote store, ...
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RlSchedError(f"MLflow could not {what} (store {self._store.database}): {reason}") from error


def check_name(name: str) -> str:
    """``name``, if a model may be called so: it is also the name of a folder.

    Raises:
        ConfigError: It may not.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "The name of a model must be letters, digits, '-', '_' or '.', and not begin with '.' or '-'; it is "
            f"{name!r}."
        )
    return name


def check_alias(alias: str) -> str:
    """``alias``, if a version may be called so.

    Raises:
        ConfigError: It may not.
    """
    if not _ALIAS.fullmatch(alias):
        raise ConfigError(
            "An alias must be letters, digits, '-' or '_', begin with a letter or '_', and be neither 'latest' nor "
            f"like 'v1'; it is {alias!r}."
        )
    return alias


def _advice(wrong: str, known: set[str]) -> str:
    """The nearest name and all names."""
    near, everything = did_you_mean(wrong, known), f"Known: {', '.join(sorted(known))}."
    return near if near == everything else f"{near} {everything}"
