"""One search for near-duplicates: from the contents of a folder to groups of photos, each as soon as it is complete.

The score of two photos is that of index/vector_index.py, with the mean as it was when the search began.
It was measured on 500 photos of 500 kinds, 500 x 375 pixels, and on edits of 125 of them.
The table has the scores of edits with their originals: 5 % score at most the first number, half at most the second.

| edit | score | edit | score |
| --- | --- | --- | --- |
| other orientation and flag, JPEG 95 | 0.99 / 1.00 | JPEG 50 | 0.86 / 0.93 |
| logo | 0.97 / 0.99 | burst: another crop to 92 %, turned by 2 degrees | 0.88 / 0.93 |
| brighter or darker by 30 % | 0.92 / 0.98 | crop to 80 % | 0.85 / 0.92 |
| mirrored | 0.93 / 0.96 | half as wide | 0.81 / 0.92 |
| crop to 90 % | 0.92 / 0.96 | crop to 64 % | 0.76 / 0.87 |

Edits that are a quarter as wide, grey, or turned without a flag score less (half of them at most 0.68, 0.83 and 0.61).
The best other photo scored 0.30 in the median, and above 0.49 for one photo in a hundred. The best of all 125,000 pairs of
different photos, two dogs in the same posture, scored 0.72.
With eight edits of each photo, which score less with each other than with it, at least 84 % of each kind were grouped with
their original at 0.8, and 95 % at 0.75. Even at 0.7 no two of these 500 photos were in one group. In libraries
with bursts and series, half of the groups at 0.75 hold different photos. Hence the default, protocol.requests.SAME_SHOT, and
the bands below. All edits of larger originals score more.

A row is the number of a content in this search. The package's docstring tells how rows are compared.
"""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkin.mounts import Mount, mount_of, read_mounts
from pixkin.protocol.replies import Band, Failed, Group, Photo
from pixkin.protocol.requests import SAME_SHOT
from pixkin.two_files import SeenFile, are_two_files
from pixkind.fs.aliases import file_at
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.roots import WatchedRoots
from pixkind.index.centering import RunningMean
from pixkind.index.filter import Filter
from pixkind.index.vector_index import VectorIndex
from pixkind.search.best import Member, is_in_cache, is_spare, notes, ranked
from pixkind.search.clustering import Clusters, Pairs, complete_link
from pixkind.search.file_check import FileCheck
from pixkind.search.proof import Proof
from pixkind.search.simhash import Rows, SimHashes
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import Facts, Record
from pixkind.storage.store import Store

_BATCH: Final = 256  # contents that are compared at once
_BLOCK: Final = 2048  # vectors that are read at once: 10 MB of float32 at 1,280 dimensions
_ALIKE: Final = 4096  # pairs of one content that are scored: the best, if it is one of a long time-lapse
_DENSE: Final = 16  # all products of a block are faster than single ones if at least one in so many is wanted
_MOST: Final = 10_000  # photos in a group: with the longest paths they take 40 of the 64 MiB of a reply
_EXACT: Final = 1.0  # the score of copies, and of nothing else: scripts delete what scores 1
_DIFFERENT: Final = 0.999  # the highest score of different contents, such as a photo and its motion photo


