"""One-bit codes of all vectors, in memory: which rows may be the nearest, in a millisecond.

A code is the signs of c (vector_index.py), or, where the distance ranks, of the vector itself, drawn around a centre that is fixed
when the codes are made, and rotated; and two floats: 168 bytes at 1,280 dimensions. The rotation makes all dimensions weigh
alike: on vectors of real photos guessed scores are then wrong by 0.022 (standard deviation), without it by 0.14. What codes
say is nearly right, so the index asks for more than it needs and scores them exactly.

The rows are those of metadata.py, which knows their contents. Most are in the *base*, which never changes once it is sealed,
so that it takes no more memory than its codes, is written to the disk once, and is searched without a lock. What comes
later goes to the *tail*, which is small and compared in full.

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

from pixkind.index.centering import Centering, Weights
from pixkind.index.metric import Metric
from pixkind.index.snapshot import State

LARGE: Final = 50_000  # rows from which on a base is divided into lists: all codes of 50,000 take 2 ms to compare
SAMPLE: Final = 16_384  # vectors that suffice to draw the centre and the lists from
TAIL: Final = 20_000  # rows beside lists until new codes are due: 1 ms to compare
_ROUNDS: Final = 3  # of k-means; six are no better
_SHARE: Final = 400  # candidates for which as many lists are looked through as the square root of their number
# Of few that may be found the nearest are farther away, hence in more lists: a tenth of 60,000 mixed from real vectors had
# a recall@10 of 0.988 with as many more lists as there are fewer rows, and has 1.000 with twice as many.
_RARE: Final = 1.3
_QUERY_BITS: Final = 4  # of each of a query's dimensions; 8 find no more and take half as long again
_TURN: Final = 256  # dimensions that are mixed at once; all 1,280 are no better, and read a matrix of 6.5 MB a query

_Parameters = TypeVar("_Parameters", faiss.RaBitQSearchParameters, faiss.IVFRaBitQSearchParameters)


class RaBitQCodes:
    """The codes of a library: rows in the order in which they were added, and at most seven empty ones in between."""

    def __init__(
        self,
        sample: NDArray[np.float32],
        *,
        rows: int = 0,
        beat: Callable[[], None] = lambda: None,
        metric: Metric = Metric.COSINE,
    ) -> None:
        """Fix the centre. Nothing is in it yet.

        Args:
            sample: (n, dims) float32, n >= 1, of the library, at random; SAMPLE of them if `rows` is LARGE or more.
            rows: about how many are to come. From LARGE on they are divided into twice as many lists as the square root of it.
            beat: called about once a second; what it raises ends the work.
            metric: what nearest means.
        """
        _compute_alone()
        self._metric = metric
        self.centering = Centering(sample.mean(axis=0))
        self.lists = 0 if rows < LARGE else min(1 << round(math.log2(rows) / 2 + 1), len(sample) // 4)
        self._mix = _drawn(sample.shape[1])
        centred = self._turned(sample)
        self._tail: Any = _plain(centred)
        self._lock = threading.Lock()  # guards the tail: faiss moves it when it grows
        self._start = 0  # the tail's first row; a multiple of eight
        self._base: Any = (
            _lists(centred, self.lists, beat) if self.lists else _plain(centred)
        )  # faiss reads back no type of its own

    def __len__(self) -> int:
        """Return the number of rows, empty ones included."""
        return int(self._start + self._tail.ntotal if self._start else self._base.ntotal)

    @property
    def tail(self) -> int:
        """How many rows were added since the base was sealed."""
        return int(self._tail.ntotal)

    def fill(self, vectors: NDArray[np.float32]) -> None:
        """Add rows, (n, dims) float32, to the base. Before it is sealed; nobody searches it meanwhile."""
        _compute_alone()
        self._base.add(self._turned(vectors))

    def seal(self) -> int:
        """End the base, and return the row with which the tail begins: masks are cut there, so it begins a byte."""
        self._start = max(8, -(-self._base.ntotal // 8) * 8)
        return self._start

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add rows, (n, dims) float32, to the tail."""
        _compute_alone()
        turned = self._turned(vectors)
        with self._lock:
            self._tail.add(turned)

    def nearest(
        self,
        queries: NDArray[np.float32],
        most: int,
        among: NDArray[np.uint8],
        share: float = 1.0,
        weights: Weights = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return at most `most` rows that may be the nearest to `queries`, the best first, and what each may be ranked by (rescoring.py).

        Args:
            queries: (k, dims) float32.
            most: how many; 1 or more.
            among: a bit for each row, the lowest of a byte first: may it be found? Rows beyond its end may not.
            share: of all rows, may be found; of fewer, more lists are looked through.
            weights: of the queries.
        """
        _compute_alone()
        is_l2 = self._metric is Metric.L2
        targets = self._mixed(queries if is_l2 else self.centering.target(queries, weights)[None])
        cut = self._start // 8
        head, rest = np.ascontiguousarray(among[:cut]), np.ascontiguousarray(among[cut:])
        squares, rows = self._base.search(targets, most, params=self._parameters(head, most, share))
        if len(rest):
            with self._lock:
                late = self._tail.search(targets, most, params=_wanted(faiss.RaBitQSearchParameters(), rest))
            squares = np.concatenate([squares, late[0]], axis=1)
            rows = np.concatenate([rows, np.where(late[1] < 0, -1, late[1] + self._start)], axis=1)
        there = rows >= 0  # fewer than `most` are found: what is missing is -1
        best = np.argsort(squares[there], kind="stable")
        rows, squares = rows[there][best], squares[there][best]
        if len(targets) > 1:  # what is near to several was found for each, and its smallest distance counts
            first = np.sort(np.unique(rows, return_index=True)[1])
            rows, squares = rows[first], squares[first]
        squares = squares[:most]
        return rows[:most], -np.sqrt(np.maximum(squares, 0)) if is_l2 else 1 - squares / 2  # of unit vectors

    # On the disk.

    def write_base(self, path: str) -> None:
        """Write the sealed base to a new file, durably, and take it from there: what it had grown into for growing is freed.

        Raises:
            OSError: it cannot be written; the base is as it was.
        """
        with open(path, "wb") as file:  # by ourselves: faiss does not notice when the last bytes find no room
            faiss.write_index(self._base, faiss.PyCallbackIOWriter(file.write, 1 << 20))  # type: ignore[attr-defined]  # no stub
            file.flush()
            os.fsync(file.fileno())
        self._base = None  # first: both at once would be twice the memory
        self._base = faiss.read_index(path)

    def state(self) -> State:
        """Return copies of all but the base."""
        with self._lock:
            tail = faiss.serialize_index(self._tail)
        start = np.array([self._start, self.lists])
        return {"offset": self.centering.offset.copy(), "mix": self._mix, "tail": tail, "start": start}

    @classmethod
    def restored(cls, state: State, path: str, metric: Metric = Metric.COSINE) -> "RaBitQCodes":
        """Return the codes with this state, whose base was written to `path`. All must be what was written: faiss trusts them."""
        codes = cls.__new__(cls)
        codes._metric = metric
        codes.centering = Centering(state["offset"].astype(np.float32))
        codes._mix = state["mix"].astype(np.float32)
        codes._tail = faiss.deserialize_index(state["tail"].astype(np.uint8))
        codes._lock = threading.Lock()
        codes._start, codes.lists = state["start"].astype(np.int64).tolist()
        codes._base = faiss.read_index(path)
        return codes

    def _turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._mixed(vectors if self._metric is Metric.L2 else self.centering.centred(vectors))

    def _mixed(self, centred: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors, (n, dims) float32, rotated: blocks of dimensions are mixed, dealt anew, and mixed."""
        size = len(self._mix)
        blocks = (centred.reshape(-1, size) @ self._mix).reshape(len(centred), -1, size)
        dealt = blocks.transpose(0, 2, 1).reshape(-1, size)
        result: NDArray[np.float32] = np.matmul(dealt, self._mix).reshape(centred.shape)
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
    """Let faiss compute in the thread that calls it: more would take the cores from queries, and wait for each other."""
    faiss.omp_set_num_threads(1)  # of this thread


def _drawn(dims: int) -> NDArray[np.float32]:
    """Draw a rotation of as many dimensions as can be mixed at once without a rest, at most _TURN."""
    size = max(size for size in range(1, min(dims, _TURN) + 1) if dims % size == 0)
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
    codes.train(centred[:1])  # the lists are there; what is left to train is nothing
    return codes
