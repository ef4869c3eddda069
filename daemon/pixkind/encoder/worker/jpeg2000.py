"""How a JPEG 2000 is divided: into tiles, and into levels of which each has half of the next one's size.

OpenJPEG has the components of a whole tile in memory, 32 bits a pixel, and holds Python's lock while it decodes a tile.
So it decodes no more levels than the network needs. Source: ITU-T T.800, annex A.
Runs in the worker's decode threads; no state is shared between calls.
"""

import os
import struct
from typing import IO, Final, NamedTuple

from pixkind.encoder.worker.isobmff import Box, boxes, read

CODESTREAM: Final = b"\xff\x4f\xff\x51"  # SOC and SIZ
COD, SOT = 0xFF52, 0xFF90
MOST_SEGMENTS: Final = 1000  # of the main header


class Shape(NamedTuple):
    """How a codestream is divided."""

    components: int
    bits: int  # of the deepest component
    tile: int  # pixels
    levels: int  # that can be left out


def codestream(file: IO[bytes]) -> Box:
    """Return where the codestream is; of a bare one, the whole file. `file` is at any position."""
    whole = Box(b"jp2c", 0, file.seek(0, os.SEEK_END))
    return next((box for box in boxes(file) if box.name == b"jp2c"), whole) if read(file, 4, 4) == b"jP  " else whole


def shape(file: IO[bytes]) -> Shape:
    """Return how a JPEG 2000 is divided; with no levels if its header cannot be read. `file` is at any position."""
    at = codestream(file).at
    head = read(file, at, 42)
    if len(head) < 42 or not head.startswith(CODESTREAM):
        return Shape(4, 16, 1 << 62, 0)
    left, top, right, bottom = (*struct.unpack(">2I", head[16:24]), *struct.unpack(">2I", head[8:16]))
    across, down = struct.unpack(">2I", head[24:32])
    (components,) = struct.unpack(">H", head[40:42])
    bits = max((one & 0x7F for one in read(file, at + 42, 3 * components)[::3]), default=15) + 1
    tile = min(across, max(0, right - left)) * min(down, max(0, bottom - top))
    return Shape(components, bits, tile, _levels(file, at + 2))


def memory(file: IO[bytes], left_out: int) -> int:
    """Return the bytes that OpenJPEG takes for a tile, without the levels that are left out."""
    one = shape(file)
    return one.components * (4 + (2 if one.bits > 8 else 1)) * (one.tile >> 2 * left_out)


def _levels(file: IO[bytes], at: int) -> int:
    """Return the number of levels below the full size, from the segments at `at`."""
    for _ in range(MOST_SEGMENTS):
        head = read(file, at, 10)
        marker, size = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
        if len(head) < 10 or marker == SOT:
            return 0
        if marker == COD:
            return head[9]
        at = file.seek(size - 8, os.SEEK_CUR)
    return 0
