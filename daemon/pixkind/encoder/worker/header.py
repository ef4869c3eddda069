"""Reads content id and header facts of a photo, without decoding it.

Imports Pillow, never torch. `decode` also opens photos by this module, so that both see a photo in the same way.
Runs in the worker's decode threads; no state is shared between calls.
"""

import io
import math
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
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

from pixkind.encoder import jpeg_segments
from pixkind.encoder.formats import HEIF, JXL, RAW
from pixkind.encoder.messages import Inspected
from pixkind.encoder.worker import (  # noqa: F401  avif and tiff register themselves, too
    avif,
    heif,
    jp2,
    jpeg,
    jpeg2000,
    jpeg_rescue,
    png,
    riff,
    sniff,
    tiff,
)
from pixkind.encoder.worker.details import details
from pixkind.encoder.worker.heif import check_whole
from pixkind.encoder.worker.jpeg_scans import is_buffered
from pixkind.encoder.worker.plugins import UNAVAILABLE
from pixkind.encoder.worker.sniff import BROKEN, CODED, WHOLE, File, extra_format
from pixkind.encoder.worker.splice import SeekableFile
from pixkind.errors import PhotoError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer  # exists for type checkers only


# Without a list Pillow tries all its plugins, and EPS starts Ghostscript. "MPO" is not here: such files are opened as JPEG,
# and the name would be a KeyError.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000")
EXTRA_FORMATS: Final = {HEIF: ("HEIF",), JXL: ("JXL",)}

CHUNK_BYTES: Final = 1 << 20
# A photo of so many bytes at most is read at once: to seek in it takes no time then, and its price in memory is negligible.
SMALL_BYTES: Final = 1 << 20
MOST_PROGRESSIVE: Final = 4_000_000  # pixels of a progressive JPEG that are decoded to inspect it
# Files of other kinds, by what stands at an offset. Whoever reads that they are broken looks for a fault of the drive.
KINDS: Final = (
    ((0, b"8BPS"), "a Photoshop document"),
    ((0, b"%PDF"), "a PDF document"),
    ((0, b"gimp xcf"), "a GIMP picture"),
    ((0, b"v/1\x01"), "an OpenEXR picture"),
    ((0, b"#?RADIANCE"), "a Radiance picture"),
    ((0, b"II\xbc"), "a JPEG XR"),
    ((0, b"DDS "), "a DirectDraw picture"),
    ((0, b"\0\0\1\0"), "an icon"),
    ((0, b"<svg"), "an SVG drawing"),
    ((0, b"<?xml"), "an XML document"),
    ((0, b"PK\3\4"), "a ZIP archive"),
    ((0, b"BPG\xfb"), "a BPG picture"),
    ((0, b"qoif"), "a QOI picture"),
    ((4, b"ftypqt"), "a film"),
    ((4, b"ftypmp4"), "a film"),
    ((4, b"ftypisom"), "a film"),
    ((4, b"ftypM4V"), "a film"),
    ((4, b"ftyp3gp"), "a film"),
    ((0, b"\x1aE\xdf\xa3"), "a film"),
    ((8, b"AVI "), "a film"),
)

Image.MAX_IMAGE_PIXELS = None  # `open_image` has a limit of its own, with a sentence for users