class DuplicateSearch:
    """The contents that are compared, and the progress of the search."""

    def __init__(
        self,
        store: Store,
        index: VectorIndex,
        roots: WatchedRoots,
        folder: str,
        least: float,
        beat: Callable[[], None] = lambda: None,
        *,
        apart: Collection[tuple[bytes, bytes]] = (),
        dirty: Callable[[str], object] = lambda _path: None,
        open_photos: set[OpenPhoto] | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            store: is read during the search, in short transactions.
            index: knows the contents and the mean.
            roots: knows which photos are there now.
            folder: only photos in it or below are compared; empty: all photos.
            least: the lowest score of a pair in a group; 1: only exact copies, and no vector is read.
            beat: called about every 0.1 s during the search; an exception of it ends the search.
            apart: pairs of contents that no group may have together.
            dirty: has a path looked at by a scan, because its file is not as the store has it.
            open_photos: gets the photos that are open.
        """
        self._store = store
        self._index = index
        self._roots = roots
        self._filter = Filter.below(folder)
        self._least = least
        self._beat = beat
        self._files = FileCheck(roots, dirty, open_photos)
        # The photos of no group, because their files are not as the store has them. Another thread takes them out.
        self.left_out: deque[Failed] = deque()
        self._centering = RunningMean().centering()  # replaced when the search begins
        self._shown: dict[str, bool] = {}  # by folder
        self._ids = bytearray()
        self._apart_contents = apart
        self._apart: set[tuple[int, int]] = set()  # the same as rows, the lower first
        self._clusters = Clusters()
        self.compared = 0

    @property
    def pictures(self) -> int:
        """Return how many contents are compared."""
        return len(self._ids) // CONTENT_BYTES

    @property
    def _dims(self) -> int:
        return len(self._centering.offset)

    @property
    def is_thinned(self) -> bool:
        """Return whether some pairs were dropped to limit memory."""
        return self._clusters.is_thinned

    def groups(self) -> Iterator[Group]:
        """Yield each group once, when it is complete. A photo is in one group at most."""
        left: set[int] = set()  # rows with several photos that are in no group yet
        for row in self._gathered():
            if self._least < _EXACT:
                left.add(row)
            else:
                self.compared = row
                yield from self._group([row], _EXACT)
        if self._least < _EXACT:
            for members, score in self._alike(left):
                left.difference_update(members)
                yield from self._group(members, score)
        for row in sorted(left):
            self._beat()
            yield from self._group([row], _EXACT)
        self.compared = self.pictures

    def _gathered(self) -> Iterator[int]:
        """Number the contents that are compared, and yield the rows that have several photos."""
        contents = self._index.contents(self._filter)
        self._centering = self._index.centering()
        apart = self._apart_contents
        named = {content for pair in apart for content in pair}
        rows: dict[bytes, int] = {}
        while block := list(islice(contents, _BLOCK)):
            self._beat()
            pages = self._store.pages.among(block)  # only whole files are duplicates
            for content, places in self._store.places([content for content in block if content not in pages]):
                if (photos := sum(self._is_shown(place.folder) for place in places)) > 0:
                    row = self.pictures
                    self._ids += content
                    if content in named:
                        rows[content] = row
                    if photos > 1:
                        yield row
        known = [(rows[one], rows[other]) for one, other in apart if one in rows and other in rows]
        self._apart = {(min(pair), max(pair)) for pair in known}

    def _is_shown(self, folder: str) -> bool:
        if (known := self._shown.get(folder)) is None:
            known = self._filter.admits(folder) and self._roots.root_of(folder) is not None
            self._shown[folder] = known
        return known

    # From rows to pairs, and to groups of rows.

    def _alike(self, left: set[int]) -> Iterator[tuple[list[int], float]]:
        """Yield groups of rows with their lowest scores. A row of `left` that is like no other is a group of its own."""
        if not self._dims:
            return
        hashes = SimHashes(self._dims, self.pictures)
        for at in range(0, self.pictures, _BLOCK):
            self._beat()
            hashes.fill(self._vectors(np.arange(at, min(at + _BLOCK, self.pictures))))
        while len(rows := self._next(hashes)):
            pairs = self._scored(hashes, rows)
            for cluster in self._clusters.close(rows.tolist(), pairs):
                yield from complete_link(cluster, self._beat)
            for row in rows.tolist():
                if row in left and row not in self._clusters:
                    yield [row], _EXACT
            self.compared += len(rows)

    def _next(self, hashes: SimHashes) -> Rows:
        """Return the rows of the next batch: rows that open clusters wait for come first."""
        waiting = list(islice(self._clusters.waiting, _BATCH))
        others = hashes.not_compared(_BATCH)
        rows = np.concatenate([np.array(waiting, np.int64), others[~np.isin(others, waiting)]])[:_BATCH]
        return np.sort(rows)

    def _scored(self, hashes: SimHashes, rows: Rows) -> Pairs:
        """Return the pairs that score enough: pairs of these rows, and pairs with rows that were in no batch."""
        vectors = self._vectors(rows)
        ours, theirs = hashes.pairs(rows, vectors, self._least, _ALIKE, self._beat)
        order = np.argsort(theirs, kind="stable")
        ours, theirs = ours[order], theirs[order]
        others = np.unique(theirs)
        pairs = Pairs()
        for at in range(0, len(others), _BLOCK):
            self._beat()
            some = others[at : at + _BLOCK]
            these = slice(np.searchsorted(theirs, some[0]), np.searchsorted(theirs, some[-1], "right"))
            scores = _products(vectors, ours[these], self._vectors(some), np.searchsorted(some, theirs[these]))
            good = scores >= self._least
            pairs.extend(self._not_apart(rows[ours[these][good]], theirs[these][good], scores[good]))
        return pairs

    def _not_apart(self, firsts: Rows, seconds: Rows, scores: NDArray[np.float32]) -> Pairs:
        """Return these pairs without those that a user has marked as no duplicates."""
        if self._apart:
            low, high = np.minimum(firsts, seconds).tolist(), np.maximum(firsts, seconds).tolist()
            kept = np.array([pair not in self._apart for pair in zip(low, high, strict=True)], bool)
            firsts, seconds, scores = firsts[kept], seconds[kept], scores[kept]
        return Pairs.of(firsts, seconds, scores)

    def _vectors(self, rows: Rows) -> NDArray[np.float32]:
        """Return the centred vectors of these rows, (n, dims) float32; zeros where a vector went, or has rotted."""
        return self._index.centred([self._content(row) for row in rows.tolist()], self._centering)

    def _content(self, row: int) -> bytes:
        return bytes(self._ids[row * CONTENT_BYTES : (row + 1) * CONTENT_BYTES])

    # From groups of rows to groups of photos.

    def _group(self, rows: Sequence[int], score: float) -> Iterator[Group]:
        """Yield the group of the photos that these contents have now, if there are at least two."""
        mounts = read_mounts()
        members = [member for row in rows for member in self._members(self._content(row), mounts)]
        if len(members) < 2:
            return
        members = _without_second_names(ranked([one for one in members if self._is_as_recorded(one.record)]), mounts)
        if not members:
            return
        best = members[0]
        members, copies = self._compared(members)
        is_copy = len(copies) == len(members)
        if self._least == _EXACT and not is_copy:
            members, is_copy = copies, True
        if len(members) < 2:
            return
        score = _EXACT if is_copy else min(score, _DIFFERENT)
        shown = members[:_MOST]
        kept, proven = _file(best, mounts), {one.record.path for one in copies}
        photos = (
            _photo(
                one,
                some,
                spare=one.record.path in proven and is_spare(one, best) and are_two_files(_file(one, mounts), kept),
            )
            for one, some in zip(shown, notes(shown), strict=True)
        )
        yield Group(_band(score, is_copy=is_copy), score, tuple(photos), len(members) - len(shown))

    def _compared(self, members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
        """Return the members of a group that can be read, and those of them that are exact copies of the best, with it.

        A worker that a photo has taken over may have called anything a copy. So all that could be deleted is compared.
        If one is another picture, the whole group is left out, and its photos are read again.
        """
        best, *others = members
        readable, copies = [best], [best]
        for number, one in enumerate(others, 1):
            is_copy = _is_copy(one, best)
            if is_copy and not one.offline and number < _MOST:
                self._beat()  # it may pause, which it must not do while a file is open
                proof = self._files.proof(best.record, one.record)
                if proof is Proof.OTHER:
                    self._index.rotten([best.record.content])
                    self._leave_out(members, "a photo of its group has a wrong content id, and is read again")
                    return [], []
                if proof is None:
                    self._leave_out(
                        [one], "it cannot be compared now, because a file cannot be read or has just changed"
                    )
                    continue
                is_copy = proof is Proof.COPY
            readable.append(one)
            copies += [one] if is_copy else []
        return readable, copies

    def _leave_out(self, members: Sequence[Member], reason: str) -> None:
        self.left_out += [Failed(os.fsencode(one.record.path), reason) for one in members if not one.offline]

    def _members(self, content: bytes, mounts: Sequence[Mount]) -> Iterator[Member]:
        """Yield the photos of a content in the searched folder."""
        facts = self._store.facts(content) or Facts(0, 0, 0, "")
        for record in self._store.photos_of(content):
            path = record.path
            if self._is_shown(os.path.dirname(path)):
                if self._roots.is_offline(path):
                    yield Member(record, facts, offline=True)
                else:
                    yield Member(
                        record,
                        facts,
                        is_read_only=mount_of(path, mounts).is_read_only,
                        has_sidecar=self._files.has_sidecar(path),
                        is_passing=is_in_cache(path, self._roots.root_of(path) or ""),
                    )

    def _is_as_recorded(self, record: Record) -> bool:
        """Return whether a photo is on a drive that is away, or its file is as the store has it; else note it as left out."""
        if self._roots.is_offline(record.path):
            return True
        if objection := self._files.objection(record):
            self.left_out.append(Failed(os.fsencode(record.path), objection))
        return not objection


def _products(
    vectors: NDArray[np.float32], ours: Rows, others: NDArray[np.float32], theirs: Rows
) -> NDArray[np.float32]:
    """Return the dot product of each pair of `vectors[ours]` and `others[theirs]`; computed for all pairs where that is faster."""
    if len(ours) * _DENSE > len(vectors) * len(others):
        whole: NDArray[np.float32] = (vectors @ others.T)[ours, theirs]
        return whole
    result = np.empty(len(ours), np.float32)
    for at in range(0, len(ours), _BLOCK):
        these = slice(at, at + _BLOCK)
        result[these] = np.einsum("ij,ij->i", vectors[ours[these]], others[theirs[these]])
    return result


def _without_second_names(members: Sequence[Member], mounts: Sequence[Mount]) -> list[Member]:
    """Return the members without further names of the same file, such as hard links: deleting one frees nothing."""
    first = dict[object, Member]()
    for one in members:
        key = one.record.path if one.offline else (mount_of(one.record.path, mounts).device, one.record.stamp)
        first.setdefault(key, one)
    return [*first.values()]


def _photo(one: Member, said: tuple[str, ...], *, spare: bool) -> Photo:
    return Photo(
        os.fsencode(one.record.path),
        one.record.content,
        one.facts.width,
        one.facts.height,
        one.record.stamp.size,
        offline=one.offline,
        spare=spare,
        passing=one.is_passing,
        notes=said,
    )


def _file(one: Member, mounts: Sequence[Mount]) -> SeenFile:
    return file_at(one.record.path, one.record.stamp, mounts)


def _is_copy(one: Member, best: Member) -> bool:
    """Return whether two photos are one picture, and the best has all metadata of the other as far as both were read."""
    return one.record.content == best.record.content and best.details.covers(one.details)


def _band(score: float, *, is_copy: bool) -> Band:
    if is_copy:
        return Band.IDENTICAL
    return Band.SAME_SHOT if score >= SAME_SHOT else Band.SIMILAR
