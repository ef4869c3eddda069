"""Decodes a photo to the square of pixels that a network gets: upright, RGB, on white.

Imports Pillow and numpy, never torch. Runs in the worker's decode threads, which share a `Budget`.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, Jpeg2KImagePlugin, JpegImagePlugin

from pixkind.encoder.messages import Region
from pixkind.encoder.worker import jp2, jpeg2000, jpeg_rescue, png
from pixkind.encoder.worker.budget import Budget, left_out, price
from pixkind.encoder.worker.header import check_finished, complaint, open_image, orientation
from pixkind.encoder.worker.jpeg_scans import check_scans
from pixkind.encoder.worker.sniff import BROKEN, WHOLE, File
from pixkind.encoder.worker.tiff import BANDS
from pixkind.errors import PhotoError

Square = NDArray[np.uint8]  # (side, side, 3), RGB
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
Scale = Callable[[Image.Image], None]  # chooses the scale at which an image that was opened is decoded

STRIP_PIXELS: Final = 1 << 20  # converted at once: each copy of a whole 100 MP photo with alpha would take 400 MB
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS: Final = frozenset((5, 6, 7, 8))  # orientations that swap width and height
OTHER_COLOURS: Final = frozenset(("transparency", BANDS, jp2.PALETTE))  # in the `info` of an image: its mode is not all
# What each of Pillow's modes is converted to first. 16 bits and more have no entry: `_levels` scales them; Pillow would clip.
FLAT: Final = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"), "RGB"),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa"), "RGBA"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """How photos are prepared for a network. `short` and `side` are in pixels."""

    short: int  # the shorter side after resizing
    side: int  # of the square that is cut from the middle
    bicubic: bool  # else bilinear


LITE0: Final = Recipe(short=256, side=224, bicubic=True)  # the only recipe known before torch is imported


def decode(
    file: File,
    recipe: Recipe,
    *,
    limit_mp: int,
    budget: Budget,
    urgent: bool = False,
    region: Region | None = None,
    show: Callable[[Image.Image, int], None] = lambda *_: None,
) -> Square:
    """Return the middle square of a photo, or of a region of it, prepared for the network.

    Args:
        file: seekable; at any position; closed when this returns.
        recipe: sizes and filter.
        limit_mp: megapixels; a larger image is refused.
        budget: memory and a core are reserved before the first pixel is decoded.
        urgent: for a query, see `Budget.share`.
        region: of the upright photo.
        show: called with the loaded image and its orientation.

    Returns:
        (side, side, 3) uint8 RGB, the caller's own.

    Raises:
        PhotoError: the photo is broken, truncated, unfinished, too large or of an unknown mode, or it has no such region.
    """
    scale = partial(_scale_down, recipe=recipe, region=region, file=file)
    with sentences(), budget.share(urgent=urgent) as share:
        share.open(file)
        check_finished(file)
        image, before = open_scaled(file, scale, limit_mp)
        # closing, not `with image`: a TIFF is part of a reference cycle, so its pixels would outlive it.
        with closing(image):
            share.reserve(price(image, before, file))
            with share.core():
                whole, way = load(image, file, scale, before)
                part = _part(region, image.size, whole, way)
                square = in_srgb(_square(image, recipe, part), image)
                turn = TURNS.get(way)
                show(image, way)
    return np.array(square.transpose(turn) if turn is not None else square)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn the errors of decoders into a PhotoError, for a `with`."""
    try:
        yield
    except MemoryError as error:
        raise PhotoError("not enough memory to decode it") from error
    except BROKEN as error:
        raise PhotoError(complaint(error)) from error


def open_scaled(file: File, scale: Scale, limit_mp: int) -> tuple[Image.Image, tuple[int, int]]:
    """Return an image of which no pixel is decoded yet, and its size before `scale` was called. The caller closes it.

    Raises:
        PhotoError: as `decode`.
    """
    image = open_image(file, limit_mp)
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("progressive"):
        check_scans(cast("File", image.fp))
    whole = image.size
    scale(image)
    return image, whole


def load(image: Image.Image, file: File, scale: Scale, whole: tuple[int, int]) -> tuple[tuple[int, int], int]:
    """Decode all of an image that `open_scaled` has returned; return its size before it was scaled down, and its orientation."""
    drafted = image.size
    if image.format == "PNG":
        png.check_sums(file)
    _load(image, file, scale)
    # Only now: Pillow rotates a TIFF while it loads, and a PNG may have its orientation at the end.
    way = orientation(image)
    if image.size != drafted and not left_out(image):
        whole = image.size  # Pillow has rotated it, and had not scaled it down
    return whole, way


def every_way_of(square: Square) -> Square:
    """Return the square in all eight orientations: (8, side, side, 3), the first as it is."""
    return np.stack([np.rot90(one, turns) for one in (square, square[:, ::-1]) for turns in range(4)])


