"""The metadata of the codes: the content id of each row, and what filters ask about its photos, in 36 bytes a photo.

A row stands for a content. It has the content's id, and a bit that says whether it can be found. Rows are only ever
appended: the bit of a content that vanishes is cleared, and a content that comes back gets a new row. So no row is
renumbered under a reader. A photo has a row, a date, and the numbers of its folder and its camera: the copies of one picture
may differ in all three. Folders and cameras are dictionary-encoded, since there are few.

One thread at a time changes the metadata; any thread reads them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pixkind.index.dates import DatedPictures, is_of_camera, number_of
from pixkind.index.dictionary import StringDictionary
from pixkind.index.filter import Filter
from pixkind.index.snapshot import NO_ROW, PHOTO, State
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import Place

_HEADROOM: Final = 4096  # an array grows by so many rows or photos, plus a sixteenth of those that it has
_GROUPS: Final = 1 << 16
_ALL: Final = Filter()

Bits = NDArray[np.uint8]
_Kind = TypeVar("_Kind", bound=np.generic)


class RowMetadata:
    """The rows. `len` is the number of rows that can be found: a live photo has their content."""

    def __init__(self, is_shown: Callable[[str], bool] = lambda _: True) -> None:
        """Begin empty.

        Args:
            is_shown: whether photos in a folder may be found; its result for a folder never changes.
        """
        self._is_shown = is_shown
        self._ids: NDArray[np.uint8] = np.zeros((0, CONTENT_BYTES), np.uint8)
        self._there: Bits = np.zeros(0, np.uint8)  # one bit a row: a live photo has its content
        self._shown: Bits = np.zeros(0, np.uint8)  # one bit a row: one of its photos is in a folder that is shown
        self.rows = 0
        self._dead = 0
        self._photos: NDArray[np.void] = np.zeros(0, PHOTO)  # a part of `_room`
        self._room = self._photos
        self._folders, self._cameras = StringDictionary(), StringDictionary()

    def __len__(self) -> int:
        return self.rows - self._dead

    @property
    def dead(self) -> int:
        """The number of rows that will never be found again."""
        return self._dead

    def append(self, contents: Sequence[bytes], places: Mapping[bytes, Sequence[Place]]) -> None:
        """Add rows for contents that have none, with the places of their photos."""
        first, end = self.rows, self.rows + len(contents)
        self._make_room(end)
        self._ids[first:end] = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, CONTENT_BYTES)
        rows = np.arange(first, end)
        self._put(rows, [places.get(content, ()) for content in contents])
        self.rows = end
        np.bitwise_or.at(self._there, rows >> 3, _bit(rows))

    def skip(self, row: int) -> None:
        """Let the next row be `row`; the rows that are skipped are dead."""
        self._make_room(row)
        self._dead += row - self.rows
        self.rows = row

    def remove(self, contents: Iterable[bytes]) -> Collection[bytes]:
        """Let these contents no longer be found, and return those of them that had a row."""
        found = self.rows_of(contents)
        rows = np.array([*found.values()], np.int64)
        np.bitwise_and.at(self._there, rows >> 3, ~_bit(rows))
        self._dead += len(rows)
        self._take_away(rows)
        return found.keys()

    def move(self, places: Mapping[bytes, Sequence[Place]]) -> None:
        """Note the present places of the photos of contents; contents without a row are ignored."""
        rows = self.rows_of(places)
        there = np.array([*rows.values()], np.int64)
        self._take_away(there)
        self._put(there, [places[content] for content in rows])

    def rows_of(self, contents: Iterable[bytes]) -> dict[bytes, int]:
        """Return the rows of those contents that can be found. One pass over two bytes of each id takes 2 ms for 1,000,000 rows."""
        wanted = set(contents)
        if not wanted:
            return {}
        groups = np.zeros(_GROUPS, bool)
        groups[[int.from_bytes(content[-2:], "little") for content in wanted]] = True
        tails = self._ids[: self.rows].view("<u2")[:, -1]
        found = {self._ids[row].tobytes(): row for row in np.flatnonzero(groups[tails]).tolist() if self._is_there(row)}
        return {content: found[content] for content in wanted & found.keys()}

    def contents(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Return the contents of rows."""
        ids = self._ids[rows].tobytes()
        return [ids[at : at + CONTENT_BYTES] for at in range(0, len(ids), CONTENT_BYTES)]

    def passing(self, wanted: Filter) -> tuple[Bits, int]:
        """Return which rows have a photo that passes the whole filter, one bit a row, and how many those are."""
        there, shown = self._there, self._shown
        bits: Bits = there[: len(shown)] & shown[: len(there)]
        if wanted != _ALL:
            flags = np.zeros(len(bits) * 8, bool)
            photos = self._photos
            rows = photos["row"][self._passing_photos(photos, wanted)]
            flags[rows[rows < len(flags)]] = True
            bits &= np.packbits(flags, bitorder="little")
        return bits, _count(bits)

    def following(self, after: bytes, wanted: Filter, most: int) -> list[bytes]:
        """Return the least contents above `after` that have a photo that passes a filter: at most `most`, sorted."""
        rows = np.flatnonzero(np.unpackbits(self.passing(wanted)[0], bitorder="little"))
        rows = rows[self._ids[rows].view(f"S{CONTENT_BYTES}")[:, 0] > after]
        if len(rows) > most:
            high = self._ids[rows].view(">u8")[:, 0]
            rows = rows[high <= np.partition(high, most)[most]]
        return sorted(self.contents(rows))[:most]

    def dated(self, wanted: Filter, without: Collection[bytes] = ()) -> DatedPictures:
        """Return the contents that have a photo that passes a filter, with the dates of these photos; all but those in `without`."""
        photos = self._photos
        at = self._passing_photos(photos, wanted)
        rows, numbers = photos["row"][at], photos["taken"][at]
        if not (is_there := rows != NO_ROW).all():
            rows, numbers = rows[is_there], numbers[is_there]
        if left_out := [*self.rows_of(without).values()]:
            is_kept = np.isin(rows, left_out, invert=True)
            rows, numbers = rows[is_kept], numbers[is_kept]
        return DatedPictures.of(self._ids, rows, numbers)

    def without_camera_date(self) -> set[bytes]:
        """Return the contents of photos without a date by a camera."""
        photos = self._photos
        return set(self.contents(photos["row"][~is_of_camera(photos["taken"]) & (photos["row"] != NO_ROW)]))

    def _passing_photos(self, photos: NDArray[np.void], wanted: Filter) -> slice | NDArray[np.intp]:
        """Return the places of the photos that pass a filter and lie in a folder that is shown; some of them may be gone.

        `photos` were read before the dictionaries, which know all their numbers.
        """
        at: slice | NDArray[np.intp] = slice(None)
        if wanted.is_dated:
            at = np.flatnonzero(wanted.in_time(photos["taken"]))
        if wanted.camera:
            at = _narrowed(at, self._cameras.passing(wanted.camera, wanted.is_by), photos["camera"])
        meant = self._folders.passing((wanted.under, wanted.without), wanted.admits)
        meant = meant & self._shows()[: len(meant)]
        if not meant.all():
            at = _narrowed(at, meant, photos["folder"])
        return at

    # On the disk.

    def state(self) -> State:
        """Return copies of all arrays."""
        return {
            "ids": self._ids[: self.rows].copy(),
            "there": self._there[: self.rows // 8 + 1].copy(),
            "photos": self._photos.copy(),
            "folders": self._folders.state(),
            "cameras": self._cameras.state(),
        }

    @classmethod
    def restored(cls, state: State, is_shown: Callable[[str], bool]) -> "RowMetadata":
        """Return the metadata with this state."""
        metadata = cls(is_shown)
        metadata._ids = state["ids"].astype(np.uint8, copy=False)
        metadata.rows = len(metadata._ids)
        metadata._there = state["there"].astype(np.uint8, copy=False)
        metadata._dead = metadata.rows - _count(metadata._there)
        metadata._photos = metadata._room = state["photos"].astype(PHOTO, copy=False)
        metadata._folders, metadata._cameras = (
            StringDictionary.restored(state[name]) for name in ("folders", "cameras")
        )
        flags = np.zeros(len(metadata._there) * 8, bool)
        shown = metadata._shows()
        there = metadata._photos[metadata._photos["row"] != NO_ROW]
        flags[there["row"][shown[there["folder"]]]] = True
        metadata._shown = np.packbits(flags, bitorder="little")
        return metadata

    def _shows(self) -> NDArray[np.bool_]:
        """Return which folders are shown, (folders,) bool."""
        return self._folders.passing("", self._is_shown)

    def _make_room(self, end: int) -> None:
        self._ids = _with_room(self._ids, end)
        self._there, self._shown = (_with_room(bits, end // 8 + 1) for bits in (self._there, self._shown))

    def _is_there(self, row: int) -> bool:
        return bool(self._there[row >> 3] >> (row & 7) & 1)

    def _put(self, rows: NDArray[np.int64], places: Sequence[Sequence[Place]]) -> None:
        """Add the photos of rows, and note which rows are shown."""
        new = [
            (number_of(place), row, self._folders.number(place.folder), self._cameras.number(place.camera))
            for row, its in zip(rows.tolist(), places, strict=True)
            for place in its
        ]
        count, end = len(self._photos), len(self._photos) + len(new)
        self._room = _with_room(self._room, end)
        self._room[count:end] = new
        self._photos = self._room[:end]
        shows = self._shows()
        seen = {row for _, row, folder, _ in new if shows[folder]}
        shown = np.array([row in seen for row in rows.tolist()], bool)
        np.bitwise_and.at(self._shown, rows[~shown] >> 3, ~_bit(rows[~shown]))
        np.bitwise_or.at(self._shown, rows[shown] >> 3, _bit(rows[shown]))

    def _take_away(self, rows: NDArray[np.int64]) -> None:
        """Forget the photos of rows."""
        if not len(rows):
            return
        flags = np.zeros(self.rows + 1, bool)
        flags[rows] = True
        of = self._photos["row"]
        gone = flags[np.minimum(of, self.rows)]
        if np.count_nonzero(gone) + np.count_nonzero(of == NO_ROW) > len(of) // 4 + _HEADROOM:
            self._photos = self._room = self._photos[~gone & (of != NO_ROW)]
        else:
            of[gone] = NO_ROW


def _with_room(array: NDArray[_Kind], end: int) -> NDArray[_Kind]:
    """Return the array, or a longer copy with zeros behind, so that it has room up to `end`."""
    if len(array) >= end:
        return array
    result = np.zeros((end + end // 16 + _HEADROOM, *array.shape[1:]), array.dtype)
    result[: len(array)] = array
    return result


def _narrowed(at: slice | NDArray[np.intp], passes: NDArray[np.bool_], numbers: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Return those of the photos `at` whose number passes."""
    found = passes[numbers[at]]
    return np.flatnonzero(found) if isinstance(at, slice) else at[found]


def _count(bits: Bits) -> int:
    """Return how many bits are set."""
    return int.from_bytes(bits.tobytes(), "little").bit_count()


def _bit(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the bit of each row within its byte."""
    result: NDArray[np.uint8] = np.left_shift(1, rows & 7).astype(np.uint8)
    return result
