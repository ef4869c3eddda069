"""Decides which pictures show one shot, such as a raw file and its JPEG or a photo and its export, and which shots are one burst.

Knows no store and no files: the caller has the names, the facts and the vectors.

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

The same with 125 photos of different things, enlarged to 2,000 pixels. Of all 500 of them no two others score more than 0.72.

| the other picture | 5 % below | median | 95 % below |
| --- | --- | --- | --- |
| made by a chat app: 1,600 pixels, quality 70; 1,280 pixels, quality 60 | 0.994; 0.980 | 0.998; 0.995 | 0.999; 0.998 |
| black and white; in sepia | 0.631; 0.557 | 0.825; 0.777 | 0.938; 0.920 |
| cut to 75 % of the height; dark; in strong colours | 0.727; 0.886; 0.919 | 0.842; 0.945; 0.971 | 0.913; 0.974; 0.988 |
| the next of a burst, moved by 2 %; 5 %, turned and brighter too | 0.923; 0.844 | 0.958; 0.929 | 0.982; 0.965 |
| another page of text, if its own is missing (lowest, median, highest of 30) | 0.970 | 0.984 | 0.988 |

MobileNetV2 gives 0.996, 0.571, 0.669 and 0.920 in the first column for the first of each, and 0.941 for the pages; no two
others score more than 0.58.

So vectors alone cannot tell an export from the next photo of a burst, nor one scanned page from another. Therefore the
headers must agree, and the less they say, the more alike the pictures must be. Names say what vectors cannot: files that
differ only in the suffix show one shot, however unlike the camera has made them.

Known limits: An export that is very small or coarse stays a match of its own. Photos of one second that differ only by
noise fold. An export may fold with the wrong photo of its second.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pixkind.storage.record import Facts, Record

_SAME_SIZE: Final = 0.995  # taken in the same second, as a burst may be; the preview of a raw file scores more
_SAME_TIME: Final = 0.97  # taken in the same second, with another size
_UNDATED: Final = 0.99  # with another size, where at least one has no date
_LIKELY: Final = 0.965  # the same, if its distance to any other picture is at least twice the distance to this one
_CLEAR: Final = 0.5  # 1 - score to its shot, relative to 1 - score to another one
_EXPORT: Final = (
    0.9  # the longest side of an undated export, relative to its original: scanned pages are nearly of one size
)
_ASPECT: Final = 0.01  # relative difference of the aspect ratios: margins of a raw file, rounding of a small export
_NAMESAKE: Final = 0.5  # in files of one name, where at least one has no date, or one second lies between them
_ALWAYS: Final = -2.0  # in files of one name, taken in the same second
_FRAME: Final = 0.8  # the next of a burst
_FRAME_S: Final = 2  # seconds from one frame of a burst to the next, at most
_NUMBERED: Final = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)  # the stem of a name, with its last number
UNKNOWN: Final = Facts(0, 0, 0, "")  # a picture with these facts folds by its name only
BEHIND: Final = 8  # pictures after the last wanted one that are searched for versions; 20 take twice as long
MOST: Final = 1500  # pictures that are compared: each with each, in arrays of 10 MB
PART: Final = 1000  # pictures behind these that are compared at once
_MANY: Final = 200  # fewer vectors are multiplied without BLAS, whose threads wait for each other on a busy machine

Flags = NDArray[np.bool_]
Scores = NDArray[np.float32]
_Value = TypeVar("_Value", np.float32, np.bool_)


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


Shot = list[FoundPicture]  # the largest picture first


def contradict(one: Facts, other: Facts) -> bool:
    """Return whether both pictures have dates, but no second in common: then they are two shots."""
    return bool(one.known_dates and other.known_dates and not one.known_dates & other.known_dates)


def is_one_shot(one: Facts, other: Facts, score: float) -> bool:
    """Return whether two pictures show one shot. `score` is the centred cosine of their vectors."""
    return bool(score >= _bounds([one, other])[0, 1])


def folded(
    pictures: Sequence[FoundPicture],
    centred: Callable[[Sequence[bytes]], Scores],
) -> list[list[Shot]]:
    """Return the pictures grouped by shot, and the shots grouped by burst.

    The largest picture of a shot comes first, and its rank orders the shots of a burst. The best shot of a burst orders the bursts.

    A picture belongs to a shot if it is like the largest picture of the shot, or like a namesake of that.
    So no chain of similar pictures becomes one shot. A burst is such a chain: each frame is like the next.

    Args:
        pictures: if several have the same size, the first of them counts as the largest.
        centred: returns the centred vectors of contents, (n, dims) of length 1; zeros for a content without a vector.
    """
    facts = [one.facts for one in pictures]
    named, bounds, framed = _name_bounds(pictures), _bounds(facts), _frame_bounds(facts)
    if (may_be_frames := bounds == np.float32(_SAME_SIZE)).any():
        # A camera has numbered them: these are two frames of one second, not two versions.
        bounds[may_be_frames & _are_numbered(pictures)] = np.inf
    loose = np.where(bounds == np.float32(_UNDATED), np.float32(_LIKELY), bounds)
    least = np.minimum(np.minimum(named, loose), framed)
    likeness = _likeness(pictures, least, centred)
    if not (likeness >= least).any():  # as for most queries
        return [[[one]] for one in sorted(pictures, key=lambda one: one.rank)]
    units = _linked(likeness >= named)
    units = [sorted(unit, key=lambda at: -pictures[at].pixels) for unit in units]
    units.sort(key=lambda unit: (-pictures[unit[0]].pixels, unit[0]))
    between = _Units(
        [[pictures[at] for at in unit] for unit in units],
        _between(units, likeness),
        *(_between(units, likeness >= each) for each in (bounds, loose, framed)),
    )
    return between.bursts()


def _likeness(pictures: Sequence[FoundPicture], least: Scores, centred: Callable[[Sequence[bytes]], Scores]) -> Scores:
    """Return the likeness of each two pictures, (n, n); zeros for pictures that cannot fold, since their vectors are not read."""
    likeness = np.zeros(least.shape, np.float32)
    if len(rows := np.flatnonzero(np.isfinite(least).any(axis=1))):
        vectors = centred([pictures[row].content for row in rows.tolist()])
        is_many = len(rows) > _MANY
        likeness[np.ix_(rows, rows)] = vectors @ vectors.T if is_many else np.einsum("id,jd->ij", vectors, vectors)
    return likeness


@dataclass(frozen=True, slots=True)
class _Units:
    """Pictures that are surely one shot, the largest first, and what is between each two units."""

    pictures: Sequence[Sequence[FoundPicture]]
    likeness: Scores
    are_sure: Flags  # they are one shot
    are_likely: Flags  # the same, if none of the others is nearly as like
    are_frames: Flags  # they are of one burst

    def bursts(self) -> list[list[Shot]]:
        """Return all pictures, grouped by shot and by burst."""
        shot_of = self._shots()
        numbers = np.arange(len(shot_of))
        links = self.are_frames.copy()
        links[numbers, shot_of] = links[shot_of, numbers] = True
        np.fill_diagonal(links, val=False)  # a unit alone is soon done
        bursts = []
        for burst in _linked(links):
            shots = defaultdict[int, Shot](list)
            for number in burst:
                shots[int(shot_of[number])] += self.pictures[number]  # the largest comes first: so are the units sorted
            bursts.append(sorted(shots.values(), key=lambda shot: shot[0].rank))
        return sorted(bursts, key=lambda burst: burst[0][0].rank)

    def _shots(self) -> NDArray[np.int64]:
        """Return for each unit the one with the largest picture of its shot, (n,)."""
        numbers = np.arange(len(self.pictures))
        shot_of = numbers.copy()
        for at in np.flatnonzero(self.are_sure.any(axis=1)).tolist():
            if fit := self._fit(self.are_sure, shot_of, at):
                shot_of[at] = max(fit, key=lambda first: self.likeness[at, first])
        pixels = np.array([unit[0].pixels for unit in self.pictures])
        burst_of = np.zeros(len(pixels), np.int64)
        for number, burst in enumerate(_linked(self.are_frames)):
            burst_of[burst] = number
        for at in np.flatnonzero((shot_of == numbers) & self.are_likely.any(axis=1)).tolist():
            fit = self._fit(self.are_likely, shot_of, at)
            if not fit:
                continue
            likeness = self.likeness[at]
            best = max(fit, key=lambda first: likeness[first])
            rivals = (shot_of == numbers) & (burst_of != burst_of[best])
            rivals &= (pixels >= pixels[at]) | ~self.are_likely[best]  # a smaller one may be another version
            rivals[[at, best]] = False
            if 1 - likeness[best] <= _CLEAR * (1 - likeness[rivals].max(initial=-1.0)):
                shot_of[shot_of == at] = best
        return shot_of

    def _fit(self, alike: Flags, shot_of: NDArray[np.int64], at: int) -> list[int]:
        """Return the shots of larger pictures that the shot of unit `at` is like, and does not contradict."""
        ours = self._pictures(shot_of, at)
        firsts = np.flatnonzero(alike[at, :at] & (shot_of[:at] == np.arange(at))).tolist()
        return [
            first
            for first in firsts
            if not any(contradict(one.facts, other.facts) for one in self._pictures(shot_of, first) for other in ours)
        ]

    def _pictures(self, shot_of: NDArray[np.int64], shot: int) -> list[FoundPicture]:
        return [picture for number in np.flatnonzero(shot_of == shot).tolist() for picture in self.pictures[number]]


def _between(units: Sequence[Sequence[int]], values: NDArray[_Value]) -> NDArray[_Value]:
    """Return the largest value between the pictures of each two units."""
    order = np.concatenate(units)
    starts = np.cumsum([0, *map(len, units[:-1])])
    found: NDArray[_Value] = np.maximum.reduceat(
        np.maximum.reduceat(values[np.ix_(order, order)], starts, 0), starts, 1
    )
    return found


def _linked(links: Flags) -> list[list[int]]:
    """Return the numbers that are linked, directly or through others, each group sorted; a number without links is alone."""
    is_alone = ~links.any(axis=1)
    groups = [[one] for one in np.flatnonzero(is_alone).tolist()]
    seen: set[int] = set()
    for start in np.flatnonzero(~is_alone).tolist():
        if start in seen:
            continue
        group = {start}
        new = [start]
        while new:
            new = [one for one in np.flatnonzero(links[new].any(axis=0)).tolist() if one not in group]
            group.update(new)
        seen |= group
        groups.append(sorted(group))
    return groups


def _bounds(facts: Sequence[Facts]) -> Scores:
    """Return the score that each two pictures need to be one shot, (n, n); infinite where they never are one."""
    # Sorted, since one may be turned.
    sides = np.sort(np.array([(one.width, one.height) for one in facts], np.float32).reshape(-1, 2))
    is_same_second = _share_a_date([one.known_dates for one in facts])
    short, long = sides[:, 0], np.maximum(sides[:, 1], 1)
    shape = short / long
    is_shaped = np.abs(shape[:, None] - shape) <= _ASPECT * np.minimum(shape[:, None], shape)
    is_known = (short > 0)[:, None] & (short > 0)
    is_dated = _are_dated(facts)
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


def _are_dated(facts: Sequence[Facts]) -> Flags:
    """Return which two pictures both have a date, (n, n)."""
    has_date = np.array([bool(one.known_dates) for one in facts], bool)
    are_dated: Flags = has_date[:, None] & has_date
    return are_dated


def _name_bounds(pictures: Sequence[FoundPicture]) -> Scores:
    """Return the score that each two pictures need to be one shot if files of theirs differ in the suffix only, (n, n)."""
    bounds = np.full((len(pictures), len(pictures)), np.inf, np.float32)
    names = defaultdict[str, list[tuple[int, str]]](list)
    for at, picture in enumerate(pictures):
        for path in {photo.path for photo in picture.photos}:
            folder, _, name = path.rpartition("/")
            stem, _, suffix = name.casefold().rpartition(".")
            if stem:
                names[f"{folder}/{stem}"].append((at, suffix))
    for namesakes in names.values():
        dates = {date for at, _ in namesakes for date in pictures[at].facts.known_dates}
        is_clear = not dates or max(dates) - min(dates) <= 1  # a phone may write its two files in two seconds
        for (at, suffix), (other, another) in combinations(namesakes, 2):
            is_same_second = bool(pictures[at].facts.known_dates & pictures[other].facts.known_dates)
            if at != other and suffix != another and (is_clear or is_same_second):
                bounds[at, other] = bounds[other, at] = _ALWAYS if is_same_second else _NAMESAKE
    return bounds


def _frame_bounds(facts: Sequence[Facts]) -> Scores:
    """Return the score that each two pictures need to be frames of one burst, (n, n); infinite where they never are."""
    taken = np.array([min(one.known_dates, default=0) for one in facts], np.int64)
    cameras = _numbers([one.camera for one in facts])
    is_dated = _are_dated(facts)
    is_near = np.abs(taken[:, None] - taken) <= _FRAME_S
    bounds = np.full(is_dated.shape, np.inf, np.float32)
    bounds[is_dated & is_near & (cameras[:, None] == cameras)] = _FRAME
    np.fill_diagonal(bounds, np.inf)
    return bounds


def _are_numbered(pictures: Sequence[FoundPicture]) -> Flags:
    """Return which two pictures have names that differ only in the last number, (n, n)."""
    paths = [one.photos[0].path.rpartition("/") for one in pictures]
    found = [(folder, _NUMBERED.fullmatch(os.path.splitext(name)[0])) for folder, _, name in paths]
    series = _numbers([(folder, name[1], name[3]) if name else at for at, (folder, name) in enumerate(found)])
    numbers = _numbers([name[2] if name else "" for _, name in found])
    are_numbered: Flags = (series[:, None] == series) & (numbers[:, None] != numbers)
    return are_numbered


def _numbers(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return a number for each key, equal for equal keys."""
    numbers = dict[Hashable, int]()
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
