"""Malformed rows: each gives a clean error or a usable workload whose audit accounts for every row. No traceback.

A copy of a small log gets one broken row (or is cut, or zipped and damaged), and is read again.
"""

from __future__ import annotations

import gzip
import os
import random
import re
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import RlSchedError
from rl_sched.testing.traces import check_invariants
from rl_sched.traces import TRACES
from rl_sched.traces.helios import helios_cluster
from rl_sched.traces.log import LogTrace
from rl_sched.traces.openb import openb_cluster
from rl_sched.traces.pai import pai_cluster
from tests.trace_cases import CASES, FIXTURES, Case

FAST_ROWS, ALL_ROWS = 3_000, 100_000
_MAX_S = 20.0  # of one read; usual are 0.001 s

CELLS = (
    b"", b" ", b"nan", b"inf", b"-inf", b"-1", b"0", b"-0.0", b"1.5", b"0.5", b"1e400", b"1e308", b"-1e308", b"1e18",
    b"5e-324", b"9" * 30, b"9" * 5000, b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"65",
    b"0x10", b"1_000", b"None", b"NULL", b"null", b"true", b"T4|", b"|", b"\xd9\xa3", b"\xff\xfe", b"\xed\xa0\x80",
    b"\x00", b'"', b'""', b"'", b"\\", b"\r", b"\x0b", b"\x85", b"[", b"]", b"{", b"}", b"[" * 3000, b";", b":", b"%s",
    b"2017-13-45 00:00:00", b"0001-01-01 00:00:00", b"9999-12-31 23:59:59", b"1970-01-01 00:00:00", b"('a', 1)",
    b"x" * 140_000, b"name", b"job_id", b"\xef\xbb\xbf",
)  # fmt: skip
_FIELD = re.compile(rb"[^,\t\n]*")
_WORD = re.compile(rb"[^,\t\s{}\[\]:\"']+")


def _replaced(rng: random.Random, row: bytes, pieces: re.Pattern[bytes], by: Callable[[bytes], bytes]) -> bytes:
    """The row with one of its pieces replaced."""
    found = [match for match in pieces.finditer(row) if match.group()]
    if not found:
        return rng.choice(CELLS)
    match = rng.choice(found)
    return row[: match.start()] + by(match.group()) + row[match.end() :]


def _cut(rng: random.Random, row: bytes) -> bytes:
    return row[: rng.randrange(len(row) + 1)]


def _another_byte(rng: random.Random, row: bytes) -> bytes:
    at = rng.randrange(len(row) + 1)
    return row[:at] + bytes([rng.randrange(256)]) + row[at + rng.randrange(2) :]


def _digits(rng: random.Random, row: bytes) -> bytes:
    """Other digits in one word: often a row that is well formed and says something else."""
    return _replaced(rng, row, _WORD, lambda word: re.sub(rb"\d", lambda _: b"%d" % rng.randrange(10), word))


def _swapped(rng: random.Random, row: bytes) -> bytes:
    cells = row.split(b",") if b"," in row else row.split(b"\t")
    i, j = rng.randrange(len(cells)), rng.randrange(len(cells))
    cells[i], cells[j] = cells[j], cells[i]
    return (b"," if b"," in row else b"\t").join(cells)


#: What can happen to a row; it may become several.
MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    lambda rng, row: _replaced(rng, row, _FIELD, lambda _: rng.choice(CELLS)),
    lambda rng, row: _replaced(rng, row, _FIELD, lambda _: rng.choice(CELLS)),
    lambda rng, row: _replaced(rng, row, _WORD, lambda _: rng.choice(CELLS)),
    lambda rng, row: _replaced(rng, row, _WORD, lambda _: rng.choice(CELLS)),
    lambda rng, row: _replaced(rng, row, _WORD, lambda word: word + rng.choice(CELLS)),
    lambda rng, row: _replaced(rng, row, _FIELD, lambda cell: cell + b"," + cell),
    lambda rng, row: _replaced(rng, row, re.compile(rb"[,\t:]"), lambda _: rng.choice((b"", b";", b" ", b",,", b"\t"))),
    lambda rng, row: row + b"\n" + row,
    lambda rng, row: b"",
    _cut,
    _another_byte,
    _digits,
    _swapped,
)


