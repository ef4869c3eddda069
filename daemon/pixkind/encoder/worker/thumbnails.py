"""Makes thumbnails: upright JPEGs in sRGB, without any metadata.

On demand a photo is decoded for its thumbnail. While it is indexed its pixels are there already. They are more than enough
for size S: a network gets at most twice as many as its square has, and that is 512 rows or more of a larger photo.

Imports Pillow, never torch. Runs in the worker's threads, which share a `Budget`.
"""

import io
import math
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from PIL import Image

from pixkind.encoder.messages import DRAWN_BYTES, THUMBNAIL_BYTES, UNSEEN, Look, Size, ThumbnailOf
from pixkind.encoder.worker import png
from pixkind.encoder.worker.budget import Budget, price
from pixkind.encoder.worker.decode import (
    TURNS,
    in_srgb,
    is_plain,
    load,
    on_white,
    open_scaled,
    scale_by,
    sentences,
    upright,
)
from pixkind.encoder.worker.header import check_finished, orientation
from pixkind.encoder.worker.sniff import BROKEN, WHOLE, File
from pixkind.errors import PhotoError

QUALITY: Final = 80
HEIGHT: Final = 256  # of size S
MOST_PIXELS: Final = 24_000_000
# Of a JPEG: libjpeg allows no more in a row or a column.
MOST_SIDE: Final = 65_500
PIXEL_BYTES: Final = 4
# In the memory of a pixel of the thumbnail: two of what is resized, in sRGB and upright, and what comes between.
COPIES: Final = 3
# Likewise of a pixel of what is reduced before: one, or with a mask, and then in RGB on white.
REDUCED, MASKED = 1, 2.25
MOST_SHRUNK: Final = 8
SAMPLES: Final = (16, 16)
SHARE: Final = 0.035  # of the CPU time of decoding: with what the daemon does it is less than 4 % of all
FIRST_S: Final = 0.05


def fitting(width: int, height: int, size: Size) -> tuple[int, int]:
    """Return width and height of the thumbnail of an upright picture."""
    longer = max(width, height)
    limits = {
        Size.S: (HEIGHT / height, 2048 / width),
        Size.M: (512 / height, 4096 / width),
        Size.L: (2048 / longer,),
        Size.X: (math.sqrt(MOST_PIXELS / (width * height)), MOST_SIDE / longer),
    }
    share = min(1.0, *limits[size])
    return max(1, int(width * share + 1e-6)), max(1, int(height * share + 1e-6))


def draw(file: File, size: Size, *, limit_mp: int, budget: Budget, of: ThumbnailOf | None = None) -> tuple[bytes, Look]:
    """Return the thumbnail of a photo. If there is not enough memory for its size, it is smaller.

    Args:
        file: seekable; at any position.
        size: of the thumbnail.
        limit_mp: megapixels; a larger image is refused.
        budget: memory is reserved before the first pixel is decoded, as for a query.
        of: the file is a thumbnail that the desktop has made of this photo.

    Raises:
        PhotoError: the photo cannot be decoded, or the thumbnail is too small, or not of that photo.
    """
    with sentences(), budget.share(urgent=True) as share:
        share.open(file)
        check_finished(file)
        shrink = 1
        while True:
            scale = partial(_scale_down, file=file, size=size, shrink=shrink)
            image, whole = open_scaled(file, scale, limit_mp)
            cost = price(image, whole, file) + _copies(image, whole, size, shrink)
            if cost <= budget.most_bytes or shrink == MOST_SHRUNK:
                break
            shrink *= 2  # the image is not closed, since that would close the file
        with closing(image):
            share.reserve(cost)
            _, way = load(image, file, scale, whole)
            if of is not None:
                _check_of(image, of)
            small = shown(image, way, _wanted(upright(whole, way), size, shrink))
            look = look_of(image, way, small)
        jpeg = encoded(small)
        if len(jpeg) > DRAWN_BYTES:
            raise PhotoError(f"its thumbnail would take {len(jpeg) / 2**20:.0f} MiB")
        return jpeg, look


@dataclass(slots=True)
class Passing:
    """What is made of a photo in passing, while it is indexed. Nothing here can make that fail."""

    wants_thumbnail: bool
    look: Look = UNSEEN
    thumbnail: bytes = b""  # of size S; empty: none, or it is too large
    cpu_s: float = 0.0  # that this took

    def show(self, image: Image.Image, way: int) -> None:
        """Take a loaded image and its orientation."""
        began_s = time.thread_time()
        with suppress(PhotoError, MemoryError, *BROKEN):
            if self.wants_thumbnail:
                small = shown(image, way, fitting(*upright(image.size, way), Size.S))
                data = encoded(small)
                self.thumbnail = data if len(data) <= THUMBNAIL_BYTES else b""
            else:
                small = shown(image.resize(SAMPLES, Image.Resampling.NEAREST), 1, SAMPLES)
            self.look = look_of(image, way, small)
        self.cpu_s = time.thread_time() - began_s


