"""The answer to `like`: from images to vectors; what they are like, search/photo_search.py tells.

An indexed photo costs one read; any other image goes through the worker ahead of the indexing queue.
What cannot be answered at once is `Deferred`: nothing here blocks, sleeps or knows a socket.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.replies import Code, Reply, RootState
from pixkin.protocol.requests import Image, Like
from pixkind.encoder.messages import WAYS, Encoded, Inspected
from pixkind.encoder.supervisor import Encoder
from pixkind.errors import PhotoError
from pixkind.fs.interface import ABSENT, FileSystem, NoAnswer, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished
from pixkind.fs.roots import WatchedRoots
from pixkind.search.errors import RequestError
from pixkind.search.photo_search import PhotoQuery, PhotoSearch
from pixkind.server.deferred import Deferred
from pixkind.server.query_images import in_memory, outcome, silent
from pixkind.storage.record import Record, unpack_vector
from pixkind.storage.store import Store

_Vector = NDArray[np.float16]
_Images = list[_Vector | OpenPhoto]


@dataclass(slots=True)
class LikeHandler:
    """Everything that an answer to `like` can come from. Any thread may ask; several at once."""

    store: Store
    photo_search: PhotoSearch
    encoder: Encoder
    roots: WatchedRoots
    query_mb: int
    cannot: str = ""  # why no image can be encoded for the space that is asked
    held: set[OpenPhoto] = field(default_factory=set)  # the photos that are open for queries

    def like(self, request: Like, frames: Sequence[bytes]) -> Reply | Deferred:
        """Return the matches, or what they wait for. `frames` hold the bytes of the images that are sent along.

        Raises:
            Unanswerable: an image cannot be opened, or the folder lies in no root.
        """
        question = self.photo_search.question(request)
        found: _Images = []
        try:
            for image, place in zip(request.images, question.places, strict=True):
                found.append(
                    self._stored(request, image, *place)
                    if not image.frame
                    else in_memory(image, frames[image.frame - 2])
                )
        except BaseException:
            self._close(found)
            raise
        waiting = {
            at: self.encoder.inspect(one.descriptor, urgent=True)
            for at, one in _handles(found)
            if not _is_partial(request, request.images[at])
        }
        if not waiting:
            try:
                return self._encode(question, found, {})
            except BaseException:
                self._close(found)
                raise

        def inspected() -> Reply | Deferred:
            try:
                outcomes = {number: outcome(future, request.images[number]) for number, future in waiting.items()}
                return self._encode(question, found, outcomes)
            except RequestError as error:
                self._close(found)
                return error.failure
            except BaseException:
                self._close(found)
                raise

        return Deferred(list(waiting.values()), inspected, lambda: self._close(found))

    def _encode(self, question: PhotoQuery, found: _Images, inspected: dict[int, Inspected]) -> Reply | Deferred:
        """Go on when all images have their content id: those that the library has need no encoding, if it is all of them."""
        request, images = question.request, question.request.images
        for number, _ in (
            _handles(found) if self.cannot else ()
        ):  # before anything is sent, for a descriptor stays open then
            if _is_partial(request, images[number]) or not self.store.has_vector(inspected[number].content):
                hint = "ask about an indexed photo, or let another space answer: pixkin space use NAME"
                raise RequestError(Code.REFUSED, self.cannot, os.fsdecode(images[number].path), hint)
        waiting: dict[int, Future[Encoded]] = {}
        for number, photo in list(_handles(found)):
            if _is_partial(request, images[number]):
                part, every = images[number].region, request.rotate
                waiting[number] = self.encoder.encode(photo.descriptor, urgent=True, region=part, every_way=every)
                continue
            value = self.store.vector(inspected[number].content)
            vector = unpack_vector(value) if value else None
            if vector is None:
                waiting[number] = self.encoder.encode(photo.descriptor, urgent=True)
            else:
                found[number] = vector
                self.let_go(photo)

        def encoded() -> Reply:
            try:
                try:
                    encodings = {number: outcome(future, images[number]) for number, future in waiting.items()}
                finally:
                    self._close(found)
                for number, encoding in encodings.items():
                    found[number] = np.frombuffer(encoding.vector, dtype="<f2")
                return self._ranked(question, found)
            except RequestError as error:
                return error.failure

        if not waiting:
            return self._ranked(question, found)
        return Deferred(list(waiting.values()), encoded, lambda: self._close(found))

    def _ranked(self, question: PhotoQuery, vectors: _Images) -> Reply:
        queries = np.stack([vector for vector in vectors if isinstance(vector, np.ndarray)]).astype(np.float32)
        if question.request.rotate:
            queries = queries.reshape(WAYS, -1)
        return self.photo_search.rank(question, queries)

    def _stored(self, request: Like, image: Image, path: str, file_system: FileSystem | None) -> "_Vector | OpenPhoto":
        """Return the vector of an indexed photo that is unchanged or cannot be looked at, else the opened file."""
        asked = os.fsdecode(image.path)  # failures name it as the client does, so that it knows which image to send
        record = self.store.record(path)
        root = self.roots.root_of(path)
        if root is not None and not self.roots.is_read(root):
            file_system = None
        is_indexed = record is not None and record.live and root is not None
        if record is not None and is_indexed and not _is_partial(request, image):
            value = self.store.vector(record.content) if self.is_current(record, file_system) else None
            if value is not None and (vector := unpack_vector(value)) is not None:
                return vector
        photo = self.opened(asked, path, file_system)
        if record is not None and record.failed and not record.retry_s and record.stamp == photo.stamp:
            self.let_go(photo)  # it may be one that kills the worker: never again, in this version
            raise RequestError(Code.REFUSED, self.store.reason(path), asked)
        return photo

    def let_go(self, photo: OpenPhoto) -> None:
        """Close what was opened, or is in memory."""
        self.held.discard(photo)
        photo.close()

    def _close(self, images: _Images) -> None:
        for _, photo in _handles(images):
            self.let_go(photo)

    def opened(self, asked: str, path: str, file_system: FileSystem | None) -> OpenPhoto:
        """Return an image opened, until `let_go`.

        Args:
            asked: its path as the client named it.
            path: as the store has it.
            file_system: through what it can be touched; None: not at all.

        Raises:
            Unanswerable: it cannot be opened, or is too large.
        """
        if file_system is None:
            root = self.roots.root_of(path)
            state = RootState.SUSPECT if root is None else self.roots.root(root).state
            if state not in (RootState.OFFLINE, RootState.PAUSED):
                raise silent(asked)
            raise RequestError(Code.UNREADABLE, f"its folder is {state}", asked)
        try:
            photo = file_system.open(path, OpenLimits(self.query_mb, None))
            self.held.add(photo)
        except Vanished as error:
            raise RequestError(Code.UNREADABLE, "no such file, or no regular file", asked) from error
        except NoAnswer as error:
            raise silent(asked) from error
        except StillOpen as error:
            raise RequestError(Code.BUSY, "somebody writes to it", asked, "ask again") from error
        except PhotoError as error:
            raise RequestError(Code.UNREADABLE, error.reason, asked) from error
        if photo.stamp.size > self.query_mb << 20:
            self.let_go(photo)
            what = f"{photo.stamp.size / 2**20:.0f} MiB is over the limit of {self.query_mb} MiB (limits.query_mb)"
            raise RequestError(Code.REFUSED, what, asked)
        return photo

    def is_current(self, record: Record, file_system: FileSystem | None) -> bool:
        """Return whether a photo is as its record says, or cannot be looked at: then that is the last that is known of it."""
        if file_system is None:
            return True
        try:
            return file_system.look(record.path)[1] == record.stamp
        except OSError as error:
            return error.errno not in ABSENT


def _handles(images: _Images) -> Iterator[tuple[int, OpenPhoto]]:
    """Yield the images that have no vector yet, with their places."""
    return ((number, one) for number, one in enumerate(images) if isinstance(one, OpenPhoto))


def _is_partial(request: Like, image: Image) -> bool:
    """Return whether the vector of the whole image, upright, is not the one that is asked for."""
    return request.rotate or image.region is not None
