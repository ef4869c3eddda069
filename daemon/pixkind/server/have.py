"""The answer to `have`: is a photo of a memory card in the library already? Nothing is written, neither there nor here.

Each image goes its own way: one that cannot be used is no reason to say nothing of the others.
Those that the library has cost an inspection at most; only what is new is encoded, ahead of the indexing queue as in
like.py, and like there nothing blocks. Who asks for few at a time lets the queries of others pass between them.
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
from pixkind.server.deferred import Deferred
from pixkind.server.like import LikeHandler
from pixkind.server.query_images import in_memory, outcome
from pixkind.storage.record import Facts, unpack_vector

# What is cut to 90 % of each side scores 0.93 (0.88 to 0.96), to 80 % 0.87. Of 500 photos of other things none scores more
# than 0.72 with another; a stereo pair, 0.87.
_NEAR: Final = 0.9
_LOOKED: Final = 50  # pictures at most: the best may all be frames of one burst
_PATHS: Final = 100  # named of one picture, so that a reply stays small
_Vector = NDArray[np.float16]


@dataclass(slots=True)
class _Item:
    """One image on its way."""

    image: Image
    photo: OpenPhoto | None = None  # while it is open
    facts: Facts = UNKNOWN
    holding: Holding | None = None  # as soon as it is known


@dataclass(slots=True)
class _Card:
    """The images of one request, and what is being done with some of them, by place."""

    items: list[_Item] = field(default_factory=list)
    inspecting: "dict[int, Future[Inspected]]" = field(default_factory=dict)
    encoding: "dict[int, Future[Encoded]]" = field(default_factory=dict)
    again: list[int] = field(default_factory=list)  # was in the worker when that died, maybe of another: now alone


@dataclass(slots=True)
class HaveHandler:
    """Everything that an answer to `have` can come from. Any thread may ask; several at once."""

    like_handler: LikeHandler

    def have(self, request: Have, frames: Sequence[bytes]) -> Reply | Deferred:
        """Return what the library has of the images, or what that waits for. `frames` hold the bytes that are sent along."""
        card = _Card()
        try:
            for image in request.images:
                card.items.append(self._begun(image, frames))
        except BaseException:
            self._close(card)
            raise
        encoder = self.like_handler.encoder
        card.inspecting = {at: encoder.inspect(one.descriptor, urgent=True) for at, one in _open(card)}
        if not card.inspecting:
            return self._reply(card)
        return Deferred(list(card.inspecting.values()), lambda: self._inspected(card), lambda: self._close(card))

    def _begun(self, image: Image, frames: Sequence[bytes]) -> _Item:
        """Return an image with all that can be said of it unseen, or open."""
        like_handler = self.like_handler
        try:
            if image.frame:
                return _Item(image, in_memory(image, frames[image.frame - 2]))
            path, file_system = like_handler.roots.find(os.fsdecode(image.path))
            root = like_handler.roots.root_of(path)
            if root is not None and not like_handler.roots.is_read(root):
                file_system = None
            record = like_handler.store.record(path)
            if record is not None and record.live and like_handler.is_current(record, file_system):
                if holding := self._there(image, record.content):
                    return _Item(image, holding=holding)
                if record.failed and not record.retry_s:  # it may be one that kills the worker
                    return _Item(image, holding=_failed(image, like_handler.store.reason(path)))
            return _Item(image, like_handler.opened(os.fsdecode(image.path), path, file_system))
        except RequestError as error:
            return _Item(image, holding=_failed(image, error.failure.what, error.failure.code))

    def _inspected(self, card: _Card) -> Reply | Deferred:
        """Go on when all that are open have their content id."""
        try:
            for at, future in card.inspecting.items():
                self._look(card, at, future)
        except BaseException:
            self._close(card)
            raise
        return self._parked(card)

    def _parked(self, card: _Card) -> Reply | Deferred:
        """Wait for what is being encoded; when there is nothing more to encode, reply."""
        if not card.encoding and card.again:
            self._encode(card, card.again.pop())
        if not card.encoding:
            return self._reply(card)
        return Deferred(list(card.encoding.values()), lambda: self._encoded(card), lambda: self._close(card))

    def _encode(self, card: _Card, at: int) -> None:
        photo = card.items[at].photo
        if photo is not None:
            card.encoding[at] = self.like_handler.encoder.encode(photo.descriptor, urgent=True)

    def _look(self, card: _Card, at: int, future: "Future[Inspected]") -> None:
        """Say of an image that was inspected that it is there, or what its vector tells, or have it encoded."""
        item = card.items[at]
        try:
            seen = outcome(future, item.image)
        except RequestError as error:
            item.holding = _failed(item.image, error.failure.what)
        else:
            item.facts = Facts(seen.width, seen.height, seen.taken_s, seen.camera)
            item.holding = self._there(item.image, seen.content)
            value = self.like_handler.store.vector(seen.content)
            vector = unpack_vector(value) if value else None
            if item.holding is None and vector is not None:  # of a photo that is gone
                item.holding = self._judged(item, vector)
        if item.holding is not None:
            self._let_go(item)
        elif self.like_handler.cannot:
            item.holding = _failed(item.image, self.like_handler.cannot)
            self._let_go(item)
        else:
            self._encode(card, at)

    def _encoded(self, card: _Card) -> Reply | Deferred:
        """Go on when all that are being encoded have their vectors, or have none."""
        encoding, card.encoding = card.encoding, {}
        try:
            for at, future in encoding.items():
                item = card.items[at]
                try:
                    vector = np.frombuffer(outcome(future, item.image).vector, dtype="<f2")
                except RequestError as error:
                    if error.failure.code is Code.BUSY and len(encoding) > 1:
                        card.again.append(at)
                        continue
                    item.holding = _failed(item.image, error.failure.what)
                else:
                    item.holding = self._judged(item, vector)
                self._let_go(item)
            return self._parked(card)
        except BaseException:
            self._close(card)
            raise

    def _there(self, image: Image, content: bytes) -> Holding | None:
        """Return where exactly this picture is; None if it is nowhere."""
        paths = self._paths(content) if self.like_handler.store.has_vector(content) else ()
        return Holding(image.path, Has.THERE, 1.0, paths) if paths else None

    def _judged(self, item: _Item, vector: _Vector) -> Holding:
        """Return what a picture that is nowhere is near to.

        A burst's other frames are no such thing: they were taken in another second, or they have its size and are less
        alike than what was saved again.
        """
        photo_search = self.like_handler.photo_search
        for content, score, _ in islice(photo_search.index.rank(vector[np.newaxis].astype(np.float32)), _LOOKED):
            facts = photo_search.store.facts(content) or UNKNOWN
            is_part = sorted((facts.width, facts.height)) != sorted((item.facts.width, item.facts.height))
            if score < _NEAR or contradict(facts, item.facts):
                continue
            if not is_part and not is_one_shot(facts, item.facts, score):
                continue
            if paths := self._paths(content):
                return Holding(item.image.path, Has.NEAR, score, paths)
        return Holding(item.image.path, Has.NEW)

    def _paths(self, content: bytes) -> tuple[bytes, ...]:
        photos = sorted(self.like_handler.photo_search.photos(content), key=lambda one: (one.stamp.mtime_ns, one.path))
        return tuple(os.fsencode(one.path) for one in photos[:_PATHS])

    def _reply(self, card: _Card) -> Holdings:
        held = tuple(item.holding for item in card.items if item.holding is not None)
        return Holdings(holdings=held, doubt=self.like_handler.photo_search.doubt())

    def _let_go(self, item: _Item) -> None:
        photo, item.photo = item.photo, None
        if photo is not None:
            self.like_handler.let_go(photo)

    def _close(self, card: _Card) -> None:
        for item in card.items:
            self._let_go(item)


def _open(card: _Card) -> list[tuple[int, OpenPhoto]]:
    return [(at, item.photo) for at, item in enumerate(card.items) if item.photo is not None]


def _failed(image: Image, reason: str, code: Code = Code.REFUSED) -> Holding:
    has = Has.UNREADABLE if code is Code.UNREADABLE else Has.FAILED
    return Holding(image.path, has, reason=reason)
