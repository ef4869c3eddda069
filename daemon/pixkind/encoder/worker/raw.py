"""Camera RAW to the preview that the camera put beside what its sensor saw, through rawpy, which is LibRaw.

A raw photo without one that would do is developed, at half its size. Runs on the worker's decode threads.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import rawpy
from PIL import ExifTags, Image

from pixkind.encoder.worker.sniff import BROKEN, SAID, TIFF_STARTS, WHOLE, File
from pixkind.errors import PhotoError

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess  # exists for type checkers only


SHORT: Final = 256  # pixels of a preview's shorter side: to a network, a smaller one would be blurred
ORIENTATIONS: Final = (1, 2, 4, 3, 5, 8, 6, 7)  # of EXIF, for each of LibRaw's flips


class Undeveloped(Image.Image):
    """A raw photo that becomes a picture when it is loaded: upright, at half its size."""

    format = "RAW"

    def __init__(self, raw: rawpy.RawPy) -> None:
        """Take the opened photo over."""
        super().__init__()
        self._raw: rawpy.RawPy | None = raw
        self._size = (raw.sizes.width, raw.sizes.height)
        self._mode = "RGB"

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
        """Give its memory back."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None


def open_raw(file: File) -> Image.Image:
    """Return the preview of a raw photo, or what becomes a picture of it, the caller's to close; no pixel is decoded.

    Raises:
        PhotoError: LibRaw does not know it.
        MemoryError: there is too little for the file.
        RuntimeError: LibRaw complains.
        OSError: neither can it be read, or the preview is no JPEG.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    with _complaints():
        raw = rawpy.imread(
            io.BytesIO(file.read(end))
        )  # which it takes over; read to an unknown end, it would be there twice
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
        with suppress(*BROKEN):  # broken metadata never hurt the picture
            said.load_from_fp(file)
    return image


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    """Return the largest preview, its orientation in its EXIF; None if there is none that would do."""
    try:
        thumb = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if isinstance(thumb.data, bytes):
        # LibRaw gives it an EXIF with orientation, time and camera if the camera did not.
        image: Image.Image = Image.open(io.BytesIO(thumb.data), formats=("JPEG",))
    else:
        image = Image.fromarray(thumb.data)
        image.getexif()[ExifTags.Base.Orientation] = ORIENTATIONS[raw.sizes.flip & 7]
    return image if min(image.size) >= SHORT else None


@contextmanager
def _complaints() -> Iterator[None]:
    """Translate what LibRaw complains about."""
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
