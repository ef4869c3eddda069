"""One query and the candidates that were scored for it."""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.centre import Centre, Weights

_LEAST: Final = 1e-3  # length of a mean of unit vectors, below which its direction is noise: they are stored in float16
_ERRORS: Final = 4.0  # standard deviations that a guess is trusted to be wrong by at most

Ranking = Iterator[tuple[bytes, float, float]]
Blocks = Iterator[tuple[list[bytes], NDArray[np.float32]]]


class NothingLeft(Exception):
    """The query images cancel each other out."""


class Search:
    """Candidates come in with guesses, and go out with their exact scores, as soon as no other can be better."""

    def __init__(self, queries: NDArray[np.float32], centre: Centre, weights: Weights = None) -> None:
        """Begin a search for (k, dims) float32 vectors as the encoder gave them.

        Raises:
            NothingLeft: they cancel each other out.
        """
        self.seen: set[bytes] = set()
        self.yielded: set[bytes] = set()
        self.queries, self.weights = queries, weights
        self._exact = (queries if weights is None else queries[weights > 0]).astype(np.float64)
        self._centre = centre
        if np.linalg.norm(centre.mean(queries, weights)) < _LEAST:
            raise NothingLeft
        self._target = centre.target(queries, weights)
        self._errors: NDArray[np.float64] = np.zeros(0)  # of all guesses so far
        self._doubt = 0.0  # by how much a score may exceed its guess
        self._waiting: list[tuple[float, bytes, NDArray[np.float32]]] = []  # the best last, by -score and content

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each of `vectors`, (n, dims)."""
        return self._centre.scores(vectors, self._target)

    def distance(self, vector: NDArray[np.floating]) -> float:
        """Return the distance of one vector, (dims,), from the nearest query that is wanted, in double precision."""
        return float(np.linalg.norm(self._exact - vector.astype(np.float64), axis=1).min())

    def take(self, blocks: Blocks, guesses: Mapping[bytes, float]) -> None:
        """Score candidates that were not taken yet, and learn from it how wrong guesses are."""
        for ids, block in blocks:
            self.seen.update(ids)
            scores = self.scores(block)
            self._errors = np.append(self._errors, scores - np.array([guesses[content] for content in ids]))
            self._doubt = max(float(self._errors.mean()), 0) + _ERRORS * float(self._errors.std())
            self._waiting += zip((-scores).tolist(), ids, block, strict=True)
        self._waiting.sort(key=lambda one: one[:2], reverse=True)

    def best(self, most: int, guess: float = -math.inf) -> Ranking:
        """Yield the best candidates that have not been yielded yet, until `most` have been.

        Stop before one that may be worse than a candidate that is guessed to score `guess`.
        """
        while self._waiting and len(self.yielded) < most and -self._waiting[-1][0] >= guess + self._doubt:
            minus, content, vector = self._waiting.pop()
            self.yielded.add(content)
            yield content, -minus, self.distance(vector)


def merged(rankings: Iterable[Ranking]) -> Ranking:
    """Yield what these rankings yield, best first, ties by content, each content once: where it is best."""
    seen: set[bytes] = set()
    for one in heapq.merge(*rankings, key=lambda one: (-one[1], one[0])):
        if one[0] not in seen:
            seen.add(one[0])
            yield one


def best_first(score: NDArray[np.float32]) -> Iterator[int]:
    """Yield the rows by falling score, sorting no more of them than are asked for; the first 1,000 are sorted at once."""
    most = min(1000, len(score))
    if not most:
        return
    head = np.argpartition(-score, most - 1)[:most]
    yield from (int(row) for row in head[np.argsort(-score[head], kind="stable")])
    if most < len(score):
        rest = np.setdiff1d(np.arange(len(score)), head, assume_unique=True)
        yield from (int(row) for row in rest[np.argsort(-score[rest], kind="stable")])
