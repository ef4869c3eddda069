"""From which score on a match means something: the bands of scores, and what unrelated photos score.

Some photos are near to everything, others to nothing. So the bounds belong to the query. They are drawn from a random sample
of the library, which is nearly all unrelated to the query:

- the *middle* of a photo is the median of its scores with the sample, its *width* is the median minus the lower quartile;
- `middle` is the mean of two middles: that of the query, and the mean of those of its ten best matches; so is `width`;
- `loosely` is middle + k * width, and `alike` is middle + 1.6 k * width; k depends on the network and the size of the library.

Median and lower quartile hardly move if a tenth of the library is related to the query, or if each photo has many copies.

Measured on 500 photos in 40 groups (132 photos have no group): *kept* is the share of the matches of the
query's own group among its ten best that are `loosely` or nearer. *Marked* is the share of the ten best that are `no relation`
if the rest of the query's group is not in the library. *Copies* are 500 of each kind, and the share that is kept. They are cut
to 75 % or 56 %, filtered, made sepia or black and white, halved and saved at quality 70, or are one of three screenshots.
k was chosen on the first half of the groups (207 photos); the second half (161 photos) gives the same k. It is the harder half:
animals are told apart better than things, and the figures of a half vary by 0.04 with the groups that are in it.

| network | k | kept: first half / second | marked: first / second | kept, marked: all | copies kept |
| --- | --- | --- | --- | --- | --- |
| EfficientNet-Lite0 | 5.5 | 0.837 / 0.799 | 0.636 / 0.566 | 0.823, 0.606 | 1.000 |
| MobileNetV2 | 4.0 | 0.851 / 0.759 | 0.636 / 0.569 | 0.821, 0.607 | 0.999 |

Kept where 0.60 is marked, for all groups, by other bounds:

| bound | EfficientNet-Lite0 | MobileNetV2 |
| --- | --- | --- |
| one for all queries: median and lower spread of all pairs | 0.748 | 0.579 |
| median and lower quartile of the query's scores | 0.800 | 0.789 |
| **the same, and those of its ten best matches** | 0.831 | 0.835 |
| the same, and those of the match itself | 0.812 | 0.810 |
| both quartiles of the query and its ten best matches | 0.835 | 0.839 |

Both quartiles are hardly better, and relatives move the upper one twice as much.

A smaller library has a less useful mean, and its ten best reach deeper. These k balance both figures in random parts of the
500 photos. So k is that of the network times (n / 500) ** 0.4. From 1,000 photos on, where nothing was measured, it stays.

| photos | EfficientNet-Lite0: k, kept, marked | MobileNetV2: k, kept, marked |
| --- | --- | --- |
| 60 | 2.1, 0.76, 0.57 | 1.5, 0.74, 0.53 |
| 125 | 3.0, 0.78, 0.59 | 2.0, 0.76, 0.54 |
| 250 | 4.1, 0.81, 0.60 | 2.7, 0.77, 0.56 |
| 400 | 5.1, 0.79, 0.59 | 3.7, 0.80, 0.62 |

With 250 edited copies in the same library, 0.79 and 0.82 are kept and 0.65 and 0.67 are marked.

Pure functions; knows no store and no thread.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkin.protocol import replies
from pixkin.protocol.replies import Relation
from pixkin.protocol.requests import SAME_SHOT

LEAST: Final = 50  # contents: fewer tell nothing
SAMPLE: Final = 512  # contents whose scores stand for those of the library
NEAREST: Final = 10  # matches whose own scores count for the bounds of a query
# A photo that was saved again scores more than 0.99 (search/folding).
_SAME_PHOTO: Final = 0.99
_K: Final = {"efficientnet_lite0": 5.5, "mobilenet_v2": 4.0}
_OTHER: Final = 4.7  # of networks that were not measured
_LARGE: Final = 1000  # contents from which on k stays
_GROWTH: Final = 0.4
_ALIKE: Final = 1.6  # with both networks, one in 20 of the ten best of a query without relatives is `alike`


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest scores of two bands, for one query."""

    loosely: float
    alike: float


def bounds_of(own: NDArray[np.floating], best: NDArray[np.floating], network: str, count: int) -> Bounds:
    """Return the bounds of a query.

    Args:
        own: (n,) scores of the query with the sample.
        best: (m, n) scores of its best matches with the sample; m may be 0.
        network: the name of the model.
        count: the number of contents in the library.
    """
    middle, width = (float(one[0]) for one in _spread(own[None]))
    if len(best):
        middles, widths = _spread(best)
        middle, width = (middle + float(middles.mean())) / 2, (width + float(widths.mean())) / 2
    step = _K.get(network, _OTHER) * (min(count, _LARGE) / 500) ** _GROWTH * width
    return Bounds(min(middle + step, SAME_SHOT), min(middle + _ALIKE * step, SAME_SHOT))


def relation(score: float, bounds: Bounds | None) -> Relation:
    """Return the band of a score; of low scores it is unknown without bounds."""
    for one in (Relation.SAME_PHOTO, Relation.SAME_SHOT, Relation.ALIKE, Relation.LOOSELY):
        if score >= least(one, bounds, unknown=math.inf):
            return one
    return Relation.UNKNOWN if bounds is None else Relation.NO_RELATION


def least(band: Relation, bounds: Bounds | None, *, unknown: float = -1.0) -> float:
    """Return the lowest score of a band. Of `no relation` and of no band it is -1, without bounds it may be `unknown`."""
    match band:
        case Relation.SAME_PHOTO:
            return _SAME_PHOTO
        case Relation.SAME_SHOT:
            return SAME_SHOT
        case Relation.ALIKE:
            return unknown if bounds is None else bounds.alike
        case Relation.LOOSELY:
            return unknown if bounds is None else bounds.loosely
        case _:
            return -1.0


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """Scores of the unrelated pairs of one library: their median, their upper quartile, and the usual bound of `loosely`."""

    median: float
    quartile: float
    loosely: float

    def above(self, share: float) -> float:
        """Return the score, below 1, that this share of unrelated pairs exceeds. `share`: from 0 to 0.25.

        Above the median, -log(1 - score) is nearly exponentially distributed.
        """
        half, quarter = -math.log1p(-self.median), -math.log1p(-self.quartile)
        return -math.expm1(-quarter - (quarter - half) * math.log2(0.25 / share))

    def report(self) -> replies.Chance:
        """Return the levels for `status`."""
        return replies.Chance(self.median, self.above(1 / 20), self.above(1 / 1000), self.loosely)


def chance_of(centred: NDArray[np.float32], network: str, count: int) -> ChanceLevel:
    """Return the chance level of a sample.

    Args:
        centred: (n, dims) float32, c of at least two contents at random.
        network: the name of the model.
        count: the number of contents in the library.
    """
    scores = (centred @ centred.T)[np.triu_indices(len(centred), 1)]
    median, quartile = (min(float(one), 0.999) for one in np.quantile(scores, [0.5, 0.75]))
    return ChanceLevel(median, quartile, bounds_of(scores, scores[:0, None], network, count).loosely)


def _spread(scores: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the median of each row of `scores`, and the median minus the lower quartile."""
    low, middle = np.quantile(scores, [0.25, 0.5], axis=1)
    return middle, middle - low
