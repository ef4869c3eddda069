"""What is shown of a photo, and how its thumbnail is fetched."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pixkin.cli import output
from pixkin.errors import PixkinError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixkin.protocol.replies import Thumb
    from pixkin.query_images import Source

_AT_ONCE: Final = 4  # requests: as many as the daemon decodes at a time
_WITHIN_S: Final = 30.0  # until no more thumbnails are asked for: a worker that hangs holds nobody up for longer
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
    colour: int = 0  # of `head`: an attribute of `output`; 0: none
    remark: str = ""  # what else there is to say
    source: Source | None = None  # what its thumbnail is made of; None: the file at `path`
    jpeg: bytes = b""  # empty: not fetched, or missing
    width: int = 4
    height: int = 3
    missing: str = ""  # why it has no thumbnail

    @property
    def name(self) -> str:
        """The name of the file."""
        return output.shown(os.path.basename(self.path))

    @property
    def folder(self) -> str:
        """The folder of the file."""
        return output.shown(os.path.dirname(self.path))

    @property
    def ratio(self) -> float:
        """How many times as wide as high it is; a panorama is shown in a box."""
        return min(4.0, max(0.4, self.width / self.height))


class TileGroup(NamedTuple):
    """Photos that belong together."""

    tiles: Sequence[Tile]
    title: str = ""
    more: int = 0  # photos that are not shown


def fetched(client: ThumbnailSource, tiles: Sequence[Tile]) -> Iterator[Tile]:
    """Yield the tiles with their thumbnails, in order, each as soon as it is there. A few are asked for at a time."""
    until_s = time.monotonic() + _WITHIN_S
    asked: SimpleQueue[tuple[Tile, Future[Tile]]] = SimpleQueue()
    futures = [Future[Tile]() for _ in tiles]
    for pair in zip(tiles, futures, strict=True):
        asked.put(pair)

    def fetch() -> None:
        while True:
            try:
                tile, future = asked.get_nowait()
            except Empty:
                return
            try:
                future.set_result(_fetched(client, tile, until_s))
            except BaseException as error:  # noqa: BLE001  the thread's outermost frame: the error is raised below
                future.set_exception(error)

    # Daemon threads: Ctrl-C does not wait for their replies.
    for _ in range(min(_AT_ONCE, len(tiles))):
        threading.Thread(target=fetch, daemon=True).start()
    for future in futures:
        yield future.result()


def _fetched(client: ThumbnailSource, tile: Tile, until_s: float) -> Tile:
    if time.monotonic() > until_s:
        return tile._replace(missing="pixkind is busy")
    try:
        thumb = client.thumbnail(os.fsdecode(tile.path) if tile.source is None else tile.source)
    except PixkinError as error:
        reason = error.what.removeprefix(f"{os.fsdecode(tile.path)}: ")
        return tile._replace(missing=output.harmless(reason)[:_MOST_LETTERS] or "no picture")
    if len(thumb.data) > _MOST_BYTES or not thumb.data.startswith(b"\xff\xd8\xff"):
        return tile._replace(missing="not a thumbnail")
    return tile._replace(jpeg=thumb.data, width=max(1, thumb.width), height=max(1, thumb.height))
