"""One-bit codes of all vectors, in memory: they name the rows that may be nearest, in a millisecond.

A code is the signs of c (vector_index.py), or of the vector itself if the distance ranks, after a rotation; and two floats.
c is taken around a centre that is fixed when the codes are made. A code has 168 bytes at 1,280 dimensions.

The rotation makes all dimensions count alike. On vectors of real photos, guessed scores then have an error of 0.022
(standard deviation), and of 0.14 without it. So the index asks for more candidates than it needs, and scores them exactly.

The rows are those of metadata.py, which knows their contents. Most rows are in the *base*, which never changes once it is
sealed. So it takes no more memory than its codes, is written to the disk once, and is searched without a lock. Rows that
come later are in the *tail*, which is small and is compared in full.

Source: RaBitQ (Gao and Long, SIGMOD 2024), as faiss has it.
"""

import math
import os
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from pixkind.index.centering import Centering, Weights, unit
from pixkind.index.combining import combined
from pixkind.index.metric import Metric
from pixkind.index.snapshot import State

LARGE: Final = 50_000  # rows from which on a base is divided into lists: comparing all codes of 50,000 rows takes 2 ms
SAMPLE: Final = 16_384  # vectors that suffice to compute the centre and the lists from
TAIL: Final = 20_000  # rows of a tail from which on new codes are due if the base has lists: comparing them takes 1 ms
_ROUNDS: Final = 3  # of k-means; six are no better
_SHARE: Final = 400  # candidates for which the square root of the number of lists is probed
# If few rows pass the filter, the nearest of them are farther away, hence in more lists. Measured with a tenth of 60,000
# vectors mixed from real ones: probing as many more lists as there are fewer rows gave a recall@10 of 0.988, twice as many 1.000.
_RARE: Final = 1.3
_ALL_LISTS: Final = 0.0  # so few rows may be found that all lists are looked through
_MORE: Final = 2  # times as many rows are looked at for a query of several images
_QUERY_BITS: Final = 4  # of each dimension of a query; 8 find no more, and take half as long again
_BLOCK: Final = (
    256  # dimensions that are rotated together; all 1,280 are no better, and read a matrix of 6.5 MB a query
)

_Parameters = TypeVar("_Parameters", faiss.RaBitQSearchParameters, faiss.IVFRaBitQSearchParameters)


