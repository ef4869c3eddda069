"""Reads content id and header facts of a photo, without decoding it.

Imports Pillow, never torch. `decode` also opens photos by this module, so that both see a photo in the same way.
Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import math
import os
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from blake3 import blake3
from PIL import (  # noqa: F401  a plugin registers itself on import, which must come before the first hostile photo
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from pixkind.encoder.formats import HEIF, JXL, RAW
from pixkind.encoder.messages import Details, Inspected
from pixkind.encoder.worker.heif import check_whole
from pixkind.encoder.worker.jpeg_scans import is_buffered
from pixkind.encoder.worker.plugins import UNAVAILABLE
from pixkind.encoder.worker.sniff import BROKEN, SAID, WHOLE, File, extra_format
from pixkind.errors import PhotoError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer  # exists for type checkers only


# Without a list Pillow tries all its plugins, and EPS starts Ghostscript. "MPO" is not here: such files are opened as JPEG,
# and the name would be a KeyError.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000")
EXTRA_FORMATS: Final = {HEIF: ("HEIF",), JXL: ("JXL",)}

CHUNK_BYTES: Final = 1 << 20
MAX_CAMERA: Final = 100  # characters; a hostile tag may hold megabytes

# Markers, ITU-T T.81 table B.1.
SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APP0, APP2, APP14, APP15 = 0xE0, 0xE2, 0xEE, 0xEF
# Markers without a segment: stuffing, TEM, RST, SOI, EOI, fill.
ALONE: Final = frozenset((0x00, 0x01, *range(0xD0, 0xDA), 0xFF))

Image.MAX_IMAGE_PIXELS = None  # `open_image` has a limit of its own, with a sentence for users


class Descriptor(io.RawIOBase):
    """A photo's open descriptor as a file that owns it. It is read by pread alone.

    It has no `fileno`: libtiff would map the file, and reading a mapped file that shrinks is a SIGBUS.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor: closing the file closes it."""
        super().__init__()
        self._descriptor = descriptor
        self._offset = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer from the file; return the number of bytes, 0 at the end."""
        count = os.preadv(self._descriptor, [buffer], self._offset)
        self._offset += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset; return the new position."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset}.get(whence)
        if base is None:
            base = os.fstat(self._descriptor).st_size
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}")
        self._offset = base + offset
        return self._offset

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_photo(descriptor: int) -> io.BufferedReader:
    """Return the photo behind the descriptor as a buffered file, which owns the descriptor."""
    return io.BufferedReader(Descriptor(descriptor), 1 << 16)


def open_image(file: File, limit_mp: int) -> Image.Image:
    """Return the image with its header read and no pixel decoded; of a RAW photo, its preview. The caller closes it.

    Args:
        file: seekable; at any position.
        limit_mp: megapixels; a larger image is refused.

    Raises:
        PhotoError: no image, an empty file, a broken header, too many pixels, or a format without an installed decoder.
    """
    try:
        if not file.seek(0, os.SEEK_END):
            raise PhotoError("an empty file")
        has_scans = is_buffered(file)
        image = _open(file)
        if has_scans:
            image.info["progressive"] = 1  # as Pillow says only of some
    except UnidentifiedImageError as error:
        raise PhotoError("not an image of a known kind, or its header is broken") from error
    except MemoryError as error:
        raise PhotoError("not enough memory to open it") from error
    except BROKEN as error:
        raise PhotoError(complaint(error)) from error
    pixels = max(math.prod(image.size), math.prod(_whole(image)))
    if pixels > limit_mp * 1_000_000:
        image.close()
        raise PhotoError(f"{pixels / 1e6:,.0f} MP is over the limit of {limit_mp} MP (decode.limit_mp)")
    return image


def _open(file: File) -> Image.Image:
    one = extra_format(file)
    if one is None:
        return Image.open(file, formats=FORMATS)
    if one in UNAVAILABLE:
        raise PhotoError(UNAVAILABLE[one])
    if one is RAW:
        from pixkind.encoder.worker.raw import open_raw  # plugins.py has imported it if it is installed

        return open_raw(file)
    if one is HEIF:
        check_whole(file)
    return Image.open(file, formats=EXTRA_FORMATS[one])


def _whole(image: Image.Image) -> tuple[int, int]:
    """Return width and height of the photo, even if `image` is only its preview."""
    size: tuple[int, int] = image.info.get(WHOLE, image.size)
    return size


def complaint(error: Exception) -> str:
    """Return an error of Pillow, or of the disk, as a sentence for users."""
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {error.strerror}"
    return f"broken: {str(error) or type(error).__name__}"[:300]


