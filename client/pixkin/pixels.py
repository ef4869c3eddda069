"""Pictures that a program holds, as the bytes of image files.

Images of Pillow and arrays of numpy are recognised by what they are; neither library is imported.
"""

import io
import struct
import sys
import zlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

from pixkin.errors import InputUnreadable
from pixkin.protocol import requests

TOO_LARGE: Final = f"the images are too large: at most {requests.MAX_IMAGES >> 20} MiB together"
_ORIENTATION: Final = 0x0112  # the tag of EXIF
_ARRAY: Final = "an image is an array of uint8: H x W, H x W x 3 (RGB) or H x W x 4 (RGB and alpha)"
_KINDS: Final = {1: 0, 3: 2, 4: 6}  # the colour type of a PNG, by the number of channels
_KEPT: Final = {"1", "L", "LA", "P", "RGB", "RGBA"}  # modes of Pillow that a PNG has without loss
# What others are converted to, as the daemon does with a file; those without an entry become RGB.
_WITH_ALPHA: Final = {"La": "LA", "PA": "RGBA", "RGBa": "RGBA"}


class Pixels(Protocol):
    """An image of Pillow, or an array of numpy."""

    @property
    def __array_interface__(self) -> Mapping[str, Any]:
        """What both have."""


class Readable(Protocol):
    """An open binary file, or anything else that can be read as one."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; fewer at the end."""


Content = bytes | bytearray | memoryview | Pixels | Readable


def content_of(source: Content, most: int) -> bytes:
    """Return the bytes of an image file that shows what `source` holds.

    Args:
        source: the bytes of a file, an open file, an image of Pillow, or an array.
        most: bytes.

    Raises:
        InputUnreadable: there are no bytes, or too many; the file cannot be read, or was opened as text; the image cannot
            be decoded; the array has no shape or type of an image.
        TypeError: it is nothing of these.
    """
    data = _encoded(source, most)
    if not data:
        raise InputUnreadable("the image has no bytes")
    if len(data) > most:
        raise InputUnreadable(TOO_LARGE)
    return data


def _encoded(source: Content, most: int) -> bytes:
    if isinstance(source, bytes):
        return source
    if (pillow := sys.modules.get("PIL.Image")) and isinstance(source, pillow.Image):
        return _of_pillow(source)
    try:
        view = memoryview(source)  # type: ignore[arg-type]  # the answer is whether it can be one
    except (TypeError, ValueError):  # ValueError: an array of dates
        if not hasattr(source, "read"):
            raise TypeError(f"an image cannot be of the type {type(source).__name__}") from None
        return _read(source, most)
    if view.nbytes > most:  # no smaller as a PNG; copies of it could take all memory
        raise InputUnreadable(TOO_LARGE)
    if view.ndim == 1 and view.itemsize == 1:
        return view.tobytes()  # of a file
    return _of_array(view)


def _of_pillow(image: Any) -> bytes:  # noqa: ANN401  its class is not imported
    """Return the image as PNG; of 16 bits and more, or of floats, as TIFF. Colour profile and orientation stay with it."""
    file = io.BytesIO()
    try:
        image.load()
        turned = image.getexif()
        exif = type(turned)()  # without the rest: it may be broken, and the daemon does not need it
        way = turned.get(_ORIENTATION)
        if isinstance(way, int) and 1 <= way <= 8:  # Pillow cannot write every other value
            exif[_ORIENTATION] = way
        if image.mode.startswith(("I", "F")):
            image.save(file, "TIFF", exif=exif)
        else:
            plain = image if image.mode in _KEPT else image.convert(_WITH_ALPHA.get(image.mode, "RGB"))
            # Level 1: 12 megapixels take 1.3 s and 20 MB, with level 6 5 s and 17 MB.
            plain.save(file, "PNG", exif=exif, compress_level=1)
    except (OSError, SyntaxError, TypeError, ValueError, struct.error) as error:
        raise InputUnreadable(f"the image cannot be encoded: {error}") from error
    return file.getvalue()


def _of_array(pixels: memoryview) -> bytes:
    """Return an array as PNG. Source: Portable Network Graphics, third edition."""
    shape = pixels.shape or ()
    height, width, channels = shape if len(shape) == 3 else (*shape, 1) if len(shape) == 2 else (0, 0, 0)
    if pixels.format != "B" or not height or not width or channels not in _KINDS:
        words = " x ".join(map(str, shape)) or "no"
        kind = getattr(pixels.obj, "dtype", pixels.format)
        raise InputUnreadable(f"an array of {words} values of the type {kind} is no image", _ARRAY)
    data, row = pixels.tobytes(), width * channels
    # Not compressed: without filters it would shrink by a tenth, and 12 megapixels would take 1.2 s instead of 0.3 s.
    packed = zlib.compress(b"".join(b"\0" + data[at : at + row] for at in range(0, len(data), row)), 0)
    header = struct.pack(">IIBB3x", width, height, 8, _KINDS[channels])
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _read(file: Any, most: int) -> bytes:  # noqa: ANN401  whatever has `read`
    data = bytearray()
    try:
        while len(data) <= most and (part := file.read(most + 1 - len(data))):  # from a network it comes in parts
            if not isinstance(part, bytes):
                raise InputUnreadable(f"reading the file gives {type(part).__name__}, not bytes", "open it as 'rb'")
            data += part
    except OSError as error:
        raise InputUnreadable(f"the file cannot be read: {(error.strerror or str(error)).lower()}") from error
    return bytes(data)
