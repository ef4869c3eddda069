"""Nearest neighbours: which contents are most like a query, best first.

The ranking, exactly. With x the stored vector, n the number of contents and m the mean of x over them:
w = n / (n + 200); c = (x - w m) / |x - w m|, or x / |x| where |x - w m| < 1e-3 |x|;
score(q, p) = c_q . c_p; distance(q, p) = |x_q - x_p|. Several query images: the mean of their c, normalised; distance is
then the smallest of the single ones.
Subtracting the library's own mean removes what all photos share; few photos have no useful mean, hence the weight w.

One-bit codes in memory (codes.py) name candidates and guess their scores. Vectors are read from the store and scored as
above, with the mean as it is now, until what the next candidate may score, by the guess and the errors of the guesses so
far, is less than what is yielded. Who wants more than a quarter of the candidates makes the index ask for four times as
many, in the end for all: then, and in a small library, and while there are no codes yet, every vector is streamed out of
the store in blocks. Scores and distances are therefore always exact; of the ten best, one in a hundred may be missed.

Codes are made in a thread of their own, at the start and when those that answer are worn, beside them. What commits change
meanwhile is noted, and applied before the new ones take over. The ingest thread calls `apply`; any thread calls `rank`.
"""

import ctypes
import logging
import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.batch import Delta
from pixkind.centre import Centre
from pixkind.codes import LARGE, SAMPLE, Codes
from pixkind.record import is_sound, unpack_vector, unpack_vectors
from pixkind.store import Store
from pixkind.thread import Thread

_log = logging.getLogger(__name__)

_SMALL: Final = 200  # contents at which mean and no mean weigh the same
_BLOCK: Final = 2048  # vectors scored at once: 10 MB of float32 at 1,280 dimensions
_FIRST: Final = 200  # candidates at first; most are not read. Fewer contents are all read, without codes
_STEP: Final = 50  # candidates that are read at once
_ERRORS: Final = 4.0  # standard deviations that a guess is trusted to be wrong by at most

_Ranking = Iterator[tuple[bytes, float, float]]
_Blocks = Iterator[tuple[list[bytes], NDArray[np.float32]]]


class _Stopped(Exception):
    """The codes are not wanted any more."""


