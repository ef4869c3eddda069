"""Mutated photos of every format in the real worker: each has an outcome, and costs no other photo anything."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.fuzz.memory import watched_mb
from tests.fuzz.mutation import generator, keep, mutated
from tests.fuzz.seeds import seeds

from pixkind.encoder import space
from pixkind.encoder.deadlines import TooSlow
from pixkind.encoder.messages import Encoded, Inspected, Settings
from pixkind.encoder.supervisor import Encoder, WorkerDied
from pixkind.errors import PhotoError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

_FILES = int(os.environ.get("PIXKIN_FILES", "160"))  # 50,000 before a release
_BATCH = 64  # in the worker at once
_INNOCENT = 8  # one photo of so many is not mutated
_MOST_MB = 1200  # of the worker, with torch
_REASON = 300  # characters

Outcome = Inspected | Encoded | Exception


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
    most_mb: float = 0.0


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
    return _Case(f"{number} {name}", mutated(known[name], generator("photo", number), list(known.values())))


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
    """Return what comes of photos that are all in the worker at once; each is encoded if it can be inspected."""
    with _opened(cases, folder) as descriptors:
        outcomes = _results([encoder.inspect(one, alone=alone) for one in descriptors])
        whole = [number for number, one in enumerate(outcomes) if isinstance(one, Inspected)]
        encoded = _results([encoder.encode(descriptors[number], alone=alone) for number in whole])
    return [dict(zip(whole, encoded, strict=True)).get(number, one) for number, one in enumerate(outcomes)]


def _results(futures: "Sequence[Future[Inspected] | Future[Encoded]]") -> list[Outcome]:
    wait(futures)
    return [error if isinstance(error := one.exception(), Exception) else one.result() for one in futures]


def _judge(
    ran: Ran, case: _Case, outcome: Outcome, looks: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]
) -> None:
    """Note what is wrong with an outcome. `looks`: the vectors of innocents, by what they are."""
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


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Yield what came of all photos in one worker."""
    ran = Ran(tmp_path_factory.mktemp("crashers"))
    scratch = tmp_path_factory.mktemp("photos")
    lite0 = space.resolve(space.LITE0, "", "/nowhere")
    settings = Settings(
        socket=-1, model=lite0.model, weights=lite0.weights, limit_mp=100, decode_threads=2, torch_threads=1, cores=2
    )
    encoder = Encoder(settings, keep_warm_s=60)
    encoder.start()
    looks: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}
    with watched_mb(lambda: encoder.pid) as most_mb:
        for start in range(0, _FILES, _BATCH):
            cases = [_case(number) for number in range(start, min(start + _BATCH, _FILES))]
            outcomes = _outcomes(encoder, cases, scratch)
            for case, outcome in zip(cases, outcomes, strict=True):
                if isinstance(outcome, WorkerDied):  # a suspect; if it does nothing alone, its death is still noted
                    [again] = _outcomes(encoder, [case], scratch, alone=True)
                    _judge(ran, case, again if isinstance(again, WorkerDied) else outcome, looks)
                else:
                    _judge(ran, case, outcome, looks)
            ran.photos += len(cases)
    encoder.stop()
    ran.most_mb = most_mb[0]
    sys.stdout.write(
        f"{ran.photos} photos, {ran.encoded} encoded, worker {ran.most_mb:.0f} MiB, files in {ran.folder}\n"
    )
    yield ran
    assert encoder.failure() is None


def test_no_photo_ends_the_worker(ran: Ran) -> None:
    """Whatever its bytes are, the next photo finds the same worker."""
    assert ran.deaths == []
    assert ran.photos == _FILES


def test_no_photo_takes_longer_than_its_deadline(ran: Ran) -> None:
    """A small file is inspected, and decoded or refused, in much less than the 30 s of CPU time that a photo has."""
    assert ran.slow == []


def test_every_photo_is_encoded_or_refused_with_a_sentence(ran: Ran) -> None:
    """A vector is finite and not zero; a reason is a line that a terminal may show."""
    assert ran.wrong == []
    assert 0 < ran.encoded < ran.photos


def test_no_innocent_between_them_is_harmed(ran: Ran) -> None:
    """A whole photo becomes the same vector as ever."""
    assert ran.harmed == []


def test_the_worker_stays_within_its_memory(ran: Ran) -> None:
    """Whatever sizes the headers claim."""
    assert ran.most_mb < _MOST_MB


def test_a_case_can_be_made_again(ran: Ran) -> None:
    """A number and a seed say which bytes they were; hardly a case is the seed itself."""
    cases = [_case(number).data for number in range(1, 40)]

    assert cases == [_case(number).data for number in range(1, 40)]
    assert len(set(cases)) > 30
