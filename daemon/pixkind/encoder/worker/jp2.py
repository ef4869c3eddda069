"""JPEG 2000 for Pillow, whose own plugin does not know all palettes. Source: ISO/IEC 15444-1, annexes A and I.

Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import os
from typing import IO, Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, Jpeg2KImagePlugin

from pixkind.encoder.worker.isobmff import boxes, read
from pixkind.encoder.worker.jpeg2000 import codestream
from pixkind.encoder.worker.sniff import BITS
from pixkind.encoder.worker.splice import Spliced
from pixkind.errors import PhotoError

SIGNATURE: Final = b"\0\0\0\x0cjP  \r\n\x87\n"
EXIF_ID: Final = b"JpgTiffExif->JP2"
XMP_ID: Final = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
MOST_METADATA: Final = 1 << 18  # bytes of a box
MOST_PALETTE: Final = 1 << 14  # bytes: 1,024 entries are allowed
PALETTE: Final = (
    "pixkin_palette"  # in the `info` of the image: the palette, and by how many bits its indices are shifted
)


class Jpeg2KIndices(Jpeg2KImagePlugin.Jpeg2KImageFile):
    """The indices of a picture with a palette. They cannot be decoded at a part of their size."""

    @property  # type: ignore[override]  # Pillow's own plugin makes a property of the method, too
    def reduce(self) -> int:
        """Return 0: it is never reduced."""
        return 0

    @reduce.setter
    def reduce(self, _: int) -> None:
        pass


def check_finished(file: IO[bytes]) -> None:
    """Refuse a JPEG 2000 whose codestream lies beyond the end of the file, or ends in zeros.

    Raises:
        PhotoError: the photo is truncated or unfinished.
    """
    end = file.seek(0, os.SEEK_END)
    stream = codestream(file)
    if stream.at + stream.size > end:
        raise PhotoError("truncated: a part of the picture lies beyond its end")
    # Its last two bytes are a marker.
    if read(file, stream.at + stream.size - 2, 2) == b"\0\0":
        raise PhotoError("unfinished: zeros where the picture ends")


def open_jp2(file: IO[bytes]) -> Image.Image:
    """Return the image with its header read, and its metadata in its `info`."""
    file.seek(0)
    image = cast("Jpeg2KImagePlugin.Jpeg2KImageFile", Image.open(file, formats=("JPEG2000",)))
    palette: NDArray[np.uint8] | None = None
    for box in boxes(file) if read(file, 0, len(SIGNATURE)) == SIGNATURE else ():
        if box.name == b"jp2h":
            for inner in boxes(file, box.at, box.at + box.size):
                if inner.name == b"pclr":
                    palette = _palette(read(file, inner.at, min(inner.size, MOST_PALETTE)))
        elif box.name == b"uuid":
            name, body = read(file, box.at, 16), read(file, box.at + 16, min(box.size - 16, MOST_METADATA))
            if name == EXIF_ID:
                image.info["exif"] = body
            elif name == XMP_ID:
                image.info["xmp"] = body
    stream = codestream(file)
    head = read(file, stream.at, 1 << 12)
    image.info[BITS] = bits = (head[42] & 0x7F) + 1 if len(head) > 42 else 8
    if palette is not None:
        # Pillow knows no palette of more than 8 bits, and drops the entries that are there twice. The codestream has none.
        bare = io.BufferedReader(Spliced(b"", file, stream.at, stream.size, b""), 1 << 16)
        image, info = Jpeg2KIndices(bare), image.info
        image.info |= info
        image.info[PALETTE] = (palette, (16 if image.mode.startswith("I") else 8) - bits)
    return image


def _palette(body: bytes) -> NDArray[np.uint8]:
    """Return the palette in 8 bits: (entries, channels). Source: ISO/IEC 15444-1, section I.5.3.4."""
    count, channels = int.from_bytes(body[:2], "big"), body[2]
    depths = [(depth & 0x7F) + 1 for depth in body[3 : 3 + channels]]
    values, at = np.zeros((count, channels), np.uint8), 3 + channels
    for entry in range(count):
        for channel, depth in enumerate(depths):
            size = -(-depth // 8)
            value = int.from_bytes(body[at : at + size], "big")
            values[entry, channel] = (value >> (depth - 8) if depth > 8 else value << (8 - depth)) & 0xFF
            at += size
    return values
