"""What photos score that have nothing to do with each other, and so from which score on a match means something.

Among many photos the best is high even where none is like the query. If all n were unrelated to it, one of them would be
expected above the score that a pair exceeds with the probability 1/n: a match above that is better than chance.

That score is not counted but extrapolated from those that a tenth and a fiftieth of the pairs exceed: so rare pairs are
mostly the bursts and edited copies that every library has, and these are related. Beyond a tenth, -log(1 - score) is
exponentially distributed, nearly. On photos of 500 classes, the mean of the best unrelated score; the score of one pair
in n; and the extrapolation:

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

LEAST: Final = 50  # contents: 1,225 pairs, of which 24 are a fiftieth
ENOUGH: Final = 1024  # contents that are enough: half a million pairs, 0.1 s
_TENTH, _FIFTIETH = 1 / 10, 1 / 50


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """The scores of unrelated pairs of one library."""

    half: float  # of all pairs exceed this
    tenth: float
    fiftieth: float

    def above(self, share: float) -> float:
        """Return the score, below 1, that this share of unrelated pairs exceeds, from 0 to 0.1."""
        first, second = -math.log1p(-self.tenth), -math.log1p(-self.fiftieth)
        slope = (second - first) / math.log(_TENTH / _FIFTIETH)
        return -math.expm1(-first - slope * math.log(_TENTH / share))

    def report(self, count: int) -> replies.Chance:
        """Return it for people, with that of so many photos."""
        return replies.Chance(self.half, self.above(1 / 20), self.above(1 / 1000), self.best_of(count))

    def best_of(self, count: int) -> float:
        """Return what the best of so many photos scores, at least 10, if none of them is related to the query."""
        return self.above(1 / count)


def chance_of(centred: NDArray[np.float32]) -> ChanceLevel | None:
    """Return what pairs of these score; None if they are too few to tell.

    Args:
        centred: (n, dims) float32, c of contents at random, of which ENOUGH count.
    """
    some = centred[:ENOUGH]
    if len(some) < LEAST:
        return None
    scores = (some @ some.T)[np.triu_indices(len(some), 1)]
    return ChanceLevel(*(min(float(one), 0.999) for one in np.quantile(scores, [0.5, 1 - _TENTH, 1 - _FIFTIETH])))
