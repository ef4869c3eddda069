"""What unrelated photos score, and so from which score on a match means something.

Among many photos the best score is high even if no photo is like the query. Let all n photos be unrelated to the query, and
let a pair of unrelated photos exceed a score with the probability 1/n. Then one photo is expected above that score. A match
above it is better than chance.

That score cannot be counted, since the few best pairs of a library are mostly bursts and edited copies, which are related.
It is extrapolated from the scores that a tenth and a fiftieth of the pairs exceed: above the score of a tenth,
-log(1 - score) is nearly exponentially distributed.

Measured on photos of 500 classes: the mean of the best unrelated score, the counted score of one pair in n, and the
extrapolated score:

| library | best | counted | extrapolated |
| --- | --- | --- | --- |
| 500 photos | 0.260 | 0.282 | 0.250 |
| 250 of them | 0.258 | 0.252 | 0.244 |
| 250 of them, each twice, one a crop | 0.243 | 0.497 | 0.253 |
| 100 of them, five crops and edits each | 0.210 | 0.881 | 0.296 |
| 500, seven crops each | 0.293 | 0.894 | 0.307 |

Pure functions; knows no store and no thread.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkin.protocol import replies

LEAST: Final = 50  # contents: they have 1,225 pairs, and a fiftieth of these are 24
ENOUGH: Final = 1024  # contents: they have half a million pairs, which take 0.1 s
_TENTH, _FIFTIETH = 1 / 10, 1 / 50


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """Scores that unrelated pairs of one library reach."""

    half: float  # half of all pairs exceed this score
    tenth: float
    fiftieth: float

    def above(self, share: float) -> float:
        """Return the score, below 1, that this share of unrelated pairs exceeds. `share`: from 0 to 0.1."""
        first, second = -math.log1p(-self.tenth), -math.log1p(-self.fiftieth)
        slope = (second - first) / math.log(_TENTH / _FIFTIETH)
        return -math.expm1(-first - slope * math.log(_TENTH / share))

    def report(self, count: int) -> replies.Chance:
        """Return the levels for `status`, with `best_of` so many photos."""
        return replies.Chance(self.half, self.above(1 / 20), self.above(1 / 1000), self.best_of(count))

    def best_of(self, count: int) -> float:
        """Return the expected best score among `count` photos, at least 10, that are unrelated to the query."""
        return self.above(1 / count)


def chance_of(centred: NDArray[np.float32]) -> ChanceLevel | None:
    """Return the chance level of these contents; None if they are fewer than LEAST.

    Args:
        centred: (n, dims) float32, c of contents at random; the first ENOUGH are used.
    """
    some = centred[:ENOUGH]
    if len(some) < LEAST:
        return None
    scores = (some @ some.T)[np.triu_indices(len(some), 1)]
    return ChanceLevel(*(min(float(one), 0.999) for one in np.quantile(scores, [0.5, 1 - _TENTH, 1 - _FIFTIETH])))
