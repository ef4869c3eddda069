"""Answers `have`: does the library have the photos of a memory card already? Nothing is written, neither there nor here.

Each image is answered for itself: one that cannot be used does not keep the others from their answers.
An image is inspected, and so is one of its copies in the library (server/copies.py). Only a new image is encoded, ahead of
the indexing queue. As in like.py nothing blocks. A client that asks for few images at a time lets other queries pass in
between.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.replies import Code, Has, Holding, Holdings, Reply
from pixkin.protocol.requests import Have, Image
from pixkin.two_files import SeenFile
from pixkind.encoder.messages import Encoded, Inspected
from pixkind.fs.open_photo import OpenPhoto, in_memory
from pixkind.fs.rules import PhotoRules
from pixkind.ingest.inbox import Inbox
from pixkind.search.errors import RequestError
from pixkind.search.folding import UNKNOWN, contradict, is_one_shot
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.copies import PATHS, Card, CopySearch, looked_at, seen_file
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.query_images import QueryImages, outcome
from pixkind.storage.record import Facts, Record

# A crop to 90 % of each side scores 0.93 (0.88 to 0.96), to 80 % 0.87. Of 500 photos of different things no two score more
# than 0.72; a stereo pair scores 0.87.
_NEAR: Final = 0.9
_LOOKED: Final = 50  # pictures at most: the best may all be frames of one burst


@dataclass(slots=True)
class _AskedImage:
    """One image of a request, on its way to its holding."""

    image: Image
    card: Card
    photo: OpenPhoto | None = None  # while it is open
    file: SeenFile | None = None  # None: bytes without a path
    seen: Inspected | None = None
    search: CopySearch | None = None
    holding: Holding | None = None

    @property
    def facts(self) -> Facts:
        """What the worker read from its header."""
        if (seen := self.seen) is None:
            return UNKNOWN
        return Facts(seen.width, seen.height, seen.details.taken_s, seen.details.camera)


@dataclass(slots=True)
class _HaveImages:
    """The images of one request, and what they wait for in this round."""

    images: list[_AskedImage]
    until_ms: int  # when the client gives up, as CLOCK_MONOTONIC says; 0: never
    waiting: "list[tuple[Future[Any], Callable[[], None]]]" = field(default_factory=list)
    jobs: int = 0  # of the round that has ended
    # They were in a worker that died, maybe of another image: each is encoded alone.
    again: list[_AskedImage] = field(default_factory=list)


@dataclass(slots=True)
class HaveHandler:
    """Answers `have` in one space. Any thread may call, several at once."""

    photo_search: PhotoSearch
    query_images: QueryImages
    inbox: Inbox
    rules: PhotoRules

    def have(self, request: Have, frames: Sequence[bytes]) -> Reply | Deferred:
        """Return what the library has of the images, or a Deferred. `frames` hold the bytes that are sent along."""
        roots = self.query_images.roots
        within = [os.fsdecode(path) for path in request.within]
        images = [
            _AskedImage(image, Card([*within, os.fsdecode(image.path)] if image.path else within, roots))
            for image in request.images
        ]
        asked = _HaveImages(images, request.until_ms)
        try:
            for one in asked.images:
                self._begin(asked, one, frames)
        except BaseException:
            self._close(asked)
            raise
        return self._wait(asked)

    def _wait(self, asked: _HaveImages) -> Reply | Deferred:
        """Wait for the round to end; reply when nothing is left to wait for."""
        if not asked.waiting and asked.again:
            self._encode(asked, asked.again.pop())
        if not asked.waiting:
            return Holdings(holdings=tuple(one.holding for one in asked.images if one.holding is not None))

        def go_on() -> Reply | Deferred:
            waiting, asked.waiting = asked.waiting, []
            asked.jobs = len(waiting)
            for _, then in waiting:
                then()
            return self._wait(asked)

        return reply_when([future for future, _ in asked.waiting], go_on, lambda: self._close(asked))

    def _begin(self, asked: _HaveImages, one: _AskedImage, frames: Sequence[bytes]) -> None:
        """Open an image and have it inspected, unless it may kill the worker."""
        images, image = self.query_images, one.image
        try:
            if image.frame:
                one.photo = in_memory(os.fsdecode(image.path), frames[image.frame - 2])
                one.file = looked_at(os.fsdecode(image.path), images.roots) if image.path else None
            else:
                path, file_system = images.find(image)
                record = images.store.record(path)
                is_hopeless = record is not None and record.live and record.is_hopeless
                if record is not None and is_hopeless and images.is_current(record, file_system):
                    one.holding = _failed(image, images.store.reason(path))
                    return
                one.photo = images.open(image, path, file_system)
                one.file = seen_file(one.photo)
        except RequestError as error:
            one.holding = _failed(image, error.failure.what, error.failure.code)
            return
        future = images.encoder.inspect(one.photo.descriptor, urgent=True, until_ms=asked.until_ms)
        asked.waiting.append((future, lambda: self._take_inspected(asked, one, future)))

    def _take_inspected(self, asked: _HaveImages, one: _AskedImage, future: "Future[Inspected]") -> None:
        if one.photo is None:
            raise ValueError("the image is closed")
        try:
            seen = one.seen = outcome(future, one.image)
        except RequestError as error:
            self._answer(one, _failed(one.image, error.failure.what))
            return
        ahead = deque(self._copies(seen))
        one.search = CopySearch(one.image, one.photo, seen, one.file, one.card, self.query_images, self.inbox, ahead)
        self._look(asked, one, one.search)

    def _copies(self, seen: Inspected) -> list[Record]:
        """Return the photos of a content, the best first."""
        roots = self.query_images.roots

        def standing(record: Record) -> tuple[bool, bool, int, str]:
            has_all = record.details is None or record.details.covers(seen.details)
            return roots.is_offline(record.path), not has_all, record.stamp.mtime_ns, record.path

        return sorted(self._photos(seen.content), key=standing)

    def _photos(self, content: bytes) -> list[Record]:
        """Return the photos of a content, without those that the rules leave out, such as in a bin: the next scan hides them."""
        roots = self.query_images.roots
        return [
            record
            for record in self.photo_search.photos(content)
            if (root := roots.root_of(record.path)) is not None
            and self.rules.reaches(root, os.path.dirname(record.path))
            and self.rules.is_photo(os.path.basename(record.path))
            and roots.exclusions.rule_of(record.path, is_folder=False) is None
        ]

    def _look(self, asked: _HaveImages, one: _AskedImage, search: CopySearch) -> None:
        """Have the next copy in the library inspected; if there is none, go on with photos that are near."""
        if (future := search.open_next(asked.until_ms)) is not None:
            asked.waiting.append((future, lambda: self._take_copy(asked, one, search, future)))
        elif (holding := search.unproven()) is not None:
            self._answer(one, holding)
        elif (vector := self.photo_search.vector(search.seen.content)) is not None:  # of a photo that is gone
            self._answer(one, self._near_or_new(one, vector))
        elif self.query_images.cannot_encode:
            self._answer(one, _failed(one.image, self.query_images.cannot_encode))
        else:
            self._encode(asked, one)

    def _take_copy(self, asked: _HaveImages, one: _AskedImage, search: CopySearch, future: "Future[Inspected]") -> None:
        if (holding := search.take(future)) is not None:
            self._answer(one, holding)
        else:
            self._look(asked, one, search)

    def _encode(self, asked: _HaveImages, one: _AskedImage) -> None:
        if one.photo is None:
            raise ValueError("the image is closed")
        encoder = self.query_images.encoder
        future = encoder.encode(one.photo.descriptor, urgent=True, until_ms=asked.until_ms)
        asked.waiting.append((future, lambda: self._take_encoded(asked, one, future)))

    def _take_encoded(self, asked: _HaveImages, one: _AskedImage, future: "Future[Encoded]") -> None:
        """Answer an image that was encoded. If the worker died, it is encoded alone later."""
        try:
            vector = np.frombuffer(outcome(future, one.image).vector, dtype="<f2")
        except RequestError as error:
            if error.failure.code is Code.BUSY and asked.jobs > 1:
                asked.again.append(one)
            else:
                self._answer(one, _failed(one.image, error.failure.what))
        else:
            self._answer(one, self._near_or_new(one, vector))

    def _answer(self, one: _AskedImage, holding: Holding) -> None:
        one.holding = holding
        if one.photo is not None:
            self.query_images.let_go(one.photo)
            one.photo = None

    def _near_or_new(self, one: _AskedImage, vector: NDArray[np.floating]) -> Holding:
        """Return which picture one is near to that the library does not have.

        The other frames of a burst are not near: they were taken in another second, or they have the same size and are
        less alike than a picture that was saved again.
        """
        image, seen, store = one.image, one.facts, self.photo_search.store
        ranking = self.photo_search.index.rank(vector[np.newaxis].astype(np.float32))
        for content, score, _ in islice(ranking, _LOOKED):
            if store.pages.content_of(content) != content:
                continue  # a page of a file that shows something else
            facts = store.facts(content) or UNKNOWN
            is_part = sorted((facts.width, facts.height)) != sorted((seen.width, seen.height))
            if score < _NEAR or contradict(facts, seen):
                continue
            if not is_part and not is_one_shot(facts, seen, score):
                continue
            if paths := self._paths(content, one.card):
                return Holding(image.path, Has.NEAR, score, paths)
        return Holding(image.path, Has.NEW)

    def _paths(self, content: bytes, card: Card) -> tuple[bytes, ...]:
        """Return the photos of a content that are not on the card, the oldest first."""
        photos = sorted(self._photos(content), key=lambda photo: (photo.stamp.mtime_ns, photo.path))
        return tuple(os.fsencode(photo.path) for photo in photos[:PATHS] if not card.holds(photo.path))

    def _close(self, asked: _HaveImages) -> None:
        for one in asked.images:
            if one.photo is not None:
                self.query_images.let_go(one.photo)
                one.photo = None
            if one.search is not None:
                one.search.close()


def _failed(image: Image, reason: str, code: Code = Code.REFUSED) -> Holding:
    has = Has.UNREADABLE if code is Code.UNREADABLE else Has.FAILED
    return Holding(image.path, has, reason=reason)
