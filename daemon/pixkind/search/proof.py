"""Proves by the bytes of two files that one has all that the other has, before the other may be deleted.

The store has content ids and details from the worker, and a photo that takes the worker over may make it lie: if all photos
had one content id, each would be a copy. So no photo is called a copy on the worker's word alone. Here both files are read
in this process, and nothing is decoded: of a JPEG the segments before its scans are told apart, as for its content id.
"""

from enum import Enum
from typing import IO, Final, NamedTuple

from pixkind.encoder.jpeg_segments import blocks, has_jfif, parts_of_picture, segments

_CHUNK: Final = 1 << 20


class Proof(Enum):
    """What the bytes of two files show."""

    COPY = 0  # one picture, and the file that stays has each block of metadata of the other
    BARE = 1  # one picture, and the file that goes has metadata of its own
    OTHER = 2  # two pictures, whatever the worker said


class _Parts(NamedTuple):
    """A file, taken apart."""

    picture: list[object]  # what makes the picture, but for the rest of the file
    metadata: frozenset[int]


def compare(stays: int, goes: int) -> Proof:
    """Compare the file that would stay with the one that would go. Both are open for reading.

    Raises:
        OSError: one of them cannot be read.
    """
    with open(stays, "rb", closefd=False) as one, open(goes, "rb", closefd=False) as two:
        ours, theirs = _parts(one), _parts(two)
        if ours.picture != theirs.picture or not _go_on_alike(one, two):
            return Proof.OTHER
    return Proof.COPY if theirs.metadata <= ours.metadata else Proof.BARE


def _parts(file: IO[bytes]) -> _Parts:
    """Take a file apart, and leave it at the rest that is a part of its picture."""
    try:
        kept = list(segments(file))
    except ValueError:
        file.seek(0)
        return _Parts([], frozenset())
    return _Parts([has_jfif(kept), *parts_of_picture(kept)], frozenset(blocks(kept)[1]))


def _go_on_alike(one: IO[bytes], other: IO[bytes]) -> bool:
    while (chunk := one.read(_CHUNK)) == other.read(_CHUNK):
        if not chunk:
            return True
    return False
