"""Checks that a WebP file is complete: libwebp decodes one that ends in zeros. Source: RFC 9649, section 2.

Runs in the worker's decode threads; no state is shared between calls.
"""

import os
from typing import IO, Final

from pixkind.errors import PhotoError

MOST_CHUNKS: Final = 1 << 16
PIXELS: Final = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANMF"))
TAIL: Final = 32  # so many zero bytes never end compressed pixels, but by chance


def check_finished(file: IO[bytes]) -> None:
    """Refuse a WebP in which a part lies beyond its end, or is zeros.

    Raises:
        PhotoError: the photo is truncated or unfinished.
    """
    file.seek(4)
    end = min(8 + int.from_bytes(file.read(4), "little"), file.seek(0, os.SEEK_END))
    at = 12
    for _ in range(MOST_CHUNKS):
        if at + 8 > end:
            return
        file.seek(at)
        head = file.read(8)
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if not any(head):
            raise PhotoError("unfinished: zeros where the next part of a WebP should begin")
        if name in PIXELS and size >= TAIL:
            file.seek(at + 8 + size - TAIL)
            if file.read(TAIL) == bytes(TAIL):
                raise PhotoError("unfinished: zeros where a part of the picture ends")
        at += 8 + size + size % 2
