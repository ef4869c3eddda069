"""Which pictures are one shot: a raw file and its JPEG, a photo and its small export. Decided by the pictures, never by names.

Knows no store and no files; whoever folds brings the vectors and the facts.

What the bounds come from: EfficientNet-Lite0, 52 photographs of 3 megapixels with the noise of a sensor, centred cosine.

| beside the photo | 5 % below | median | 95 % below |
| --- | --- | --- | --- |
| saved again at quality 90; 75 | 0.998; 0.992 | 0.999; 0.999 | 1.000 |
| exported at 1024 pixels, quality 90; 75 | 0.995; 0.985 | 0.998; 0.995 | 0.999 |
| exported at 640 pixels, quality 90; 75 | 0.990; 0.935 | 0.996; 0.985 | 0.998 |
| the next of a burst, moved by 0.25 %; 0.5 % of the width | 0.974; 0.960 | 0.988; 0.980 | 0.994; 0.990 |
| ... moved by 1 %, exported at 1024 pixels | 0.943 | 0.967 | 0.981 |
| cut to 98 %; 95 % | 0.960; 0.918 | 0.979; 0.959 | 0.988; 0.977 |

So vectors alone cannot tell an export from the next of a burst; what the header says must agree, and the less it says, the
more alike the pictures must be. An export that is too small or too coarse stays a match of its own; two shots hardly ever fold.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.record import Facts, Record

_SAME_SIZE: Final = 0.995  # as all of a burst are; a raw file's whole preview, or what was saved again, is more alike
_SAME_TIME: Final = 0.97  # another size, and both were taken in the same second
_UNDATED: Final = 0.99  # another size, and no date to compare
_ASPECT: Final = 0.01  # of the ratio: a raw file's margins, the rounding of a small export
# Of unit vectors a and b, and any unit vector t: |t.a - t.b| <= |a - b| = sqrt(2 - 2 a.b).
_REACH: Final = math.sqrt(2 - 2 * _SAME_TIME)
UNKNOWN: Final = Facts(0, 0, 0, "")  # of which nothing folds
BEHIND: Final = 30  # versions are looked for among so many pictures behind the last that is wanted


def contradict(one: Facts, other: Facts) -> bool:
    """Return whether both are known to have been taken, and not in the same second: then they are two shots."""
    return bool(one.taken_s and other.taken_s and one.taken_s != other.taken_s)


def is_one_shot(one: Facts, other: Facts, score: float) -> bool:
    """Return whether two pictures with this score, the centred cosine of their vectors, are of one shot."""
    sizes = sorted((one.width, one.height)), sorted((other.width, other.height))  # a raw file may lie on its side
    (short, long), (narrow, wide) = sizes
    if not short or not narrow or contradict(one, other) or abs(short * wide / (narrow * long) - 1) > _ASPECT:
        return False
    if sizes[0] == sizes[1]:
        return score >= _SAME_SIZE
    return score >= (_SAME_TIME if one.taken_s and other.taken_s else _UNDATED)


@dataclass(frozen=True, slots=True)
class Picture:
    """A content that was found."""

    content: bytes
    score: float
    distance: float
    facts: Facts
    photos: Sequence[Record]  # that show it, the one that stands for all first; at least one

    @property
    def pixels(self) -> int:
        """How large it is."""
        return self.facts.width * self.facts.height


class Shots:
    """Pictures that come in by falling score, those of one shot together. `len`: how many shots there are."""

    def __init__(self, centred: Callable[[bytes], NDArray[np.float32] | None]) -> None:
        """Begin empty. `centred`: returns a content's vector without what all have in common, of length 1, if it has one."""
        self._centred = centred
        self._vectors: dict[bytes, NDArray[np.float32] | None] = {}  # of those that were compared
        self._shots: list[list[Picture]] = []  # the largest of each first

    def __len__(self) -> int:
        return len(self._shots)

    def __iter__(self) -> Iterator[list[Picture]]:
        """Yield the pictures of each shot, the largest first; the shots by the score of that, best first."""
        return iter(sorted(self._shots, key=lambda shot: -shot[0].score))

    def add(self, picture: Picture) -> None:
        """Put it to the shot that it is of: one that came before, or a new one. It may show that two that came are one."""
        shot = [picture]
        for other in [shot for shot in self._shots if self._takes(shot, picture)]:
            if any(contradict(one.facts, two.facts) for one in shot for two in other):
                continue  # it has no date, and is like two shots that have
            self._shots.remove(other)
            shot = other + shot
        shot.sort(key=lambda one: -one.pixels)  # stable: of two that are as large the more alike stands for all
        self._shots.append(shot)

    def _takes(self, shot: Sequence[Picture], picture: Picture) -> bool:
        """Return whether a picture is of a shot: like its largest, so that a chain of likenesses leads nowhere."""
        largest = shot[0]
        if largest.score - picture.score > _REACH or not is_one_shot(largest.facts, picture.facts, 1.0):
            return False
        if any(contradict(one.facts, picture.facts) for one in shot):
            return False
        one, two = self._vector(largest.content), self._vector(picture.content)
        return one is not None and two is not None and is_one_shot(largest.facts, picture.facts, float(one @ two))

    def _vector(self, content: bytes) -> NDArray[np.float32] | None:
        if content not in self._vectors:
            self._vectors[content] = self._centred(content)
        return self._vectors[content]
