"""Refuses a JPEG that is made to take for ever, by a look at its markers that decodes nothing.

A decoder goes over the whole picture once for each scan, even if that scan has only a few bytes: 800 KB of scans kept it busy
for 200 s. Encoders write few scans: 1 if the JPEG is not progressive, or 4 if each channel has its own. If it is progressive,
libjpeg, which most programs use, writes 6 for grey, 10 for colour and 18 for CMYK. libtiff has the same limit as this module,
for a JPEG inside a TIFF.

A JPEG of one scan costs 30 microseconds here, as only its header is read. One of several scans costs 1 ms a megabyte, when it is
decoded. Runs in the worker's decode threads.
"""

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import IO, Final

from pixkind.encoder.jpeg_segments import EOI, MOST_BYTES, MOST_SEGMENTS, SOI, SOS
from pixkind.encoder.worker.jpeg import FRAMES
from pixkind.errors import PhotoError

MOST_SCANS: Final = 100
STEP: Final = 1 << 16

PROGRESSIVE: Final = frozenset((0xC2, 0xC6, 0xCA, 0xCE))  # of `FRAMES`
# A marker in compressed data, which has a zero after every other 0xFF. Restart markers do not end a scan.
_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")


def is_buffered(file: IO[bytes]) -> bool:
    """Return whether a file is a JPEG that is decoded as a whole, because several scans make its picture.

    Only its header is read. `file` is seekable; at any position.

    Raises:
        PhotoError: it is a JPEG with more before its picture than any program writes.
    """
    channels = 0
    for marker, head in _markers(file):
        if marker == SOS:
            return head[2:3] != bytes((channels,))  # else all channels are in this scan, and a decoder reads no other
        if marker in PROGRESSIVE:
            return True
        if marker in FRAMES:
            channels = head[7] if len(head) == 8 else 0
    return False


def check_scans(file: IO[bytes]) -> None:
    """Refuse a JPEG with more scans than any program writes. `file` is seekable; at any position.

    Raises:
        PhotoError: it is such a JPEG.
    """
    scans = (marker for marker, _ in _markers(file) if marker == SOS)
    if len(list(islice(scans, MOST_SCANS + 1))) > MOST_SCANS:
        raise PhotoError(f"a JPEG of more than {MOST_SCANS} scans, which no program writes: it would take for ever")


def _markers(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield each marker of a JPEG until its end, with the eight bytes that follow it; nothing for any other file."""
    file.seek(0)
    if file.read(2) != bytes((0xFF, SOI)):
        return
    has_begun = False
    for _ in range(MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker in (EOI, 0):
            return
        start = file.tell()
        head = file.read(8)
        yield marker, head
        has_begun = has_begun or marker == SOS
        end = file.seek(start + max(2, int.from_bytes(head[:2], "big")))
        if end > MOST_BYTES and not has_begun:
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
