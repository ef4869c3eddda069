"""Finds the pairs of many vectors that may score enough, from a hash of 64 bytes for each vector, in memory.

A SimHash has one bit for each of 512 random vectors: the sign of the dot product with it. If two vectors are at an angle
a, each of their bits differs with probability a / pi, whatever the vectors are. So the number of bits that differ tells
their cosine to about 0.03, and one pair in 30,000 that scores enough is missed. Comparing two hashes takes 1.6 ns,
comparing two vectors 250 ns.

Source: Charikar, Similarity estimation techniques from rounding algorithms, STOC 2002.
"""

import math
from collections.abc import Callable
from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

_BITS: Final = 512  # with 1,024 faiss takes five times as long
_DOUBT: Final = 4.0  # standard deviations: the largest error of a hash that is allowed for
_COLUMNS: Final = 1 << 14  # rows that a batch is compared with at once: 8 ms for 256 rows; 50 MB if all are alike

Rows = NDArray[np.int64]
_Found = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]  # ours, theirs, bits that differ


class SimHashes:
    """The hashes of rows 0 to n - 1 that have not been compared yet."""

    def __init__(self, dims: int, rows: int) -> None:
        """Make room for so many rows of vectors with so many dimensions."""
        self._planes = np.random.default_rng(0).standard_normal((dims, _BITS), np.float32)
        self._hashes = np.zeros((rows, _BITS // 8), np.uint8)
        self._rows: Rows = np.arange(0)  # the row of each hash, ascending
        self._compared = np.zeros(rows, bool)

    def fill(self, vectors: NDArray[np.float32]) -> None:
        """Add the next rows, (n, dims) float32."""
        end = len(self._rows) + len(vectors)
        self._hashes[len(self._rows) : end] = self._hashed(vectors)
        self._rows = np.arange(end)

    def not_compared(self, most: int) -> Rows:
        """Return the first rows that have not been compared, at most `most`."""
        return self._rows[~self._compared[self._rows]][:most]

    def pairs(
        self, rows: Rows, vectors: NDArray[np.float32], least: float, most: int, beat: Callable[[], None]
    ) -> tuple[Rows, Rows]:
        """Return the pairs that may score at least `least`: pairs of `rows`, and pairs with rows that were never compared.

        Args:
            rows: (n,), never compared before.
            vectors: of these rows, (n, dims) float32.
            least: a cosine.
            most: if one row has more pairs, only the best are kept.
            beat: called between steps of a few ms; an exception of it ends the work.

        Returns:
            Two arrays, with an element for each pair: the place of one row in `rows`, and the other row. Each pair comes once.
        """
        faiss.omp_set_num_threads(1)  # for this thread: with more it would take cores from queries
        self._compact()
        self._compared[rows] = True
        place = np.full(len(self._compared), -1, np.int32)
        place[rows] = np.arange(len(rows))
        hashes, reach = self._hashed(vectors), _reach(least)
        found: list[_Found] = []
        count = 0
        for at in range(0, len(self._rows), _COLUMNS):
            beat()
            numbers = self._rows[at : at + _COLUMNS]
            column = faiss.IndexBinaryFlat(_BITS)
            column.add(self._hashes[at : at + len(numbers)])
            ends, differ, which = column.range_search(hashes, reach)
            ours, theirs = np.searchsorted(ends, np.arange(len(which)), "right") - 1, numbers[which]
            other = place[theirs]
            kept = np.where(other >= 0, ours < other, ~self._compared[theirs])  # each pair once, and no row with itself
            found.append((ours[kept].astype(np.int32), theirs[kept].astype(np.int32), differ[kept]))
            if (count := count + len(found[-1][0])) > 2 * most * len(rows):
                found = [_best(found, most)]
                count = len(found[0][0])
        one, another, _ = _best(found, most)
        return one.astype(np.int64), another.astype(np.int64)

    def _hashed(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.packbits(vectors @ self._planes > 0, axis=1)

    def _compact(self) -> None:
        """Drop the hashes of compared rows, if there are many. This works in place: two copies would take too much memory."""
        kept = np.flatnonzero(~self._compared[self._rows])
        if len(kept) > len(self._rows) * 7 // 8:
            return
        for at in range(0, len(kept), _COLUMNS):
            some = kept[at : at + _COLUMNS]
            self._hashes[at : at + len(some)] = self._hashes[some]
        self._rows = self._rows[kept]


def _reach(least: float) -> int:
    """Return the number of differing bits from which on a pair is taken to score less than `least`."""
    share = math.acos(max(-1.0, min(1.0, least))) / math.pi
    return math.ceil(_BITS * share + _DOUBT * math.sqrt(_BITS * share * (1 - share))) + 1


def _best(found: list[_Found], most: int) -> _Found:
    """Return the pairs that were found, at most the `most` best of each of our rows."""
    ours, theirs, differ = (np.concatenate(some) for some in zip(*found, strict=True))
    order = np.lexsort((differ, ours))
    ours, theirs, differ = ours[order], theirs[order], differ[order]
    kept = np.arange(len(ours)) - np.searchsorted(ours, ours) < most
    return ours[kept], theirs[kept], differ[kept]
