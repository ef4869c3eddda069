"""Mutated photos of every format in the real worker: each has an outcome, and costs no other photo anything."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.daemon.conftest import default_network
from tests.daemon.encoder.worker.test_plugins import STARTS
from tests.fuzz.mutation import generator, keep, mutated
from tests.fuzz.seeds import seeds
from tests.processes import watched_mb

from pixkind.encoder.deadlines import TooSlow
from pixkind.encoder.messages import Encoded, Inspected
from pixkind.encoder.supervisor import Encoder, WorkerDied
from pixkind.errors import PhotoError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

_FILES = int(os.environ.get("PIXKIN_FILES", "160"))  # 50,000 before a release
_BATCH = 64  # in the worker at once
_INNOCENT = 8  # one photo of so many is not mutated
_MOST_MB = 1200  # of the worker, with torch
_REASON = 300  # characters

Outcome = Inspected | Encoded | Exception
Looks = dict[str, NDArray[np.float32]]  # the vectors of innocents, by what they are


@dataclass(slots=True)
class Ran:
    """What came of all photos. Each file that did harm is named by its path."""

    folder: Path
    photos: int = 0
    encoded: int = 0
    deaths: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # reasons that are no sentence, vectors that are none
    harmed: list[str] = field(default_factory=list)  # innocents that were refused, or looked different


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    data: bytes
    innocent: str = ""  # what it is, if it is not mutated


def _case(number: int) -> _Case:
    """Return a photo, which depends on its number and the seed alone."""
    known = seeds()
    name = list(known)[number % len(known)]
    if number % _INNOCENT == 0:
        return _Case(f"{number} {name}", known[name], name)
    others = [*known.values(), *(start for starts in STARTS.values() for start in starts)]  # of cameras' raw files, too
    return _Case(f"{number} {name}", mutated(known[name], generator("photo", number), others))


@contextmanager
def _opened(cases: Sequence[_Case], folder: Path) -> Iterator[list[int]]:
    """Yield descriptors that can only be read, as the daemon's."""
    path, descriptors = folder / "photo", []
    for case in cases:
        path.write_bytes(case.data)
        descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        path.unlink()
    try:
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _outcomes(encoder: Encoder, cases: Sequence[_Case], folder: Path, *, alone: bool = False) -> list[Outcome]:
    """Return what comes of photos that are all in the worker at once; each is encoded if it can be inspected.

    So is its last page, which counts only if it does harm.
    """
    with _opened(cases, folder) as descriptors:
        outcomes = _results([encoder.inspect(one, alone=alone) for one in descriptors])
        last = {number: one.pages - 1 for number, one in enumerate(outcomes) if isinstance(one, Inspected)}
        encoded = _results([encoder.encode(descriptors[number], alone=alone) for number in last])
        several = {number: page for number, page in last.items() if page}
        pages = _results(
            [encoder.encode(descriptors[number], alone=alone, page=page) for number, page in several.items()]
        )
    harm = {
        number: one
        for number, one in zip(several, pages, strict=True)
        if isinstance(one, WorkerDied | TooSlow) or not isinstance(one, PhotoError | Encoded)
    }
    known = dict(zip(last, encoded, strict=True)) | harm
    return [known.get(number, one) for number, one in enumerate(outcomes)]


def _results(futures: "Sequence[Future[Inspected] | Future[Encoded]]") -> list[Outcome]:
    return [error if isinstance(error := one.exception(), Exception) else one.result() for one in futures]


def _judge(ran: Ran, case: _Case, outcome: Outcome, looks: Looks) -> None:
    """Note what is wrong with an outcome."""
    match outcome:
        case WorkerDied():
            ran.deaths.append(f"{outcome}: {keep(ran.folder, case.name, case.data)}")
        case TooSlow():
            ran.slow.append(keep(ran.folder, case.name, case.data))
        case PhotoError() if case.innocent:
            ran.harmed.append(f"{case.name}: {outcome}")
        case PhotoError():
            if not 3 <= len(outcome.reason) <= _REASON or not outcome.reason.isprintable():
                ran.wrong.append(f"{outcome.reason[:_REASON]!r}: {keep(ran.folder, case.name, case.data)}")
        case Encoded():
            ran.encoded += 1
            vector = np.frombuffer(outcome.vector, "<f2").astype(np.float32)
            if vector.shape != (1280,) or not np.isfinite(vector).all() or not vector.any():
                ran.wrong.append(f"no vector: {keep(ran.folder, case.name, case.data)}")
            elif case.innocent:
                before = looks.setdefault(case.innocent, vector)
                if before @ vector < 0.999 * np.linalg.norm(before) * np.linalg.norm(vector):
                    ran.harmed.append(f"{case.name}: it looks different now")
        case _:
            ran.wrong.append(f"{outcome!r}: {keep(ran.folder, case.name, case.data)}")


def _run(ran: Ran, encoder: Encoder, scratch: Path) -> None:
    """Have all photos inspected and encoded by one worker."""
    looks: Looks = {}
    for start in range(0, _FILES, _BATCH):
        cases = [_case(number) for number in range(start, min(start + _BATCH, _FILES))]
        for case, outcome in zip(cases, _outcomes(encoder, cases, scratch), strict=True):
            if isinstance(outcome, WorkerDied):  # a suspect; if it does nothing alone, its death is still noted
                [again] = _outcomes(encoder, [case], scratch, alone=True)
                _judge(ran, case, again if isinstance(again, WorkerDied) else outcome, looks)
            else:
                _judge(ran, case, outcome, looks)
        ran.photos += len(cases)


def test_every_mutated_photo_has_an_outcome_and_costs_no_other(tmp_path: Path) -> None:
    """The worker lives on, within its memory. Each photo is encoded, or refused with a sentence, in its time.

    A whole photo between them becomes the same vector as ever.
    """
    ran = Ran(tmp_path)
    settings = default_network()
    encoder = Encoder(settings, keep_warm_s=60)
    encoder.start()
    with watched_mb(lambda: [encoder.pid]) as most_mb:
        _run(ran, encoder, tmp_path)
    encoder.stop()
    sys.stdout.write(f"{ran.photos} photos, {ran.encoded} encoded, worker {most_mb[0]:.0f} MiB\n")

    assert (ran.deaths, ran.slow, ran.wrong, ran.harmed) == ([], [], [], [])
    assert 0 < ran.encoded < ran.photos == _FILES
    assert most_mb[0] < _MOST_MB
    assert encoder.failure() is None


def test_a_case_can_be_made_again() -> None:
    """A number and a seed say which bytes they were, and hardly two numbers make the same."""
    cases = [_case(number).data for number in range(1, 40)]

    assert cases == [_case(number).data for number in range(1, 40)]
    assert len(set(cases)) > 30
