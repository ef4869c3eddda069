"""Nearest neighbours: which contents are most like a query, best first.

The ranking, exactly. With x the stored vector, n the number of contents and m the mean of x over them:
w = n / (n + 200); c = (x - w m) / |x - w m|, or x / |x| where |x - w m| < 1e-3 |x|;
score(q, p) = c_q . c_p; distance(q, p) = |x_q - x_p|. Several query images: the mean of their c, normalised; distance is
then the smallest of the single ones.
Subtracting the library's own mean removes what all photos share; few photos have no useful mean, hence the weight w.

Every content is scored, from vectors that are streamed out of the store in blocks: exact, always what the store says,
and no memory between queries. The distance is computed, in double precision, only for what is asked for.
The ingest thread calls `apply`; any thread calls `rank`.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.batch import Delta
from pixkind.record import is_sound, unpack_vector, unpack_vectors
from pixkind.store import Store

_log = logging.getLogger(__name__)

_BLOCK: Final = 2048  # vectors scored at once: 10 MB of float32 at 1,280 dimensions
_SMALL: Final = 200  # contents at which mean and no mean weigh the same


@dataclass(frozen=True, slots=True)
class Centre:
    """What the library's vectors have in common: w m of the formula above, (dims,) float32."""

    offset: NDArray[np.float32]

    def centred(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return c of every row of `vectors`, (n, dims) float32: rows of length 1."""
        shifted = vectors - self.offset
        norms = np.linalg.norm(shifted, axis=1, keepdims=True)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        plain = norms < 1e-3 * lengths
        result: NDArray[np.float32] = np.where(
            plain, vectors / np.maximum(lengths, 1e-30), shifted / np.maximum(norms, 1e-30)
        )
        return result

    def scores(self, vectors: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `centred(vectors) @ target`, (n,) float32 in [-1, 1], in two passes over the vectors instead of ten.

        Args:
            vectors: (n, dims) float32.
            target: (dims,) float32, of length 1.
        """
        along, common = (vectors @ np.stack([target, self.offset], axis=1)).T
        squares = np.einsum("ij,ij->i", vectors, vectors)
        shifted = np.maximum(squares - 2 * common + self.offset @ self.offset, 0)
        plain = shifted < 1e-6 * squares
        lengths = np.sqrt(np.maximum(np.where(plain, squares, shifted), 1e-30))
        result: NDArray[np.float32] = np.clip((along - np.where(plain, 0, self.offset @ target)) / lengths, -1, 1)
        return result


class Index:
    """The searchable contents of one store."""

    def __init__(self, store: Store) -> None:
        """Read every vector once, for the mean; those that have rotted are dropped, so that they are made again."""
        self._store = store
        self._lock = threading.Lock()  # guards the two below: they must fit together
        self._count = 0
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._rotten: list[bytes] = []
        for _, block in self._blocks(None):
            self._add(block.sum(axis=0, dtype=np.float64), len(block))
        if self._rotten:
            _log.error("%d vectors had rotted on the disk; they are made again", len(self._rotten))
            store.drop_vectors(self._rotten)

    def __len__(self) -> int:
        return self._count

    def apply(self, delta: Delta) -> None:
        """Take in what a commit changed."""
        for contents, sign in ((delta.appeared, 1), (delta.vanished, -1)):
            for vector in filter(None, map(self._store.vector, contents)):
                array = unpack_vector(vector)
                if array is not None:
                    self._add(sign * array.astype(np.float64), sign)

    def centre(self) -> Centre:
        """Return the centre as it is now."""
        with self._lock:
            weight = self._count / (self._count + _SMALL)
            return Centre((weight * self._sum / max(self._count, 1)).astype(np.float32))

    def rank(
        self, queries: NDArray[np.float32], among: Sequence[bytes] | None = None
    ) -> Iterator[tuple[bytes, float, float]]:
        """Yield (content id, score, distance) of all contents, best score first, ties by content id.

        Args:
            queries: (k, dims) float32, k >= 1, vectors as the encoder gave them.
            among: score only these contents; None: all.
        """
        if not self._count:
            return
        centre = self.centre()
        mean = centre.centred(queries).mean(axis=0)
        target = (mean / max(float(np.linalg.norm(mean)), 1e-30)).astype(np.float32)
        contents: list[bytes] = []
        scores: list[NDArray[np.float32]] = []
        for ids, block in self._blocks(among):
            contents += ids
            scores.append(centre.scores(block, target))
        if not contents:
            return
        score = np.concatenate(scores)
        for row in _best_first(score):
            if (value := self._store.vector(contents[row])) is None or (vector := unpack_vector(value)) is None:
                continue  # it went while we looked
            distance = np.linalg.norm(queries.astype(np.float64) - vector.astype(np.float64), axis=1).min()
            yield contents[row], float(score[row]), float(distance)

    def _add(self, total: NDArray[np.float64], count: int) -> None:
        with self._lock:
            self._sum = total if not self._sum.size else self._sum + total
            self._count += count

    def _blocks(self, among: Sequence[bytes] | None) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
        """Yield (content ids, (n, dims) float32) in blocks; rotten vectors are left out."""
        source = self._store.vectors(among)
        while block := list(islice(source, _BLOCK)):
            sound = [(content, value) for content, value in block if is_sound(value)]
            if len(sound) < len(block):
                self._rotten += [content for content, value in block if not is_sound(value)]
            if sound:
                yield [content for content, _ in sound], unpack_vectors([value for _, value in sound])


def _best_first(score: NDArray[np.float32]) -> Iterator[int]:
    """Yield the rows by falling score, sorting no more of them than are asked for; the first 1,000 are sorted at once."""
    most = min(1000, len(score))
    head = np.argpartition(-score, most - 1)[:most]
    yield from (int(row) for row in head[np.argsort(-score[head], kind="stable")])
    if most < len(score):
        rest = np.setdiff1d(np.arange(len(score)), head, assume_unique=True)
        yield from (int(row) for row in rest[np.argsort(-score[rest], kind="stable")])
