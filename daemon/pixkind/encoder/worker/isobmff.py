"""Reads the boxes of HEIF and JPEG XL files. Source: ISO/IEC 14496-12, section 4.2.

Runs in the worker's decode threads; no state is shared between calls.
"""

import os
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

MOST: Final = 4096  # boxes in a row; a photo has about ten


class Box(NamedTuple):
    """One box in a file. `at` and `size` are of its contents, in bytes, which may lie beyond the end of the file."""

    name: bytes
    at: int
    size: int


def boxes(file: IO[bytes], at: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes from `at` to `end` (None: the end of the file), and stop at anything that is no box."""
    end = file.seek(0, os.SEEK_END) if end is None else end
    for _ in range(MOST):
        head = read(file, at, 16) if at + 8 <= end else b""
        size, begin = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - at  # up to `end`
        if not head or size < begin:
            return
        yield Box(head[4:8], at + begin, size - begin)
        at += size


def read(file: IO[bytes], at: int, size: int) -> bytes:
    """Return up to `size` bytes from the offset `at`."""
    file.seek(at)
    return file.read(size)
