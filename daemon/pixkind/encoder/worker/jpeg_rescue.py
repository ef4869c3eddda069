"""Decodes a JPEG without an end marker, and finds out how many of its last rows are missing.

Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import os
from collections.abc import Callable
from typing import IO, Final

import numpy as np
from PIL import Image

from pixkind.encoder.jpeg_segments import EOI, SOI
from pixkind.encoder.worker.isobmff import read
from pixkind.encoder.worker.jpeg import scans
from pixkind.encoder.worker.jpeg_scans import check_scans
from pixkind.errors import PhotoError

MOST_RESCUED: Final = 1 << 26  # bytes of a picture without an end that are read
LAST_ROWS: Final = 8  # a picture that lacks an eighth of its rows, or more, is refused
NOISE_BYTES: Final = 1 << 16
STRIP_ROWS: Final = 64  # that are compared at once


def lacks_end(file: IO[bytes]) -> bool:
    """Return whether a file is a JPEG without an end marker, which is rescued. `file` is at any position."""
    end = file.seek(0, os.SEEK_END)
    if read(file, 0, 2) != bytes((0xFF, SOI)) or read(file, max(0, end - 2), 2) == bytes((0xFF, EOI)):
        return False
    try:
        return not scans(file).is_closed
    except ValueError:  # it begins unlike a JPEG; its decoder decides
        return False


def rescue(file: IO[bytes], prepare: Callable[[Image.Image], object]) -> tuple[Image.Image, int]:
    """Decode a JPEG without an end marker. Return it, loaded, and how many of its last rows are missing.

    Panoramas of Samsung have all their pixels, and no end marker. To see which rows a file has, the rest is decoded twice:
    as nothing, and as noise. Missing rows repeat the last one that is there.

    Args:
        file: the photo.
        prepare: chooses the scale of the opened image.

    Raises:
        PhotoError: more than the last rows is missing, or it has more scans than any program writes.
        OSError: it is broken.
        ValueError: it is no JPEG.
    """
    check_scans(file)
    found = scans(file)
    if found.end > MOST_RESCUED or not found.is_whole:
        raise PhotoError("truncated: a part of the picture is missing")
    data = read(file, 0, found.end - 2 if found.is_closed else found.end)
    noise = bytes(1 + number * 89 % 251 for number in range(NOISE_BYTES))
    image, other = (_load(data + rest + bytes((0xFF, EOI)), prepare) for rest in (b"", noise))
    missing = _differing(image, other)
    if missing * LAST_ROWS > image.height:
        raise PhotoError(f"truncated: the last {max(1, 100 * missing // image.height)} % of the picture are missing")
    if missing:
        last = image.crop((0, image.height - missing - 1, image.width, image.height - missing))
        image.paste(last.resize((image.width, missing)), (0, image.height - missing))
    return image, missing


def _differing(image: Image.Image, other: Image.Image) -> int:
    """Return how many of the last rows differ, compared in strips: a copy of both pictures would take as much memory as they do."""
    for top in range(0, image.height, STRIP_ROWS):
        strip = (0, top, image.width, min(top + STRIP_ROWS, image.height))
        differs = np.asarray(image.crop(strip)) != np.asarray(other.crop(strip))
        if differs.any():
            return image.height - top - int(differs.reshape(len(differs), -1).any(axis=1).argmax())
    return 0


def _load(data: bytes, prepare: Callable[[Image.Image], object]) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=("JPEG",))
    prepare(image)
    image.load()
    return image
