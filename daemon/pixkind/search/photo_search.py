"""From vectors to matches: which contents may be found, which of their photos stand for them, in which order.

Knows no image, no worker and no socket; any thread may ask.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.replies import Code, Doubt, Match, Matches
from pixkin.protocol.requests import Like
from pixkind.fs.interface import ABSENT, FileSystem
from pixkind.fs.paths import lies_in
from pixkind.fs.roots import WatchedRoots
from pixkind.index.filter import Filter
from pixkind.index.metric import Metric
from pixkind.index.rescoring import NothingLeft, merged
from pixkind.index.vector_index import VectorIndex
from pixkind.search.errors import RequestError, not_watched
from pixkind.search.folding import BEHIND, MOST, UNKNOWN, FoundPicture, folded
from pixkind.storage.record import Record, is_sound, unpack_vectors
from pixkind.storage.store import Store


@dataclass(frozen=True, slots=True)
class PhotoQuery:
    """A request, with its paths as the store has them."""

    request: Like
    wanted: Filter
    places: Sequence[
        tuple[str, FileSystem | None]
    ]  # of the images, and through what they can be touched; None: not at all

    @property
    def asked(self) -> set[str]:
        """The paths of the images that are files."""
        return {path for path, _ in self.places if path}


@dataclass(slots=True)
class PhotoSearch:
    """Everything that matches come from."""

    store: Store
    index: VectorIndex
    roots: WatchedRoots
    doubt: Callable[[], Doubt]

    def question(self, request: Like) -> PhotoQuery:
        """Return the request with its paths as the store has them.

        Raises:
            Unanswerable: the folder lies in no root.
        """
        under = self.folder(request.under)
        apart = [self.folder(path) for path in request.not_under]
        places = [self.roots.find(os.fsdecode(image.path)) if image.path else ("", None) for image in request.images]
        return PhotoQuery(request, self._filter(request, under, apart), places)

    def folder(self, asked: bytes) -> str:
        """Return the folder that a request names, as the store has it; empty if it names none.

        Raises:
            Unanswerable: it is in no root and holds none, or does not exist.
        """
        folder = self.roots.find(os.fsdecode(asked))[0] if asked else ""  # roots are no links either
        if not folder or any(lies_in(root, folder) for root in self.roots.paths):
            return folder
        if self.roots.root_of(folder) is None:
            raise not_watched(folder, self.roots)
        if not self.store.holds(folder) and not self._is_folder(folder):
            raise RequestError(Code.UNKNOWN_FOLDER, "no such folder", folder)
        return folder

    def _filter(self, request: Like, under: str, apart: Sequence[str]) -> Filter:
        roots = self.roots.paths if request.online else ()
        away = tuple(root for root in roots if not self.roots.is_online(root))
        return Filter(under, (*away, *apart), request.taken_since_s, request.taken_before_s, request.camera.casefold())

    def _passes(self, question: PhotoQuery, content: bytes) -> bool:
        """Return whether a content was taken when and how it is asked for: without codes nobody has looked yet."""
        wanted = question.wanted
        if not (wanted.is_dated or wanted.camera):
            return True
        return all(wanted.passes(place) for _, place in self.store.places([content]))

    def _ranking(self, question: PhotoQuery, queries: NDArray[np.float32]) -> Iterator[tuple[bytes, float, float]]:
        """Yield contents with score and distance, best first; of an image in every way the best of them."""
        request = question.request
        if not request.rotate:
            weights = np.array([image.weight for image in request.images])
            if self.index.metric is Metric.L2 and (weights != 1).any():
                what = "where the distance ranks (metric), that to the nearest image counts: an image has no weight"
                raise RequestError(Code.REFUSED, what)
            return self.index.rank(queries, question.wanted, weights)
        return merged([self.index.rank(query[None], question.wanted) for query in queries], self.index.metric)

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self.roots.file_system(path).look(path)[0])
        except OSError as error:
            return error.errno not in ABSENT

    def rank(self, question: PhotoQuery, queries: NDArray[np.float32]) -> Matches:
        """Return the photos most like the queries.

        Args:
            question: what is asked.
            queries: (k, dims) float32, vectors as the encoder gave them: one of each image, or of the one in every way.

        Raises:
            Unanswerable: the images cancel each other out.
        """
        try:
            return self._ranked(question, queries)
        except NothingLeft as error:
            what = "the images cancel each other out: nothing is left that a photo could be like"
            raise RequestError(Code.REFUSED, what, hint="give them other weights, as in 0.5:a.jpg") from error

    def _ranked(self, question: PhotoQuery, queries: NDArray[np.float32]) -> Matches:
        found = self._found(question, queries)
        limit = question.request.limit
        if question.request.fold:
            matches = [self._folded(shot) for shot in self._shots(question, found)]
        else:
            each = (self._match(one, photo) for one in found for photo in one.photos)
            matches = list(islice(each, limit))
        return Matches(matches=tuple(matches[:limit]), doubt=self.doubt(), chance=self._chance())

    def _chance(self) -> float | None:
        """Return what the best of as many photos scores that are unrelated to a query; None if that is not known."""
        chance = self.index.chance()
        return None if chance is None else chance.best_of(len(self.index))

    def _found(self, question: PhotoQuery, queries: NDArray[np.float32]) -> Iterator[FoundPicture]:
        """Yield the pictures that are let through, best first."""
        request = question.request
        chance = self._chance() if request.related else None
        least = max(-1.0 if one is None else one for one in (request.min_score, chance))
        for rank, (content, score, distance) in enumerate(self._ranking(question, queries)):
            is_near = request.max_distance is None or distance <= request.max_distance
            if not (is_near if self.index.metric is Metric.L2 else score >= least):
                return  # what follows is ranked lower
            if is_near and score >= least and self._passes(question, content):
                photos = self._photos(question, content)
                if photos:
                    yield FoundPicture(rank, content, score, distance, self.store.facts(content) or UNKNOWN, photos)

    def _shots(self, question: PhotoQuery, found: Iterator[FoundPicture]) -> list[list[FoundPicture]]:
        """Return the shots of so many pictures that there are as many as are wanted."""
        pictures: list[FoundPicture] = []
        shots: list[list[FoundPicture]] = []
        more = question.request.limit + BEHIND
        while len(shots) < question.request.limit and (new := list(islice(found, more))):
            pictures = sorted(pictures + new, key=lambda one: _standing(question, one.photos[0]))
            shots = folded(pictures, self._centred)
            # What has folded folds again: doubled, that is done a few times only. Thousands of one shot are not looked behind.
            more = min(len(pictures), MOST - len(pictures))
        return shots

    def photos(self, content: bytes) -> list[Record]:
        """Return the photos of a content that can be found."""
        found = self.store.photos_of(content)
        return [one for one in found if self.roots.root_of(one.path) is not None]

    def _photos(self, question: PhotoQuery, content: bytes) -> list[Record]:
        """Return the photos of a content that may be found, the one that stands for all first."""
        photos = [
            record
            for record in self.photos(content)
            if question.wanted.admits(os.path.dirname(record.path))
            and (question.request.itself or record.path not in question.asked)
        ]
        return sorted(photos, key=lambda one: _standing(question, one))

    def _match(self, picture: FoundPicture, photo: Record) -> Match:
        return Match(os.fsencode(photo.path), picture.score, picture.distance, self._is_offline(photo))

    def _folded(self, shot: Sequence[FoundPicture]) -> Match:
        """Return the match that a shot is: its largest picture stands for all."""
        picture, *others = shot
        photo, *copies = picture.photos
        return msgspec.structs.replace(
            self._match(picture, photo),
            copies=tuple(os.fsencode(one.path) for one in copies),
            versions=tuple(os.fsencode(one.path) for other in others for one in other.photos),
        )

    def _centred(self, contents: Sequence[bytes]) -> NDArray[np.float32]:
        """Return the centred vectors of contents, (n, dims); zeros of what has none any more."""
        centre = self.index.centering()
        result = np.zeros((len(contents), len(centre.offset)), np.float32)
        found = dict(self.store.vectors(contents))
        rows = [row for row, content in enumerate(contents) if is_sound(found.get(content, b"rotten"))]
        if rows:
            result[rows] = centre.centred(unpack_vectors([found[contents[row]] for row in rows]))
        return result

    def _is_offline(self, record: Record) -> bool:
        root = self.roots.root_of(record.path)
        return root is not None and not self.roots.is_online(root)


def _standing(question: PhotoQuery, photo: Record) -> tuple[bool, int, str]:
    """Return the order in which photos stand for others: in the query's folder, else the oldest: it is likely the original."""
    folders = {os.path.dirname(path) for path in question.asked}
    return (os.path.dirname(photo.path) not in folders, photo.stamp.mtime_ns, photo.path)