class Index:
    """The searchable contents of one store."""

    def __init__(self, store: Store) -> None:
        """Read every vector once, for the mean; those that have rotted are dropped, so that they are made again."""
        self._store = store
        self._lock = threading.Lock()  # guards the two below: they must fit together
        self._count = 0
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._turn = threading.Lock()  # guards the three below: a commit is applied, or new codes take over
        self._codes: Codes | None = None
        self._missed: dict[bytes, bool] | None = None  # contents that changed while codes are made: can they be found?
        self._maker = Thread("codes", self._make)
        self._is_stopping = False
        self._beats = 0
        rotten: list[bytes] = []
        for _, block in self._blocks(rotten=rotten):
            self._add(block.sum(axis=0, dtype=np.float64), len(block))
        if rotten:
            _log.error("%d vectors had rotted on the disk; they are made again", len(rotten))
            store.drop_vectors(rotten)
        _trim()
        self._renew()

    def __len__(self) -> int:
        return self._count

    @property
    def is_making(self) -> bool:
        """Whether new codes are being made; queries are answered meanwhile, but take a part of the processor."""
        return self._missed is not None

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
        """Make no more codes; return when the store is not read for them any more, within a second."""
        with self._turn:
            self._is_stopping = True
        self._maker.join(10)

    def apply(self, delta: Delta) -> None:
        """Take in what a commit changed. Its contents can be found, or not, from then on."""
        with self._turn:
            for contents, sign in ((delta.vanished, -1), (delta.appeared, 1)):
                for _, block in self._blocks(contents):
                    self._add(sign * block.sum(axis=0, dtype=np.float64), sign * len(block))
            if self._missed is not None:
                self._missed |= dict.fromkeys(delta.vanished, False) | dict.fromkeys(delta.appeared, True)
            if self._codes is not None:
                self._change(self._codes, delta.vanished, delta.appeared)
            self._renew()

    def centre(self) -> Centre:
        """Return the centre as it is now."""
        with self._lock:
            weight = self._count / (self._count + _SMALL)
            return Centre((weight * self._sum / max(self._count, 1)).astype(np.float32))

    def rank(self, queries: NDArray[np.float32], among: Sequence[bytes] | None = None) -> _Ranking:
        """Yield (content id, score, distance) of all contents, best score first, ties by content id.

        A content that the codes hid comes late, among worse ones: when the caller asks for more than they had named.

        Args:
            queries: (k, dims) float32, k >= 1, vectors as the encoder gave them.
            among: score only these contents; None: all.
        """
        if not self._count:
            return
        search = _Search(queries, self.centre())
        most = _FIRST
        while among is None and (codes := self._codes) is not None and most < len(codes):
            guesses = [guess for guess in codes.nearest(queries, most) if guess[0] not in search.seen]
            for at in range(0, len(guesses), _STEP):
                step = dict(guesses[at : at + _STEP])
                search.take(self._blocks(step), step)
                if at + _STEP < len(guesses):
                    yield from search.best(most // 4, guesses[at + _STEP][1])
            yield from search.best(most // 4)
            most *= 4
        yield from self._all(search, among)

    def _all(self, search: "_Search", among: Sequence[bytes] | None) -> _Ranking:
        """Yield what of all contents has not been yielded yet; their vectors are read again for the distance."""
        contents: list[bytes] = []
        scores: list[NDArray[np.float32]] = [np.zeros(0, np.float32)]
        for ids, block in self._blocks(among):
            contents += ids
            scores.append(search.scores(block))
        score = np.concatenate(scores)
        for row in _best_first(score):
            if contents[row] in search.yielded:
                continue
            if (value := self._store.vector(contents[row])) is None or (vector := unpack_vector(value)) is None:
                continue  # it went while we looked
            yield contents[row], float(score[row]), search.distance(vector)

    def _add(self, total: NDArray[np.float64], count: int) -> None:
        with self._lock:
            self._sum = total if not self._sum.size else self._sum + total
            self._count += count

    def _change(self, codes: Codes, vanished: Iterable[bytes], appeared: Sequence[bytes]) -> None:
        codes.remove(vanished)
        for ids, block in self._blocks(appeared):
            codes.add(ids, block)

    # Making codes.

    def _renew(self) -> None:
        """Begin to make codes if there are none or worn ones, and enough contents. Holds its turn, or is alone."""
        if self._count < _FIRST // 2:
            self._codes = None
        if self._count < _FIRST or self._missed is not None or self._is_stopping:
            return
        if self._codes is None or self._codes.is_worn:
            self._missed = {}
            self._maker = Thread("codes", self._make)
            self._maker.start()

    def _make(self) -> None:
        try:
            codes = self._made()
        except _Stopped:
            return
        with self._turn:
            missed, self._missed = self._missed or {}, None
            if codes is not None:
                self._change(codes, missed, [content for content, is_found in missed.items() if is_found])
                codes.seal()
                _log.info("new codes of %d contents", len(codes))
            self._codes = codes
        _trim()

    def _made(self) -> Codes | None:
        """Return codes of what is in the store now; None if nothing is.

        Raises:
            _Stopped: the process is to end.
        """
        blocks = self._blocks()
        is_large = self._count >= LARGE
        sample = list(
            islice(blocks, SAMPLE // _BLOCK if is_large else 1)
        )  # in the order of content ids, hence at random
        if not sample:
            return None
        vectors = np.concatenate([block for _, block in sample])
        codes = Codes(vectors, is_large=is_large and len(vectors) > SAMPLE // 2, beat=self._beat)
        del vectors
        while sample:  # its memory goes as it is used
            self._beat()
            codes.add(*sample.pop())
        for ids, block in blocks:
            self._beat()
            codes.add(ids, block)
        return codes

    def _beat(self) -> None:
        if self._is_stopping:
            raise _Stopped

    def _blocks(self, among: Iterable[bytes] | None = None, rotten: list[bytes] | None = None) -> _Blocks:
        """Yield (content ids, (n, dims) float32) in blocks; rotten vectors are left out, and noted in `rotten`."""
        source = self._store.vectors(among)
        while block := list(islice(source, _BLOCK)):
            sound = [(content, value) for content, value in block if is_sound(value)]
            if rotten is not None and len(sound) < len(block):
                rotten += [content for content, value in block if not is_sound(value)]
            if sound:
                yield [content for content, _ in sound], unpack_vectors([value for _, value in sound])


class _Search:
    """One query and the candidates that were scored for it."""

    def __init__(self, queries: NDArray[np.float32], centre: Centre) -> None:
        self.seen: set[bytes] = set()
        self.yielded: set[bytes] = set()
        self._queries = queries.astype(np.float64)
        self._centre = centre
        self._target = centre.target(queries)
        self._doubt = 0.0  # by how much a score may exceed its guess
        self._waiting: list[tuple[float, bytes, NDArray[np.float32]]] = []  # the best last, by -score and content

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each of `vectors`, (n, dims)."""
        return self._centre.scores(vectors, self._target)

    def distance(self, vector: NDArray[np.floating]) -> float:
        """Return the distance of one vector, (dims,), in double precision."""
        return float(np.linalg.norm(self._queries - vector.astype(np.float64), axis=1).min())

    def take(self, blocks: _Blocks, guesses: Mapping[bytes, float]) -> None:
        """Score candidates that were not taken yet, and learn from it how wrong guesses are."""
        for ids, block in blocks:
            self.seen.update(ids)
            scores = self.scores(block)
            errors = scores - np.array([guesses[content] for content in ids])
            self._doubt = max(float(errors.mean()), 0) + _ERRORS * float(errors.std())
            self._waiting += zip((-scores).tolist(), ids, block, strict=True)
        self._waiting.sort(reverse=True)

    def best(self, most: int, guess: float = -math.inf) -> _Ranking:
        """Yield the best candidates that have not been yielded yet, until `most` have been.

        Stop before one that may be worse than a candidate that is guessed to score `guess`.
        """
        while self._waiting and len(self.yielded) < most and -self._waiting[-1][0] >= guess + self._doubt:
            minus, content, vector = self._waiting.pop()
            self.yielded.add(content)
            yield content, -minus, self.distance(vector)


def _trim() -> None:
    """Give the memory of all those blocks back: glibc would keep 90 MB of it for what may come."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _best_first(score: NDArray[np.float32]) -> Iterator[int]:
    """Yield the rows by falling score, sorting no more of them than are asked for; the first 1,000 are sorted at once."""
    most = min(1000, len(score))
    if not most:
        return
    head = np.argpartition(-score, most - 1)[:most]
    yield from (int(row) for row in head[np.argsort(-score[head], kind="stable")])
    if most < len(score):
        rest = np.setdiff1d(np.arange(len(score)), head, assume_unique=True)
        yield from (int(row) for row in rest[np.argsort(-score[rest], kind="stable")])