class Allowance:
    """The CPU time that is left for what is made in passing: a share of what decoding takes.

    So indexing is never slower by more, whatever the photos are and however fast the machine is. A thumbnail takes about
    2 ms. That is little for a photo of a camera, whose decoding takes 30 ms, and much for one of 600 x 400, which takes 2 ms.
    A photo whose thumbnail was not made in passing is drawn on demand: the less it takes to decode, the sooner. The first
    few photos of a worker all have theirs, since somebody may be waiting for them.
    """

    def __init__(self) -> None:
        """Begin with enough for the first photos."""
        self._lock = threading.Lock()
        self._left_s = FIRST_S

    def is_left(self) -> bool:
        """Return whether a thumbnail may be made."""
        return self._left_s > 0

    def note(self, decoding_s: float, passing_s: float) -> None:
        """Note what a photo took to be decoded, and in passing."""
        with self._lock:
            self._left_s = min(self._left_s + SHARE * decoding_s, FIRST_S) - passing_s


def shown(image: Image.Image, way: int, wanted: tuple[int, int]) -> Image.Image:
    """Return the pixels of a loaded image upright, in sRGB, and of the wanted size, which is not larger."""
    width, height = upright(wanted, way)
    factor = max(1, min(image.width // width, image.height // height))
    if not is_plain(image):
        small = on_white(image, (0, 0, *image.size), factor)
    else:
        small = image.reduce(factor) if factor > 1 else image
    if small.size != (width, height):
        small = small.resize((width, height), Image.Resampling.HAMMING)
    # Not always: Pillow copies an image that is in this mode already.
    small = in_srgb(small if small.mode == "RGB" else small.convert("RGB"), image)
    turn = TURNS.get(way)
    small = small if turn is None else small.transpose(turn)
    return image.copy() if small is image else small


def encoded(small: Image.Image) -> bytes:
    """Return pixels as a JPEG without metadata."""
    small.info = {}  # Pillow would write a comment that stands there
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def look_of(image: Image.Image, way: int, small: Image.Image) -> Look:
    """Return how a loaded image looks from afar. `small`: what `shown` has made of it."""
    red, green, blue = small.reduce(small.size).tobytes()
    width, height = upright(image.size, way)
    stored = image.info.get(WHOLE, image.size)
    return Look(red << 16 | green << 8 | blue, turned=(width - height) * (stored[0] - stored[1]) < 0)


def _copies(image: Image.Image, whole: tuple[int, int], size: Size, shrink: int) -> int:
    """Return the bytes of memory that it takes to make a thumbnail of an image, besides the image."""
    way = orientation(image)
    wanted = _wanted(upright(whole, way), size, shrink)
    factor = max(1, min(have // want for have, want in zip(upright(image.size, way), wanted, strict=True)))
    reduced = math.prod(image.size) / factor**2
    before = MASKED * reduced if not is_plain(image) else REDUCED * reduced if factor > 1 else 0
    return int(PIXEL_BYTES * (COPIES * math.prod(wanted) + before))


def _check_of(image: Image.Image, of: ThumbnailOf) -> None:
    """Refuse a thumbnail that is not of a photo in its present version, or has not all pixels of size S."""
    said = image.info.get(png.THUMB_URI), str(image.info.get(png.THUMB_MTIME)).partition(".")[0]
    if said != (of.uri, str(of.mtime_s)) or image.height < HEIGHT:
        raise PhotoError("a thumbnail of another photo, or one that is too small")


def _wanted(whole: tuple[int, int], size: Size, shrink: int) -> tuple[int, int]:
    width, height = fitting(*whole, size)
    return max(1, width // shrink), max(1, height // shrink)


def _scale_down(image: Image.Image, file: File, size: Size, shrink: int) -> None:
    """Choose the scale at which a JPEG or a JPEG 2000 is decoded: the smallest that has all pixels of the thumbnail."""
    width, height = upright(image.size, orientation(image))
    wanted = _wanted((width, height), size, shrink)
    scale_by(image, file, min(width / wanted[0], height / wanted[1]))
