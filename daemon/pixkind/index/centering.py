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

    def targets(
        self, queries: NDArray[np.float32], weights: Weights = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the vectors that are compared with c of a photo, one for each wanted query, and their shares of the weight.

        Such a vector is c of the query minus what is unwanted. It is near zero if the two cancel each other out.

        Args:
            queries: (k, dims) float32.
            weights: (k,), none 0, at least one above; below 0: of an unwanted query; None: all the same.

        Returns:
            (wanted, dims) and (wanted,) float64.
        """
        centred = self.centred(queries).astype(np.float64)
        weights = np.ones(len(queries)) if weights is None else weights
        is_wanted = weights > 0
        total = weights[is_wanted].sum()
        unwanted = (weights[~is_wanted, None] * centred[~is_wanted]).sum(axis=0)
        return (total * centred[is_wanted] + unwanted) / np.abs(weights).sum(), weights[is_wanted] / total

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


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the rows of `vectors`, (n, dims), each divided by its length."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30), np.float32)
