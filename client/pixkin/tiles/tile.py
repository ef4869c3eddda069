"""What is shown of a photo, and how its thumbnail is fetched."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, wait
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pixkin.errors import PixkinError
from pixkin.printable import harmless, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixkin.protocol.replies import Thumb
    from pixkin.query_images import Source

_AT_ONCE: Final = 4  # requests: as many as the daemon decodes at a time
_WITHIN_S: Final = 30.0  # without any thumbnail, until no more are asked for: a worker that hangs holds nobody up
_SIGNAL_S: Final = 0.5  # until Ctrl-C is seen, at most
_MOST_BYTES: Final = 2 << 20  # of a thumbnail of size S, which usually has 20 kB
_MOST_LETTERS: Final = 120  # of a reason


class ThumbnailSource(Protocol):
    """Makes thumbnails, as `Client` does."""

    def thumbnail(self, image: Source) -> Thumb:
        """Return a thumbnail."""


class Tile(NamedTuple):
    """A photo as it is shown. All text is harmless on a terminal."""

    head: str  # what is said of it first: its score, or whether it stays
    path: bytes = b""  # empty: it has none
    colour: int = 0  # of `head`: an attribute of `printable`; 0: none
    remark: str = ""  # what else there is to say
    source: Source | None = None  # what its thumbnail is made of; None: the file at `path`
    jpeg: bytes = b""  # empty: not fetched, or missing
    width: int = 4
    height: int = 3
    missing: str = ""  # why it has no thumbnail

    @property
    def name(self) -> str:
        """The name of the file."""
        return shown(os.path.basename(self.path))

    @property
    def folder(self) -> str:
        """The folder of the file."""
        return shown(os.path.dirname(self.path))

    @property
    def ratio(self) -> float:
        """How many times as wide as high it is; a panorama is shown in a box."""
        return min(4.0, max(0.4, self.width / self.height))


class TileGroup(NamedTuple):
    """Photos that belong together."""

    tiles: Sequence[Tile]
    title: str = ""
    more: int = 0  # photos that are not shown


class TileFetcher:
    """Fetches the thumbnails of tiles."""

    def __init__(self, client: ThumbnailSource) -> None:
        self._client = client
        self._last_s = time.monotonic()  # when the last thumbnail came

    def fetched(self, tiles: Sequence[Tile]) -> Iterator[Tile]:
        """Yield the tiles with their thumbnails, in order, each as soon as it is there. A few are asked for at a time."""
        asked: SimpleQueue[tuple[Tile, Future[Tile]]] = SimpleQueue()
        futures = [Future[Tile]() for _ in tiles]
        for pair in zip(tiles, futures, strict=True):
            asked.put(pair)
        # Daemon threads: Ctrl-C does not wait for their replies.
        for _ in range(min(_AT_ONCE, len(tiles))):
            threading.Thread(target=self._fetch, args=(asked,), daemon=True).start()
        for future in futures:
            # Python looks for signals before it waits: one that comes in between is seen only when the wait ends.
            while not future.done():
                wait([future], _SIGNAL_S)
            yield future.result()

    def _fetch(self, asked: SimpleQueue[tuple[Tile, Future[Tile]]]) -> None:
        while True:
            try:
                tile, future = asked.get_nowait()
            except Empty:
                return
            try:
                future.set_result(self._with_thumbnail(tile))
            except BaseException as error:  # noqa: BLE001  the thread's outermost frame; the error is raised in `fetched`
                future.set_exception(error)

    def _with_thumbnail(self, tile: Tile) -> Tile:
        if time.monotonic() > self._last_s + _WITHIN_S:
            return tile._replace(missing="pixkind is busy")
        try:
            thumb = self._client.thumbnail(os.fsdecode(tile.path) if tile.source is None else tile.source)
        except PixkinError as error:
            # The path in front may be that of another copy.
            reason = error.what.rpartition(": ")[2] if error.what.startswith("/") else error.what
            return tile._replace(missing=harmless(reason)[:_MOST_LETTERS] or "no picture")
        if len(thumb.data) > _MOST_BYTES or not thumb.data.startswith(b"\xff\xd8\xff"):
            return tile._replace(missing="not a thumbnail")
        self._last_s = time.monotonic()
        return tile._replace(jpeg=thumb.data, width=max(1, thumb.width), height=max(1, thumb.height))