class Descriptor(SeekableFile):
    """A photo's open descriptor as a file that owns it. It is read by pread alone.

    It has no `fileno`: libtiff would map the file, and reading a mapped file that shrinks is a SIGBUS.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor: closing the file closes it."""
        super().__init__()
        self._descriptor = descriptor

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer from the file; return the number of bytes, 0 at the end."""
        count = os.preadv(self._descriptor, [buffer], self._offset)
        self._offset += count
        return count

    @property
    def _bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def open_photo(descriptor: int) -> File:
    """Return the photo behind the descriptor as a file, which owns the descriptor. A small photo is read at once."""
    data = b""
    with suppress(OSError):  # whoever reads the file meets the error again, and reports it
        size = os.fstat(descriptor).st_size
        data = os.pread(descriptor, size, 0) if 0 < size <= SMALL_BYTES else b""
        if len(data) < size:  # large, or it has just shrunk
            data = b""
    if not data:
        return io.BufferedReader(Descriptor(descriptor), 1 << 16)
    os.close(descriptor)
    return io.BytesIO(data)


def open_image(file: File, limit_mp: int, page: int = 0) -> Image.Image:
    """Return the image with its header read and no pixel decoded; of a RAW photo, its preview. The caller closes it.

    Args:
        file: seekable; at any position.
        limit_mp: megapixels; a larger image is refused.
        page: the number of a further page; 0: the picture that the photo shows.

    Raises:
        PhotoError: no image, no such page, an empty file, a broken header, too many pixels, or a format without an installed decoder.
    """
    try:
        if not file.seek(0, os.SEEK_END):
            raise PhotoError("an empty file")
        has_scans = is_buffered(file)
        image = _open(file)
        if page:
            _turn(image, page)
        if has_scans:
            image.info["progressive"] = 1  # as Pillow says only of some
    except UnidentifiedImageError as error:
        raise PhotoError(_unread(file)) from error
    except MemoryError as error:
        raise PhotoError("not enough memory to open it") from error
    except BROKEN as error:
        raise PhotoError(complaint(error)) from error
    pixels = max(math.prod(size) for size in (image.size, _whole(image), image.info.get(CODED, ())))
    if pixels > limit_mp * 1_000_000:
        image.close()
        raise PhotoError(f"{pixels / 1e6:,.0f} MP is over the limit of {limit_mp} MP (decode.limit_mp)")
    return image


def _open(file: File) -> Image.Image:
    one = extra_format(file)
    file.seek(0)
    head = file.read(len(jp2.SIGNATURE))
    if head.startswith(png.SIGNATURE):
        return png.open_png(file)
    if head.startswith((jp2.SIGNATURE, jpeg2000.CODESTREAM)):
        return jp2.open_jp2(file)
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


def _unread(file: File) -> str:
    """Return why a file cannot be opened that no decoder knows."""
    file.seek(0)
    head = file.read(sniff.HEAD_BYTES)
    kind = next((name for start, name in KINDS if head[start[0] :].startswith(start[1])), "")
    with suppress(*BROKEN):
        kind = kind or jpeg.unread_kind(file) or (heif.unread_kind(file) if head[4:8] == b"ftyp" else "")
    return f"{kind}, which pixkin does not read" if kind else "not an image of a known kind, or its header is broken"


def _turn(image: Image.Image, page: int) -> None:
    """Turn to a further page.

    Raises:
        PhotoError: there is no such page.
    """
    if not isinstance(image, tiff.TiffFile):
        raise PhotoError("it has no such page")
    image.turn(page)


def _pages(image: Image.Image) -> int:
    """Return how many pages get a vector each. The frames of an animation, and the pictures of a HEIF, are no pages."""
    return max(1, len(image.pages)) if isinstance(image, tiff.TiffFile) else 1


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
        PhotoError: as `open_image`, or the photo is unfinished, or lacks more than its last rows.
    """
    with open_image(file, limit_mp) as image:
        try:
            check_finished(file)
            damaged = _is_damaged(file, image)
            content = content_id(file, orientation(image))
        except BROKEN as error:
            raise PhotoError(complaint(error)) from error
        said = details(file, image, damaged=damaged)
        return Inspected(job, content, *_whole(image), said, pages=_pages(image))


def _is_damaged(file: File, image: Image.Image) -> bool:
    """Return whether the last rows of the picture are missing.

    Only a JPEG without an end marker is decoded for it, at an eighth of its size; a progressive one in full, since what its
    last scans add is not seen in an eighth.
    """
    if image.info.get(png.IS_CUT):
        return True
    if image.format not in {"JPEG", "MPO"} or WHOLE in image.info or not jpeg_rescue.lacks_end(file):
        return False
    is_progressive = "progressive" in image.info
    if is_progressive and math.prod(image.size) > MOST_PROGRESSIVE:
        return True
    factor = 1 if is_progressive else 8
    rescued, missing = jpeg_rescue.rescue(
        file, lambda one: one.draft(one.mode, (one.width // factor, one.height // factor))
    )
    rescued.close()
    return missing > 0


def content_id(file: File, upright: int) -> bytes:
    """Return the 16 bytes that identify the picture, whatever its metadata say: a BLAKE3 hash.

    For a JPEG it covers, in this order:

    - b"jpeg", the orientation, and whether there is a JFIF segment;
    - the segments before the first SOS that make the picture, see `jpeg_segments.parts_of_picture`;
    - everything from the first SOS on, and so everything that is attached to the file.

    For any other file, and for a JPEG that cannot be parsed, it covers b"file" and the whole file.

    Args:
        file: seekable; at any position.
        upright: the orientation, 1 to 8.
    """
    digest = blake3()
    try:
        kept = list(jpeg_segments.segments(file))
    except ValueError:
        digest.update(b"file")
        file.seek(0)
    else:
        digest.update(b"jpeg" + bytes((upright, jpeg_segments.has_jfif(kept))))
        for marker, body in jpeg_segments.parts_of_picture(kept):
            digest.update(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
    for chunk in _chunks(file):
        digest.update(chunk)
    return digest.digest(16)


def check_finished(file: File) -> None:
    """Refuse a photo that ends in zeros: it was preallocated, and is still being written. AVIF, JPEG, JPEG 2000 and WebP show it.

    Raises:
        PhotoError: the photo is unfinished or truncated.
    """
    file.seek(0)
    head = file.read(len(jp2.SIGNATURE))
    if head.startswith(bytes((0xFF, jpeg_segments.SOI))):
        jpeg.check_finished(file)
    elif head.startswith((jp2.SIGNATURE, jpeg2000.CODESTREAM)):
        jp2.check_finished(file)
    elif head[4:12] in (b"ftypavif", b"ftypmif1"):
        heif.check_whole(file)
    elif head.startswith(b"RIFF") and head[8:] == b"WEBP":
        riff.check_finished(file)


def _chunks(file: File) -> Iterator[memoryview]:
    """Yield the rest of the file in chunks. They share one buffer: each is valid until the next one."""
    if isinstance(file, io.BytesIO):
        yield memoryview(file.getvalue())[file.tell() :]
        return
    view = memoryview(bytearray(CHUNK_BYTES))
    while count := file.readinto(view):
        yield view[:count]