class RaBitQCodes:
    """The codes of a library: rows in the order in which they were added, with at most seven empty rows before the tail."""

    def __init__(
        self,
        sample: NDArray[np.float32],
        *,
        rows: int = 0,
        beat: Callable[[], None] = lambda: None,
        metric: Metric = Metric.COSINE,
    ) -> None:
        """Fix the centre and the lists. There are no rows yet.

        Args:
            sample: (n, dims) float32, n >= 1, random vectors of the library; SAMPLE of them if `rows` is LARGE or more.
            rows: about how many rows will come. From LARGE on there are lists, twice as many as the square root of `rows`.
            beat: called about once a second; an exception that it raises ends the work.
            metric: what nearest means.
        """
        _compute_alone()
        self._metric = metric
        self.centering = Centering(sample.mean(axis=0))
        self.lists = 0 if rows < LARGE else min(1 << round(math.log2(rows) / 2 + 1), len(sample) // 4)
        self._rotation = _random_rotation(sample.shape[1])
        centred = self._prepared(sample)
        self._tail: Any = _plain(centred)
        self._lock = threading.Lock()  # guards the tail: faiss moves it when it grows
        self._start = 0  # the tail's first row; a multiple of eight
        # Any: faiss reads back no type of its own.
        self._base: Any = _lists(centred, self.lists, beat) if self.lists else _plain(centred)

    def __len__(self) -> int:
        """Return the number of rows, empty ones included."""
        return int(self._start + self._tail.ntotal if self._start else self._base.ntotal)

    @property
    def tail(self) -> int:
        """The number of rows that were added since the base was sealed."""
        return int(self._tail.ntotal)

    def fill(self, vectors: NDArray[np.float32]) -> None:
        """Add rows, (n, dims) float32, to the base, before it is sealed or searched."""
        _compute_alone()
        self._base.add(self._prepared(vectors))

    def seal(self) -> int:
        """End the base, and return the first row of the tail. Bit masks are cut there, so it is a multiple of eight."""
        self._start = max(8, -(-self._base.ntotal // 8) * 8)
        return self._start

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add rows, (n, dims) float32, to the tail."""
        _compute_alone()
        prepared = self._prepared(vectors)
        with self._lock:
            self._tail.add(prepared)

    def nearest(
        self,
        queries: NDArray[np.float32],
        most: int,
        among: NDArray[np.uint8],
        share: float = 1.0,
        weights: Weights = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return at most `most` rows that may be nearest to `queries`, the best first, and the guessed merit of each (rescoring.py).

        Args:
            queries: (k, dims) float32.
            most: how many; 1 or more.
            among: a bit for each row, the lowest of a byte first: whether it may be found. Rows beyond its end may not.
            share: the share of all rows that may be found; the smaller it is, the more lists are probed.
            weights: of the queries.
        """
        _compute_alone()
        if self._metric is Metric.L2:
            rows, squares = self._nearest(queries, most, among, share)
            return rows, np.asarray(-np.sqrt(np.maximum(squares, 0)), np.float32)
        targets, shares = self.centering.targets(queries, weights)
        if len(targets) == 1:
            rows, squares = self._nearest(unit(targets), most, among, share)
            return rows, np.asarray(1 - squares / 2, np.float32)  # both vectors have length 1
        # A photo that is near to all targets is near to their mean. But thousands that are like one of them may be nearer.
        mean = (shares[:, None] * unit(targets)).sum(axis=0, keepdims=True)
        rows, _ = self._nearest(unit(mean), min(most * _MORE, len(self)), among, share)
        guesses = np.asarray(combined(self._scores(unit(targets), rows), shares), np.float32)
        best = np.argsort(-guesses, kind="stable")[:most]
        return rows[best], guesses[best]

    def _nearest(
        self, targets: NDArray[np.float32], most: int, among: NDArray[np.uint8], share: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return at most `most` rows, nearest first, and the square of the distance of each to the nearest target."""
        targets = self._rotated(targets)
        cut = self._start // 8
        head, rest = np.ascontiguousarray(among[:cut]), np.ascontiguousarray(among[cut:])
        squares, rows = self._base.search(targets, most, params=self._parameters(head, most, share))
        if len(rest):
            with self._lock:
                late = self._tail.search(targets, most, params=_wanted(faiss.RaBitQSearchParameters(), rest))
            squares = np.concatenate([squares, late[0]], axis=1)
            rows = np.concatenate([rows, np.where(late[1] < 0, -1, late[1] + self._start)], axis=1)
        there = rows >= 0  # -1: fewer than `most` were found
        best = np.argsort(squares[there], kind="stable")
        rows, squares = rows[there][best], squares[there][best]
        if len(targets) > 1:  # a row that is near several was found for each: its smallest distance counts
            first = np.sort(np.unique(rows, return_index=True)[1])
            rows, squares = rows[first], squares[first]
        return rows[:most], squares[:most]

    def _scores(self, targets: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a guessed score of each of these rows for each target, (n, k)."""
        ordered = np.sort(rows)
        among = np.packbits(np.isin(np.arange(len(self)), rows), bitorder="little")
        result = np.full((len(rows), len(targets)), -1, np.float32)
        for number, target in enumerate(targets):
            found, squares = self._nearest(target[None], len(rows), among, _ALL_LISTS)
            result[np.searchsorted(ordered, found), number] = 1 - squares / 2
        return result[np.searchsorted(ordered, rows)]

    # On the disk.

    def write_base(self, path: str) -> None:
        """Write the sealed base to a new file, durably, and read it back: that frees memory that it had allocated to grow.

        Raises:
            OSError: the file cannot be written; the base is unchanged.
        """
        with open(path, "wb") as file:  # faiss's own writer does not notice if the disk is full for the last bytes
            faiss.write_index(self._base, faiss.PyCallbackIOWriter(file.write, 1 << 20))  # type: ignore[attr-defined]  # no stub
            file.flush()
            os.fsync(file.fileno())
        self._base = None  # freed first: both at once would take twice the memory
        self._base = faiss.read_index(path)

    def state(self) -> State:
        """Return copies of everything but the base."""
        with self._lock:
            tail = faiss.serialize_index(self._tail)
        start = np.array([self._start, self.lists])
        return {"offset": self.centering.offset.copy(), "mix": self._rotation, "tail": tail, "start": start}

    @classmethod
    def restored(cls, state: State, path: str, metric: Metric = Metric.COSINE) -> "RaBitQCodes":
        """Return the codes with this state and the base at `path`. Both must be verified: faiss trusts them."""
        codes = cls.__new__(cls)
        codes._metric = metric
        codes.centering = Centering(state["offset"].astype(np.float32))
        codes._rotation = state["mix"].astype(np.float32)
        codes._tail = faiss.deserialize_index(state["tail"].astype(np.uint8))
        codes._lock = threading.Lock()
        codes._start, codes.lists = state["start"].astype(np.int64).tolist()
        codes._base = faiss.read_index(path)
        return codes

    def _prepared(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._rotated(vectors if self._metric is Metric.L2 else self.centering.centred(vectors))

    def _rotated(self, centred: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors, (n, dims) float32, rotated: blocks of dimensions are rotated, dealt into new blocks, and rotated again."""
        size = len(self._rotation)
        blocks = (centred.reshape(-1, size) @ self._rotation).reshape(len(centred), -1, size)
        dealt = blocks.transpose(0, 2, 1).reshape(-1, size)
        result: NDArray[np.float32] = np.matmul(dealt, self._rotation).reshape(centred.shape)
        return result

    def _parameters(self, among: NDArray[np.uint8], most: int, share: float) -> faiss.SearchParameters:
        if not self.lists:
            return _wanted(faiss.RaBitQSearchParameters(), among)
        wanted = _wanted(faiss.IVFRaBitQSearchParameters(), among)
        probes = math.sqrt(self.lists) * max(most / _SHARE, 1) / max(share, 1e-6) ** _RARE
        wanted.nprobe = min(self.lists, int(probes))
        return wanted


def _wanted(parameters: _Parameters, among: NDArray[np.uint8]) -> _Parameters:
    parameters.qb = _QUERY_BITS
    parameters.sel = faiss.IDSelectorBitmap(len(among), faiss.swig_ptr(among))
    return parameters


def _compute_alone() -> None:
    """Let faiss compute in the calling thread alone: more threads would take the cores from queries, and wait for each other."""
    faiss.omp_set_num_threads(1)  # it holds for this thread


def _random_rotation(dims: int) -> NDArray[np.float32]:
    """Return a random rotation of the most dimensions, up to _BLOCK, that divide `dims` without a rest."""
    size = max(size for size in range(1, min(dims, _BLOCK) + 1) if dims % size == 0)
    gauss = np.random.default_rng(0).standard_normal((size, size))
    result: NDArray[np.float32] = np.linalg.qr(gauss)[0].astype(np.float32)
    return result


def _plain(centred: NDArray[np.float32]) -> faiss.IndexRaBitQ:
    codes = faiss.IndexRaBitQ(centred.shape[1], faiss.METRIC_L2)
    codes.train(centred)
    return codes


def _lists(centred: NDArray[np.float32], count: int, beat: Callable[[], None]) -> faiss.IndexIVFRaBitQ:
    dims = centred.shape[1]
    middles = centred[:count]
    for _ in range(_ROUNDS):
        beat()
        rounds = faiss.Kmeans(dims, count, niter=1, min_points_per_centroid=1, max_points_per_centroid=len(centred))
        rounds.train(centred, init_centroids=middles)
        middles = np.asarray(rounds.centroids)
    quantizer = faiss.IndexFlatL2(dims)
    quantizer.add(middles)
    codes = faiss.IndexIVFRaBitQ(quantizer, dims, count, faiss.METRIC_L2)
    codes.train(centred[:1])  # the lists are there, and nothing is left to train
    return codes
