"""How thumbnails are fetched."""

import threading
from collections.abc import Callable

import pytest

from pixkin.errors import DaemonBusy, InputUnreadable
from pixkin.protocol.replies import Thumb
from pixkin.query_images import Source
from pixkin.tiles import tile as module
from pixkin.tiles.tile import Tile, TileFetcher


class Asked:
    """Answers as `Client` does, with what a test says; counts how many ask at the same time."""

    def __init__(self, answer: Callable[[Source], Thumb]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._now = self.most = self.count = 0

    def thumbnail(self, image: Source) -> Thumb:
        """Return what the test says."""
        with self._lock:
            self._now += 1
            self.count += 1
            self.most = max(self.most, self._now)
        try:
            return self._answer(image)
        finally:
            with self._lock:
                self._now -= 1


def test_tiles_come_in_order_and_four_are_fetched_at_a_time(jpeg: Callable[..., bytes]) -> None:
    """The second thumbnail waits for the first, third and fourth, and still comes second."""
    barrier = threading.Barrier(4)

    def answer(image: Source) -> Thumb:
        if str(image) < "/p/04":
            barrier.wait(60)
        return Thumb(
            content=b"", data=jpeg(size=(int(str(image)[-2:]) + 1, 1)), width=int(str(image)[-2:]) + 1, height=1
        )

    client = Asked(answer)
    found = list(TileFetcher(client).fetched([Tile("", f"/p/{number:02}".encode()) for number in range(30)]))

    assert [tile.width for tile in found] == list(range(1, 31))
    assert client.most == 4


def test_a_missing_thumbnail_is_a_tile_with_the_reason() -> None:
    """It has one line, without the path, and nothing that a terminal acts upon."""
    reasons = {
        "/p/a": InputUnreadable("/p/a: the drive\x1b[31m is not connected"),
        "/p/b": DaemonBusy("x" * 1000),
        "/p/c": None,
        "/p/d": None,
    }
    bodies = {"/p/c": b"<html>", "/p/d": b"\xff\xd8\xff" + bytes(1 << 22)}

    def answer(image: Source) -> Thumb:
        if (error := reasons[str(image)]) is not None:
            raise error
        return Thumb(content=b"", data=bodies[str(image)], width=1, height=1)

    found = list(TileFetcher(Asked(answer)).fetched([Tile("", path.encode()) for path in reasons]))

    assert [tile.missing for tile in found] == [
        "the drive\\x1b[31m is not connected",
        "x" * 120,
        "not a thumbnail",
        "not a thumbnail",
    ]
    assert not any(tile.jpeg for tile in found)


def test_a_daemon_that_hangs_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """If none came for a while, no further thumbnail is asked for, and each tile says so."""
    monkeypatch.setattr(module, "_WITHIN_S", -1.0)
    client = Asked(lambda _: Thumb(content=b"", data=b"", width=1, height=1))
    found = list(TileFetcher(client).fetched([Tile("", b"/p/a")] * 9))

    assert [tile.missing for tile in found] == ["pixkind is busy"] * 9
    assert client.count == 0


def test_a_defect_is_raised_and_hangs_nobody() -> None:
    """What is no error of pixkin's own ends the command, from whichever thread."""

    def answer(_: Source) -> Thumb:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        list(TileFetcher(Asked(answer)).fetched([Tile("", b"/p/a")] * 3))
