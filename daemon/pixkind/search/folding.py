"""Decides which pictures show one shot: a raw file and its JPEG, a photo and its export. File names play no part.

Knows no store and no files: the caller has the facts and the vectors.

The bounds come from measurements with EfficientNet-Lite0 on 52 photographs of 3 megapixels with the noise of a sensor.
The table has the centred cosine of each photo with another picture:

| the other picture | 5 % below | median | 95 % below |
| --- | --- | --- | --- |
| saved again at quality 90; 75 | 0.998; 0.992 | 0.999; 0.999 | 1.000; 0.999 |
| exported at 1024 pixels, quality 90; 75 | 0.995; 0.985 | 0.998; 0.995 | 0.999; 0.998 |
| exported at 640 pixels, quality 90; 75 | 0.990; 0.935 | 0.996; 0.985 | 0.999; 0.995 |
| the next of a burst, moved by 0.25 %; 0.5 % of the width | 0.974; 0.960 | 0.988; 0.980 | 0.994; 0.990 |
| the next of a burst, moved by 1 %, exported at 1024 pixels | 0.943 | 0.967 | 0.981 |
| cut to 98 %; 95 % | 0.960; 0.918 | 0.979; 0.959 | 0.988; 0.977 |
| another page of text (lowest, median, highest of 28 pairs) | 0.903 | 0.972 | 0.989 |

MobileNetV2, on 10 of these photographs: exports at 1024 pixels score 0.991 to 0.999, the next of a burst 0.932 to 0.992.

So vectors alone cannot tell an export from the next photo of a burst, nor one scanned page from another. Therefore the
headers must agree, and the less they say, the more alike the pictures must be.

Known limits: An export that is very small or coarse stays a match of its own. Photos of one second that differ only by
noise fold. An export may fold with the wrong photo of its second.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.storage.record import Facts, Record

_SAME_SIZE: Final = 0.995  # taken in the same second, as a burst may be; the preview of a raw file scores more
_SAME_TIME: Final = 0.97  # taken in the same second, with another size
_UNDATED: Final = 0.99  # with another size, where at least one has no date
_EXPORT: Final = (
    0.9  # the longest side of an undated export, relative to its original: scanned pages are nearly of one size
)
_ASPECT: Final = 0.01  # relative difference of the aspect ratios: margins of a raw file, rounding of a small export
UNKNOWN: Final = Facts(0, 0, 0, "")  # a picture with these facts never folds
BEHIND: Final = 8  # pictures after the last wanted one that are searched for versions; 20 take twice as long
MOST: Final = 1500  # pictures that are compared: each with each, in arrays of 10 MB
_MANY: Final = 200  # fewer vectors are multiplied without BLAS, whose threads wait for each other on a busy machine


@dataclass(frozen=True, slots=True)
class FoundPicture:
    """A content that was found."""

    rank: int  # how many pictures are more like the query
    content: bytes
    score: float
    distance: float
    facts: Facts
    photos: Sequence[Record]  # that show it, at least one; the first stands for all

    @property
    def pixels(self) -> int:
        """Return its size in pixels."""
        return self.facts.width * self.facts.height


def contradict(one: Facts, other: Facts) -> bool:
    """Return whether both pictures have dates, but no second in common: then they are two shots."""
    return bool(one.known_dates and other.known_dates and not one.known_dates & other.known_dates)


def is_one_shot(one: Facts, other: Facts, score: float) -> bool:
    """Return whether two pictures show one shot. `score` is the centred cosine of their vectors."""
    return bool(score >= _bounds([one, other])[0, 1])


def folded(
    pictures: Sequence[FoundPicture],
    centred: Callable[[Sequence[bytes]], NDArray[np.float32]],
) -> list[list[FoundPicture]]:
    """Return the pictures grouped by shot. The largest picture of a shot comes first, and its rank orders the shots.

    A picture belongs to a shot if it is like the largest picture of the shot. So no chain of similar pictures becomes one shot.

    Args:
        pictures: if several have the same size, the first of them counts as the largest.
        centred: returns the centred vectors of contents, (n, dims) of length 1; zeros for a content without a vector.
    """
    bounds = _bounds([picture.facts for picture in pictures])
    rows = np.flatnonzero(np.isfinite(bounds).any(axis=1))
    likeness = np.zeros(bounds.shape, np.float32)
    if len(rows):  # most pictures cannot be a version of another: their vectors are not read
        vectors = centred([pictures[row].content for row in rows.tolist()])
        is_many = len(rows) > _MANY
        products = vectors @ vectors.T if is_many else np.einsum("id,jd->ij", vectors, vectors)
        likeness[np.ix_(rows, rows)] = products
    alike = likeness >= bounds
    shots: dict[int, list[int]] = {}  # by the place of the largest picture
    for at in sorted(range(len(pictures)), key=lambda at: -pictures[at].pixels):
        fit = [first for first in np.flatnonzero(alike[at]).tolist() if _admits(pictures, shots.get(first, ()), at)]
        if fit:
            shots[max(fit, key=lambda first: float(likeness[first, at]))].append(at)
        else:
            shots[at] = [at]
    found = [[pictures[at] for at in shot] for shot in shots.values()]
    return sorted(found, key=lambda shot: shot[0].rank)


def _admits(pictures: Sequence[FoundPicture], shot: Sequence[int], at: int) -> bool:
    """Return whether a shot exists and none of its pictures contradicts another one. The largest may have no date."""
    return bool(shot) and not any(contradict(pictures[one].facts, pictures[at].facts) for one in shot)


def _bounds(facts: Sequence[Facts]) -> NDArray[np.float32]:
    """Return the score that each two pictures need to be one shot, (n, n); infinite where they never are one."""
    # Sorted, since one may be turned.
    sides = np.sort(np.array([(one.width, one.height) for one in facts], np.float32).reshape(-1, 2))
    has_date = np.array([bool(one.known_dates) for one in facts], bool)
    is_same_second = _share_a_date([one.known_dates for one in facts])
    short, long = sides[:, 0], np.maximum(sides[:, 1], 1)
    shape = short / long
    is_shaped = np.abs(shape[:, None] - shape) <= _ASPECT * np.minimum(shape[:, None], shape)
    is_known = (short > 0)[:, None] & (short > 0)
    is_dated = has_date[:, None] & has_date
    is_export = np.minimum(long[:, None], long) <= _EXPORT * np.maximum(long[:, None], long)
    bounds = np.full(is_shaped.shape, np.inf, np.float32)
    bounds[is_export & ~is_dated] = _UNDATED
    bounds[is_same_second] = _SAME_TIME
    bounds[is_same_second & (long[:, None] == long)] = _SAME_SIZE
    bounds[~is_shaped | ~is_known] = np.inf
    np.fill_diagonal(bounds, np.inf)
    return bounds


def _share_a_date(dates: Sequence[frozenset[int]]) -> NDArray[np.bool_]:
    """Return whether each two pictures have a date in common, (n, n)."""
    rows: dict[int, list[int]] = {}  # by date
    for row, known in enumerate(dates):
        for date in known:
            rows.setdefault(date, []).append(row)
    result = np.zeros((len(dates), len(dates)), bool)
    for some in rows.values():
        result[np.ix_(some, some)] = True
    return result
