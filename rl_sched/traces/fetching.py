"""Gets files of public traces: nothing half, nothing unverified, nothing overwritten.

A file is downloaded under a temporary name beside its place, checked (length and SHA-256), and only then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import http.client
import os
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from rl_sched.errors import TraceError
from rl_sched.traces.public import PublicFile

_CHUNK = 1 << 18
_TIMEOUT_S = 60.0  # without a byte
_HEADERS = {"User-Agent": "rl_sched"}

#: Told how many bytes of a file have arrived.
Progress = Callable[[PublicFile, int], None]


class Plan(NamedTuple):
    """What is to be done for some files in one folder."""

    folder: Path
    there: tuple[PublicFile, ...]  # with the right checksum: kept
    missing: tuple[PublicFile, ...]

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.missing)


def plan(files: Sequence[PublicFile], folder: Path) -> Plan:
    """Looks which files are there already.

    Raises:
        TraceError: A file is there with another content, the folder is none, or it cannot be read.
    """
    there, missing = [], []
    for file in files:
        place = folder / file.path
        with _disk_trouble(place):
            if not place.exists():
                missing.append(file)
                continue
            if not place.is_file():
                raise TraceError(f"{place} must be a file or not exist; it is a folder. Move it away.")
            found = _sha256_of(place, unzip=file.zipped_here)
        if found != file.sha256:
            raise TraceError(
                f"{place} is there already with another content (SHA-256 {found[:12]}..., expected "
                f"{file.sha256[:12]}...). Move it away, or fetch into another folder."
            )
        there.append(file)
    return Plan(folder, tuple(there), tuple(missing))


def fetch(file: PublicFile, folder: Path, on_bytes: Progress | None = None) -> Path:
    """Downloads one file that is not there yet; on any failure, and on Ctrl-C, nothing is left behind.

    Args:
        file: What to get.
        folder: The folder of traces; made if need be.
        on_bytes: Called after every piece.

    Returns:
        Where the file lies.

    Raises:
        TraceError: The address cannot be reached or answers an error, the connection is cut, the content is not the
            expected one, or the disk cannot take it.
    """
    place = folder / file.path
    with _disk_trouble(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place.parent).free
        if free < file.size:
            raise TraceError(f"{place.parent} must have room for {file.size:,} bytes; {free:,} are free. Make room.")
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent) as temporary:
            part = Path(temporary) / "part"
            with part.open("wb") as target:
                _download(file, target, on_bytes)
            if file.zipped_here:
                part = _zipped(part)
            part.chmod(0o644)
            part.rename(place)
    return place


def _download(file: PublicFile, target: IO[bytes], on_bytes: Progress | None) -> None:
    digest = hashlib.sha256()
    done = 0
    with _opened(file.address) as answer:
        while chunk := _read(file, answer, done):
            done += len(chunk)
            if done > file.size:
                break
            digest.update(chunk)
            target.write(chunk)
            if on_bytes is not None:
                on_bytes(file, done)
        stated = answer.headers.get("Content-Length", "")
    if done < file.size and done < int(stated if stated.isdigit() else 0):
        raise TraceError(f"{file.address}: the connection ended after {done:,} of {int(stated):,} bytes. Try again.")
    if done != file.size or digest.hexdigest() != file.sha256:
        found = (
            f"more than {file.size:,} bytes" if done > file.size else f"{done:,} bytes, {digest.hexdigest()[:12]}..."
        )
        raise TraceError(
            f"{file.address} must serve {file.size:,} bytes with SHA-256 {file.sha256[:12]}...; it served {found}. "
            "Nothing was kept; the file at that address has changed, or something on the way changed it."
        )


@contextlib.contextmanager
def _opened(address: str) -> Iterator[http.client.HTTPResponse]:
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=_HEADERS), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise TraceError(f"{address} answered {error.code} {error.reason}. Look whether the file has moved.") from None
    except urllib.error.URLError as error:
        raise _unreachable(address, error.reason) from None
    except (http.client.HTTPException, OSError, ssl.SSLError) as error:
        raise _unreachable(address, error) from None
    with answer:
        yield answer


def _unreachable(address: str, reason: object) -> TraceError:
    text = str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
    return TraceError(f"{address} cannot be reached ({text}). Check the network, and a proxy if there is one.")


def _read(file: PublicFile, answer: http.client.HTTPResponse, done: int) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (http.client.HTTPException, OSError) as error:
        text = str(error) or type(error).__name__
        raise TraceError(
            f"{file.address}: the connection ended after {done:,} of {file.size:,} bytes ({text}). Try again."
        ) from None


def _zipped(part: Path) -> Path:
    """The file, zipped without name and time, so that equal content gives equal bytes."""
    out = part.with_suffix(".gz")
    with part.open("rb") as source, out.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as target:
        shutil.copyfileobj(source, target, _CHUNK)
    return out


def _sha256_of(path: Path, *, unzip: bool) -> str:
    """SHA-256 of the content; of the file itself where it is no valid gzip."""
    if unzip:
        try:
            with gzip.open(path, "rb") as zipped:
                return hashlib.file_digest(zipped, "sha256").hexdigest()  # type: ignore[arg-type]
        except (gzip.BadGzipFile, EOFError, zlib.error):
            pass  # no valid gzip: the digest of the bytes as they are tells that it is another content
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


@contextlib.contextmanager
def _disk_trouble(place: Path) -> Iterator[None]:
    """Turns an error of the file system into one sentence."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        advice = "Make room." if error.errno == errno.ENOSPC else "Check the folder and its permissions."
        raise TraceError(f"{place} cannot be read or written ({why}). {advice}") from None