def orientation(image: Image.Image) -> int:
    """Return the orientation of a picture, 1 to 8, from EXIF, else from XMP; 1 if neither has it."""
    if image.format == "JXL":  # ISO/IEC 18181-2: its EXIF does not count, and libjxl has applied the orientation
        return 1
    try:
        # Not `image.getexif()`, which decodes all pixels of a PNG without EXIF.
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except BROKEN:  # broken metadata do not harm the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def inspect(file: File, *, job: int, limit_mp: int) -> Inspected:
    """Return the content id of a photo and what its header says.

    Raises:
        PhotoError: as `open_image`, or the photo is an unfinished JPEG.
    """
    with open_image(file, limit_mp) as image:
        upright = orientation(image)
        taken_s, camera = _exif(image)
        try:
            check_finished(file)
            content = content_id(file, upright)
        except OSError as error:
            raise PhotoError(complaint(error)) from error
        return Inspected(job, content, *_whole(image), Details(taken_s, camera))


def content_id(file: File, upright: int) -> bytes:
    """Return the 16 bytes that identify the picture, whatever its metadata say: a BLAKE3 hash.

    For a JPEG it covers, in this order:

    - b"jpeg", the orientation, and whether there is a JFIF segment;
    - the segments before the first SOS, without COM and APPn. APP14 Adobe and APP2 ICC_PROFILE are included, since they
      change the colours, as JFIF does;
    - everything from the first SOS on.

    For any other file, and for a JPEG that cannot be parsed, it covers b"file" and the whole file.

    Args:
        file: seekable; at any position.
        upright: the orientation, 1 to 8.
    """
    digest = blake3()
    try:
        kept = list(_segments(file))
    except ValueError:
        digest.update(b"file")
        file.seek(0)
    else:
        jfif = any(marker == APP0 and body.startswith(b"JFIF\0") for marker, body in kept)
        digest.update(b"jpeg" + bytes((upright, jfif)))
        for marker, body in kept:
            if _makes_the_picture(marker, body):
                digest.update(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
    for chunk in _chunks(file):
        digest.update(chunk)
    return digest.digest(16)


def check_finished(file: File) -> None:
    """Refuse a JPEG that ends in zeros instead of EOI: it was preallocated, and is still being written.

    9 of 100 such files decode without an error. After the EOI of a finished one there may be zeros, or a film.

    Raises:
        PhotoError: the JPEG is unfinished.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - 2))
    if file.read(2) != b"\0\0":
        return
    try:
        for _ in _segments(file):
            pass
    except ValueError:
        file.seek(0)
        if file.read(2) != bytes((0xFF, SOI)):
            return  # no JPEG
    last = b""
    for chunk in _chunks(file):
        # These two bytes cannot be in compressed data, which has a zero after 0xFF.
        if bytes((0xFF, EOI)) in last + bytes(chunk):
            return
        last = bytes(chunk[-1:])
    raise PhotoError("unfinished: ends in zeros instead of a JPEG's end marker")


def _segments(file: File) -> Iterator[tuple[int, bytes]]:
    """Yield marker and body of each segment before the first SOS, and leave the file at that SOS.

    Raises:
        ValueError: the file does not begin as a JPEG.
    """
    file.seek(0)
    if file.read(2) != bytes((0xFF, SOI)):
        raise ValueError("no SOI")
    while True:
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in ALONE:
            raise ValueError("no marker where a segment should begin")
        if head[1] == SOS:
            file.seek(-4, os.SEEK_CUR)
            return
        size = int.from_bytes(head[2:], "big") - 2  # the length counts itself
        body = file.read(max(size, 0))
        if len(body) != size:
            raise ValueError("a segment longer than the file, or of negative length")
        yield head[1], body


def _makes_the_picture(marker: int, body: bytes) -> bool:
    if marker == APP14:
        return body.startswith(b"Adobe")
    if marker == APP2:
        return body.startswith(b"ICC_PROFILE\0")
    return marker != COM and not APP0 <= marker <= APP15


def _chunks(file: File) -> Iterator[memoryview]:
    """Yield the rest of the file in chunks. They share one buffer: each is valid until the next one."""
    view = memoryview(bytearray(CHUNK_BYTES))
    while count := file.readinto(view):
        yield view[:count]


def _exif(image: Image.Image) -> tuple[int, str]:
    """Return when the photo was taken (epoch seconds, 0 unknown) and by which camera ("" unknown)."""
    try:
        exif = image.info.get(SAID) or Image.Image.getexif(image)
        said = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        if not said and WHOLE in image.info:  # LibRaw writes this one for the camera; no program edits a RAW photo
            said = exif.get(ExifTags.Base.DateTime)
        camera = _camera(exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model))
    except BROKEN:
        return 0, ""
    try:
        year, month, day, hour, minute, second = map(int, re.findall(r"\d+", str(said))[:6])
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()), camera
    except (ValueError, OverflowError):
        return 0, camera


def _camera(make: object, model: object) -> str:
    # Printable characters only: it is shown in terminals.
    maker, name = (
        " ".join(re.findall(r"[!-~\u00a1-\uffff]+", said if isinstance(said, str) else "")) for said in (make, model)
    )
    brand = maker.split(" ", 1)[0].lower()
    return (name if brand and name.lower().startswith(brand) else f"{maker} {name}".strip())[:MAX_CAMERA]
