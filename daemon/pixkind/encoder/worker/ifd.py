"""Reads the directories of TIFF files, in both byte orders, and of BigTIFF. Source: TIFF 6.0, section 2; bigtiff.org.

Most raw photos are TIFF files, too. Runs in the worker's decode threads; no state is shared between calls.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Final

# The start of a file, its byte order, and whether its offsets have 8 bytes. The last two are of Olympus and Panasonic.
STARTS: Final = {
    b"II*\0": ("<", False),
    b"MM\0*": (">", False),
    b"II+\0": ("<", True),
    b"MM\0+": (">", True),
    **dict.fromkeys((b"IIRO", b"IIRS", b"IIU\0"), ("<", False)),
    b"MMOR": (">", False),
}
SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
STRIPS, SAMPLES, STRIP_ROWS, STRIP_BYTES, SUB_IFDS = 273, 277, 278, 279, 330
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339
DNG_VERSION: Final = 50706
REDUCED, MASK = 1, 4  # bits of SUBFILE
MOST_IFDS: Final = 4096  # in a chain; directories may form an endless loop
MOST_ENTRIES: Final = 1024  # of one directory
FEW_VALUES: Final = 64  # of one entry; offsets and sizes of strips are more
MOST_VALUES: Final = 1 << 16  # of one entry: a raw photo has thousands of tiles
LETTERS: Final = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 13: ("I", 4), 16: ("Q", 8), 18: ("Q", 8)}


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory. `tags` has the entries of whole numbers; others, and those that lie beyond the end, are empty tuples."""

    at: int  # its offset
    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)
    following: int = 0  # the offset of the next directory; 0: there is none

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first number of an entry."""
        values = self.tags.get(tag)
        return values[0] if values else default

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.first(WIDTH) * self.first(HEIGHT)

    @property
    def is_reduced(self) -> bool:
        """Whether it says that it is a smaller version of another picture."""
        return bool(self.first(SUBFILE) & REDUCED) or self.first(OLD_SUBFILE) == 2

    @property
    def is_mask(self) -> bool:
        """Whether it says that it is the transparency mask of another picture."""
        return bool(self.first(SUBFILE) & MASK)

    @property
    def least_parts(self) -> int:
        """How many strips or tiles its pixels take at least."""
        across, down = self.first(WIDTH), self.first(STRIP_ROWS) or self.first(HEIGHT)
        if TILES in self.tags:
            across, down = self.first(TILE_WIDTH), self.first(TILE_HEIGHT)
        return -(-self.first(WIDTH) // max(1, across)) * -(-self.first(HEIGHT) // max(1, down))

    def parts(self) -> list[tuple[int, int]]:
        """Return offset and size of each strip or tile."""
        places = (self.tags.get(TILES, ()), self.tags.get(TILE_BYTES, ()))
        if not places[0]:
            places = (self.tags.get(STRIPS, ()), self.tags.get(STRIP_BYTES, ()))
        return list(zip(*places, strict=False))


def directories(file: IO[bytes], most: int = MOST_IFDS, values: int = FEW_VALUES) -> Iterator[Directory]:
    """Yield the directories of the chain, at most `most` of them; none if this is no TIFF.

    Args:
        file: seekable; at any position.
        most: directories, at most.
        values: an entry has at most so many of its values, else none.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(0)
    head = file.read(16)
    order, is_big = STARTS.get(head[:4], ("", False))
    if not order or len(head) < 8:
        return
    at = _number(head[8:16] if is_big else head[4:8], order)
    seen = set[int]()
    while at and at not in seen and len(seen) < most:
        seen.add(at)
        one = directory(file, at, order, is_big=is_big, values=values)
        yield one
        at = one.following


def sub_directories(file: IO[bytes], parent: Directory, values: int = FEW_VALUES) -> Iterator[Directory]:
    """Yield the directories that hang below another one, at most 24: a NEF has about six."""
    file.seek(0)
    order, is_big = STARTS.get(file.read(4), ("<", False))
    for at in parent.tags.get(SUB_IFDS, ())[:24]:
        yield directory(file, at, order, is_big=is_big, values=values)


def directory(file: IO[bytes], at: int, order: str, *, is_big: bool, values: int) -> Directory:
    """Return the directory at `at`; for the other arguments see `directories`."""
    width, count_width, size = (8, 8, 20) if is_big else (4, 2, 12)
    tags: dict[int, tuple[int, ...]] = {}
    if at >= 1 << 63:
        return Directory(at)
    file.seek(at)
    count = _number(file.read(count_width), order)
    body = file.read(size * min(count, MOST_ENTRIES) + width)
    for entry in range(0, len(body) - size + 1, size):
        tag, kind = struct.unpack_from(f"{order}HH", body, entry)
        number = _number(body[entry + 4 : entry + 4 + width], order)
        letter, each = LETTERS.get(kind, ("", 0))
        data = body[entry + 4 + width : entry + size]
        if tag in tags:
            continue
        if letter and number > values:
            tags[tag] = ()
            continue
        if number * each > width:
            place = _number(data, order)
            file.seek(min(place, (1 << 63) - 1))
            data = file.read(number * each)
        fits = letter and len(data) >= number * each
        tags[tag] = struct.unpack_from(f"{order}{number}{letter}", data) if fits else ()
    whole = len(body) == size * count + width
    return Directory(at, tags, _number(body[-width:], order) if whole else 0)


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, "little" if order == "<" else "big")
