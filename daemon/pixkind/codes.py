"""One-bit codes of all vectors, in memory: which contents may be the nearest, in a millisecond.

A code is the signs of c (index.py), drawn around a centre that is fixed when the codes are made, and rotated; and two
floats: 168 bytes at 1,280 dimensions. The rotation makes all dimensions weigh alike: on vectors of real photos guessed
scores are then wrong by 0.022 (standard deviation), without it by 0.14. With the content id and a bit in a mask that is all a photo takes here. What codes say is nearly
right, so the index asks for more than it needs and scores them exactly.

Rows are only ever appended. A content that goes has its bit cleared, so nothing is renumbered under a reader; one that
comes back has a new row. When too many rows are dead, or the library has outgrown its centre, `is_worn` says so, and the
index makes new codes. One thread at a time changes them; any thread asks.

Source: RaBitQ (Gao and Long, SIGMOD 2024), as faiss has it.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

from pixkind.centre import Centre
from pixkind.photo import CONTENT_BYTES

LARGE: Final = 50_000  # contents from which on they are divided into lists: all codes of 50,000 take 2 ms to compare
SAMPLE: Final = 16_384  # vectors that suffice to draw the centre and the lists from
_LISTS: Final = 1024
_ROUNDS: Final = 3  # of k-means; six are no better
_PROBES: Final = 32  # lists that are looked through for the first _SHARE candidates
_SHARE: Final = 400
_QUERY_BITS: Final = 4  # of each of a query's dimensions; 8 find no more and take half as long again
_SLICE: Final = 32  # vectors that are added while queries wait: 10 ms with lists
_GROUPS: Final = 1 << 16
_TURN: Final = (
    256  # dimensions that are mixed at once; all 1,280 at once are no better, and read a matrix of 6.5 MB a query
)


class Codes:
    """The codes of a library. `len` is the number of contents that can be found."""

    def __init__(
        self,
        sample: NDArray[np.float32],
        *,
        is_large: bool = False,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Fix the centre. Nothing is in it yet.

        Args:
            sample: (n, dims) float32, n >= 1, of the library, at random; if `is_large`, n >= 1024.
            is_large: LARGE or more contents are to come.
            beat: called about once a second; what it raises ends the work.
        """
        self.centre = Centre(sample.mean(axis=0))
        self._is_large = is_large
        self._lock = threading.Lock()  # guards all below: held for a search, or for adding a slice
        self._rotation = _Rotation(sample.shape[1])
        centred = self._rotation.turned(self.centre.centred(sample))
        self._codes = _lists(centred, beat) if is_large else _plain(centred)
        self._ids: NDArray[np.uint8] = np.zeros((1024, CONTENT_BYTES), np.uint8)
        self._mask: NDArray[np.uint8] = np.zeros(1024 // 8, np.uint8)  # one bit a row: it can be found
        self._rows = 0
        self._dead = 0
        self._built = 0

    def __len__(self) -> int:
        return self._rows - self._dead

    def seal(self) -> None:
        """Note that these are the contents from which the centre was drawn."""
        self._built = len(self)

    @property
    def is_worn(self) -> bool:
        """Whether new codes would be better: twice the contents, or a quarter of the rows dead, or too many for no lists."""
        outgrown = not self._is_large and len(self) >= LARGE
        return len(self) >= 2 * self._built or self._dead > self._rows // 4 or outgrown

    def add(self, contents: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Take in contents that are not in it, with their vectors, (n, dims) float32."""
        ids = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, CONTENT_BYTES)
        faiss.omp_set_num_threads(1)  # of this thread: more would take the cores from queries
        # Before it is sealed nobody asks, and large slices take a fifth of the time.
        most = _SLICE if self._built else max(len(ids), 1)
        for at in range(0, len(ids), most):
            turned = self._rotation.turned(self.centre.centred(vectors[at : at + most]))
            with self._lock:
                self._append(ids[at : at + most], turned)

    def remove(self, contents: Iterable[bytes]) -> None:
        """Let these contents not be found any more; those that are not in it are ignored."""
        gone = set(contents)
        rows = np.fromiter(self._rows_of(gone), np.int64) if gone else np.zeros(0, np.int64)
        with self._lock:
            np.bitwise_and.at(self._mask, rows >> 3, ~_bit(rows))
            self._dead += len(rows)

    def nearest(self, queries: NDArray[np.float32], most: int) -> list[tuple[bytes, float]]:
        """Return at most `most` contents that may be the nearest to `queries`, the best first, with what their scores may be.

        Args:
            queries: (k, dims) float32.
            most: how many; 1 or more.
        """
        target = self._rotation.turned(self.centre.target(queries)[None])
        faiss.omp_set_num_threads(1)  # of this thread; there may be many that ask
        with self._lock:
            within = faiss.IDSelectorBitmap(len(self._mask), faiss.swig_ptr(self._mask))
            squares, found = self._codes.search(target, most, params=self._parameters(within, most))
            rows = found[0][found[0] >= 0]
            ids = self._ids[rows].tobytes()
        scores = 1 - squares[0] / 2  # of unit vectors
        contents = (ids[at : at + CONTENT_BYTES] for at in range(0, len(ids), CONTENT_BYTES))
        return list(
            zip(contents, scores.tolist(), strict=False)
        )  # fewer than `most` are found: what is missing is last

    def _parameters(self, within: faiss.IDSelector, most: int) -> faiss.SearchParameters:
        wanted = faiss.IVFRaBitQSearchParameters() if self._is_large else faiss.RaBitQSearchParameters()
        wanted.qb = _QUERY_BITS
        wanted.sel = within
        if isinstance(wanted, faiss.IVFRaBitQSearchParameters):
            wanted.nprobe = min(_LISTS, max(_PROBES, _PROBES * most // _SHARE))
        return wanted

    def _append(self, ids: NDArray[np.uint8], turned: NDArray[np.float32]) -> None:
        end = self._rows + len(ids)
        while len(self._ids) < end:
            self._ids, self._mask = _doubled(self._ids), _doubled(self._mask)
        self._codes.add(turned)
        self._ids[self._rows : end] = ids
        rows = np.arange(self._rows, end)
        np.bitwise_or.at(self._mask, rows >> 3, _bit(rows))
        self._rows = end

    def _rows_of(self, contents: set[bytes]) -> Iterator[int]:
        """Yield the rows of these contents that are alive: one pass over two bytes of each id, 2 ms at 1,000,000."""
        groups = np.zeros(_GROUPS, bool)
        groups[[int.from_bytes(content[-2:], "little") for content in contents]] = True
        tails = self._ids[: self._rows].view("<u2")[:, -1]
        for row in np.flatnonzero(groups[tails]).tolist():
            if self._ids[row].tobytes() in contents and self._mask[row >> 3] >> (row & 7) & 1:
                yield row


class _Rotation:
    """A random rotation of a space, always the same for the same dimensions: blocks are mixed, dealt anew, and mixed."""

    def __init__(self, dims: int) -> None:
        """Draw it. The blocks are as large as they can be without a rest, up to _TURN dimensions."""
        self._size = max(size for size in range(1, min(dims, _TURN) + 1) if dims % size == 0)
        gauss = np.random.default_rng(0).standard_normal((self._size, self._size))
        self._mix: NDArray[np.float32] = np.linalg.qr(gauss)[0].astype(np.float32)

    def turned(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `vectors`, (n, dims) float32, rotated."""
        blocks = (vectors.reshape(-1, self._size) @ self._mix).reshape(len(vectors), -1, self._size)
        dealt = blocks.transpose(0, 2, 1).reshape(-1, self._size)
        result: NDArray[np.float32] = np.matmul(dealt, self._mix).reshape(vectors.shape)
        return result


def _doubled(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a copy with as much room again; no memory is taken for it until it is used."""
    result = np.zeros((2 * len(array), *array.shape[1:]), np.uint8)
    result[: len(array)] = array
    return result


def _bit(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the bit of each row within its byte of the mask."""
    result: NDArray[np.uint8] = np.left_shift(1, rows & 7).astype(np.uint8)
    return result


def _plain(centred: NDArray[np.float32]) -> faiss.IndexRaBitQ:
    codes = faiss.IndexRaBitQ(centred.shape[1], faiss.METRIC_L2)
    codes.train(centred)
    return codes


def _lists(centred: NDArray[np.float32], beat: Callable[[], None]) -> faiss.IndexIVFRaBitQ:
    dims = centred.shape[1]
    faiss.omp_set_num_threads(1)
    middles = centred[:_LISTS]
    for _ in range(_ROUNDS):
        beat()
        rounds = faiss.Kmeans(dims, _LISTS, niter=1, min_points_per_centroid=1, max_points_per_centroid=len(centred))
        rounds.train(centred, init_centroids=middles)
        middles = np.asarray(rounds.centroids)
    quantizer = faiss.IndexFlatL2(dims)
    quantizer.add(middles)
    codes = faiss.IndexIVFRaBitQ(quantizer, dims, _LISTS, faiss.METRIC_L2)
    codes.train(centred[:1])  # the lists are there; what is left to train is nothing
    return codes
