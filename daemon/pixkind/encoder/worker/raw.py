"""Reads camera RAW by rawpy, which is LibRaw: as the preview that the camera has stored with the sensor's data.

A RAW photo without a large enough preview is developed, at half its size. Runs in the worker's decode threads.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import rawpy
from PIL import ExifTags, Image

from pixkind.encoder.worker.jpeg_scans import is_buffered
from pixkind.encoder.worker.sniff import BROKEN, SAID, TIFF_STARTS, WHOLE, File
from pixkind.errors import PhotoError

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess  # exists for type checkers only


SHORT: Final = 256  # pixels, the least shorter side of a preview: a smaller one would be enlarged for the network
ORIENTATIONS: Final = (1, 2, 4, 3, 5, 8, 6, 7)  # of EXIF, for each of LibRaw's flips


class Undeveloped(Image.Image):
    """A RAW photo that is developed when it is loaded: upright, at half its size."""

    format = "RAW"

    def __init__(self, raw: rawpy.RawPy) -> None:
        """Take over the opened photo."""
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
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    with _complaints():
        # `end` is given: `read()` alone would have the file in memory twice.
        raw = rawpy.imread(io.BytesIO(file.read(end)))
        sizes = raw.sizes
        image = _preview(raw)
    if image is None:
        image = Undeveloped(raw)
    else:
        raw.close()
    image.info[WHOLE] = (sizes.width, sizes.height)
    file.seek(0)
    if file.read(4) in TIFF_STARTS:
        file.seek(0)
        image.info[SAID] = said = Image.Exif()
        with suppress(*BROKEN):  # broken metadata do not harm the picture
            said.load_from_fp(file)
    return image


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
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        what = error.args[0] if error.args else ""
        raise RuntimeError(what.decode(errors="replace") if isinstance(what, bytes) else str(what)) from error
