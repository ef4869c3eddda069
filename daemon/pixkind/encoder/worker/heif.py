"""Checks that a HEIF file is complete: libheif decodes a truncated one, with grey or black instead of the rest.

Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import os
from collections.abc import Iterator
from typing import IO, Final

from pixkind.encoder.worker.isobmff import boxes, read
from pixkind.errors import PhotoError

MOST_BYTES: Final = 1 << 22  # of a directory; a directory of 50 tiles has 2 KB
TAIL: Final = 4  # HEVC never has so many zero bytes in a row: after two comes a 3 (ITU-T H.265, section 7.4.2)


def check_whole(file: IO[bytes]) -> None:
    """Refuse a HEIF file in which a part of a picture is missing, or is zeros: it is still being written.

    Raises:
        PhotoError: the file is truncated or unfinished.
        ValueError: its directory is broken.
        OSError: the file cannot be read.
    """
    end = file.seek(0, os.SEEK_END)
    metas = [box for box in boxes(file) if box.name == b"meta"]
    inner = {one.name: one for box in metas for one in boxes(file, box.at + 4, box.at + box.size)}
    if b"iinf" not in inner or b"iloc" not in inner:
        return  # a sequence; libheif decides
    info, places = (inner[name] for name in (b"iinf", b"iloc"))
    pictures = set(_pictures(file, info.at, info.size))
    for item, last in _places(read(file, places.at, min(places.size, MOST_BYTES))):
        if item not in pictures:
            continue
        if last > end:
            raise PhotoError("truncated: a part of the picture lies beyond its end")
        if last >= TAIL and read(file, last - TAIL, TAIL) == bytes(TAIL):
            raise PhotoError("unfinished: zeros where a part of the picture ends")


def _pictures(file: IO[bytes], at: int, size: int) -> Iterator[int]:
    """Yield the numbers of the items in HEVC."""
    wide = read(file, at, 1) > b"\0"  # its version
    for box in boxes(file, at + (8 if wide else 6), at + size):
        entry = read(file, box.at, 14)
        width = 4 if entry[:1] == b"\3" else 2
        if box.name == b"infe" and entry[4 + width + 2 :][:4] == b"hvc1":
            yield int.from_bytes(entry[4 : 4 + width], "big")


def _places(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield each item inside the file, and the offset at which its last part ends.

    Source: ISO/IEC 14496-12, section 8.11.3.
    """
    data = io.BytesIO(body)

    def number(size: int) -> int:
        got = data.read(size)
        if len(got) < size:
            raise ValueError("its directory ends too early")
        return int.from_bytes(got, "big")

    version = number(1)
    sizes = number(5) & 0xFFFF  # after three bytes of flags
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    width = 4 if version == 2 else 2
    for _ in range(number(width)):
        item = number(width)
        method = number(2) & 15 if version else 0
        number(2)  # which file: this one
        base, last = number(base_size), 0
        parts = number(2)
        for _ in range(parts if offset_size or length_size else 0):  # else the parts have no bytes and no end
            number(index_size)
            last = base + number(offset_size) + number(length_size)
        if not method:
            yield item, last
