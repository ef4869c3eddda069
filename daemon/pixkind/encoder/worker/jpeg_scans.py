"""Refuses a JPEG that is made to take for ever, by a look at its markers that decodes nothing.

A decoder goes over the whole picture once for each scan, even if that scan has only a few bytes: 800 KB of scans kept it busy
for 200 s. Encoders write few scans: 1 if the JPEG is not progressive, or 4 if each channel has its own. If it is progressive,
libjpeg writes 6 for grey, 10 for colour and 18 for CMYK, mozjpeg about 15, and Photoshop 3 to 5. libtiff has the same limit
as this module, for a JPEG inside a TIFF.

A JPEG of one scan costs 20 microseconds here, as only its header is read. Runs in the worker's decode threads.
"""

import os
import re
from typing import IO, Final

from pixkind.errors import PhotoError

MOST_SCANS: Final = 100
MOST_SEGMENTS: Final = 20_000  # 32 MiB of APP segments are 512
MOST_BYTES: Final = 32 << 20  # of segments before the picture: Pillow keeps all of them in memory
STEP: Final = 1 << 16

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA  # ITU-T T.81, table B.1
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15
PROGRESSIVE: Final = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
# A marker in compressed data, which has a zero after every other 0xFF. Restart markers do not end a scan.
_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")


def check_scans(file: IO[bytes]) -> bool:
    """Refuse a JPEG with more scans, or with more bytes before its picture, than any program writes.

    Any other file passes. `file` is seekable; at any position.

    Returns:
        Whether it is a JPEG that is decoded as a whole, because several scans make its picture.

    Raises:
        PhotoError: it is such a JPEG.
    """
    file.seek(0)
    if file.read(2) != bytes((0xFF, SOI)):
        return False
    scans, channels, is_progressive = 0, 0, False
    for _ in range(MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker in (EOI, 0):
            return scans > 0
        start = file.tell()
        head = file.read(8)
        if marker in FRAMES:
            channels, is_progressive = head[7] if len(head) == 8 else 0, marker in PROGRESSIVE
        if marker == SOS:
            scans += 1
            if not is_progressive and head[2:3] == bytes((channels,)):
                return False  # all channels are in this scan, and a decoder reads no other
        if scans > MOST_SCANS:
            raise PhotoError(f"a JPEG of more than {MOST_SCANS} scans, which no program writes: it would take for ever")
        end = file.seek(start + max(2, int.from_bytes(head[:2], "big")))
        if not scans and end > MOST_BYTES:
            raise PhotoError(f"a JPEG with more than {MOST_BYTES >> 20} MiB before its picture")
    raise PhotoError(f"a JPEG of more than {MOST_SEGMENTS:,} segments")


def _next_marker(file: IO[bytes]) -> int:
    """Return the next marker, and leave the file behind it; 0 if there is none."""
    pair = file.read(2)
    if len(pair) == 2 and pair[0] == 0xFF and 0x01 < pair[1] < 0xFF and not 0xD0 <= pair[1] <= 0xD7:
        return pair[1]
    at = file.seek(-len(pair), os.SEEK_CUR)
    while chunk := file.read(STEP):
        if found := _MARKER.search(chunk):
            file.seek(at + found.end())
            return chunk[found.end() - 1]
        if len(chunk) == 1:
            break
        at = file.seek(at + len(chunk) - 1)  # a marker may stand across two chunks
    return 0
