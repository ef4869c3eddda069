"""Which of a few new pictures are like a standing question, with the score, distance and band that `like` gives now.

A commit brings 64 pictures at most, and there are few questions. So each question is compared with each picture; the codes
of the index are of no use. Measured with 64 pictures of 1,280 dimensions: 0.7 ms, and 0.13 ms for each question, beside 1.6 s
to encode them.

What is `alike` or `loosely` depends on the library, and costs a search of 11 ms. So it is looked up again only when the
library has changed by a fiftieth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixkin.protocol.bands import Relation
from pixkin.protocol.requests import SAME_SHOT
from pixkind.index.chance import NEAREST, Bounds, least, relation
from pixkind.index.rescoring import NothingLeft, Rescorer
from pixkind.index.vector_index import VectorIndex

_GROWTH: Final = 0.02  # of the library, after which the bounds of a question are looked up again


class Hit(NamedTuple):
    """A picture that is like a question."""

    content: bytes
    score: float
    distance: float
    band: Relation


@dataclass(slots=True)
class StandingQuery:
    """A question with its vectors in one space. One thread at a time asks."""

    vectors: NDArray[np.float32]  # (k, dims), of its images, as the encoder gave them
    weights: NDArray[np.float64]  # (k,), as in VectorIndex.rank
    min_score: float | None
    min_band: Relation  # counts without `min_score`
    _count: int = 0  # of the contents of the library when `_bounds` were looked up; 0: never
    _bounds: Bounds | None = None

    def hits(self, index: VectorIndex, contents: Sequence[bytes], block: NDArray[np.float32]) -> list[Hit]:
        """Return those pictures that are like it, in their order. `block`: (n, dims), the vectors of `contents`."""
        try:
            rescorer = Rescorer(self.vectors, index.centering(), index.metric, self.weights)
        except NothingLeft:  # the mean has come to lie between them
            return []
        scores = rescorer.scores(block)
        if self.min_score is not None and scores.max() < self.min_score:
            return []
        bounds = self._bounds_now(index)
        # Without bounds the highest that they can have.
        lowest = self.min_score if self.min_score is not None else least(self.min_band, bounds, unknown=SAME_SHOT)
        rows = np.flatnonzero(scores >= lowest)
        measured = zip(rows.tolist(), scores[rows].tolist(), rescorer.distances(block[rows]).tolist(), strict=True)
        return [Hit(contents[row], score, distance, relation(score, bounds)) for row, score, distance in measured]

    def _bounds_now(self, index: VectorIndex) -> Bounds | None:
        if abs(len(index) - self._count) > _GROWTH * self._count:
            best = [content for content, _, _ in islice(index.rank(self.vectors, weights=self.weights), NEAREST)]
            self._count, self._bounds = len(index), index.bounds(self.vectors, best, self.weights)
        return self._bounds