def _damaged_file(rng: random.Random, content: bytes) -> bytes:
    """The whole file cut, or zipped and one byte of that changed."""
    if rng.random() < 0.5:
        return _cut(rng, content)
    zipped = bytearray(gzip.compress(content, mtime=0))
    zipped[rng.randrange(len(zipped))] = rng.randrange(256)
    return bytes(zipped)


def malformed(rng: random.Random, content: bytes) -> bytes:
    """A copy of a file with one broken row; one file in fifty is damaged as a whole."""
    if rng.random() < 0.02:
        return _damaged_file(rng, content)
    rows = content.split(b"\n")
    at = rng.randrange(len(rows))
    rows[at] = rng.choice(MUTATIONS)(rng, rows[at])
    return b"\n".join(rows)


def read(case: Case, folder: Path) -> str:
    """What comes of the case in this folder: ``kept``, or the kind of error. Anything else raises."""
    began = time.perf_counter()
    try:
        trace = TRACES.create(case.trace, **case.where(folder))
        jobs = trace.load(0)
        audit = trace.audit()
    except RlSchedError as error:
        assert "\n" not in str(error)
        assert any(str(folder / file) in str(error) for file in case.files.values()), str(error)
        return type(error).__name__
    finally:
        assert time.perf_counter() - began < _MAX_S
    check_invariants(jobs)
    assert np.isfinite(jobs.scale_load(2.0).submit_s).all()
    assert audit.rows_kept == len(jobs)
    assert audit.rows_read == audit.rows_kept + sum(audit.dropped.values())
    return "kept"


def _overwrite(path: Path, content: bytes, tick: int) -> None:
    """New content in place: emptying a file first makes some file systems write to the disk at once."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()
    os.utime(path, ns=(tick, tick))  # readers keep what they have read by size and time of change


def fuzz(case: Case, rows: int, folder: Path, seed: int) -> Counter[str]:
    """Reads the case with so many malformed rows, one at a time; returns how many came to what."""
    for file in case.files.values():
        source, target = FIXTURES / file, folder / file
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    intact = {path: path.read_bytes() for path in files}
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for i in range(rows):
        path = rng.choice(files)
        content = malformed(rng, intact[path])
        _overwrite(path, content, 2 * i)
        try:
            outcomes[read(case, folder)] += 1
        except Exception as error:
            raise AssertionError(f"{case.name}, row {i} of seed {seed}: {path.name} is {content[:2000]!r}") from error
        _overwrite(path, intact[path], 2 * i + 1)
    return outcomes


def check_outcomes(outcomes: Counter[str], rows: int) -> None:
    assert outcomes.total() == rows
    assert outcomes["kept"] > rows * 0.02  # a file that cannot be read anyway would prove nothing
    assert outcomes["TraceError"] > rows * 0.2


CLUSTERS: dict[str, Callable[[str], ClusterSpec]] = {
    "openb_nodes_small.csv": openb_cluster,
    "pai_small/pai_machine_spec.csv": pai_cluster,
    "helios_gpus_small.csv": lambda path: helios_cluster(path, "2020-06-01"),
}


@pytest.mark.parametrize("file", CLUSTERS)
def test_malformed_machines_of(file: str, tmp_path: Path) -> None:
    intact = (FIXTURES / file).read_bytes()
    rng = random.Random(zlib.crc32(file.encode()))
    path = tmp_path / "machines.csv"
    path.touch()
    outcomes = Counter()
    for i in range(300):
        _overwrite(path, malformed(rng, intact), i)
        try:
            outcomes["kept"] += CLUSTERS[file](str(path)).num_gpus > 0
        except RlSchedError as error:
            assert str(path) in str(error)
            outcomes["TraceError"] += 1
    check_outcomes(outcomes, 300)


def test_every_reader_has_a_case() -> None:
    readers = {name for name in TRACES if issubclass(TRACES.load(name), LogTrace)}
    assert readers == {case.trace for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_malformed_rows_of(case: Case, tmp_path: Path) -> None:
    rows = FAST_ROWS // len(CASES)
    check_outcomes(fuzz(case, rows, tmp_path, seed=zlib.crc32(case.name.encode())), rows)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_malformed_rows(tmp_path: Path) -> None:
    total: Counter[str] = Counter()
    rows = -(-ALL_ROWS // len(CASES))
    for i, case in enumerate(CASES):
        folder = tmp_path / str(i)
        folder.mkdir()
        outcomes = fuzz(case, rows, folder, seed=i)
        check_outcomes(outcomes, rows)
        total += outcomes
    assert total.total() >= ALL_ROWS
