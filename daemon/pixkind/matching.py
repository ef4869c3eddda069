"""From vectors to matches: which contents may be found, which of their photos stand for them, in which order.

Knows no image, no worker and no socket; any thread may ask.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixkin.wire import Code, Doubt, Failure, Like, Match, Matches
from pixkind.catalog import Filter
from pixkind.disk import Disk
from pixkind.index import Index
from pixkind.mounts import lies_in
from pixkind.record import Record
from pixkind.scan import ABSENT
from pixkind.store import Store
from pixkind.territory import Territory


class Unanswerable(Exception):
    """The request ends with a failure."""

    def __init__(self, code: Code, what: str, path: str = "", hint: str = "") -> None:
        """Keep what the reply will say; see wire.Failure."""
        super().__init__(what)
        self.failure = Failure(code=code, what=what, hint=hint, path=os.fsencode(path))


@dataclass(frozen=True, slots=True)
class Question:
    """A request, with its paths as the store has them."""

    request: Like
    wanted: Filter
    places: Sequence[tuple[str, Disk | None]]  # of the images, and through what they can be touched; None: not at all

    @property
    def asked(self) -> set[str]:
        """The paths of the images that are files."""
        return {path for path, _ in self.places if path}


@dataclass(slots=True)
class Matching:
    """Everything that matches come from."""

    store: Store
    index: Index
    territory: Territory
    doubt: Callable[[], Doubt]

    def question(self, request: Like) -> Question:
        """Return the request with its paths as the store has them.

        Raises:
            Unanswerable: the folder lies in no root.
        """
        under = self.folder(request.under)
        places = [
            self.territory.find(os.fsdecode(image.path)) if image.path else ("", None) for image in request.images
        ]
        return Question(request, self._filter(request, under), places)

    def folder(self, asked: bytes) -> str:
        """Return the folder that a request names, as the store has it; empty if it names none.

        Raises:
            Unanswerable: it is in no root and holds none, or does not exist.
        """
        folder = self.territory.find(os.fsdecode(asked))[0] if asked else ""  # roots are no links either
        if not folder or any(lies_in(root, folder) for root in self.territory.roots):
            return folder
        if self.territory.root_of(folder) is None:
            raise not_watched(folder, self.territory)
        if not self.store.holds(folder) and not self._is_folder(folder):
            raise Unanswerable(Code.UNKNOWN_FOLDER, "no such folder", folder)
        return folder

    def _filter(self, request: Like, under: str) -> Filter:
        roots = self.territory.roots if request.online else ()
        away = tuple(root for root in roots if not self.territory.is_online(root))
        return Filter(under, away, request.taken_since_s, request.taken_before_s)

    def _in_time(self, question: Question, content: bytes) -> bool:
        """Return whether a content was taken when it is asked for: without codes nobody has looked yet."""
        wanted = question.wanted
        if not wanted.is_dated:
            return True
        return bool(wanted.in_time(np.array([place.taken_s for _, place in self.store.places([content])]))[0])

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self.territory.disk(path).look(path)[0])
        except OSError as error:
            return error.errno not in ABSENT

    def rank(self, question: Question, queries: NDArray[np.float32]) -> Matches:
        """Return the photos most like the queries, (k, dims) float32, vectors as the encoder gave them."""
        request = question.request
        matches: list[Match] = []
        for content, score, distance in self.index.rank(queries, question.wanted):
            if len(matches) >= request.limit or (request.min_score is not None and score < request.min_score):
                break
            if (request.max_distance is None or distance <= request.max_distance) and self._in_time(question, content):
                matches += self._matches(question, content, score, distance)
        return Matches(matches=tuple(matches[: request.limit]), doubt=self.doubt())

    def _matches(self, question: Question, content: bytes, score: float, distance: float) -> list[Match]:
        request, asked = question.request, question.asked
        photos = [
            record
            for record in self.store.photos_of(content)
            if not record.failed
            and self.territory.root_of(record.path) is not None
            and question.wanted.admits(os.path.dirname(record.path))
            and (request.itself or record.path not in asked)
        ]
        # A copy in the query's folder stands for all, else the oldest: it is likely the original.
        folders = {os.path.dirname(path) for path in asked}
        photos.sort(key=lambda one: (os.path.dirname(one.path) not in folders, one.stamp.mtime_ns, one.path))
        if request.fold and photos:
            copies = tuple(os.fsencode(record.path) for record in photos[1:])
            return [Match(os.fsencode(photos[0].path), score, distance, self._is_offline(photos[0]), copies)]
        return [Match(os.fsencode(one.path), score, distance, self._is_offline(one)) for one in photos]

    def _is_offline(self, record: Record) -> bool:
        root = self.territory.root_of(record.path)
        return root is not None and not self.territory.is_online(root)


def not_watched(path: str, territory: Territory) -> Unanswerable:
    """Return the error for a path that lies in no root."""
    watched = f"watched are {', '.join(territory.roots)}"
    return Unanswerable(Code.UNKNOWN_FOLDER, "not in a folder that is watched", path, watched)
