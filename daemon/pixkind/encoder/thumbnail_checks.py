"""Checks that a thumbnail is what it says: the worker made it, and a photo may have taken the worker over.

The daemon decodes nothing. It reads the segments of the JPEG, and believes a thumbnail only if it is a baseline JPEG of
an allowed size, with a JFIF segment and without any other metadata, and ends where its picture ends. So no position, no
name and no second file leaves the daemon in a thumbnail. What the pixels show cannot be checked.
"""

import io
import re
from dataclasses import dataclass
from typing import Final

from pixkind.encoder import jpeg_segments
from pixkind.encoder.messages import DRAWN_BYTES, UNSEEN, Look, Size

BOUNDS: Final = {Size.S: (2048, 256), Size.M: (4096, 512), Size.L: (2048, 2048), Size.X: (65_535, 65_535)}
MOST_PIXELS: Final = 24_000_000
_SOF0: Final = 0xC0  # a baseline JPEG
_HEAD: Final = frozenset((jpeg_segments.APP0, jpeg_segments.DQT, jpeg_segments.DHT, _SOF0))
_JFIF_BYTES: Final = 14  # without a thumbnail of its own
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # neither stuffing nor a restart


@dataclass(frozen=True, slots=True)
class Drawing:
    """A thumbnail that was checked."""

    data: bytes
    width: int
    height: int
    look: Look = UNSEEN


def check(data: bytes, size: Size, look: Look = UNSEEN) -> Drawing:
    """Return a thumbnail that can be one of this size.

    Raises:
        ValueError: it cannot.
    """
    file = io.BytesIO(data)
    shape = b""
    for marker, body in jpeg_segments.segments(file):
        if marker not in _HEAD or (marker == jpeg_segments.APP0 and len(body) != _JFIF_BYTES):
            raise ValueError("a segment that no thumbnail has")
        shape = body if marker == _SOF0 else shape
    end = _MARKER.search(data, file.tell() + 2)
    height, width = int.from_bytes(shape[1:3], "big"), int.from_bytes(shape[3:5], "big")
    widest, highest = BOUNDS[size]
    if not (0 < width <= widest and 0 < height <= highest and width * height <= MOST_PIXELS):
        raise ValueError("no size of a thumbnail")
    if len(data) > DRAWN_BYTES or end is None or end.end() != len(data) or data[-1] != jpeg_segments.EOI:
        raise ValueError("it does not end where its picture ends")
    return Drawing(data, width, height, look)
