"""Answers `watch`, `unwatch`, `list_watches`, `arrivals` and `changes`. Any thread may call; the ingest thread does the work.

Nothing is queued for a client that waits, or does not: it has a position among what is kept anyway (`ingest/matching`,
`index/changes`). `polls` bounds how many wait.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import msgspec
import numpy as np

from pixkin.protocol.bands import Relation
from pixkin.protocol.news import Arrival, Arrived, LibraryChanged, WatchedImage, Watches, WatchState
from pixkin.protocol.pictures import Picture
from pixkin.protocol.replies import Code, Reply, Thumb
from pixkin.protocol.requests import Arrivals, Changes, Like, ListWatches, Size, Thumbnail, Unwatch, Watch
from pixkind.index.changes import ChangeLog
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.matching import Matching
from pixkind.search.errors import RequestError
from pixkind.search.pictures import picture_of
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.like import LikeHandler, LikeImages
from pixkind.server.polls import Polls
from pixkind.server.thumbnails import ThumbnailHandler
from pixkind.storage.environment import StoreFull
from pixkind.storage.questions import MOST, AskedImage, Matched, Question
from pixkind.storage.record import Record

REPLY: Final = 1000  # matches in one reply

_Stored = TypeVar("_Stored")


@dataclass(slots=True)
class WatchHandler:
    """Answers in the space that answers."""

    like_handler: LikeHandler
    thumbnail_handler: ThumbnailHandler
    matching: Matching
    changes: ChangeLog
    polls: Polls
    inbox: Inbox

    def answer(
        self, request: Watch | Unwatch | ListWatches | Arrivals | Changes, frames: Sequence[bytes]
    ) -> Reply | Deferred:
        """Return the reply, or what it waits for. `frames` hold the bytes of the images that are sent along.

        Raises:
            RequestError: an image cannot be used, there is no such question, or there are too many.
        """
        match request:
            case Watch():
                like = Like(images=request.images, until_ms=request.until_ms)
                return self.like_handler.resolve(like, frames, partial(self._draw, request, frames))
            case Unwatch():
                if request.watch not in self.matching.questions.all:
                    raise _unknown(request.watch)
                return self._stored(partial(self.matching.end, request.watch), lambda _: self._watches())
            case ListWatches():
                return self._watches()
            case Arrivals():
                return self._arrivals(request)
            case Changes():
                after = request.after
                return self.polls.wait(
                    lambda: self.changes.is_news(after), request.until_ms, lambda: self._changed(after)
                )

    def _check(self, watch: int) -> None:
        if watch and watch not in self.matching.questions.all:
            raise _unknown(watch)

    def _stored(self, store: Callable[[], _Stored], reply: Callable[[_Stored], Reply | Deferred]) -> Deferred:
        """Have the ingest thread store something, and reply then."""
        future = self.inbox.submit(store)

        def done() -> Reply | Deferred:
            try:
                stored = future.result()
            except StoreFull as error:
                raise RequestError(Code.BUSY, f"it cannot be stored: {error}", hint="ask again when it can") from error
            return reply(stored)

        return reply_when([future], done)

    # Questions.

    def _draw(self, request: Watch, frames: Sequence[bytes], asked: LikeImages) -> Reply | Deferred:
        """Make small pictures of the images that the library does not have, and begin the question then."""
        pictures: dict[int, bytes] = {}

        def draw(left: Sequence[int]) -> Reply | Deferred:
            if not left:
                return self._begin(request, asked, pictures)
            image = msgspec.structs.replace(request.images[left[0]], weight=1.0)

            def drawn(reply: Reply) -> Reply | Deferred:
                if isinstance(reply, Thumb):
                    pictures[left[0]] = reply.data
                return draw(left[1:])

            thumbnail = Thumbnail(image=image, size=Size.M, until_ms=request.until_ms)
            try:
                reply = self.thumbnail_handler.thumbnail(thumbnail, frames)
            except RequestError as error:
                return drawn(error.failure)
            return reply.then(drawn) if isinstance(reply, Deferred) else drawn(reply)

        return draw(sorted(asked.strangers))

    def _begin(self, request: Watch, asked: LikeImages, pictures: Mapping[int, bytes]) -> Deferred:
        photo_search = self.like_handler.photo_search
        vectors = [asked.vectors[at] for at in range(len(request.images))]
        # It refuses what `like` refuses, such as images that cancel each other out.
        photo_search.rank(asked.query, np.stack(vectors).astype(np.float32))
        images = [
            AskedImage(
                asked.contents[at].hex(),
                os.fsdecode(image.path),
                image.weight,
                {photo_search.store.space: vectors[at].astype("<f2").tobytes()},
                pictures.get(at, b""),
            )
            for at, image in enumerate(request.images)
        ]
        band = request.min_band
        if request.min_score is None and band in {Relation.UNKNOWN, Relation.NO_RELATION}:
            band = Relation.ALIKE
        limit = (request.name, request.min_score, band)
        if len(self.matching.questions.all) >= MOST and not self.matching.same(images, *limit):
            what = f"there are {MOST} standing questions already"
            raise RequestError(Code.REFUSED, what, hint="pixkin watch --remove NUMBER")
        return self._stored(lambda: self.matching.begin(images, *limit), self._watches)

    def _watches(self, watch: int = 0) -> Watches:
        questions = self.matching.questions
        return Watches(watches=tuple(map(self._state, questions.all.values())), watch=watch, last=questions.last)

    def _state(self, question: Question) -> WatchState:
        begun = question.begun
        return WatchState(
            begun.watch,
            begun.name,
            tuple(map(self._image, begun.images)),
            begun.min_score,
            begun.min_band,
            question.untold,
            question.told,
            question.matched[-1].seq if question.matched else 0,
            int(begun.time.timestamp()),
            self.matching.why.get(begun.watch, ""),
        )

    def _image(self, image: AskedImage) -> WatchedImage:
        content = bytes.fromhex(image.content)
        paths = [*(photo.path for photo in self.like_handler.photo_search.in_order(content)), image.path]
        return WatchedImage(content, os.fsencode(paths[0]), image.weight)

    # News.

    def _arrivals(self, request: Arrivals) -> Reply | Deferred:
        questions, after = self.matching.questions, request.after

        def is_news() -> bool:
            # After a number that was never used, nobody would ever be told: such a client learns the last one.
            is_lost = after > questions.last or (request.watch and request.watch not in questions.all)
            return bool(is_lost) or any(
                one.matched and one.matched[-1].seq > after for one in self._asked(request.watch)
            )

        def wait() -> Reply | Deferred:
            if not request.wait:
                return self._arrived(request)
            return self.polls.wait(is_news, request.until_ms, lambda: self._arrived(request))

        self._check(request.watch)
        if request.peek or all(one.told >= min(after, questions.last) for one in self._asked(request.watch)):
            return wait()
        return self._stored(lambda: self.matching.acknowledge(request.watch, after), lambda _: wait())

    def _asked(self, watch: int) -> Iterable[Question]:
        """Return one question; 0: all questions."""
        return [one for number, one in self.matching.questions.all.items() if watch in {0, number}]

    def _arrived(self, request: Arrivals) -> Arrived:
        self._check(request.watch)
        found = (one for question in self._asked(request.watch) for one in question.matched if one.seq > request.after)
        first = sorted(found, key=lambda one: one.seq)[:REPLY]
        last = first[-1].seq if first else min(request.after, self.matching.questions.last)
        return Arrived(arrivals=tuple(map(self._arrival, first)), last=last)

    def _arrival(self, match: Matched) -> Arrival:
        content = bytes.fromhex(match.content)
        photos = self.like_handler.photo_search.in_order(content)
        return Arrival(
            match.seq,
            match.watch,
            self._picture(content, photos),
            os.fsencode(photos[0].path) if photos else b"",
            match.score,
            match.distance,
            match.band,
            bool(photos) and self.like_handler.photo_search.roots.is_offline(photos[0].path),
            int(match.time.timestamp()),
        )

    def _picture(self, content: bytes, photos: Sequence[Record]) -> Picture:
        return picture_of(content, self.like_handler.photo_search.store.facts(content), photos)

    def _changed(self, after: int) -> LibraryChanged:
        since = self.changes.since(after)
        return LibraryChanged(
            generation=since.generation,
            came=tuple(
                self._picture(content, self.like_handler.photo_search.in_order(content)) for content in since.came
            ),
            more=since.more,
            gone=since.gone,
            missed=since.missed,
        )


def _unknown(watch: int) -> RequestError:
    return RequestError(Code.REFUSED, f"there is no standing question {watch}", hint="pixkin watch --list")
