"""Real workers with real files that take for ever, or are only slow."""

import io
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.daemon.conftest import DaemonParts, default_network
from tests.waiting import wait_for

from pixkin.protocol import requests
from pixkin.protocol.replies import Failure, Matches
from pixkin.protocol.requests import Like, now_ms
from pixkind.encoder import deadlines
from pixkind.encoder.worker.jpeg_scans import MOST_SCANS
from pixkind.server.deferred import Deferred


def scans(size: tuple[int, int], count: int) -> bytes:
    """Return a progressive JPEG whose last scan is there so many times."""
    file = io.BytesIO()
    Image.new("L", size, 128).save(file, "JPEG", progressive=True, quality=50)
    data = file.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + b"\xff\xd9"


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Return a JPEG that takes several seconds to decode, and yet has no more scans than are allowed."""
    return scans((10_000, 9_999), MOST_SCANS - 10)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[DaemonParts]:
    """Yield a library with a real worker, in which a photo has a second, and two when it comes again."""
    told = default_network()
    made = DaemonParts(tmp_path, worker=told, cpu_s=1.0, slow_cpu_s=2.0)
    yield made
    made.stop()
    assert made.ingest.failure() is None
    assert made.encoder.failure() is None


def ask(library: DaemonParts, photo: Path, wait_s: float = 240.0) -> Matches | Failure:
    """Return the reply to a query by an image, as the server gives it."""
    until_ms = now_ms() + int(wait_s * 1000)
    reply = library.dispatcher.answer(Like(images=(requests.Image(path=os.fsencode(photo)),), until_ms=until_ms), ())
    while isinstance(reply, Deferred):
        for future in reply.futures:
            wait_for(future.done)
        reply = reply.resume()
    assert isinstance(reply, Matches | Failure)
    return reply


def test_no_photo_stops_the_others(library: DaemonParts, photos: list[Path], bomb: bytes, tmp_path: Path) -> None:
    """A file that takes for ever is given up by its own time, though queries by new images are answered all the while."""
    for number, photo in enumerate(photos[:4]):
        shutil.copyfile(photo, library.root / f"{number}.jpg")
        os.utime(library.root / f"{number}.jpg", (1e9, 1e9))
    (library.root / "bomb.jpg").write_bytes(bomb)
    library.start()
    done, answers = threading.Event(), list[Matches | Failure]()

    def keep_asking() -> None:
        for number in range(1000):
            new = tmp_path / f"{number}.png"
            Image.new("RGB", (300, 300), (number, 0, 0)).save(new)
            answers.append(ask(library, new))
            if done.wait(0.2):
                return

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        library.sync()
    finally:
        done.set()
        asking.join()

    assert library.found() == {f"{number}.jpg" for number in range(4)}
    assert library.failed() == {"bomb.jpg": "takes too long to decode"}
    assert all(isinstance(answer, Matches) for answer in answers)


def test_a_query_by_a_file_that_takes_for_ever_keeps_no_other_waiting(
    library: DaemonParts, photos: list[Path], bomb: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are answered while the slow images are decoded; those end with their askers."""
    monkeypatch.setattr(deadlines, "SLOW_S", 0.5)
    monkeypatch.setattr(deadlines, "WAIT_S", 1.0)
    shutil.copyfile(photos[0], library.root / "0.jpg")
    library.start().sync()
    bad, replies = tmp_path / "bomb.jpg", list[Matches | Failure]()
    bad.write_bytes(bomb)
    asking = [threading.Thread(target=lambda: replies.append(ask(library, bad, 6.0))) for _ in range(2)]
    for thread in asking:
        thread.start()
    others = [ask(library, photo) for photo in photos[1:4]]
    for thread in asking:
        thread.join(240)

    assert all(isinstance(answer, Matches) for answer in others)
    assert len(replies) == 2


@pytest.mark.parametrize("count", [MOST_SCANS, 60_000])
def test_thousands_of_scans_are_refused_by_a_look(library: DaemonParts, count: int) -> None:
    """No pixel is decoded, whatever the size of the picture."""
    (library.root / "bomb.jpg").write_bytes(scans((4000, 4000), count))
    library.start().sync()

    assert "scans" in library.failed()["bomb.jpg"]
