"""Answers `like`: resolves its images, has those encoded that have no stored vector, and ranks the photos.

An indexed photo costs one read. Any other image goes through the worker, ahead of the indexing queue.
Nothing here blocks, sleeps or knows a socket: a request that has to wait becomes a `Deferred`.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.replies import Code, Failure, Matches, Reply
from pixkin.protocol.requests import Image, Like
from pixkind.encoder.messages import WAYS, Encoded, Inspected
from pixkind.fs.interface import FileSystem
from pixkind.fs.open_photo import OpenPhoto, in_memory
from pixkind.search.about import about
from pixkind.search.errors import NO_PHOTO, RequestError
from pixkind.search.photo_search import PhotoQuery, PhotoSearch
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.query_images import QueryImages, outcome
from pixkind.storage.record import Record

_TRIED: Final = 8  # copies of a picture of which one is opened: each on a share that hangs takes seconds


@dataclass(slots=True)
class LikeImages:
    """The images of one request, by their places in it: each is open, or has its vector."""

    query: PhotoQuery
    done: "Callable[[LikeImages], Reply | Deferred]"  # called when all have their vectors
    photos: dict[int, OpenPhoto] = field(default_factory=dict)
    vectors: dict[int, NDArray[np.floating]] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)  # of whole images
    strangers: set[int] = field(default_factory=set)  # those that the library does not have


@dataclass(slots=True)
class LikeHandler:
    """Answers `like` in one space. Any thread may call, several at once."""

    photo_search: PhotoSearch
    query_images: QueryImages

    def like(self, request: Like, frames: Sequence[bytes]) -> Reply | Deferred:
        """Return the matches, or a Deferred. `frames` hold the bytes of the images that are sent along.

        Raises:
            RequestError: an image cannot be opened, or the folder lies in no root.
        """
        return self.resolve(request, frames, self._ranked)

    def resolve(
        self, request: Like, frames: Sequence[bytes], done: Callable[[LikeImages], Reply | Deferred]
    ) -> Reply | Deferred:
        """Return what `done` makes of the images when all have their vectors. Raises as `like`."""
        shown = {image.content: self._photos(image.content) for image in request.images if image.content}
        files = [self.query_images.find(image) if image.path else ("", None) for image in request.images]
        paths = [path for path, _ in files if path] + [one.path for photos in shown.values() for one in photos]
        asked = LikeImages(self.photo_search.query(request, paths), done)

        def close() -> None:
            self.query_images.let_go_all(asked.photos)

        try:
            for at, (image, file) in enumerate(zip(request.images, files, strict=True)):
                if image.content:
                    self._find(asked, at, shown[image.content])
                elif image.frame:
                    asked.photos[at] = in_memory(os.fsdecode(image.path), frames[image.frame - 2])
                else:
                    self._resolve(asked, at, *file)
            inspecting = {
                at: self.query_images.encoder.inspect(photo.descriptor, urgent=True, until_ms=request.until_ms)
                for at, photo in asked.photos.items()
                if not _is_partial(request, request.images[at])
            }
            if not inspecting:
                return self._encode(asked, {}, close)
        except BaseException:
            close()
            raise

        def inspected() -> Reply | Deferred:
            outcomes = {at: outcome(future, request.images[at]) for at, future in inspecting.items()}
            return self._encode(asked, outcomes, close)

        return reply_when(list(inspecting.values()), inspected, close)

    def _photos(self, content: bytes) -> list[Record]:
        """Return the photos of a picture that a query names by its content.

        Raises:
            RequestError: there are none.
        """
        if photos := self.photo_search.photos(content):
            return photos
        raise RequestError(Code.REFUSED, NO_PHOTO, hint="pixkin status")

    def _find(self, asked: LikeImages, at: int, photos: Sequence[Record]) -> None:
        """Read the vector of an indexed picture; for a part of it, open the first of its photos that can be opened.

        Raises:
            RequestError: it cannot be found, or no photo of it can be opened.
        """
        image = asked.query.request.images[at]
        if not _is_partial(asked.query.request, image):
            if (vector := self.photo_search.vector(image.content)) is None:
                raise RequestError(Code.REFUSED, "this picture cannot be found: it failed, or is not encoded yet")
            asked.vectors[at], asked.contents[at] = vector, image.content
            return
        why = Failure(code=Code.REFUSED, what="it has changed since it was indexed")
        for photo in photos[:_TRIED]:
            if photo.is_hopeless:
                why = Failure(code=Code.REFUSED, what=self.query_images.store.reason(photo.path))
                continue
            named = Image(path=os.fsencode(photo.path))
            path, file_system = self.query_images.find(named)
            try:
                if self.query_images.is_current(photo, file_system):
                    asked.photos[at] = self.query_images.open(named, path, file_system)
                    return
            except RequestError as error:
                why = error.failure
        # Never `unreadable`, after which a client would send the bytes: it has none.
        code = Code.BUSY if why.code is Code.BUSY else Code.REFUSED
        raise RequestError(code, f"no photo of this picture can be used: {why.what}", hint=why.hint)

    def _resolve(self, asked: LikeImages, at: int, path: str, file_system: FileSystem | None) -> None:
        """Read the vector of an indexed photo that is unchanged or cannot be looked at; open any other file."""
        request = asked.query.request
        image, store = request.images[at], self.query_images.store
        record = store.record(path)
        is_indexed = record is not None and record.live and self.query_images.roots.root_of(path) is not None
        if record is not None and is_indexed and not _is_partial(request, image):
            vector = (
                self.photo_search.vector(record.content) if self.query_images.is_current(record, file_system) else None
            )
            if vector is not None:
                asked.vectors[at], asked.contents[at] = vector, record.content
                return
        photo = self.query_images.open(image, path, file_system)
        if record is not None and record.is_hopeless and record.stamp == photo.stamp:
            self.query_images.let_go(photo)
            raise RequestError(Code.REFUSED, store.reason(path), os.fsdecode(image.path))
        asked.photos[at] = photo

    def _encode(
        self, asked: LikeImages, inspected: dict[int, Inspected], close: Callable[[], None]
    ) -> Reply | Deferred:
        """Have those images encoded whose content has no stored vector; rank at once if there is none."""
        request = asked.query.request
        for at, seen in inspected.items():
            asked.contents[at] = seen.content
            if (vector := self.photo_search.vector(seen.content)) is not None:
                asked.vectors[at] = vector
                self.query_images.let_go(asked.photos.pop(at))
        if not asked.photos:
            return asked.done(asked)
        if self.query_images.cannot_encode:
            hint = "ask about an indexed photo, or let another space answer: pixkin space use NAME"
            path = request.images[min(asked.photos)].path
            raise RequestError(Code.REFUSED, self.query_images.cannot_encode, os.fsdecode(path), hint)
        asked.strangers.update(asked.photos)
        encoding: dict[int, Future[Encoded]] = {
            at: self.query_images.encoder.encode(
                photo.descriptor,
                urgent=True,
                until_ms=request.until_ms,
                region=request.images[at].region,
                every_way=request.rotate,
            )
            for at, photo in asked.photos.items()
        }

        def encoded() -> Reply | Deferred:
            for at, future in encoding.items():
                asked.vectors[at] = np.frombuffer(outcome(future, request.images[at]).vector, dtype="<f2")
            close()
            return asked.done(asked)

        return reply_when(list(encoding.values()), encoded, close)

    def _ranked(self, asked: LikeImages) -> Matches:
        vectors = [asked.vectors[at] for at in sorted(asked.vectors)]
        queries = np.stack(vectors).astype(np.float32)
        if asked.query.request.rotate:
            queries = queries.reshape(WAYS, -1)
        answer = self.photo_search.rank(asked.query, queries)
        if asked.query.request.about:
            answer = msgspec.structs.replace(answer, about=about(self.photo_search, asked.query, queries, answer))
        return answer


def _is_partial(request: Like, image: Image) -> bool:
    """Return whether the request asks for more than the vector of the whole image, upright."""
    return request.rotate or image.region is not None
