"""The dates of pictures: which are the newest, and how many there are of each month.

The date of a picture is the earliest date that a camera has written into its photos. If there is none, it is the earliest that
stands in the name of one of their files, and else the earliest time at which one of them was modified. The index keeps one
number for each photo, which says which of these it is: a date of a name has 2**58 added to it, and a time 2**61. So each is
larger than any of those before it, and the least number of the photos of a picture is that of its date.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import Place

_BY_NAME: Final = 1 << 57  # a number from here on is a date of a name
_STAND_IN: Final = 1 << 60  # a number from here on stands in for a date
_ADDED_TO_NAMED: Final = 1 << 58
_ADDED: Final = 1 << 61  # to a time, which may be negative, as all of these may
_NONE: Final = np.iinfo(np.int64).max
_MONTHS: Final = 12
_EPOCH: Final = 1970

Cursor = tuple[int, bytes]  # the date and the content of a picture


def number_of(place: Place) -> int:
    """Return the number that the index keeps of the date of a photo."""
    named = place.named_s and _ADDED_TO_NAMED + place.named_s
    return place.taken_s or named or _ADDED + place.mtime_s


def is_of_camera(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return of which of these numbers of photos the date was written by a camera, (n,) bool; 0 stands for an unknown one."""
    return np.asarray((numbers != 0) & (numbers < _BY_NAME))


def dates_of(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the dates, or the times that stand in for them, of photos with these numbers, and for which it is a date, (n,) each."""
    added = np.where(numbers >= _STAND_IN, _ADDED, np.where(numbers >= _BY_NAME, _ADDED_TO_NAMED, 0))
    return numbers - added, (numbers != 0) & (numbers < _STAND_IN)


@dataclass(frozen=True, slots=True)
class DatedPictures:
    """Pictures with their dates, in no order."""

    ids: NDArray[np.uint8]  # (any, 16): content ids
    rows: NDArray[np.int64]  # (n,): the row of each picture in `ids`
    dates: NDArray[np.int64]  # (n,): s since the epoch

    @classmethod
    def of(cls, ids: NDArray[np.uint8], rows: NDArray[np.integer], numbers: NDArray[np.int64]) -> "DatedPictures":
        """Return the pictures of photos.

        Args:
            ids: content ids.
            rows: (m,) the row of each photo in `ids`.
            numbers: (m,) of `number_of` each photo.
        """
        least = np.full(int(rows.max(initial=0)) + 1, _NONE)
        np.minimum.at(least, rows.astype(np.intp), np.ascontiguousarray(numbers))
        there = np.flatnonzero(least != _NONE)
        return cls(ids, there, dates_of(least[there])[0])

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, since_s: int | None, before_s: int | None) -> "DatedPictures":
        """Return those from `since_s` on and before `before_s`; None: no bound."""
        if since_s is None and before_s is None:
            return self
        is_meant = np.ones(len(self), bool)
        if since_s is not None:
            is_meant &= self.dates >= since_s
        if before_s is not None:
            is_meant &= self.dates < before_s
        return DatedPictures(self.ids, self.rows[is_meant], self.dates[is_meant])

    def newest(self, most: int, after: Cursor | None = None) -> tuple[list[Cursor], bool]:
        """Return the newest pictures after a place in their order, and whether there are more. Of one date, the least id is first."""
        at = np.arange(len(self)) if after is None else self._after(*after)
        has_more = len(at) > most
        if has_more:
            dates = self.dates[at]
            least = np.partition(dates, len(at) - most)[len(at) - most]
            at = at[dates >= least]  # more than `most`, where several have the last date
        high, low = self._words(at)
        at = at[np.lexsort((low, high, -self.dates[at]))[:most]]
        ids = self.ids[self.rows[at]].tobytes()
        contents = (ids[begin : begin + CONTENT_BYTES] for begin in range(0, len(ids), CONTENT_BYTES))
        return list(zip(self.dates[at].tolist(), contents, strict=True)), has_more

    def months(self) -> list[tuple[int, int, int]]:
        """Return year, month and the number of pictures of each month that has some, in UTC, the newest first."""
        months, counts = np.unique(self.dates.astype("M8[s]").astype("M8[M]").astype(np.int64), return_counts=True)
        return [
            (_EPOCH + month // _MONTHS, month % _MONTHS + 1, count)
            for month, count in zip(months[::-1].tolist(), counts[::-1].tolist(), strict=True)
        ]

    def _after(self, date: int, content: bytes) -> NDArray[np.int64]:
        """Return the places of the pictures that come after a date and a content id."""
        is_after = self.dates < date
        same = np.flatnonzero(self.dates == date)
        high, low = self._words(same)
        one, two = (int.from_bytes(content[begin : begin + 8], "big") for begin in (0, 8))
        is_after[same] = (high > one) | ((high == one) & (low > two))
        return np.flatnonzero(is_after)

    def _words(self, at: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return the first and the second half of ids, as numbers in their order."""
        words = np.ascontiguousarray(self.ids[self.rows[at]]).view(">u8").astype(np.uint64)
        return words[:, 0], words[:, 1]
