"""Subtracts from vectors what all vectors of a library have in common. vector_index.py has the formulas and their symbols."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SMALL: Final = 200  # contents at which the mean counts half
_CLOSE: Final = 1e-2  # a difference of squares that is a smaller share of them has no more than four good digits

Weights = NDArray[np.float64] | None  # of query images, (k,); below 0: of an unwanted image; None: all the same


@dataclass(frozen=True, slots=True)
class RunningMean:
    """The number of vectors, and their sum, (dims,) float64; None before the first vector."""

    count: int = 0
    sum: NDArray[np.float64] | None = None

    def plus(self, vectors: NDArray[np.float32], sign: int = 1) -> "RunningMean":
        """Return the running mean with (n, dims) float32 vectors added; with `sign` -1: removed."""
        total = sign * vectors.sum(axis=0, dtype=np.float64)
        return RunningMean(self.count + sign * len(vectors), total if self.sum is None else self.sum + total)

    def centering(self) -> "Centering":
        """Return the centering by w m of the formula. There must be a vector."""
        total = np.zeros(0) if self.sum is None else self.sum
        return Centering((total / max(self.count, 1) * self.count / (self.count + _SMALL)).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Centering:
    """Subtracts `offset`, which is w m of the formula, (dims,) float32."""

    offset: NDArray[np.float32]

    def centred(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return c of every row of `vectors`, (n, dims) float32; its rows have length 1."""
        shifted = vectors - self.offset
        norms = np.linalg.norm(shifted, axis=1, keepdims=True)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        plain = norms < 1e-3 * lengths
        result: NDArray[np.float32] = np.where(
            plain, vectors / np.maximum(lengths, 1e-30), shifted / np.maximum(norms, 1e-30)
        )
        return result

    def mean(self, queries: NDArray[np.float32], weights: Weights = None) -> NDArray[np.float64]:
        """Return the mean of c of the `queries`, (dims,) float64; near zero if they cancel each other out.

        Args:
            queries: (k, dims) float32.
            weights: (k,), none 0; below 0: of an unwanted query; None: all the same.
        """
        centred = self.centred(queries).astype(np.float64)
        if weights is None:
            return np.asarray(centred.mean(axis=0))
        result: NDArray[np.float64] = (centred * (weights / np.abs(weights).sum())[:, None]).sum(axis=0)
        return result

    def target(self, queries: NDArray[np.float32], weights: Weights = None) -> NDArray[np.float32]:
        """Return the vector that is compared with c of a photo: the normalised mean of c of the `queries`, (dims,) float32."""
        mean = self.mean(queries, weights)
        result: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-30)).astype(np.float32)
        return result

    def scores(self, vectors: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `centred(vectors) @ target`, (n,) float32 in [-1, 1], in three passes over the vectors instead of ten.

        BLAS is not used: on a busy machine its threads wait for each other, and 400 vectors take 8 ms instead of 0.4.

        Args:
            vectors: (n, dims) float32.
            target: (dims,) float32, of length 1.
        """
        along, common = (np.einsum("ij,j->i", vectors, other) for other in (target, self.offset))
        squares = np.einsum("ij,ij->i", vectors, vectors)
        shifted = squares - 2 * common + self.offset @ self.offset
        lengths = np.sqrt(np.maximum(shifted, 1e-30))
        result: NDArray[np.float32] = (along - self.offset @ target) / lengths
        close = np.flatnonzero(shifted < _CLOSE * squares)
        result[close] = np.einsum("ij,j->i", self.centred(vectors[close]), target)
        return np.clip(result, -1, 1)
