"""Answers `thumbnail`: has a picture drawn by the worker, ahead of indexing and beside queries.

A few requests go on at once; the others wait for their turn, and hold nothing. So hundreds of them open no more files, and
hold no more copies of photos on a share, than a few do. As in like.py nothing blocks.

A picture that has killed the worker, or took too long in it, is not drawn again until the daemon starts anew. If other
jobs were in the worker when it died, it is drawn once more, alone.

Only a thumbnail of a photo whose content the store knows is kept in the cache: a photo that has taken the worker over
cannot take the place of another one there. A thumbnail that the desktop has made of such a photo is used for size S
(`desktop_thumbnails`), even if the drive is not connected.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any, Final

from pixkin.protocol.replies import Code, Reply, Thumb
from pixkin.protocol.requests import Image, Size, Thumbnail
from pixkind.encoder.deadlines import TooSlow
from pixkind.encoder.messages import UNSEEN, Inspected, Look, ThumbnailOf
from pixkind.encoder.supervisor import WorkerDied
from pixkind.encoder.thumbnail_checks import Drawing
from pixkind.fs.interface import FileSystem, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, in_memory
from pixkind.fs.remote import RemoteFileSystem
from pixkind.search.errors import NO_PHOTO, RequestError
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.desktop_thumbnails import made_by_desktop
from pixkind.server.query_images import QueryImages, outcome
from pixkind.server.turns import Turns
from pixkind.storage.record import UNKNOWN, Record
from pixkind.storage.thumbnails import ThumbnailCache

AT_ONCE: Final = 4  # two are drawn, and the next two are open already
MOST_HOPELESS: Final = 10_000  # pictures that are remembered


@dataclass(slots=True)
class _AskedThumbnail:
    """One request on its way to its reply."""

    request: Thumbnail
    frame: bytes = b""  # the bytes of the image, if they were sent
    places: deque[tuple[str, Record | None]] = field(default_factory=deque)  # where the photo may be opened
    content: bytes = UNKNOWN
    is_ours: bool = False  # the store says that the open photo has this content; else only the worker does
    of_desktop: Iterator[tuple[OpenPhoto, ThumbnailOf]] = field(default_factory=lambda: iter(()))
    error: RequestError | None = None  # why the last place is of no use
    opening: "Future[OpenPhoto] | None" = None
    photo: OpenPhoto | None = None  # while it is open

    @property
    def path(self) -> str:
        """The path that a failure names."""
        return os.fsdecode(self.request.image.path) or (self.photo.path if self.photo is not None else "")


@dataclass(slots=True)
class ThumbnailHandler:
    """Answers `thumbnail`. Any thread may call, several at once."""

    query_images: QueryImages
    cache: ThumbnailCache
    note_look: Callable[[bytes, Look], None]  # is told how a picture looks of which that is not stored
    turns: Turns = field(default_factory=lambda: Turns(AT_ONCE))
    hopeless: dict[tuple[bytes, Size], str] = field(default_factory=dict)  # why these are not drawn again

    def thumbnail(self, request: Thumbnail, frames: Sequence[bytes]) -> Reply | Deferred:
        """Return the thumbnail, or a Deferred. `frames` hold the bytes of the image if they are sent along.

        Raises:
            RequestError: the picture is not in the library, or cannot be drawn.
        """
        asked = _AskedThumbnail(request)
        if request.image.frame:
            asked.frame = frames[request.image.frame - 2]
        elif request.image.content:
            self._find(asked, request.image.content)
        else:
            self._look(asked, request.image)
        if (kept := self._kept(asked)) is not None:
            return kept
        self._check_hope(asked)
        turn = self.turns.take()
        return self._when(asked, turn, lambda: self._begin(asked))

    def _find(self, asked: _AskedThumbnail, content: bytes) -> None:
        """Take the photos of a picture of the library, those on connected drives first.

        Raises:
            RequestError: there are none, or all have failed for good.
        """
        store, roots = self.query_images.store, self.query_images.roots
        photos = [photo for photo in store.photos_of(content) if roots.root_of(photo.path) is not None]
        if not photos:
            raise RequestError(Code.REFUSED, NO_PHOTO, hint="pixkin status")
        asked.content = content
        asked.places.extend((one.path, one) for one in sorted(photos, key=lambda one: roots.is_offline(one.path)))
        if all(photo.is_hopeless for photo in photos):
            raise RequestError(Code.REFUSED, store.reason(photos[0].path), photos[0].path)

    def _look(self, asked: _AskedThumbnail, image: Image) -> None:
        """Take the photo at a path. Its content is known if the photo is as its record says.

        Raises:
            RequestError: the photo has failed for good.
        """
        store, roots = self.query_images.store, self.query_images.roots
        path, file_system = self.query_images.find(image)
        record = store.record(path)
        if (
            record is None
            or not record.live
            or roots.root_of(path) is None
            or not self.query_images.is_current(record, file_system)
        ):
            record = None
        if record is not None and record.is_hopeless:
            raise RequestError(Code.REFUSED, store.reason(path), os.fsdecode(image.path))
        asked.content = UNKNOWN if record is None else record.content
        asked.places.append((path, record))

    def _check_hope(self, asked: _AskedThumbnail) -> None:
        """Raise RequestError if a picture has killed the worker, or was too slow."""
        if reason := self.hopeless.get((asked.content, asked.request.size)):
            raise RequestError(Code.REFUSED, reason, asked.path)

    # Its turn.

    def _when(self, asked: _AskedThumbnail, future: "Future[Any]", then: Callable[[], Reply | Deferred]) -> Deferred:
        return reply_when([future], then, lambda: self._end(asked))

    def _kept(self, asked: _AskedThumbnail) -> Thumb | None:
        """Return the thumbnail if it is in the cache."""
        drawing = self.cache.get(asked.content, asked.request.size) if asked.content != UNKNOWN else None
        return None if drawing is None else _thumb(asked, drawing)

    def _begin(self, asked: _AskedThumbnail) -> Reply | Deferred:
        if (kept := self._kept(asked)) is not None:  # another request has had it drawn
            self._end(asked)
            return kept
        if asked.frame:
            asked.photo = in_memory(os.fsdecode(asked.request.image.path), asked.frame)
            self.query_images.open_photos.add(asked.photo)
            return self._opened(asked)
        if asked.request.size is Size.S and asked.content != UNKNOWN:
            records = [record for _, record in asked.places if record is not None]
            asked.of_desktop = chain.from_iterable(map(made_by_desktop, records))
        return self._try_desktop(asked)

    def _try_desktop(self, asked: _AskedThumbnail) -> Reply | Deferred:
        """Have a thumbnail of the desktop drawn, which costs less than the photo; then the photo, if there is none."""
        for photo, of in asked.of_desktop:
            asked.photo, asked.is_ours = photo, True
            self.query_images.open_photos.add(photo)
            future = self.query_images.encoder.draw(photo.descriptor, Size.S, of=of, until_ms=asked.request.until_ms)
            return self._when(asked, future, partial(self._desktop_drawn, asked, future))
        return self._open_next(asked)

    def _desktop_drawn(self, asked: _AskedThumbnail, future: "Future[Drawing]") -> Reply | Deferred:
        if future.exception() is None:
            # What is kept of the photo's look stays: a thumbnail does not tell how the photo is stored.
            return self._show(asked, future.result())
        if asked.photo is not None:
            self.query_images.let_go(asked.photo)
            asked.photo = None
        return self._try_desktop(asked)

    def _open_next(self, asked: _AskedThumbnail) -> Reply | Deferred:
        """Open the photo at the next place.

        Raises:
            RequestError: there is none any more.
        """
        while asked.places:
            path, record = asked.places.popleft()
            file_system = self._file_system(path)
            if not isinstance(file_system, RemoteFileSystem):
                if self._take(asked, path, record, file_system):
                    return self._opened(asked)
                continue
            asked.opening = file_system.open_later(path, OpenLimits(self.query_images.query_mb, None))

            def came(
                path: str = path, record: Record | None = record, remote: FileSystem = file_system
            ) -> Reply | Deferred:
                took = self._take(asked, path, record, remote)
                return self._opened(asked) if took else self._open_next(asked)

            return self._when(asked, asked.opening, came)
        raise asked.error or RequestError(Code.REFUSED, NO_PHOTO)

    def _file_system(self, path: str) -> FileSystem | None:
        """Return the file system through which a photo is opened; None: it must not be read now."""
        roots = self.query_images.roots
        root = roots.root_of(path)
        if root is None:
            return roots.find(path)[1]
        return roots.file_system(path) if roots.is_read(root) else None

    def _take(self, asked: _AskedThumbnail, path: str, record: Record | None, file_system: FileSystem | None) -> bool:
        """Open a photo, or take the one that was opened; return whether it is the one that is recorded."""
        opening, asked.opening = asked.opening, None
        name = os.fsdecode(asked.request.image.path) or path
        try:
            opened = opening.result if opening is not None else None
            photo = self.query_images.open(Image(path=os.fsencode(name)), path, file_system, opened)
        except RequestError as error:
            asked.error = error
            return False
        if record is not None and photo.stamp != record.stamp:
            self.query_images.let_go(photo)
            asked.error = RequestError(Code.BUSY, "it has changed, and is not indexed yet", name, "ask again")
            return False
        asked.photo = photo
        asked.is_ours = record is not None
        return True

    def _opened(self, asked: _AskedThumbnail) -> Deferred:
        """Have a photo drawn, after its content is known."""
        if asked.content != UNKNOWN:
            return self._draw(asked)
        future = self.query_images.encoder.inspect(_descriptor(asked), urgent=True, until_ms=asked.request.until_ms)
        return self._when(asked, future, lambda: self._inspected(asked, future))

    def _inspected(self, asked: _AskedThumbnail, future: "Future[Inspected]") -> Reply | Deferred:
        asked.content = outcome(future, asked.request.image).content
        if (kept := self._kept(asked)) is not None:
            self._end(asked)
            return kept
        self._check_hope(asked)
        return self._draw(asked)

    def _draw(self, asked: _AskedThumbnail, *, alone: bool = False) -> Deferred:
        size, until_ms = asked.request.size, asked.request.until_ms
        future = self.query_images.encoder.draw(_descriptor(asked), size, alone=alone, until_ms=until_ms)
        return self._when(asked, future, partial(self._drawn, asked, future, alone=alone))

    def _drawn(self, asked: _AskedThumbnail, future: "Future[Drawing]", *, alone: bool) -> Reply | Deferred:
        error = future.exception()
        if isinstance(error, WorkerDied) and not (error.blame or alone):
            return self._draw(asked, alone=True)
        blame = error.blame if isinstance(error, WorkerDied) else error.reason if isinstance(error, TooSlow) else ""
        if blame:
            if len(self.hopeless) < MOST_HOPELESS:
                self.hopeless[asked.content, asked.request.size] = blame
            raise RequestError(Code.REFUSED, blame, asked.path)
        drawing = outcome(future, Image(path=os.fsencode(asked.path)))
        facts = self.query_images.store.facts(asked.content) if asked.is_ours else None
        if facts is not None and facts.look == UNSEEN:
            self.note_look(asked.content, drawing.look)
        return self._show(asked, drawing)

    def _show(self, asked: _AskedThumbnail, drawing: Drawing) -> Thumb:
        if asked.is_ours:
            self.cache.put(asked.content, asked.request.size, drawing.data)
        self._end(asked)
        return _thumb(asked, drawing)

    def _end(self, asked: _AskedThumbnail) -> None:
        """End the turn of a request, and close its photo."""
        self.turns.give()
        if asked.photo is not None:
            self.query_images.let_go(asked.photo)
            asked.photo = None
        if asked.opening is not None and asked.opening.exception() is None:  # its asker has given up
            asked.opening.result().close()


def _thumb(asked: _AskedThumbnail, drawing: Drawing) -> Thumb:
    return Thumb(content=asked.content, data=drawing.data, width=drawing.width, height=drawing.height)


def _descriptor(asked: _AskedThumbnail) -> int:
    if asked.photo is None:
        raise ValueError("the photo is closed")
    return asked.photo.descriptor
