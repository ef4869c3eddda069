"""Scores the candidates of one query exactly, and learns from them how far their guessed scores are wrong."""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.index.centering import Centering, Weights, unit
from pixkind.index.combining import combined
from pixkind.index.metric import Metric

_LEAST: Final = 1e-3  # a shorter mean of unit vectors has a random direction, since vectors are stored in float16
_ERRORS: Final = 4.0  # standard deviations of the guesses' errors; no guess is taken to be wrong by more

_FEWER_ERRORS: Final = (
    3.0  # the same for several queries: their best scores stand out less, and 4 would read nearly all
)

Ranking = Iterator[tuple[bytes, float, float]]
Blocks = Iterator[tuple[list[bytes], NDArray[np.float32]]]


class NothingLeft(Exception):
    """The query images cancel each other out."""


class Rescorer:
    """Takes candidates with guesses, and yields them with score and distance as soon as no other candidate can be better.

    Candidates are ranked by their *merit*, the highest first: the score, or the negative distance.
    """

    def __init__(
        self,
        queries: NDArray[np.float32],
        centering: Centering,
        metric: Metric = Metric.COSINE,
        weights: Weights = None,
    ) -> None:
        """Begin a search for (k, dims) float32 vectors as the encoder gave them.

        Raises:
            NothingLeft: they cancel each other out.
        """
        self.seen: set[bytes] = set()
        self.yielded: set[bytes] = set()
        wanted = queries if weights is None else queries[weights > 0]
        self._exact = wanted.astype(np.float64)
        self._is_l2 = metric is Metric.L2
        self.queries, self.weights = (wanted, None) if self._is_l2 else (queries, weights)
        self._centering = centering
        targets, self._shares = centering.targets(queries, weights)
        if np.linalg.norm(targets, axis=1).min() < _LEAST:
            raise NothingLeft
        self._targets = unit(targets)
        # The number of guesses, the sum of their errors, and of the squares of these.
        self._guessed, self._error, self._square = 0, 0.0, 0.0
        self._doubt = 0.0  # by how much a merit may exceed its guess
        # A heap of -merit, content, score and distance. Without vectors: there may be 50,000 waiting.
        self._waiting: list[tuple[float, bytes, float, float]] = []

    @property
    def is_single(self) -> bool:
        """Whether the codes guess as for one query: the smallest of several scores is harder to guess."""
        return self._is_l2 or len(self._targets) == 1

    def measures(
        self, vectors: NDArray[np.float32]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.float64]]:
        """Return merits, scores and distances of `vectors`, (n, dims)."""
        distances = self.distances(vectors)
        scores = self.scores(vectors)
        return -distances if self._is_l2 else scores, scores, distances

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the score of each of `vectors`, (n, dims)."""
        return self._combined(np.stack([self._centering.scores(vectors, target) for target in self._targets], axis=1))

    def scores_of(self, centred: NDArray[np.float32]) -> NDArray[np.floating]:
        """Return the same for vectors that are centred already, (n, dims) of length 1."""
        return self._combined(np.einsum("id,jd->ij", centred, self._targets))

    def _combined(self, single: NDArray[np.floating]) -> NDArray[np.floating]:
        return single[:, 0] if len(self._targets) == 1 else combined(single, self._shares)

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the distance of each of `vectors`, (n, dims), to the nearest wanted query, in double precision."""
        away = (vectors - query for query in self._exact)
        # A third of the time of np.linalg.norm.
        result: NDArray[np.float64] = np.min([np.sqrt(np.einsum("ij,ij->i", one, one)) for one in away], axis=0)
        return result

    def take(self, blocks: Blocks, guesses: Mapping[bytes, float]) -> None:
        """Score candidates that were not taken yet, and learn from them how far guesses are wrong."""
        for ids, block in blocks:
            self.seen.update(ids)
            merits, scores, distances = self.measures(block)
            errors = merits.astype(np.float64) - np.array([guesses[content] for content in ids])
            self._guessed += len(errors)
            self._error += float(errors.sum())
            self._square += float((errors**2).sum())
            mean = self._error / self._guessed
            self._doubt = max(mean, 0) + (_ERRORS if self.is_single else _FEWER_ERRORS) * math.sqrt(
                max(self._square / self._guessed - mean**2, 0)
            )
            for one in zip((-merits).tolist(), ids, scores.tolist(), distances.tolist(), strict=True):
                heapq.heappush(self._waiting, one)

    def best(self, most: int, guess: float = -math.inf) -> Ranking:
        """Yield the best candidates that were not yielded yet, until `most` were yielded in all.

        Stop before a candidate that may be worse than one with the guessed merit `guess`.
        """
        while self._waiting and len(self.yielded) < most and -self._waiting[0][0] >= guess + self._doubt:
            _, content, score, distance = heapq.heappop(self._waiting)
            self.yielded.add(content)
            yield content, score, distance


def merged(rankings: Iterable[Ranking], metric: Metric = Metric.COSINE) -> Ranking:
    """Yield the matches of several rankings, best first, ties by content. Each content comes once, where it is best."""
    seen: set[bytes] = set()
    for one in heapq.merge(*rankings, key=lambda one: (one[2] if metric is Metric.L2 else -one[1], one[0])):
        if one[0] not in seen:
            seen.add(one[0])
            yield one


def best_first(merit: NDArray[np.floating]) -> Iterator[int]:
    """Yield the rows by falling merit. The first 1,000 are sorted at once, the others only if they are asked for."""
    most = min(1000, len(merit))
    if not most:
        return
    head = np.argpartition(-merit, most - 1)[:most]
    yield from (int(row) for row in head[np.argsort(-merit[head], kind="stable")])
    if most < len(merit):
        rest = np.setdiff1d(np.arange(len(merit)), head, assume_unique=True)
        yield from (int(row) for row in rest[np.argsort(-merit[rest], kind="stable")])
