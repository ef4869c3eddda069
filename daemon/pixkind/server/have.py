"""Answers `have`: does the library have the photos of a memory card already? Nothing is written, neither there nor here.

Each image is answered for itself: one that cannot be used does not keep the others from their answers.
An image that the library has costs an inspection at most. Only a new one is encoded, ahead of the indexing queue.
As in like.py nothing blocks. A client that asks for few images at a time lets other queries pass in between.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.replies import Code, Has, Holding, Holdings, Reply
from pixkin.protocol.requests import Have, Image
from pixkind.encoder.messages import Encoded, Inspected
from pixkind.fs.open_photo import OpenPhoto
from pixkind.search.errors import RequestError
from pixkind.search.folding import UNKNOWN, contradict, is_one_shot
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.query_images import QueryImages, in_memory, outcome
from pixkind.storage.record import Facts

# A crop to 90 % of each side scores 0.93 (0.88 to 0.96), to 80 % 0.87. Of 500 photos of different things no two score more
# than 0.72; a stereo pair scores 0.87.
_NEAR: Final = 0.9
_LOOKED: Final = 50  # pictures at most: the best may all be frames of one burst
_PATHS: Final = 100  # named for one picture, so that a reply stays small


@dataclass(slots=True)
class _HaveImages:
    """The images of one request, by their places in it. An image has a holding as soon as its answer is known."""

    images: Sequence[Image]
    until_ms: int  # when the client gives up, as CLOCK_MONOTONIC says; 0: never
    photos: dict[int, OpenPhoto] = field(default_factory=dict)  # that are open
    facts: dict[int, Facts] = field(default_factory=dict)  # of those that were inspected
    holdings: dict[int, Holding] = field(default_factory=dict)
    encoding: "dict[int, Future[Encoded]]" = field(default_factory=dict)
    again: list[int] = field(default_factory=list)  # were in a worker that died, maybe of another: to be encoded alone


@dataclass(slots=True)
class HaveHandler:
    """Answers `have` in one space. Any thread may call, several at once."""

    photo_search: PhotoSearch
    query_images: QueryImages

    def have(self, request: Have, frames: Sequence[bytes]) -> Reply | Deferred:
        """Return what the library has of the images, or a Deferred. `frames` hold the bytes that are sent along."""
        asked = _HaveImages(request.images, request.until_ms)
        try:
            for at, image in enumerate(request.images):
                self._begin(asked, at, image, frames)
        except BaseException:
            self._close(asked)
            raise
        encoder = self.query_images.encoder
        inspecting = {
            at: encoder.inspect(photo.descriptor, urgent=True, until_ms=request.until_ms)
            for at, photo in asked.photos.items()
        }
        if not inspecting:
            return _reply(asked)

        def inspected() -> Reply | Deferred:
            for at, future in inspecting.items():
                self._take_inspected(asked, at, future)
            return self._await_encoded(asked)

        return reply_when(list(inspecting.values()), inspected, lambda: self._close(asked))

    def _begin(self, asked: _HaveImages, at: int, image: Image, frames: Sequence[bytes]) -> None:
        """Answer an image from the store alone, or open it."""
        images = self.query_images
        if image.frame:
            asked.photos[at] = in_memory(image, frames[image.frame - 2])
            return
        path, file_system = images.find(image)
        record = images.store.record(path)
        if record is not None and record.live and images.is_current(record, file_system):
            if holding := self._there(image, record.content):
                asked.holdings[at] = holding
                return
            if record.failed and not record.retry_s:  # it may be the one that kills the worker
                asked.holdings[at] = _failed(image, images.store.reason(path))
                return
        try:
            asked.photos[at] = images.open(image, path, file_system)
        except RequestError as error:
            asked.holdings[at] = _failed(image, error.failure.what, error.failure.code)

    def _take_inspected(self, asked: _HaveImages, at: int, future: "Future[Inspected]") -> None:
        """Answer an image that was inspected, or have it encoded."""
        image = asked.images[at]
        try:
            seen = outcome(future, image)
        except RequestError as error:
            self._answer(asked, at, _failed(image, error.failure.what))
            return
        asked.facts[at] = Facts(seen.width, seen.height, seen.details.taken_s, seen.details.camera)
        if holding := self._there(image, seen.content):
            self._answer(asked, at, holding)
            return
        if (vector := self.photo_search.vector(seen.content)) is not None:  # of a photo that is gone
            self._answer(asked, at, self._near_or_new(asked, at, vector))
        elif self.query_images.cannot_encode:
            self._answer(asked, at, _failed(image, self.query_images.cannot_encode))
        else:
            self._encode(asked, at)

    def _await_encoded(self, asked: _HaveImages) -> Reply | Deferred:
        """Wait for the images that are being encoded; reply when none is left."""
        if not asked.encoding and asked.again:
            self._encode(asked, asked.again.pop())
        if not asked.encoding:
            return _reply(asked)
        futures = list(asked.encoding.values())
        return reply_when(futures, lambda: self._take_encoded(asked), lambda: self._close(asked))

    def _take_encoded(self, asked: _HaveImages) -> Reply | Deferred:
        """Answer the images that were encoded. If the worker died, encode each of them alone."""
        encoding, asked.encoding = asked.encoding, {}
        for at, future in encoding.items():
            image = asked.images[at]
            try:
                vector = np.frombuffer(outcome(future, image).vector, dtype="<f2")
            except RequestError as error:
                if error.failure.code is Code.BUSY and len(encoding) > 1:
                    asked.again.append(at)
                else:
                    self._answer(asked, at, _failed(image, error.failure.what))
            else:
                self._answer(asked, at, self._near_or_new(asked, at, vector))
        return self._await_encoded(asked)

    def _encode(self, asked: _HaveImages, at: int) -> None:
        descriptor = asked.photos[at].descriptor
        encoder = self.query_images.encoder
        asked.encoding[at] = encoder.encode(descriptor, urgent=True, until_ms=asked.until_ms)

    def _answer(self, asked: _HaveImages, at: int, holding: Holding) -> None:
        asked.holdings[at] = holding
        self.query_images.let_go(asked.photos.pop(at))

    def _there(self, image: Image, content: bytes) -> Holding | None:
        """Return where exactly this picture is; None if it is nowhere."""
        paths = self._paths(content) if self.query_images.store.has_vector(content) else ()
        return Holding(image.path, Has.THERE, 1.0, paths) if paths else None

    def _near_or_new(self, asked: _HaveImages, at: int, vector: NDArray[np.floating]) -> Holding:
        """Return which picture one is near to that the library does not have.

        The other frames of a burst are not near: they were taken in another second, or they have the same size and are
        less alike than a picture that was saved again.
        """
        image, seen, store = asked.images[at], asked.facts[at], self.photo_search.store
        ranking = self.photo_search.index.rank(vector[np.newaxis].astype(np.float32))
        for content, score, _ in islice(ranking, _LOOKED):
            facts = store.facts(content) or UNKNOWN
            is_part = sorted((facts.width, facts.height)) != sorted((seen.width, seen.height))
            if score < _NEAR or contradict(facts, seen):
                continue
            if not is_part and not is_one_shot(facts, seen, score):
                continue
            if paths := self._paths(content):
                return Holding(image.path, Has.NEAR, score, paths)
        return Holding(image.path, Has.NEW)

    def _paths(self, content: bytes) -> tuple[bytes, ...]:
        photos = sorted(self.photo_search.photos(content), key=lambda photo: (photo.stamp.mtime_ns, photo.path))
        return tuple(os.fsencode(photo.path) for photo in photos[:_PATHS])

    def _close(self, asked: _HaveImages) -> None:
        self.query_images.let_go_all(asked.photos)


def _reply(asked: _HaveImages) -> Holdings:
    return Holdings(holdings=tuple(asked.holdings[at] for at in range(len(asked.images))))


def _failed(image: Image, reason: str, code: Code = Code.REFUSED) -> Holding:
    has = Has.UNREADABLE if code is Code.UNREADABLE else Has.FAILED
    return Holding(image.path, has, reason=reason)
