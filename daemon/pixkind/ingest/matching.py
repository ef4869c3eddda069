"""Asks the standing questions about each picture that is new in the library.

When a commit is in the index, its new pictures are compared with all questions, in the space that answers. Matches are noted
durably (`storage/questions`), then waiting clients are told. A picture is new once (`storage/seen`); it counts as seen when its
matches are noted. If the daemon ends between the commit and that, the next start finds the picture: the library has it, and
the set of those that were seen does not. The same way finds pictures that only another space could encode, when that space
answers at last.

Nothing is queued for a client. There are the last matches of each question, and a client has a position among them. So a
client that is slow, or has gone, costs nothing and holds up nobody.

A question keeps the vectors of its images for each space in which it was asked. For another space, the vector comes from the
store if the picture is indexed, or else the small picture that the question keeps is encoded. New pictures wait until then.
If neither is there, the question cannot be asked in this space, and `pixkin watch --list` says so.

Ingest thread only, except where it says otherwise.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Final

import numpy as np

from pixkin.protocol.bands import Relation
from pixkind.encoder.messages import Encoded
from pixkind.encoder.space import Space
from pixkind.fs.open_photo import OpenPhoto, in_memory
from pixkind.index.spaces import OpenSpace, OpenSpaces
from pixkind.ingest.inbox import Inbox
from pixkind.search.standing import Hit, StandingQuery
from pixkind.storage.environment import StoreFull
from pixkind.storage.questions import AskedImage, Matched, Question, Questions
from pixkind.storage.seen import SeenContents
from pixkind.storage.write_batch import CommitDelta

_log = logging.getLogger(__name__)

_BLOCK: Final = 2048  # contents that a step looks at


class Matching:
    """The standing questions, and the pictures that were seen."""

    def __init__(self, folder: str, spaces: OpenSpaces, inbox: Inbox) -> None:
        """Read the questions in the data folder; the ingest thread begins with what has come since they were asked last.

        Args:
            folder: the data folder.
            spaces: the one that answers is asked.
            inbox: of the ingest thread.
        """
        self.questions = Questions(folder)
        self._seen = SeenContents(folder)
        self._spaces = spaces
        self._inbox = inbox
        self._listeners: list[Callable[[], object]] = []
        self._queries: dict[int, StandingQuery] = {}  # by number, in the space that answers
        self.why: dict[int, str] = {}  # by number: why a question cannot be asked now; any thread reads it
        self._learning: set[tuple[int, int]] = set()  # number and image whose vector is being made
        self._late: list[bytes] = []  # new contents that wait for that, or for room on the disk
        spaces.on_commit(self._committed)
        spaces.on_switch(self._switched)
        if self.questions:
            inbox.submit_steps(self._catch_up())

    def on_news(self, listener: Callable[[], object]) -> None:
        """Have `listener` called in the ingest thread when there are new matches, or a question has gone."""
        self._listeners.append(listener)

    # Any thread.

    def same(self, images: Sequence[AskedImage], name: str, min_score: float | None, band: Relation) -> int:
        """Return the number of the question that asks the same; 0: there is none."""

        def key(images: Sequence[AskedImage]) -> list[tuple[str, float]]:
            return sorted((image.content, image.weight) for image in images)

        asked = (name, min_score, band, key(images))
        for number, question in self.questions.all.items():
            begun = question.begun
            if (begun.name, begun.min_score, begun.min_band, key(begun.images)) == asked:
                return number
        return 0

    # The ingest thread.

    def begin(self, images: Sequence[AskedImage], name: str, min_score: float | None, band: Relation) -> int:
        """Begin a question, durably, and return its number; all pictures of the library are seen from now on.

        With a million photos, the first question takes a second.

        Raises:
            StoreFull: nothing was begun.
        """
        if same := self.same(images, name, min_score, band):
            return same
        self.questions.check()
        if not self.questions:
            self._seen.begin(self._spaces.answering.store.contents())
        return self.questions.begin(images, name, min_score, band)

    def acknowledge(self, watch: int, seq: int) -> None:
        """Note that a client knows the matches of a question (0: of all) up to a number. Without room, it may be told again."""
        try:
            self.questions.tell(watch, seq)
        except StoreFull as error:
            _log.warning("what a client of `pixkin watch` knows cannot be noted: %s", error)

    def end(self, watch: int) -> None:
        """Forget a question, durably. Raises as `begin`."""
        self.questions.end(watch)
        self._dropped()

    def strip(self, paths: Collection[str]) -> None:
        """Remove the paths of photos that have been gone for long. Raises as `begin`."""
        self.questions.strip(paths)

    def forget(self, is_meant: Callable[[str], bool], contents: Collection[bytes]) -> None:
        """Remove all that is kept of photos that a user has forgotten. Raises as `begin`."""
        self.questions.forget(is_meant, contents)
        self._seen.forget(contents)
        self._late = [content for content in self._late if content not in contents]
        self._dropped()

    def _dropped(self) -> None:
        """Note that questions, or images of them, have gone."""
        self._queries.clear()
        self.why = {number: why for number, why in self.why.items() if number in self.questions.all}
        if not self.questions and self.questions.unreadable is None:
            self._late = []
            self._seen.end()
        self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()

    def _committed(self, delta: CommitDelta) -> None:
        if self.questions and (delta.appeared or self._late):
            self._look([*self._late, *delta.appeared])

    def _switched(self, _: OpenSpace) -> None:
        self._queries.clear()
        self.why = {}
        if self.questions:
            self._inbox.submit_steps(self._catch_up())

    def _catch_up(self) -> Iterator[None]:
        """Look at all pictures that can be found and were not seen, a block a step."""
        store = self._spaces.answering.store
        if not self._seen.is_there:
            _log.warning(
                "the list of the pictures that were there before is lost: all that are there now count as seen"
            )
            with suppress(StoreFull):
                self._seen.begin(store.contents())
        contents = store.contents()
        while block := list(islice(contents, _BLOCK)):
            if new := self._seen.new(block):
                self._look(sorted(store.searchable(new)))
            yield

    def _look(self, contents: Sequence[bytes]) -> None:
        """Ask all questions about those of these pictures that are new. A file of several pages counts once, by its best one."""
        files = self._spaces.answering.store.pages.files(contents)
        fresh = {*self._seen.new([*dict.fromkeys(files.values())])}
        new = [one for one in files if files[one] in fresh]
        queries = {
            number: query for number, one in self.questions.all.items() if (query := self._query(one)) is not None
        }
        self._late = new if self._learning else []
        if self._late or not new:
            return
        index = self._spaces.answering.index
        vectors = index.vectors(new)  # one that is damaged is seen when it was made again
        if not vectors:
            return
        known, block, now = [*vectors], np.stack([*vectors.values()]), datetime.now(UTC)
        found = []
        for number, query in queries.items():
            # A crash may have kept a match, and not that the picture was seen.
            told = {one.content for one in self.questions.all[number].matched}
            best: dict[bytes, Hit] = {}
            for hit in query.hits(index, known, block):
                best[files[hit.content]] = max(hit, best.get(files[hit.content], hit), key=lambda one: one.score)
            found += [
                Matched(number, 0, now, file.hex(), hit.score, hit.distance, hit.band)
                for file, hit in best.items()
                if file.hex() not in told
            ]
        try:
            self.questions.match(found)
        except StoreFull as error:
            _log.warning("matches of `pixkin watch` cannot be noted, and are told later: %s", error)
            self._late = new
            return
        self._seen.add([*dict.fromkeys(files[one] for one in known)])
        if found:
            self._tell()

    def _query(self, question: Question) -> StandingQuery | None:
        """Return a question with its vectors in the space that answers; None: it cannot be asked, or a vector is being made."""
        number, begun = question.begun.watch, question.begun
        if number in self._queries or number in self.why:
            return self._queries.get(number)
        vectors = [self._vector(number, at, image) for at, image in enumerate(begun.images)]
        known = [vector for vector in vectors if vector is not None]
        if len(known) < len(vectors):
            return None
        weights = np.array([image.weight for image in begun.images])
        block = np.stack([np.frombuffer(vector, "<f2") for vector in known]).astype(np.float32)
        query = self._queries[number] = StandingQuery(block, weights, begun.min_score, begun.min_band)
        return query

    def _vector(self, number: int, at: int, image: AskedImage) -> bytes | None:
        space = self._spaces.answering
        if (vector := image.vectors.get(space.space.name)) is not None:
            return vector
        content = bytes.fromhex(image.content)
        if (row := space.index.vectors([content]).get(content)) is not None:
            return row.astype("<f2").tobytes()
        if (number, at) in self._learning:
            return None
        if not image.picture or space.encoder is None:
            named = image.path or "an image of the question"
            why = space.why or f"{named} is not in the library, and no picture of it was kept"
            self.why[number] = f"it cannot be asked with {space.space.model}: {why}"
            return None
        picture = in_memory(image.path, image.picture)
        self._learning.add((number, at))
        future = space.encoder.encode(picture.descriptor, urgent=True)
        learned = partial(self._learned, number, at, image, space.space, picture)
        future.add_done_callback(lambda future: self._inbox.post(partial(learned, future)))
        return None

    def _learned(
        self, number: int, at: int, image: AskedImage, space: Space, picture: OpenPhoto, future: "Future[Encoded]"
    ) -> None:
        picture.close()
        self._learning.discard((number, at))
        if future.cancelled():
            return  # the daemon stops, and the next start tries again
        if (error := future.exception()) is not None:
            self.why[number] = f"it cannot be asked with {space.model}: {error}"
        elif (question := self.questions.all.get(number)) and image in question.begun.images[at : at + 1]:
            with suppress(StoreFull):  # then it is made again
                self.questions.learn(number, at, space.name, future.result().vector)
        self._look(self._late)
