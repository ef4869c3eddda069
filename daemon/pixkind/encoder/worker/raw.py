"""Reads camera RAW by rawpy, which is LibRaw: as the preview that the camera has stored with the sensor's data.

A RAW photo without a large enough preview is developed, at half its size. Runs in the worker's decode threads.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import rawpy
from PIL import ExifTags, Image

from pixkind.encoder.worker.ifd import COMPRESSION, DNG_VERSION, MOST_VALUES, PHOTOMETRIC, STARTS, Directory
from pixkind.encoder.worker.isobmff import boxes, read
from pixkind.encoder.worker.jpeg_scans import is_buffered
from pixkind.encoder.worker.sniff import BITS, BROKEN, SAID, WHOLE, File, tree
from pixkind.errors import PhotoError

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess  # exists for type checkers only


SHORT: Final = 256  # pixels, the least shorter side of a preview: a smaller one would be enlarged for the network
SENSOR_BITS: Final = 16  # as LibRaw gives them; to know how many a sensor has, all of its data would be unpacked
ORIENTATIONS: Final = (1, 2, 4, 3, 5, 8, 6, 7)  # of EXIF, for each of LibRaw's flips
PLAIN: Final = 1  # compression: none
MOSAIC: Final = 32803  # photometric interpretation: what a sensor saw, one colour for each pixel
START_BYTES: Final = 64
LAST_BYTES: Final = 4096  # of sensor data that are not compressed
SLACK: Final = 50  # of a fiftieth of its sensor data a camera may be wrong; a DNG may not
MISSING: Final = "truncated: a part of the raw data lies beyond its end"
UNFINISHED: Final = "unfinished: zeros where the raw data should be"


class Undeveloped(Image.Image):
    """A RAW photo that is developed when it is loaded: upright, at half its size."""

    format = "RAW"

    def __init__(self, raw: rawpy.RawPy) -> None:
        """Take over the opened photo. Raises the errors of LibRaw, which unpacks the sensor's data."""
        super().__init__()
        self._raw: rawpy.RawPy | None = raw
        self._size = (raw.sizes.width, raw.sizes.height)
        self._mode = "RGB"
        # Of memory, with the file's own values. A sensor that has three colours for each pixel takes more.
        self.pixel_bytes = 5 if raw.raw_type == rawpy.RawType.Flat else 20

    def load(self) -> "PixelAccess | None":
        """Develop it, once."""
        if self._raw is not None:
            with _complaints():
                pixels = self._raw.postprocess(half_size=True, use_camera_wb=True)
            self.close()
            developed = Image.fromarray(pixels)
            self.im, self._mode, self._size = developed.im, developed.mode, developed.size
        return super().load()

    def close(self) -> None:
        """Free its memory."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None


def open_raw(file: File) -> Image.Image:
    """Return the preview of a RAW photo, or an `Undeveloped`. No pixel is decoded yet. The caller closes the image.

    Raises:
        PhotoError: LibRaw does not know the format.
        MemoryError: there is too little memory for the file.
        RuntimeError: LibRaw reports another error.
        OSError: the file cannot be read, or the preview is no JPEG.
    """
    _check_whole(file)
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    with _complaints():
        # `end` is given: `read()` alone would have the file in memory twice.
        raw = rawpy.imread(io.BytesIO(file.read(end)))
        # Nothing that unpacks the sensor's data may come before: rawpy then frees the file, and LibRaw reads the preview from it.
        sizes, image = raw.sizes, _preview(raw)
        if image is None:
            image = Undeveloped(raw)
        else:
            raw.close()
    image.info[WHOLE] = (sizes.width, sizes.height)
    image.info[BITS] = SENSOR_BITS
    file.seek(0)
    if file.read(4) in STARTS:
        file.seek(0)
        image.info[SAID] = said = Image.Exif()
        with suppress(*BROKEN):  # broken metadata do not harm the picture
            said.load_from_fp(file)
    return image


def _check_whole(file: File) -> None:
    """Refuse a RAW photo in which sensor data are missing, or are zeros.

    LibRaw would develop it in black, or in whatever was in memory, or its preview would hide that they are missing.

    Raises:
        PhotoError: the photo is truncated or unfinished.
    """
    end = file.seek(0, os.SEEK_END)
    head = read(file, 0, 108)
    if head[4:8] == b"ftyp":
        if any(box.at + box.size > end for box in boxes(file)):
            raise PhotoError(MISSING)
    elif head.startswith(b"FUJIFILM"):
        # The preview, the tags and the sensor data: offset and length of each.
        numbers = [int.from_bytes(head[at : at + 4], "big") for at in range(84, 108, 4)]
        if any(sum(numbers[at : at + 2]) > end for at in (0, 2, 4)):
            raise PhotoError(MISSING)
    found = list(tree(file, MOST_VALUES))
    is_dng = any(DNG_VERSION in one.tags for one in found)
    for one in found:
        parts = [(at, size) for at, size in one.parts() if at and size]
        beyond = sum(max(0, min(size, at + size - end)) for at, size in parts)
        if beyond and (is_dng or beyond * SLACK > sum(size for _, size in parts)):
            raise PhotoError(MISSING)
        if is_dng and parts and len(parts) < one.least_parts:
            raise PhotoError(MISSING)
        if is_dng:
            _check_filled(file, one, parts)


def _check_filled(file: File, one: Directory, parts: list[tuple[int, int]]) -> None:
    """Refuse a picture of a DNG that is zeros in a strip or tile, or, if it is not compressed, at its end."""
    if one.first(COMPRESSION) != PLAIN:
        if any(not read(file, at, min(size, START_BYTES)).strip(b"\0") for at, size in parts):
            raise PhotoError(UNFINISHED)
    elif parts and not one.is_reduced:
        # No sensor sees nothing at all in so many pixels.
        at, size = max(parts)
        end = read(file, max(at, at + size - LAST_BYTES), min(size, LAST_BYTES))
        if one.first(PHOTOMETRIC) == MOSAIC and not end.strip(b"\0"):
            raise PhotoError(UNFINISHED)


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    """Return the largest preview, with its orientation in its EXIF; None if there is none that is large enough."""
    try:
        thumb = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if isinstance(thumb.data, bytes):
        # LibRaw adds an EXIF with orientation, time and camera if the camera wrote none.
        image: Image.Image = Image.open(io.BytesIO(thumb.data), formats=("JPEG",))
        if is_buffered(io.BytesIO(thumb.data)):
            image.info["progressive"] = 1
    else:
        image = Image.fromarray(thumb.data)
        image.getexif()[ExifTags.Base.Orientation] = ORIENTATIONS[raw.sizes.flip & 7]
    return image if min(image.size) >= SHORT else None


@contextmanager
def _complaints() -> Iterator[None]:
    """Translate the errors of LibRaw."""
    try:
        yield
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except rawpy.LibRawFileUnsupportedError as error:
        version = ".".join(map(str, rawpy.libraw_version))
        raise PhotoError(f"a raw photo that LibRaw {version} does not know") from error
    except rawpy.LibRawIOError as error:  # all of the file is in memory, so it is no error of the disk
        raise PhotoError(MISSING) from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        what = error.args[0] if error.args else ""
        raise RuntimeError(what.decode(errors="replace") if isinstance(what, bytes) else str(what)) from error
