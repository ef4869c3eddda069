"""Reads the segments of a JPEG before its scans: which of them make the picture, and which are metadata.

The worker makes content ids of them. The daemon compares two files by them when one of the two may be deleted, since it
does not believe the worker then. So this module decodes nothing, and yields no more of a file than MOST_BYTES.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

from blake3 import blake3

# Markers, ITU-T T.81 table B.1.
SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
DHT, DQT, DNL, DRI = 0xC4, 0xDB, 0xDC, 0xDD
APP0, APP1, APP2, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF
# Markers without a segment: stuffing, TEM, RST, SOI, EOI, fill.
ALONE: Final = frozenset((0x00, 0x01, *range(0xD0, 0xDA), 0xFF))

XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
XMP_EXTENSION: Final = b"http://ns.adobe.com/xmp/extension/\0"
XMP_MOST: Final = 1 << 16  # bytes of harmless XMP: depth, sound and a second picture take more
# Words that stand for a picture or sound inside of XMP.
HOLDERS: Final = re.compile(rb"G(?:Depth|Image|Audio):Data")
# Application segments that are no part of the picture, by how they begin. What stands in any other one is part of it:
# a thermal image, the residual of an HDR picture, depth, sound. Source: exiftool.org/TagNames/JPEG.html.
METADATA: Final = {
    APP0: (b"JFIF\0", b"JFXX\0", b"II\x1a\0\0\0HEAPJPGM", b"II\x0e\0\0\0HEAPJPGM", b"AVI1", b"Ocad"),
    APP1: (b"Exif\0", b"http://ns.adobe.com/xap/1.0", b"QVCI\0"),
    APP2: (b"MPF\0", b"FPXR\0", b"urn:iso:std:iso:ts:21496"),  # the pictures of an MPF follow the end of the first
    0xE3: (b"Meta\0", b"META\0", b"Exif\0"),  # Kodak
    0xE4: (b"SCALADO\0",),
    0xE5: (b"RMETA\0", b"ssuniqueid\0"),  # Ricoh, Samsung
    0xE6: (b"EPPIM\0", b"GoPro\0", b"TDHD"),
    0xE7: (b"PENTAX", b"HUAWEI", b"\x1aQualcomm"),
    0xE9: (b"Media Jukebox\0",),
    0xEA: (b"UNICODE\0", b"AROT"),
    0xEC: (b"Ducky", b"[picture info]", b"\r\n[picture info]", b"SEIKO", b"AGFA", b"OLYMPUS", b"Type="),
    APP13: (b"Photoshop 3.0\0", b"Adobe_Photoshop", b"Adobe_CM"),
    APP15: (b"Q ",),  # GraphicConverter
}
# Of these, what every program writes, or what only says where other pictures lie.
EMPTY_WORDS: Final = (b"JFIF\0", b"JFXX\0", b"MPF\0", b"AVI1", b"urn:iso")
MOST_BLOCKS: Final = 16
MOST_SEGMENTS: Final = 20_000  # 32 MiB of APP segments are 512
MOST_BYTES: Final = 32 << 20  # of segments before the picture: Pillow keeps all of them in memory


def segments(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield marker and body of each segment before the first SOS, and leave the file at that SOS.

    Raises:
        ValueError: the file does not begin as a JPEG, or has more before its picture than any program writes.
    """
    file.seek(0)
    if file.read(2) != bytes((0xFF, SOI)):
        raise ValueError("no SOI")
    left = MOST_BYTES
    for _ in range(MOST_SEGMENTS):
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in ALONE:
            raise ValueError("no marker where a segment should begin")
        if head[1] == SOS:
            file.seek(-4, os.SEEK_CUR)
            return
        size = int.from_bytes(head[2:], "big") - 2  # the length counts itself
        body = file.read(max(size, 0))
        left -= len(body)
        if len(body) != size or left < 0:
            raise ValueError("a segment longer than the file or too long, or of negative length")
        yield head[1], body
    raise ValueError("too many segments")


def has_jfif(kept: Iterable[tuple[int, bytes]]) -> bool:
    """Return whether there is a JFIF segment: it tells how the colours are stored."""
    return any(marker == APP0 and body.startswith(b"JFIF\0") for marker, body in kept)


def parts_of_picture(kept: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yield the segments that make the picture, in their order.

    These are all but comments and harmless application segments (`METADATA`). Adobe's APP14 and the ICC profile change the
    colours. Extended XMP counts if the XMP has 64 KB or more, or holds depth, sound or a second picture.
    """
    xmp = [body for marker, body in kept if marker == APP1 and body.startswith(b"http://ns.adobe.com/x")]
    extended = [body for body in xmp if body.startswith(XMP_EXTENSION)]
    is_large = sum(map(len, xmp)) >= XMP_MOST or bool(extended and HOLDERS.search(b"".join(extended)))
    for marker, body in kept:
        if marker == COM:
            continue
        if APP0 <= marker <= APP15 and is_metadata(marker, body) and not (body in xmp and HOLDERS.search(body)):
            continue
        if marker == APP1 and body.startswith(XMP_EXTENSION) and not is_large:
            continue
        yield marker, body


def is_metadata(marker: int, body: bytes) -> bool:
    """Return whether an application segment is no part of the picture, whatever it says."""
    return body.startswith(METADATA.get(marker, ())) or not body.strip(b"\0 ")


def blocks(kept: Iterable[tuple[int, bytes]]) -> tuple[int, tuple[int, ...]]:
    """Return the bytes of all metadata, and the sorted hash of each block of them.

    Args:
        kept: marker and body of each segment. Segments of one kind are one block.
    """
    kinds: dict[bytes, list[bytes]] = {}
    for marker, body in kept:
        harmless = marker == COM or is_metadata(marker, body) or body.startswith(XMP_EXTENSION)
        if harmless and body.strip(b"\0 ") and not body.startswith(EMPTY_WORDS):
            kind = body[:10] if marker == APP1 and not body.startswith(XMP_EXTENSION) else b""
            kinds.setdefault(bytes((marker,)) + kind, []).append(body)
    count = sum(len(body) for bodies in kinds.values() for body in bodies)
    hashes = sorted(blake3(kind[:1] + b"".join(bodies)).digest(4) for kind, bodies in kinds.items())
    if len(hashes) > MOST_BLOCKS:  # more kinds than any program writes: all of them together are one block
        hashes = [blake3(b"".join(hashes)).digest(4)]
    return count, tuple(int.from_bytes(one, "big") for one in hashes)
