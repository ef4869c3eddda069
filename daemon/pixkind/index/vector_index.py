"""Nearest neighbours: which contents are most like a query, best first.

The ranking, exactly. With x the stored vector, n the number of contents and m the mean of x over them:
w = n / (n + 200); c = (x - w m) / |x - w m|, or x / |x| where |x - w m| < 1e-3 |x|;
score(q, p) = c_q . c_p; distance(q, p) = |x_q - x_p|. Several query images: the mean of their c, each times its weight,
normalised; one that is not wanted has a weight below 0. distance is then the smallest to a single one that is wanted.
With the metric `l2` the distance ranks, the smallest first.
Subtracting the library's own mean removes what all photos share; few photos have no useful mean, hence the weight w.

One-bit codes in memory (rabitq.py) name candidates and guess their scores, among the rows that may be found (metadata.py).
Vectors are read from the store and scored as above, with the mean as it is now, until what the next candidate may score,
by the guess and the errors of the guesses so far, is less than what is yielded. Who wants more than a quarter of the
candidates makes the index ask for four times as many, in the end for all: then, and where few may be found, and while there
are no codes yet, all that may be found is read. Scores and distances are therefore always exact; of the ten best, one in a
hundred may be missed.

Codes are made in a thread of their own, when those that answer are worn, beside them. What commits change meanwhile is
noted, and applied before the new ones take over. The same thread writes the snapshot, from which the next start begins:
what was touched after it is in the store's journal. The ingest thread calls `apply`; any thread calls `rank`.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.index.centering import Centering, RunningMean, Weights
from pixkind.index.chance import ENOUGH, ChanceLevel, chance_of
from pixkind.index.filter import Filter
from pixkind.index.metadata import Bits, RowMetadata
from pixkind.index.metric import Metric
from pixkind.index.rabitq import LARGE, SAMPLE, RaBitQCodes
from pixkind.index.rescoring import Blocks, Ranking, Rescorer, best_first
from pixkind.index.segment import Segment
from pixkind.index.snapshot import Snapshot
from pixkind.index.vector_stats import VectorStats
from pixkind.storage.environment import StoreFull
from pixkind.storage.record import is_sound, unpack_vector, unpack_vectors
from pixkind.storage.store import Store
from pixkind.storage.write_batch import CommitDelta
from pixkind.system import process
from pixkind.system.threads import ServiceThread

_log = logging.getLogger(__name__)

_BLOCK: Final = 2048  # vectors scored at once: 10 MB of float32 at 1,280 dimensions
_FIRST: Final = 200  # candidates at first; most are not read. Fewer contents are all read, without codes
_STEP: Final = 32  # candidates that are read at once
_UNSAVED: Final = "the snapshot of the index cannot be written: %s; the next start takes longer"
_ALL: Final = Filter()
_LATE: Final = 20_000  # touched contents until a new snapshot: a start catches up with them in a second or two


class _Stopped(Exception):
    """The codes are not wanted any more."""


class VectorIndex:
    """The searchable contents of one store."""

    def __init__(
        self,
        store: Store,
        is_shown: Callable[[str], bool] = lambda _: True,
        metric: Metric = Metric.COSINE,
        *,
        rotten: Callable[[Sequence[bytes]], object] | None = None,
    ) -> None:
        """Begin from the snapshot, or, where there is none, read every vector once, for the mean.

        Args:
            store: is read at any time until `stop`.
            is_shown: whether photos in a folder may be found.
            metric: what ranks.
            rotten: told of contents whose stored vectors fail their checksum; None: they are dropped at once.
        """
        self._store = store
        self.rotten = rotten or self._drop
        self.metric = metric
        self._is_shown = is_shown
        self._few = VectorStats(self._blocks)  # while there are no codes
        self._turn = threading.Lock()  # guards all below: a commit is applied, or new codes take over
        self._made: Segment | None = None
        self._missed: set[bytes] | None = None  # contents that changed while codes are made; None: none are made
        self._generation = 0  # of the last commit that was applied
        self._saved = self._forgotten = 0  # of the snapshot; up to which the journal has forgotten
        self._late = 0  # contents that were touched since the snapshot
        self._snapshot = Snapshot(os.path.join(store.folder, "codes", store.space))
        self._maker = ServiceThread("codes", self._make)
        self._is_stopping = False
        self._beats = 0
        if not self._restore():
            self._generation = store.journal.generation
            self._saved = self._generation  # nobody needs what was before
            self._few.count()
        process.trim()
        self._renew()

    def __len__(self) -> int:
        return self._mean.count

    @property
    def is_making(self) -> bool:
        """Whether new codes, or a snapshot, are being made; queries are answered meanwhile."""
        return not self._maker.join(0)

    def start(self) -> None:
        """Begin nothing: codes are made whenever they are wanted."""

    def beat(self) -> int:
        """Return a number that is another one each time: the making of codes may take minutes, and nobody waits for it."""
        self._beats += 1
        return self._beats

    def failure(self) -> BaseException | None:
        """Return what the making of codes died of."""
        return self._maker.failure

    def stop(self) -> None:
        """Make no more codes; return when the store is not read for them any more, within a second. Called twice it does no more."""
        with self._turn:
            was_stopping, self._is_stopping = self._is_stopping, True
        if self._maker.join(10) and not was_stopping and self._saved != self._generation:
            self._save()

    def apply(self, delta: CommitDelta) -> None:
        """Take in what a commit changed. Its contents can be found, or not, from then on."""
        with self._turn:
            self._change(delta.appeared, delta.vanished, delta.touched)
            self._generation = max(self._generation, delta.generation)
            if self._saved > self._forgotten:
                with suppress(StoreFull):  # the next commit tries again
                    self._store.journal.forget(self._saved, self._store.space)
                    self._forgotten = self._saved
            self._renew()

    @property
    def _mean(self) -> RunningMean:
        made = self._made
        return self._few.mean if made is None else made.mean

    def centre(self) -> Centering:
        """Return the centre as it is now."""
        return self._mean.centre()

    def chance(self) -> ChanceLevel | None:
        """Return what unrelated photos score; None if they are too few to tell, or there are no codes yet."""
        made = self._made
        if made is not None:
            return made.chance
        return self._few.chance() if len(self) < _FIRST else None

    def contents(self, wanted: Filter) -> Iterator[bytes]:
        """Return the contents that pass as far as the codes know, which is not at all while there are none; sorted."""
        if (made := self._made) is None:
            return (content for content, _ in self._store.vectors())
        among, _ = made.metadata.passing(wanted)
        return iter(sorted(made.metadata.contents(np.flatnonzero(np.unpackbits(among, bitorder="little")))))

    def rank(self, queries: NDArray[np.float32], wanted: Filter = _ALL, weights: Weights = None) -> Ranking:
        """Yield (content id, score, distance) of all contents, the best by the metric first, ties by content id.

        A content that the codes hid comes late, among worse ones: when the caller asks for more than they had named.

        Args:
            queries: (k, dims) float32, k >= 1, vectors as the encoder gave them.
            wanted: what does not pass is left out as far as the codes know, which is not at all while there are none.
            weights: (k,) float64 of the queries, none 0, at least one above; None: all the same.

        Raises:
            NothingLeft: the queries cancel each other out.
        """
        if not len(self):
            return
        search = Rescorer(queries, self.centre(), self.metric, weights)
        made = self._made
        if made is None:
            yield from self._all(search, None)
            return
        among, count = made.metadata.passing(wanted)
        most = _FIRST
        while most < count:
            yield from self._best(made, search, among, most, count)
            most *= 4
        rows = np.flatnonzero(np.unpackbits(among, bitorder="little"))
        yield from self._all(search, sorted(made.metadata.contents(rows)))

    def _best(self, made: Segment, search: Rescorer, among: Bits, most: int, count: int) -> Ranking:
        """Yield a quarter of the `most` contents that may be the best of the `count` that are among them."""
        share = count / max(made.metadata.rows, 1)
        rows, guesses = made.codes.nearest(search.queries, most, among, share, search.weights)
        for at in range(0, len(rows), _STEP):
            end = at + _STEP
            step = dict(zip(made.metadata.contents(rows[at:end]), guesses[at:end].tolist(), strict=True))
            search.take(self._blocks(step.keys() - search.seen), step)
            if end < len(rows):
                yield from search.best(most // 4, float(guesses[end]))
        yield from search.best(most // 4)

    def _all(self, search: Rescorer, among: Sequence[bytes] | None) -> Ranking:
        """Yield what of these contents has not been yielded yet; their vectors are read again for what does not rank."""
        contents: list[bytes] = []
        merits: list[NDArray[np.floating]] = [np.zeros(0, np.float32)]
        for ids, block in self._blocks(among):
            contents += ids
            merits.append(search.merits(block))
        merit = np.concatenate(merits)
        for row in best_first(merit):
            if contents[row] in search.yielded:
                continue
            if (value := self._store.vector(contents[row])) is None or (vector := unpack_vector(value)) is None:
                continue  # it went while we looked
            yield contents[row], *search.measured(float(merit[row]), vector)

    # Changes. Who calls these holds the turn, or is alone.

    def _change(self, appeared: Sequence[bytes], vanished: Sequence[bytes], touched: Iterable[bytes]) -> None:
        marks = dict.fromkeys(vanished, False) | dict.fromkeys(appeared, True)
        kept = [content for content in touched if content not in marks]
        self._late += len(marks) + len(kept)
        if self._missed is not None:
            self._missed.update(marks, kept)
        if self._made is not None:
            self._made.put(marks, kept, self._blocks, self._store.places)
        else:
            self._few.change(appeared, vanished)

    def _drop(self, contents: Sequence[bytes]) -> None:
        _log.error("%d vectors had rotted on the disk; they are made again", len(contents))
        self._store.drop_vectors(contents)

    # Making codes, and snapshots.

    def _renew(self) -> None:
        """Begin to make codes, or a snapshot, if they are wanted."""
        if self._made is not None and len(self) < _FIRST // 2:
            self._few.mean, self._made = self._made.mean, None
        if len(self) < _FIRST or self.is_making or self._is_stopping:
            return
        if self._made is None or self._made.is_worn or self._late > _LATE:
            self._missed = set()
            self._maker = ServiceThread("codes", self._make)
            self._maker.start()

    def _make(self) -> None:
        with self._turn:
            made = None if self._made is None or self._made.is_worn else self._made  # only the snapshot is old
        anew: Segment | None = None
        if made is None:
            try:
                anew = self._read()
            except _Stopped:
                return
        with self._turn:
            missed, self._missed = self._missed or set(), None
            if made is None:
                if anew is not None:
                    now = self._store.searchable(missed)  # a commit that is not applied yet only does it again
                    marks = {content: content in now for content in missed}
                    anew.put(marks, [], self._blocks, self._store.places)
                    _log.info("new codes of %d contents", len(anew.metadata))
                self._made = anew
        self._save()
        process.trim()

    def _read(self) -> Segment | None:
        """Return codes of what is in the store now; None if nothing is.

        Raises:
            _Stopped: the process is to end.
        """
        blocks, rows = self._blocks(), len(self)
        # In the order of content ids, hence at random.
        sample = list(islice(blocks, SAMPLE // _BLOCK if rows >= LARGE else 1))
        if not sample:
            return None
        vectors = np.concatenate([block for _, block in sample])
        made = Segment(
            RaBitQCodes(vectors, rows=rows, beat=self._beat, metric=self.metric), RowMetadata(self._is_shown)
        )
        some = vectors[:ENOUGH].copy()
        del vectors
        sample.reverse()
        while sample:  # its memory goes as it is used
            self._fill(made, *sample.pop())
        for ids, block in blocks:
            self._fill(made, ids, block)
        made.seal()
        made.chance = chance_of(made.mean.centre().centred(some))
        try:
            made.write_base(self._snapshot, self._store.journal.generation)
        except OSError as error:
            _log.warning(_UNSAVED, error)
        return made

    def _fill(self, segment: Segment, ids: list[bytes], block: NDArray[np.float32]) -> None:
        self._beat()
        segment.fill(ids, block, dict(self._store.places(ids)))

    def _beat(self) -> None:
        if self._is_stopping:
            raise _Stopped

    def _save(self) -> None:
        """Write the snapshot. While it is copied no commit is applied; while it is written all goes on."""
        with self._turn:
            made, generation = self._made, self._generation
            base = None if made is None or not made.is_exact else made.base
            state = {} if made is None or base is None else made.state()
            self._late = 0
        try:
            if base is None:
                self._snapshot.remove()
            else:
                facts = {"generation": generation, "born": self._store.journal.born, "metric": self.metric}
                self._snapshot.write(base, state, facts)
                self._snapshot.alone(self._store.journal.readers)
        except OSError as error:
            _log.warning(_UNSAVED, error)
        else:
            self._saved = generation

    def _restore(self) -> bool:
        """Begin from the snapshot, and return whether there was one with which the journal can catch up."""
        found = self._snapshot.read()
        ours = {"born": self._store.journal.born, "metric": self.metric}
        if found is None or not ours.items() <= found.facts.items():
            return False
        if (touched := self._store.journal.since(found.facts["generation"])) is None:
            return False
        self._made = Segment.restored(found.state, found.path, found.base, self._is_shown, self.metric)
        self._saved, self._generation = found.facts["generation"], self._store.journal.generation
        were, now = self._made.metadata.rows_of(touched), self._store.searchable(touched)
        self._change(sorted(now - were.keys()), sorted(were.keys() - now), touched)
        return True

    def _blocks(self, among: Iterable[bytes] | None = None) -> Blocks:
        """Yield (content ids, (n, dims) float32) in blocks; rotten vectors are left out, and told of."""
        source = self._store.vectors(among)
        while block := list(islice(source, _BLOCK)):
            sound = [(content, value) for content, value in block if is_sound(value)]
            if len(sound) < len(block):
                self.rotten([content for content, value in block if not is_sound(value)])
            if sound:
                yield [content for content, _ in sound], unpack_vectors([value for _, value in sound])
