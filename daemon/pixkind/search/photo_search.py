"""Ranks the photos of the library for a query, filters them, and folds versions of one shot to one match.

Knows no image, no worker and no socket. Any thread may call.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pixkin.mounts import lies_in
from pixkin.protocol.replies import Code, Match, Matches, Relation
from pixkin.protocol.requests import Like
from pixkind.fs.interface import ABSENT
from pixkind.fs.roots import WatchedRoots
from pixkind.index.chance import NEAREST, Bounds, least, relation
from pixkind.index.filter import Filter
from pixkind.index.metric import Metric
from pixkind.index.rescoring import NothingLeft, merged
from pixkind.index.vector_index import VectorIndex
from pixkind.search.errors import RequestError, not_watched
from pixkind.search.folding import BEHIND, MOST, PART, UNKNOWN, FoundPicture, Shot, folded
from pixkind.search.pictures import picture_of
from pixkind.storage.record import Facts, Record
from pixkind.storage.store import Store

# The keys of a request that leave photos out by what is known of them, whatever they show. Keys of one filter stand together.
PLACES: Final = (("under",), ("not_under",), ("camera",), ("taken_since_s", "taken_before_s"), ("online",))
# The keys of a request that leave photos out.
_FILTERS: Final = (*PLACES, ("min_score",), ("min_band",), ("max_distance",), ("related",))


@dataclass(frozen=True, slots=True)
class PhotoQuery:
    """A request, with its folders and paths as the store has them."""

    request: Like
    wanted: Filter
    asked: frozenset[str]  # the paths of its images; an image without a path has none here


@dataclass(slots=True)
class PhotoSearch:
    """The photos that can be found in one space."""

    store: Store
    index: VectorIndex
    roots: WatchedRoots

    def query(self, request: Like, asked: Iterable[str] = ()) -> PhotoQuery:
        """Return the request with its folders as the store has them.

        Args:
            request: what the client asks.
            asked: the paths of its images, as the store has them.

        Raises:
            RequestError: the folder lies in no root.
        """
        under = [self.folder(path) for path in (request.under, *request.also_under) if path]
        apart = [self.folder(path) for path in request.not_under]
        return PhotoQuery(request, self._filter(request, under, apart), frozenset(asked))

    def folder(self, asked: bytes) -> str:
        """Return the folder that a request names, as the store has it; empty if it names none.

        Raises:
            RequestError: the folder does not exist, or it lies in no root and no root lies in it.
        """
        folder = self.roots.find(os.fsdecode(asked))[0] if asked else ""  # roots are no links either
        if not folder or any(lies_in(root, folder) for root in self.roots.paths):
            return folder
        if self.roots.root_of(folder) is None:
            raise not_watched(folder, self.roots)
        if not self.store.has_photos(folder) and not self._is_folder(folder):
            raise RequestError(Code.UNKNOWN_FOLDER, "no such folder", folder)
        return folder

    def _filter(self, request: Like, under: Sequence[str], apart: Sequence[str]) -> Filter:
        roots = self.roots.paths if request.online else ()
        away = tuple(root for root in roots if not self.roots.is_online(root))
        return Filter(
            tuple(under), (*away, *apart), request.taken_since_s, request.taken_before_s, request.camera.casefold()
        )

    def _ranking(self, query: PhotoQuery, queries: NDArray[np.float32]) -> Iterator[tuple[bytes, float, float]]:
        """Yield contents with score and distance, best first. With `rotate`, the orientation that is most alike counts."""
        weights = self.weights(query)
        if not query.request.rotate:
            return self.index.rank(queries, query.wanted, weights)
        return merged([self.index.rank(vector[None], query.wanted) for vector in queries], self.index.metric)

    def weights(self, query: PhotoQuery) -> NDArray[np.float64] | None:
        """Return the weights of the images; None if the image is tried in each orientation.

        Raises:
            RequestError: there are weights, but the distance ranks.
        """
        if query.request.rotate:
            return None
        weights = np.array([image.weight for image in query.request.images])
        if self.index.metric is Metric.L2 and (weights != 1).any():
            what = 'images cannot have weights with metric = "l2": the distance to the nearest image ranks'
            raise RequestError(Code.REFUSED, what)
        return weights

    def _is_folder(self, path: str) -> bool:
        try:
            return stat.S_ISDIR(self.roots.file_system(path).look(path)[0])
        except OSError as error:
            return error.errno not in ABSENT

    def rank(self, query: PhotoQuery, queries: NDArray[np.float32]) -> Matches:
        """Return the photos that are most like the images of a query.

        Args:
            query: the request.
            queries: (k, dims) float32, vectors as the encoder gave them: one of each image, or of one image in each
                orientation.

        Raises:
            RequestError: the images cancel each other out, or have weights where the distance ranks.
        """
        try:
            return self._ranked(query, queries)
        except NothingLeft as error:
            what = "the images cancel each other out, so that no photo can be like them"
            raise RequestError(Code.REFUSED, what, hint="give them other weights, as in 0.5:a.jpg") from error

    def _ranked(self, query: PhotoQuery, queries: NDArray[np.float32]) -> Matches:
        ranking = self._ranking(query, queries)
        first = list(islice(ranking, NEAREST))
        bounds = self._bounds(query, queries, first)
        found = self._found(query, chain(first, ranking), bounds)
        limit = query.request.limit
        if query.request.fold:
            matches = [self._folded(query, burst, bounds) for burst in self._bursts(query, found)]
        else:
            each = (self._match(query, one, photo, bounds) for one in found for photo in one.photos)
            matches = list(islice(each, limit))
        emptied_by = () if matches else self._emptied_by(query, queries, bounds)
        return Matches(
            matches=tuple(matches[:limit]), chance=None if bounds is None else bounds.loosely, emptied_by=emptied_by
        )

    def bounds(self, query: PhotoQuery, queries: NDArray[np.float32]) -> Bounds | None:
        """Return the bounds of the bands of a query; None: there are too few photos. `queries`: as for `rank`."""
        return self._bounds(query, queries, list(islice(self._ranking(query, queries), NEAREST)))

    def _bounds(
        self, query: PhotoQuery, queries: NDArray[np.float32], first: Sequence[tuple[bytes, float, float]]
    ) -> Bounds | None:
        best = [content for content, _, _ in first]
        return self.index.bounds(queries, best, self.weights(query), is_alone=query.request.rotate)

    def _emptied_by(self, query: PhotoQuery, queries: NDArray[np.float32], bounds: Bounds | None) -> tuple[str, ...]:
        """Return the keys of the request that leave no photo: the first filter that leaves none alone, or else all filters."""
        request = query.request
        plain = Like(images=request.images, rotate=request.rotate, itself=request.itself)

        def is_empty(*keys: str) -> bool:
            asked = msgspec.structs.replace(plain, **values(request, keys))
            part = self.query(asked, query.asked)
            return next(self._found(part, self._ranking(part, queries), bounds), None) is None

        given = [keys for keys in _FILTERS if any(getattr(request, key) != getattr(plain, key) for key in keys)]
        if is_empty():
            return ()
        return next((keys for keys in given if is_empty(*keys)), tuple(key for keys in given for key in keys))

    def _found(
        self, query: PhotoQuery, ranking: Iterable[tuple[bytes, float, float]], bounds: Bounds | None
    ) -> Iterator[FoundPicture]:
        """Yield the pictures that pass the limits and filters of the request, best first."""
        request = query.request
        bands = [request.min_band, Relation.LOOSELY if request.related else Relation.UNKNOWN]
        limits = [-1.0 if request.min_score is None else request.min_score, *(least(band, bounds) for band in bands)]
        lowest = max(limits)
        seen: set[bytes] = set()  # contents: of a file with pages, the one that is most alike counts
        for rank, (found, score, distance) in enumerate(ranking):
            is_near = request.max_distance is None or distance <= request.max_distance
            if not (is_near if self.index.metric is Metric.L2 else score >= lowest):
                return  # all further contents rank lower
            content = self.store.pages.content_of(found)
            if is_near and score >= lowest and content not in seen:
                seen.add(content)
                facts = self.store.facts(content) or UNKNOWN
                if photos := self._photos(query, content, facts):
                    yield FoundPicture(rank, content, score, distance, facts, photos)

    def _bursts(self, query: PhotoQuery, found: Iterator[FoundPicture]) -> list[list[Shot]]:
        """Return at least as many bursts as the request asks for, if there are so many. Most are of one shot."""

        def fold(pictures: Sequence[FoundPicture]) -> list[list[Shot]]:
            return folded(sorted(pictures, key=lambda one: _standing(query, one.photos[0])), self.index.centred)

        limit = query.request.limit
        pictures: list[FoundPicture] = []
        bursts: list[list[Shot]] = []
        more = min(limit + BEHIND, MOST)
        while len(bursts) < limit and (new := list(islice(found, more))):
            pictures += new
            bursts = fold(pictures)
            # All pictures fold again each time. Their number doubles, so this happens only a few times.
            # That ends at MOST pictures, even if thousands show one shot.
            more = min(len(pictures), MOST - len(pictures))
        # Who wants more than a thousand looks at a wall of them. These fold a part at a time: all with all would be quadratic.
        left = limit * 3 // 2 - len(pictures) if limit > PART else 0
        while len(bursts) < limit and left > 0 and (new := list(islice(found, PART))):
            bursts += fold(new)
            left -= PART
        return bursts

    def vector(self, content: bytes) -> NDArray[np.float32] | None:
        """Return the stored vector of a content, (dims,); None if there is no sound one."""
        return self.index.vectors([content]).get(content)

    def photos(self, content: bytes) -> list[Record]:
        """Return the photos of a content that lie in a watched folder."""
        found = self.store.photos_of(content)
        return [one for one in found if self.roots.root_of(one.path) is not None]

    def in_order(self, content: bytes) -> list[Record]:
        """Return the photos of a content: those on connected drives first, then the oldest files first."""
        is_offline = self.roots.is_offline
        return sorted(self.photos(content), key=lambda one: (is_offline(one.path), one.stamp.mtime_ns, one.path))

    def _photos(self, query: PhotoQuery, content: bytes, facts: Facts) -> list[Record]:
        """Return the photos of a content that pass the filters of the request. The first stands for all."""
        photos = [
            record
            for record in self.photos(content)
            if query.wanted.passes(record.place(facts)) and (query.request.itself or record.path not in query.asked)
        ]
        return sorted(photos, key=lambda one: _standing(query, one))

    def _match(self, query: PhotoQuery, picture: FoundPicture, photo: Record, bounds: Bounds | None) -> Match:
        path, is_offline = os.fsencode(photo.path), self.roots.is_offline(photo.path)
        damaged = photo.details is not None and photo.details.damaged
        band = relation(picture.score, bounds)
        shown = picture_of(picture.content, picture.facts, picture.photos) if query.request.pictures else None
        return Match(path, picture.score, picture.distance, is_offline, band=band, damaged=damaged, picture=shown)

    def _folded(self, query: PhotoQuery, burst: Sequence[Shot], bounds: Bounds | None) -> Match:
        """Return the match of a burst: the largest picture of its best shot stands for all."""
        (picture, *others), *further = burst
        photo, *copies = picture.photos
        return msgspec.structs.replace(
            self._match(query, picture, photo, bounds),
            copies=tuple(os.fsencode(one.path) for one in copies),
            versions=tuple(os.fsencode(one.path) for other in others for one in other.photos),
            burst=tuple(os.fsencode(one.path) for shot in further for other in shot for one in other.photos),
            frames=len(further),
        )


def values(request: Like, keys: Iterable[str]) -> dict[str, Any]:
    """Return the values of these keys of a request. `also_under` belongs to `under`."""
    named = {*keys, "also_under"} if "under" in keys else keys
    return {key: getattr(request, key) for key in named}


def _standing(query: PhotoQuery, photo: Record) -> tuple[bool, int, str]:
    """Return a sort key: a photo in a folder of the query comes first, then the oldest, which is likely the original."""
    folders = {os.path.dirname(path) for path in query.asked}
    return (os.path.dirname(photo.path) not in folders, photo.stamp.mtime_ns, photo.path)
