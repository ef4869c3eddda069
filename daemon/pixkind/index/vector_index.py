"""Nearest neighbours: which contents are most like a query, best first.

The ranking, exactly. With x the stored vector, n the number of contents and m the mean of x over all contents:

- w = n / (n + 200)
- c = (x - w m) / |x - w m|, or x / |x| where |x - w m| < 1e-3 |x|
- score(q, p) = c_q . c_p
- distance(q, p) = |x_q - x_p|

Of several query images each wanted one has a score of its own, and `combining` makes one score of them. An unwanted image has a
weight below 0: its c, times its weight, is added to c of each wanted image, times the sum of the wanted weights.
The distance is the smallest distance to a wanted image. With the metric `l2` the distance ranks, the smallest first.
Subtracting the library's own mean removes what all photos share. Few photos have no useful mean, hence the weight w.

A query takes these steps:

1. One-bit codes in memory (rabitq.py) name candidates among the rows that may be found (metadata.py), and guess their scores.
2. The vectors of the best candidates are read from the store and scored as above, with the present mean (rescoring.py).
   The errors of the guesses tell how much a further candidate may score. Matches that score more are yielded.
3. A caller that takes more than a quarter of the candidates makes the index ask for four times as many.
4. In the end, or if few rows may be found, or if there are no codes yet, all vectors that may be found are read.

So scores and distances are always exact. Of the ten best matches, one in a hundred may be missed.
A query of several wanted images asks for eight times as many candidates, and takes 12 to 22 ms instead of 2.

When the codes are worn, new ones are made in a thread of their own, while the old ones answer. Changes by commits are noted
until then, and applied before the new codes take over. The same thread writes the snapshot, with which the next start
begins; the store's journal tells it what was touched later. The ingest thread calls `apply`; any thread calls `rank`.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import compress, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.index.builder import BLOCK, BuildStopped, SegmentBuilder
from pixkind.index.centering import Centering, RunningMean, Weights
from pixkind.index.chance import Bounds, ChanceLevel, bounds_of
from pixkind.index.dates import DatedPictures
from pixkind.index.filter import Filter
from pixkind.index.metadata import Bits
from pixkind.index.metric import Metric
from pixkind.index.rescoring import Blocks, Ranking, Rescorer, best_first
from pixkind.index.sample import LibrarySample
from pixkind.index.segment import Segment
from pixkind.index.vector_stats import VectorStats
from pixkind.storage.environment import StoreFull
from pixkind.storage.record import is_sound, size_of, unpack_vectors
from pixkind.storage.store import Store
from pixkind.storage.write_batch import CommitDelta
from pixkind.system import process
from pixkind.system.threads import ServiceThread

_log = logging.getLogger(__name__)

_FIRST: Final = 200  # candidates at first, of which most are not read; fewer contents have no codes, and are all read
_MANY: Final = 20_000  # contents whose records are read in a second
_STEP: Final = 32  # candidates whose vectors are read at once
_ALL: Final = Filter()
_UNSAVED: Final = 20_000  # contents touched since the snapshot until a new one: a start catches up in a second or two


class VectorIndex:
    """The nearest-neighbour index of one space."""

    def __init__(
        self,
        store: Store,
        is_shown: Callable[[str], bool] = lambda _: True,
        metric: Metric = Metric.COSINE,
        *,
        rotten: Callable[[Sequence[bytes]], object] | None = None,
    ) -> None:
        """Begin with the snapshot; without one, read every vector once for the mean.

        Args:
            store: is read at any time until `stop`.
            is_shown: whether photos in a folder may be found.
            metric: what ranks the matches.
            rotten: told of contents whose stored vectors fail their checksum; None: they are dropped at once.
        """
        self._store = store
        self.rotten = rotten or self._drop
        self.metric = metric
        self._stats = VectorStats(self._blocks)  # used while there are no codes
        self._sample = LibrarySample(self._blocks)
        self._lock = threading.Lock()  # guards all below: held while a commit is applied, and while new codes take over
        self._segment: Segment | None = None
        self._changed: set[bytes] | None = None  # contents that changed while codes are made; None: no codes are made
        self._generation = 0  # of the last commit that was applied
        self._saved = self._forgotten = 0  # generations: of the snapshot, and up to which the journal has forgotten
        self._unsaved = 0  # the number of contents touched since the snapshot
        self._is_dirty = False  # new codes and a snapshot are due that name no content that is gone
        self._builder = SegmentBuilder(store, self._blocks, is_shown, metric)
        self._maker = ServiceThread("codes", self._make)
        self._is_stopping = False
        if not self._restore():
            self._generation = store.journal.generation
            self._saved = self._generation  # no snapshot needs an older generation
            self._stats.count()
        process.trim()
        self._renew()

    def __len__(self) -> int:
        return self._mean.count

    @property
    def is_making(self) -> bool:
        """Whether new codes, or a snapshot, are being made; queries are answered meanwhile."""
        return not self._maker.join(0)

    def failure(self) -> BaseException | None:
        """Return the exception that ended the thread that makes codes; None if there is none."""
        return self._maker.failure

    def stop(self) -> None:
        """Stop making codes; return when their thread no longer reads the store, within a second. A second call does nothing."""
        with self._lock:
            was_stopping, self._builder.is_stopping = self._builder.is_stopping, True
        if self._maker.join(10) and not was_stopping and self._saved != self._generation:
            self._save()

    def apply(self, delta: CommitDelta) -> None:
        """Apply the changes of a commit: from then on its contents can be found, or no longer can."""
        with self._lock:
            self._change(delta.appeared, delta.vanished, delta.touched)
            self._generation = max(self._generation, delta.generation)
            with suppress(StoreFull):  # the next commit tries again
                self._forget_journal()
            self._renew()

    def wipe(self) -> Iterator[None]:
        """Make codes and a snapshot that name no content that is gone; each step, look whether they are made.

        Ingest thread only. The old entries of the journal are deleted, too, unless another open index needs them.

        Raises:
            StoreFull: snapshot or store cannot be written.
        """
        while self.is_making:
            yield
        with self._lock:
            self._is_dirty = True
            self._begin_making()
        while self.is_making:
            yield
        if self._is_dirty:
            raise StoreFull("the snapshot of the index cannot be written")
        self._forget_journal()

    @property
    def _mean(self) -> RunningMean:
        segment = self._segment
        return self._stats.mean if segment is None else segment.mean

    def centering(self) -> Centering:
        """Return the centering by the present mean."""
        return self._mean.centering()

    def vectors(self, contents: Iterable[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors of those contents that have a sound one, (dims,) each. A rotten vector is reported."""
        return {content: row for ids, block in self._blocks(contents) for content, row in zip(ids, block, strict=True)}

    def centred(self, contents: Sequence[bytes], centering: Centering | None = None) -> NDArray[np.float32]:
        """Return c of these contents, (n, dims) float32; zeros for one without a sound vector. A rotten vector is reported.

        Args:
            contents: each at most once.
            centering: an earlier one; None: as it is now.
        """
        centering = centering or self.centering()
        result = np.zeros((len(contents), len(centering.offset)), np.float32)
        rows = {content: row for row, content in enumerate(contents)}
        for ids, block in self._blocks(contents):
            result[[rows[content] for content in ids]] = centering.centred(block)
        return result

    def chance(self) -> ChanceLevel | None:
        """Return what unrelated photos score; None if there are too few photos to tell."""
        return self._sample.chance(len(self), self._mean, self._network)

    def bounds(
        self, queries: NDArray[np.float32], best: Sequence[bytes], weights: Weights = None, *, is_alone: bool = False
    ) -> Bounds | None:
        """Return the bounds of the bands for a query; None if there are too few photos to tell.

        Args:
            queries: as in `rank`.
            best: its best matches, about NEAREST.
            weights: as in `rank`.
            is_alone: each query stands alone, and the best of the scores of a photo counts.
        """
        mean = self._mean
        if (sample := self._sample.centred(len(self), mean)) is None:
            return None
        centering = mean.centering()
        rankings = [(query[None], None) for query in queries] if is_alone else [(queries, weights)]
        own = np.max([Rescorer(some, centering, weights=one).scores_of(sample) for some, one in rankings], axis=0)
        centred = self.centred(best, centering)
        sound = centred[centred.any(axis=1)]  # zeros: the vector is damaged
        return bounds_of(own, np.einsum("id,jd->ij", sound, sample), self._network, len(self))

    @property
    def _network(self) -> str:
        return self._store.space.partition("-")[0]

    def contents(self, wanted: Filter) -> Iterator[bytes]:
        """Return the contents that pass a filter, sorted. While there are no codes, all pass: the caller must check."""
        if (segment := self._segment) is None:
            return (content for content, _ in self._store.vectors())
        among, _ = segment.metadata.passing(wanted)
        return iter(sorted(segment.metadata.contents(np.flatnonzero(np.unpackbits(among, bitorder="little")))))

    def following(self, after: bytes, wanted: Filter, most: int) -> list[bytes] | None:
        """Return as `RowMetadata.following`, while no commit is applied by halves; None: there are no codes."""
        with self._lock:
            return None if self._segment is None else self._segment.metadata.following(after, wanted, most)

    def dated(self, wanted: Filter) -> DatedPictures | None:
        """Return the contents that pass a filter with their dates; None while the first codes of very many are made."""
        pages = self._store.pages.ids()  # a file is one picture
        if (segment := self._segment) is not None:
            return segment.metadata.dated(wanted, pages)
        return self._builder.metadata(self.contents(wanted)).dated(wanted, pages) if len(self) <= _MANY else None

    def rank(self, queries: NDArray[np.float32], wanted: Filter = _ALL, weights: Weights = None) -> Ranking:
        """Yield (content id, score, distance) of all contents, the best by the metric first, ties by content id.

        A content that the codes have missed comes late, among worse ones, if the caller asks for more than they had named.

        Args:
            queries: (k, dims) float32, k >= 1, vectors as the encoder gave them.
            wanted: filters the contents. While there are no codes, all pass: the caller must check.
            weights: (k,) float64 of the queries, none 0, at least one above; None: all the same.

        Raises:
            NothingLeft: the queries cancel each other out.
        """
        if not len(self):
            return
        rescorer = Rescorer(queries, self.centering(), self.metric, weights)
        segment = self._segment
        if segment is None:
            yield from self._all(rescorer, None)
            return
        among, count = segment.metadata.passing(wanted)
        most = _FIRST if rescorer.is_single else 8 * _FIRST
        while most < count:
            yield from self._best(segment, rescorer, among, most, count)
            most *= 4
        rows = np.flatnonzero(np.unpackbits(among, bitorder="little"))
        yield from self._all(rescorer, sorted(segment.metadata.contents(rows)))

    def _best(self, segment: Segment, rescorer: Rescorer, among: Bits, most: int, count: int) -> Ranking:
        """Yield a quarter of the `most` contents that may be best, of the `count` contents in `among`."""
        share = count / max(segment.metadata.rows, 1)
        rows, guesses = segment.codes.nearest(rescorer.queries, most, among, share, rescorer.weights)
        for at in range(0, len(rows), _STEP):
            end = at + _STEP
            step = dict(zip(segment.metadata.contents(rows[at:end]), guesses[at:end].tolist(), strict=True))
            rescorer.take(self._blocks(step.keys() - rescorer.seen), step)
            if end < len(rows):
                yield from rescorer.best(most // 4, float(guesses[end]))
        yield from rescorer.best(most // 4)

    def _all(self, rescorer: Rescorer, among: Sequence[bytes] | None) -> Ranking:
        """Yield those of these contents that were not yielded yet."""
        contents: list[bytes] = []
        measures = [np.zeros((3, 0))]
        for ids, block in self._blocks(among):
            contents += ids
            measures.append(np.stack(rescorer.measures(block)))
        merits, scores, distances = np.concatenate(measures, axis=1)
        for row in best_first(merits):
            if contents[row] not in rescorer.yielded:
                yield contents[row], float(scores[row]), float(distances[row])

    # Changes. The caller holds the lock, or is the only thread.

    def _change(self, appeared: Sequence[bytes], vanished: Sequence[bytes], touched: Iterable[bytes]) -> None:
        marks = dict.fromkeys(vanished, False) | dict.fromkeys(appeared, True)
        kept = [content for content in touched if content not in marks]
        self._unsaved += len(marks) + len(kept)
        if self._changed is not None:
            self._changed.update(marks, kept)
        if self._segment is not None:
            self._segment.put(marks, kept, self._blocks, self._store.places)
        else:
            self._stats.change(appeared, vanished)

    def _drop(self, contents: Sequence[bytes]) -> None:
        """Delete damaged vectors, so that their photos are encoded again. Used where no `rotten` was given."""
        _log.error("%d stored vectors were damaged: their photos are encoded again", len(contents))
        self._store.drop_vectors(contents)

    # Making codes, and snapshots.

    def _renew(self) -> None:
        """Start the thread that makes codes, or a snapshot, if one is due."""
        if self._segment is not None and len(self) < _FIRST // 2:
            self._stats.mean, self._segment = self._segment.mean, None
        if self.is_making or self._builder.is_stopping:
            return
        if len(self) < _FIRST:
            if self._segment is None and self._unsaved > _FIRST:  # without codes, no snapshot will need the journal
                self._saved, self._unsaved = self._generation, 0
            return
        if self._segment is None or self._segment.is_worn or self._unsaved > _UNSAVED:
            self._begin_making()

    def _begin_making(self) -> None:
        if not self._builder.is_stopping:
            self._changed = set()
            self._maker = ServiceThread("codes", self._make)
            self._maker.start()

    def _make(self) -> None:
        with self._lock:
            segment, was_dirty = self._segment, self._is_dirty
            # Else only a snapshot is due.
            is_due = len(self) >= _FIRST if segment is None else segment.is_worn or was_dirty
        new: Segment | None = None
        if is_due:
            try:
                new = self._builder.build(len(self))
            except BuildStopped:
                return
        with self._lock:
            changed, self._changed = self._changed or set(), None
            if is_due:
                if new is not None:
                    now = self._store.searchable(changed)  # a commit that `apply` has not seen yet is applied twice
                    marks = {content: content in now for content in changed}
                    new.put(marks, [], self._blocks, self._store.places)
                    _log.info("new codes of %d contents", len(new.metadata))
                self._segment = new
        if self._save() and was_dirty:
            self._is_dirty = False
        process.trim()

    def _forget_journal(self) -> None:
        if self._saved > self._forgotten:
            self._store.journal.forget(self._saved, self._store.space)
            self._forgotten = self._saved

    def _save(self) -> bool:
        """Write the snapshot, and return whether that was possible. No commit is applied while the segment is copied; writing holds up nothing."""
        with self._lock:
            segment, generation = self._segment, self._generation
            base = None if segment is None or not segment.is_exact else segment.base
            state = {} if segment is None or base is None else segment.state()
            self._unsaved = 0
        if not self._builder.save(base, state, generation):
            return False
        self._saved = generation
        return True

    def _restore(self) -> bool:
        """Begin with the snapshot and the journal; return whether that was possible."""
        if (restored := self._builder.restore()) is None:
            return False
        self._segment, self._saved, touched = restored
        self._generation = self._store.journal.generation
        were, now = self._segment.metadata.rows_of(touched), self._store.searchable(touched)
        self._change(sorted(now - were.keys()), sorted(were.keys() - now), touched)
        return True

    def _blocks(self, among: Iterable[bytes] | None = None) -> Blocks:
        """Yield (content ids, (n, dims) float32) in blocks; damaged vectors are left out and reported.

        So are vectors that are none: of other dimensions than the space has, not finite, or zero. No network makes them,
        but older versions believed a worker that sent them.
        """
        source, dims = self._store.vectors(among), self._store.dims
        size = size_of(dims)
        while block := list(islice(source, BLOCK)):
            sound = [one for one in block if len(one[1]) == size and is_sound(one[1])]
            ids = [content for content, _ in sound]
            vectors = unpack_vectors([value for _, value in sound]) if sound else np.zeros((0, dims), np.float32)
            squares = np.einsum("ij,ij->i", vectors, vectors)
            usable = (squares > 0) & (squares < np.inf)  # false if any number is not one
            if not usable.all():
                ids, vectors = list(compress(ids, usable)), vectors[usable]
            if len(ids) < len(block):
                known = set(ids)
                self.rotten([content for content, _ in block if content not in known])
            if ids:
                yield ids, vectors
