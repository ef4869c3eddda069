"""Recognises the formats that need more than Pillow, by the content of a file, never by its name.

Reads a few hundred bytes, and decodes nothing. Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Final

from pixkind.encoder.formats import HEIF, JXL, RAW, PhotoFormat
from pixkind.encoder.worker.ifd import (
    DNG_VERSION,
    FEW_VALUES,
    PHOTOMETRIC,
    STARTS,
    Directory,
    directories,
    sub_directories,
)

File = io.BufferedReader | io.BytesIO  # a photo: seekable, binary

# Exceptions that Pillow's parsers are known to raise on broken bytes; its documentation has no list.
BROKEN: Final = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)
WHOLE: Final = "pixkin_whole"  # in the `info` of the image of a RAW photo: width and height of that photo
SAID: Final = "pixkin_exif"  # likewise: the photo's own EXIF, if it has any
CODED: Final = "pixkin_coded"  # of an AVIF that is cut when it is loaded: width and height of what is decoded
# In the `info` of an image, where they are known: the bits of a channel, and the number of pages or frames.
BITS, PAGES = "pixkin_bits", "pixkin_pages"

HEAD_BYTES: Final = 64
JXL_BOX: Final = b"\0\0\0\x0cJXL \r\n\x87\n"  # ISO/IEC 18181-2: the container's first box
JXL_CODESTREAM: Final = b"\xff\x0a"
# ISO/IEC 23008-12: single images and sequences in HEVC. AVIF files have its general brands, mif1 and msf1, too.
HEIF_BRANDS: Final = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
AVIF_BRANDS: Final = frozenset((b"avif", b"avis"))
GENERAL_BRANDS: Final = frozenset((b"mif1", b"mif2", b"msf1"))
# RAW files that do not begin as a TIFF: Fujifilm, Panasonic, Olympus, Canon before 2004, Minolta, Sigma.
RAW_STARTS: Final = (
    b"FUJIFILMCCD-RAW",
    *(b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"II\x1a\0\0\0HEAPCCDR", b"\0MRM", b"FOVb"),
)
SENSOR: Final = frozenset((32803, 34892))  # photometric interpretations: a colour filter array, linear raw
MOST_IFDS: Final = 24  # a NEF has about 6


def extra_format(file: File) -> PhotoFormat | None:
    """Return the format of the photo if Pillow needs another package to read it; None for any other format.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if head.startswith((JXL_BOX, JXL_CODESTREAM)):
        return JXL
    if head[4:8] == b"ftyp":
        brands = [head[at : at + 4] for at in (8, *range(16, min(len(head), int.from_bytes(head[:4], "big")), 4))]
        if brands[0] == b"crx ":  # Canon since 2018
            return RAW
        if HEIF_BRANDS.intersection(brands) or (brands[0] in GENERAL_BRANDS and not AVIF_BRANDS.intersection(brands)):
            return HEIF
    return RAW if head.startswith(RAW_STARTS) or _is_raw_tiff(file, head) else None


def _is_raw_tiff(file: File, head: bytes) -> bool:
    """Return whether this is a TIFF with sensor data, as most RAW photos are.

    Pillow would open its sensor data as an ordinary picture, or its thumbnail.
    """
    if head[:4] not in STARTS or len(head) < 10:
        return False
    if head[8:10] == b"CR" or head[8:12] in (b"IIII", b"MMMM"):  # Canon until 2018, Phase One
        return True
    return any(DNG_VERSION in one.tags or SENSOR.intersection(one.tags.get(PHOTOMETRIC, ())) for one in tree(file))


def tree(file: IO[bytes], values: int = FEW_VALUES) -> Iterator[Directory]:
    """Yield the first directories of a TIFF, and those below them; `values`: see `directories`."""
    for one in directories(file, MOST_IFDS, values):
        yield one
        yield from sub_directories(file, one, values)