def _scale_down(image: Image.Image, recipe: Recipe, region: Region | None, file: File) -> None:
    """Choose the scale at which a JPEG or a JPEG 2000 is decoded, for the wanted region."""
    short = float(min(image.size))
    if region is not None:
        left, top, right, bottom = _in_pixels(region, upright(image.size, orientation(image)))
        short = min(short, right - left, bottom - top)
    # Twice the target: the rest of the way down is Pillow's own filter.
    scale_by(image, file, short / (2 * recipe.short))


def scale_by(image: Image.Image, file: File, times: float) -> None:
    """Have a JPEG or a JPEG 2000 decoded so many times smaller, or at the next larger scale that it can be decoded at."""
    factor = max(1, int(times))
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        image.reduce = min(factor.bit_length() - 1, jpeg2000.shape(file).levels)
    else:
        image.draft(image.mode, (image.width // factor, image.height // factor))


def _load(image: Image.Image, file: File, scale: Scale) -> None:
    """Decode all of an image: a truncated photo must fail, and never become a vector of grey pixels."""
    try:
        image.load()
    except OSError as error:
        if image.format not in {"JPEG", "MPO"} or WHOLE in image.info or error.errno:
            raise
        try:
            rescued, _ = jpeg_rescue.rescue(file, scale)
        except ValueError:
            raise error from None
        image.im, image.tile = rescued.im, []  # type: ignore[attr-defined]  # all images from a file have tiles


def _in_pixels(region: Region, size: tuple[int, int]) -> Box:
    """Return a region of an upright image of this size, in pixels."""
    across, down = (1, 1) if region.pixels else size
    x, y = region.x * across, region.y * down
    return x, y, x + region.width * across, y + region.height * down


def upright(size: tuple[int, int], way: int) -> tuple[int, int]:
    """Return the size of an image after its orientation is applied."""
    return (size[1], size[0]) if way in SIDEWAYS else size


def _part(region: Region | None, size: tuple[int, int], whole: tuple[int, int], way: int) -> Box:
    """Return where a region of the upright image lies in the loaded image.

    Args:
        region: the wanted region; None: the whole image.
        size: of the loaded image.
        whole: its size before it was scaled down.
        way: its orientation.

    Raises:
        PhotoError: the region is not inside the image, or is smaller than a pixel.
    """
    if region is None:
        return 0, 0, *size
    width, height = upright(whole, way)
    left, top, right, bottom = _in_pixels(region, (width, height))
    if right > width + 0.5 or bottom > height + 0.5:
        raise PhotoError(f"the region is not inside of the picture, which has {width} x {height} pixels")
    if min(right - left, bottom - top) < 0.999:  # floating-point shares add up to nearly 1
        raise PhotoError("the region is smaller than a pixel")
    across = left / width, min(right / width, 1)
    down = top / height, min(bottom / height, 1)
    if way in SIDEWAYS:
        across, down = down, across
    if way in (2, 3, 7, 8):
        across = 1 - across[1], 1 - across[0]
    if way in (3, 4, 6, 7):
        down = 1 - down[1], 1 - down[0]
    return across[0] * size[0], down[0] * size[1], across[1] * size[0], down[1] * size[1]


def _square(image: Image.Image, recipe: Recipe, part: Box) -> Image.Image:
    """Return the middle square of a part of a loaded image, reduced to `side` x `side`, in RGB."""
    span = min(part[2] - part[0], part[3] - part[1]) * recipe.side / recipe.short
    # max: a rounding error of 1e-16 to the left of the picture would let a column in that is not its own.
    left, top = max(0.0, (part[0] + part[2] - span) / 2), max(0.0, (part[1] + part[3] - span) / 2)
    factor = max(1, int(span / (2 * recipe.side)))
    resample = Image.Resampling.BICUBIC if recipe.bicubic else Image.Resampling.BILINEAR
    if factor == 1 and is_plain(image):
        inner, reduced = (0, 0), image  # most JPEGs: one copy less saves 2 of 33 ms for 12 MP
    else:
        inner = (math.floor(left), math.floor(top))
        outer = (min(math.ceil(left + span), image.width), min(math.ceil(top + span), image.height))
        reduced = on_white(image, (*inner, *outer), factor)
    x, y = (left - inner[0]) / factor, (top - inner[1]) / factor
    width, height = reduced.size
    within: Box = (x, y, min(x + span / factor, width), min(y + span / factor, height))
    return reduced.resize((recipe.side, recipe.side), resample, box=within).convert("RGB")


def is_plain(image: Image.Image) -> bool:
    """Return whether the pixels of an image are grey or RGB as they are, as those of most JPEGs."""
    return image.mode in {"L", "RGB"} and not OTHER_COLOURS & image.info.keys()


def in_srgb(pixels: Image.Image, image: Image.Image) -> Image.Image:
    """Return pixels of an image converted from its colour profile to sRGB; unchanged if that is broken or not for RGB."""
    profile = image.info.get("icc_profile")
    transform = _to_srgb(profile) if profile else None
    return pixels if transform is None else transform.apply(pixels)


# Making one takes longer than using it, and a camera has one profile; few, as a hostile one may have megabytes.
@lru_cache(maxsize=16)
def _to_srgb(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != "RGB":
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except (ImageCms.PyCMSError, *BROKEN):
        return None


def on_white(image: Image.Image, inner: tuple[int, int, int, int], factor: int) -> Image.Image:
    """Return a part of the image in L or RGB, `factor` times smaller; what is transparent is white."""
    reduced = _reduced(image, inner, factor)
    if reduced.mode != "RGBA":
        return reduced
    white = Image.new("RGB", reduced.size, "white")
    white.paste(reduced, mask=reduced.getchannel("A"))
    return white


def _reduced(image: Image.Image, inner: tuple[int, int, int, int], factor: int) -> Image.Image:
    """Return a part of the image in L, RGB or RGBA, `factor` times smaller, converted strip by strip."""
    levels = _levels(image)
    left, top, right, bottom = inner
    rows = factor * max(1, STRIP_PIXELS // (factor * (right - left)))
    size = (math.ceil((right - left) / factor), math.ceil((bottom - top) / factor))
    whole: Image.Image | None = None
    for y in range(top, bottom, rows):
        strip = _flat(image.crop((left, y, right, min(y + rows, bottom))), levels).reduce(factor)
        whole = whole or Image.new(strip.mode, size)
        whole.paste(strip, (0, (y - top) // factor))
    if whole is None:
        raise PhotoError("an image without pixels")
    return whole


def _coloured(strip: Image.Image, palette: NDArray[np.uint8], shift: int) -> Image.Image:
    """Return the strip, whose values are indices, in the colours of a palette."""
    indices = np.asarray(strip.getchannel(0) if strip.mode == "LA" else strip).astype(np.uint32) >> max(shift, 0)
    colours = palette[np.minimum(indices, len(palette) - 1)]
    return Image.fromarray(colours[..., 0] if colours.shape[2] < 3 else colours[..., :4])


def _banded(strip: Image.Image, mode: str, numbers: tuple[int, ...]) -> Image.Image:
    """Return the strip in a mode in which Pillow could not load it: its bands are these of the loaded ones, the last is alpha."""
    bands = [strip.getchannel(number) for number in numbers]
    if mode == "LAB":
        # A TIFF has a and b with their signs, Pillow from 0 to 255 with 128 in the middle.
        shifted = [band.point([value ^ 0x80 for value in range(256)]) for band in bands[1:3]]
        plain = Image.merge("LAB", (bands[0], *shifted)).convert("RGB")
    else:
        plain = bands[0].convert("RGB")
    if len(bands) > len(mode):
        plain.putalpha(bands[-1])
    return plain


def _levels(image: Image.Image) -> tuple[float, float]:
    """Return the values of black and white in an image of more than 8 bits a channel."""
    low, high = 0.0, 65535.0
    if image.mode in {"I", "F"}:  # the range is not known: the darkest and the brightest value
        least, most = image.getextrema()
        if not isinstance(least, tuple) and not isinstance(most, tuple):  # tuples: several channels
            low, high = float(least), float(most)
    # A TIFF may have white at 0. Pillow handles that in 8 bits only.
    is_negative = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
    return (high, low) if is_negative else (low, high)


def _flat(strip: Image.Image, levels: tuple[float, float]) -> Image.Image:
    """Return the strip as L, RGB or RGBA."""
    if jp2.PALETTE in strip.info:
        return _coloured(strip, *strip.info[jp2.PALETTE])
    if strip.mode.startswith("I") or strip.mode == "F":
        low, high = levels
        with np.errstate(all="ignore"):
            shades = (np.asarray(strip, np.float32) - low) * (255 / (high - low) if high != low else 0.0)
        return Image.fromarray(np.clip(np.nan_to_num(shades), 0, 255).round().astype(np.uint8))
    if strip.mode not in FLAT:
        raise PhotoError(f"an image of mode {strip.mode}, which pixkin cannot show")
    if bands := strip.info.get(BANDS):
        strip = _banded(strip, *bands)
    if strip.mode == "La":
        strip = strip.convert("LA")
    # Outside the pixels, a palette or one colour may be declared transparent.
    flat = "RGBA" if "transparency" in strip.info else FLAT[strip.mode]
    return strip if strip.mode == flat else strip.convert(flat)
