"""Which pairs of many vectors may score enough: told from 64 bytes of each, in memory.

A sketch is the signs of a vector's products with 512 random ones. Of two vectors at an angle a, each bit differs with
probability a / pi, whatever the vectors are like; so how many differ tells their cosine to 0.03 or so, and a pair that
scores enough is missed once in 30,000 times. Comparing two sketches takes 1.6 ns, two vectors 250.

Source: Charikar, Similarity estimation techniques from rounding algorithms, STOC 2002.
"""

import math
from collections.abc import Callable
from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

_BITS: Final = 512  # with 1,024 faiss takes five times as long
_DOUBT: Final = 4.0  # standard deviations by which a sketch is trusted to be wrong at most
_COLUMNS: Final = 1 << 14  # rows that a batch is compared with at once: 8 ms for 256; if all were alike, 50 MB

Rows = NDArray[np.int64]
_Found = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]  # ours, theirs, bits that differ


class SimHashes:
    """The sketches of rows 0 to n - 1 that have not been asked about yet."""

    def __init__(self, dims: int, rows: int) -> None:
        """Make room for so many rows of vectors with so many dimensions."""
        self._planes = np.random.default_rng(0).standard_normal((dims, _BITS), np.float32)
        self._sketches = np.zeros((rows, _BITS // 8), np.uint8)
        self._rows: Rows = np.arange(0)  # whose sketches they are, rising
        self._asked = np.zeros(rows, bool)

    def fill(self, vectors: NDArray[np.float32]) -> None:
        """Add the next rows, (n, dims) float32."""
        end = len(self._rows) + len(vectors)
        self._sketches[len(self._rows) : end] = self._sketched(vectors)
        self._rows = np.arange(end)

    def left(self, most: int) -> Rows:
        """Return the first rows that have not been asked about."""
        return self._rows[~self._asked[self._rows]][:most]

    def pairs(
        self, rows: Rows, vectors: NDArray[np.float32], least: float, most: int, beat: Callable[[], None]
    ) -> tuple[Rows, Rows]:
        """Return the pairs of these `rows`, and of them with rows never asked about, that may score at least `least`.

        Args:
            rows: (n,), not asked about before.
            vectors: theirs, (n, dims) float32.
            least: a cosine.
            most: of so many pairs of one row, the best are kept.
            beat: called between steps of some ms; what it raises ends the work.

        Returns:
            The place in `rows` of one, and the row of the other; each pair once.
        """
        faiss.omp_set_num_threads(1)  # of this thread: more would take the cores from queries
        self._compact()
        self._asked[rows] = True
        place = np.full(len(self._asked), -1, np.int32)
        place[rows] = np.arange(len(rows))
        asked, reach = self._sketched(vectors), _reach(least)
        found: list[_Found] = []
        count = 0
        for at in range(0, len(self._rows), _COLUMNS):
            beat()
            numbers = self._rows[at : at + _COLUMNS]
            column = faiss.IndexBinaryFlat(_BITS)
            column.add(self._sketches[at : at + len(numbers)])
            ends, differ, which = column.range_search(asked, reach)
            ours, theirs = np.searchsorted(ends, np.arange(len(which)), "right") - 1, numbers[which]
            other = place[theirs]
            kept = np.where(other >= 0, ours < other, ~self._asked[theirs])  # once each, and none with itself
            found.append((ours[kept].astype(np.int32), theirs[kept].astype(np.int32), differ[kept]))
            if (count := count + len(found[-1][0])) > 2 * most * len(rows):
                found = [_best(found, most)]
                count = len(found[0][0])
        one, another, _ = _best(found, most)
        return one.astype(np.int64), another.astype(np.int64)

    def _sketched(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.packbits(vectors @ self._planes > 0, axis=1)

    def _compact(self) -> None:
        """Let go of the rows that were asked about before, if they are many; in place, for both at once would be too much."""
        kept = np.flatnonzero(~self._asked[self._rows])
        if len(kept) > len(self._rows) * 7 // 8:
            return
        for at in range(0, len(kept), _COLUMNS):
            some = kept[at : at + _COLUMNS]
            self._sketches[at : at + len(some)] = self._sketches[some]
        self._rows = self._rows[kept]


def _reach(least: float) -> int:
    """Return how many bits differ at least between sketches of which no pair scores `least`."""
    share = math.acos(max(-1.0, min(1.0, least))) / math.pi
    return math.ceil(_BITS * share + _DOUBT * math.sqrt(_BITS * share * (1 - share))) + 1


def _best(found: list[_Found], most: int) -> _Found:
    """Return all that was found, but of each of ours at most the `most` best."""
    ours, theirs, differ = (np.concatenate(some) for some in zip(*found, strict=True))
    order = np.lexsort((differ, ours))
    ours, theirs, differ = ours[order], theirs[order], differ[order]
    kept = np.arange(len(ours)) - np.searchsorted(ours, ours) < most
    return ours[kept], theirs[kept], differ[kept]
