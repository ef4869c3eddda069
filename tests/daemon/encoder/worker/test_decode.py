"""Bytes to squares: every kind of photo comes out upright, in its colours, or is refused."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pixkind.encoder.messages import Region
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, Recipe, Square, decode, every_way_of
from pixkind.errors import PhotoError

RECIPE = Recipe(short=64, side=56, bicubic=True)
ORIENTATION = 0x0112
WHITE = (255, 255, 255)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the image in a file format."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def seen(photo: bytes, recipe: Recipe = RECIPE, limit_mp: int = 100, region: Region | None = None) -> Square:
    """Return what a network would see of these bytes."""
    return decode(io.BytesIO(photo), recipe, limit_mp=limit_mp, budget=Budget(), region=region)


def scene(width: int = 300, height: int = 200) -> Image.Image:
    """Return an image whose corners all differ."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste((200, 30, 30), (0, 0, width // 2, height // 3))
    image.paste((30, 30, 200), (width // 2, height // 2, width * 2 // 3, height))
    return image


def plain(mode: str, colour: float | tuple[int, ...]) -> Image.Image:
    """Return an image of one colour."""
    return Image.new(mode, (150, 120), colour)


def ramp(mode: str, dtype: str, low: float, high: float) -> Image.Image:
    """Return a grey image from `low` on the left to `high` on the right."""
    row = np.linspace(low, high, 160).astype(dtype)
    image = Image.fromarray(np.tile(row, (160, 1)))
    assert image.mode == mode
    return image


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:  # noqa: ANN401  whatever tifffile takes
    """Return the pixels as a TIFF that Pillow could not write."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def deep_png(*samples: int) -> bytes:
    """Return a PNG of one colour with 16 bits a channel, which Pillow could not write."""
    kind = {2: 4, 3: 2, 4: 6}[len(samples)]  # grey with alpha, RGB, RGB with alpha
    rows = (b"\0" + struct.pack(f">{len(samples)}H", *samples) * 90) * 80
    chunks = ((b"IHDR", struct.pack(">IIBB3x", 90, 80, 16, kind)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def frames(kind: str, **options: object) -> bytes:
    """Return an animation, or several pages: red, then blue."""
    return encoded(plain("RGB", (200, 0, 0)), kind, save_all=True, append_images=[plain("RGB", (0, 0, 200))], **options)


GREEN = (10, 200, 30)
DEEP_GREEN = np.full((80, 90, 3), GREEN, np.uint16) * 257
DEEP_GREY = np.full((80, 90), 32896, np.uint16)

GOLDEN = {
    "RGB": (encoded(plain("RGB", (10, 200, 30)), "PNG"), (10, 200, 30)),
    "grey": (encoded(plain("L", 77), "PNG"), (77, 77, 77)),
    "one bit": (encoded(plain("1", 1), "PNG"), WHITE),
    "palette": (encoded(plain("RGB", (10, 200, 30)).quantize(2), "PNG"), (10, 200, 30)),
    "palette with a transparent colour": (encoded(plain("P", 0), "PNG", transparency=0), WHITE),
    "a transparent colour": (encoded(plain("RGB", (9, 9, 9)), "PNG", transparency=(9, 9, 9)), WHITE),
    "hidden by alpha": (encoded(plain("RGBA", (255, 0, 0, 0)), "PNG"), WHITE),
    "half alpha": (encoded(plain("RGBA", (255, 0, 0, 128)), "PNG"), (255, 127, 127)),
    "grey with alpha": (encoded(plain("LA", (0, 64)), "PNG"), (191, 191, 191)),
    "CMYK, as Adobe stores it": (encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0)),
    "CMYK in TIFF": (encoded(plain("CMYK", (255, 0, 255, 0)), "TIFF"), (0, 255, 0)),
    "YCbCr in TIFF": (encoded(plain("RGB", (10, 200, 30)).convert("YCbCr"), "TIFF"), (10, 200, 30)),
    "LAB": (encoded(plain("LAB", (255, 128, 128)), "TIFF"), WHITE),
    "16 bits": (encoded(Image.fromarray(np.full((99, 99), 32896, np.uint16)), "PNG"), (128, 128, 128)),
    "16 bits in TIFF": (encoded(Image.fromarray(np.full((99, 99), 32896, np.uint16)), "TIFF"), (128, 128, 128)),
    "32 bits, all the same": (encoded(plain("I", 5), "TIFF"), (0, 0, 0)),
    "not a number": (encoded(plain("F", float("nan")), "TIFF"), (0, 0, 0)),
    "JPEG": (encoded(plain("RGB", GREEN), "JPEG", quality=95), GREEN),
    "JPEG, grey": (encoded(plain("L", 77), "JPEG", quality=95), (77, 77, 77)),
    "JPEG, progressive": (encoded(plain("RGB", GREEN), "JPEG", quality=95, progressive=True), GREEN),
    "JPEG, RGB": (encoded(plain("RGB", GREEN), "JPEG", quality=95, keep_rgb=True), GREEN),
    "PNG, 16 bits a channel": (deep_png(2570, 51400, 7710), GREEN),
    "PNG, 16 bits, half alpha": (deep_png(65535, 0, 0, 32896), (255, 127, 127)),
    "PNG, 16 bits, grey, hidden by alpha": (deep_png(0, 0), WHITE),
    "TIFF, 16 bits a channel": (tiff(DEEP_GREEN, photometric="rgb"), GREEN),
    "TIFF, 16 bits a channel, big-endian": (tiff(DEEP_GREEN, photometric="rgb", byteorder=">"), GREEN),
    "TIFF, in planes": (tiff(np.moveaxis(DEEP_GREEN, 2, 0), photometric="rgb", planarconfig="separate"), GREEN),
    "TIFF, 16 bits, big-endian": (tiff(DEEP_GREY, photometric="minisblack", byteorder=">"), (128, 128, 128)),
    "TIFF, 16 bits, white is 0": (tiff(DEEP_GREY // 2, photometric="miniswhite"), (191, 191, 191)),
    "TIFF, in tiles, of more than 4 GB if it were so": (
        tiff((DEEP_GREEN // 257).astype(np.uint8), photometric="rgb", tile=(16, 16), bigtiff=True),
        GREEN,
    ),
    "TIFF, JPEG inside": (encoded(plain("RGB", GREEN), "TIFF", compression="jpeg"), GREEN),
    "TIFF, fax": (encoded(plain("1", 1), "TIFF", compression="group4"), WHITE),
    "WebP": (encoded(plain("RGB", GREEN), "WEBP"), GREEN),
    "WebP, without loss, half alpha": (
        encoded(plain("RGBA", (255, 0, 0, 128)), "WEBP", lossless=True),
        (255, 127, 127),
    ),
    "GIF": (encoded(plain("RGB", GREEN), "GIF"), GREEN),
    "GIF, a transparent colour": (encoded(plain("P", 3), "GIF", transparency=3), WHITE),
    "BMP": (encoded(plain("RGB", GREEN), "BMP"), GREEN),
    "BMP, grey": (encoded(plain("L", 77), "BMP"), (77, 77, 77)),
    "BMP, one bit": (encoded(plain("1", 1), "BMP"), WHITE),
    "BMP, palette": (encoded(plain("RGB", GREEN).quantize(2), "BMP"), GREEN),
    "AVIF": (encoded(plain("RGB", GREEN), "AVIF"), GREEN),
    "AVIF, hidden by alpha": (encoded(plain("RGBA", (255, 0, 0, 0)), "AVIF"), WHITE),
    "JPEG 2000": (encoded(plain("RGB", GREEN), "JPEG2000"), GREEN),
    "JPEG 2000, 16 bits": (encoded(Image.fromarray(DEEP_GREY), "JPEG2000"), (128, 128, 128)),
    "JPEG 2000, half alpha": (encoded(plain("RGBA", (255, 0, 0, 128)), "JPEG2000"), (255, 127, 127)),
    "JPEG 2000, no container": (encoded(plain("RGB", GREEN), "JPEG2000", no_jp2=True), GREEN),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_every_mode_has_its_colour(name: str) -> None:
    """A photo of one colour has that colour in every mode, transparent parts lying on white."""
    photo, colour = GOLDEN[name]
    square = seen(photo)

    assert square.shape == (56, 56, 3)
    assert np.abs(square.astype(int) - colour).max() <= 3


@pytest.mark.parametrize(
    ("mode", "dtype", "low", "high"), [("I", "i4", -5, 1e6), ("F", "f4", 0.0, 1.0), ("I;16", "u2", 0, 65535)]
)
def test_deep_greys_use_the_whole_range(mode: str, dtype: str, low: float, high: float) -> None:
    """16 bits, 32 bits and floats are scaled, not clipped: the middle of a ramp is the middle grey."""
    square = seen(encoded(ramp(mode, dtype, low, high), "TIFF"))

    assert abs(int(square[28, 28, 0]) - 128) <= 4
    assert square[28, 2, 0] < 40
    assert square[28, 53, 0] > 215


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_orientation_is_undone(way: int, kind: str) -> None:
    """However the camera was held, the picture stands upright."""
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][way]  # FLIP_LEFT_RIGHT, ROTATE_180, ...: the inverse of EXIF's way
    stored = scene() if undo is None else scene().transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[ORIENTATION] = way
    square = seen(encoded(stored, kind, exif=exif, **({"quality": 95} if kind in {"JPEG", "WEBP"} else {})))

    assert np.abs(square.astype(int) - seen(encoded(scene(), "PNG"))).mean() < 3


PARTS = [(0.0, 0.0, 1.0, 1.0), (0.1, 0.05, 0.5, 0.9), (0.5, 0.25, 0.5, 0.75), (0.0, 0.6, 1.0, 0.4)]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_region_is_seen_like_a_photo_of_it(kind: str, way: int, part: tuple[float, float, float, float]) -> None:
    """However the camera was held, a part of the upright picture looks like that part cut out; in shares or in pixels."""
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][way]
    upright = scene(400, 240)
    stored = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[ORIENTATION] = way
    photo = encoded(stored, kind, exif=exif, **({"quality": 95} if kind in {"JPEG", "WEBP"} else {}))
    x, y, width, height = (round(share * side) for share, side in zip(part, (400, 240, 400, 240), strict=True))
    cut = seen(encoded(upright.crop((x, y, x + width, y + height)), "PNG"))

    assert np.abs(seen(photo, region=Region(*part)).astype(int) - cut).mean() < 4
    assert np.abs(seen(photo, region=Region(x, y, width, height, pixels=True)).astype(int) - cut).mean() < 4


@pytest.mark.parametrize("way", [1, 6])
def test_a_small_region_of_a_large_photo_is_seen_in_full(photos: list[Path], way: int) -> None:
    """The scale of a JPEG is chosen for the region: its details are those of the file, not of an eighth of it."""
    with Image.open(next(path for path in photos if path.name == "coffee.png")) as image:
        detail = image.convert("RGB").resize((300, 200), Image.Resampling.LANCZOS)
    large = Image.new("RGB", (4001, 3003), "grey")
    large.paste(detail, (2000, 2600))
    exif = Image.Exif()
    exif[ORIENTATION] = way
    stored = large if way == 1 else large.transpose(Image.Transpose.ROTATE_90)
    photo = encoded(stored, "JPEG", quality=95, exif=exif)
    whole = Region(0, 0, 4001, 3003, pixels=True)

    cut = seen(encoded(detail, "PNG"), LITE0)
    assert np.abs(seen(photo, LITE0, region=Region(2000, 2600, 300, 200, pixels=True)).astype(int) - cut).mean() < 3
    assert (seen(photo, LITE0, region=whole) == seen(photo, LITE0)).all()


@example((0.0, 0.0, 0.13823681252099032, 1.0), (57, 56), 1)  # its left edge is rounded to less than 0
@given(st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from([(1, 1), (3, 90), (57, 56), (130, 101)]), st.integers(1, 8))
def test_any_region_fills_the_square(
    numbers: tuple[float, float, float, float], size: tuple[int, int], way: int
) -> None:
    """Every part of a picture of one colour has that colour, to its very edges, or is too small to have any."""
    x, y, width, height = numbers
    region = Region(x, y, width * (1 - x), height * (1 - y))
    exif = Image.Exif()
    exif[ORIENTATION] = way
    photo = encoded(Image.new("RGBA", size, (90, 80, 70)), "PNG", exif=exif)
    upright = size if way < 5 else size[::-1]

    if min(region.width * upright[0], region.height * upright[1]) < 0.998:
        with pytest.raises(PhotoError, match="smaller than a pixel"):
            seen(photo, Recipe(short=56, side=56, bicubic=True), region=region)
    elif min(region.width * upright[0], region.height * upright[1]) > 1:
        square = seen(photo, Recipe(short=56, side=56, bicubic=True), region=region)
        assert np.abs(square.astype(int) - (90, 80, 70)).max() <= 1


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0, 0, 301, 10), "not inside of the picture, which has 300 x 200 pixels"),
        ((250, 150, 10, 51), "not inside"),
        ((1e9, 1e9, 1e9, 1e9), "not inside"),
        ((1e9, 0, 1, 1), "not inside"),
        ((0, 0, 1e-300, 1e-300), "smaller than a pixel"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_region_that_the_photo_has_not_is_refused(
    kind: str, numbers: tuple[float, float, float, float], reason: str
) -> None:
    """The reason says how large the picture is."""
    with pytest.raises(PhotoError, match=reason):
        seen(encoded(scene(), kind), region=Region(*numbers, pixels=True))


def test_a_square_stands_in_eight_ways() -> None:
    """They are those of a photo that was turned or mirrored, each another, the first as it is."""
    ways = every_way_of(seen(encoded(scene(), "PNG")))
    turned = [scene(), *(scene().transpose(way) for way in Image.Transpose)]
    squares = [seen(encoded(image, "PNG")).astype(int) for image in turned]
    nearest = [min(range(8), key=lambda way: np.abs(square - ways[way]).mean()) for square in squares]

    assert nearest[0] == 0
    assert sorted(nearest) == list(range(8))
    assert max(np.abs(square - ways[way]).mean() for square, way in zip(squares, nearest, strict=True)) < 1


def test_colours_are_those_of_the_profile() -> None:
    """The same numbers under another profile are other colours; a broken profile changes nothing."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"....", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"....", b"bXYZ", 1)
    red, blue = plain("RGB", (250, 0, 0)), (0, 0, 250)

    assert np.abs(seen(encoded(red, "PNG", icc_profile=swapped)).astype(int) - blue).max() <= 3
    assert (
        np.abs(seen(encoded(scene(), "PNG", icc_profile=profile)).astype(int) - seen(encoded(scene(), "PNG"))).max()
        <= 2
    )
    assert (seen(encoded(scene(), "PNG", icc_profile=b"nonsense")) == seen(encoded(scene(), "PNG"))).all()


def test_orientation_in_xmp_counts_where_exif_has_none() -> None:
    """XMP has the orientation if EXIF has none."""
    photo = encoded(scene().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95)
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>'
    turned = photo[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + photo[2:]

    assert np.abs(seen(turned).astype(int) - seen(encoded(scene(), "PNG"))).mean() < 3


JPEG = encoded(scene(800, 600), "JPEG")
REFUSED = {
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "truncated"),
    "truncated PNG": (encoded(scene(), "PNG")[:-100], "truncated|broken"),
    "truncated WebP": (encoded(scene(), "WEBP")[:-500], "broken|truncated|not an image"),
    "truncated GIF": (encoded(scene(), "GIF")[:-500], "truncated|broken"),
    "truncated AVIF": (encoded(scene(), "AVIF")[:-300], "broken|truncated|not an image"),
    "truncated JPEG 2000": (encoded(scene(), "JPEG2000")[:-900], "broken|truncated|not an image"),
    "truncated BMP": (encoded(scene(), "BMP")[:-900], "broken|truncated"),
    "truncated TIFF": (encoded(scene(), "TIFF", compression="tiff_lzw")[:-2000], "truncated|broken|not an image"),
    "preallocated JPEG": (JPEG[: len(JPEG) // 2] + bytes(len(JPEG) // 2), "unfinished: ends in zeros"),
    "text": (b"this is no image" * 99, "not an image"),
    "nothing": (b"", "an empty file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_photo_is_refused(name: str) -> None:
    """A file without all of its picture is refused with a reason, never half decoded."""
    photo, reason = REFUSED[name]

    with pytest.raises(PhotoError, match=reason):
        seen(photo)


def test_a_decompression_bomb_is_refused() -> None:
    """20 KB that would be 169 megapixels are refused unopened."""
    bomb = encoded(Image.new("1", (13000, 13000)), "PNG")
    assert len(bomb) < 30_000

    with pytest.raises(PhotoError, match="169 MP is over the limit of 100 MP"):
        seen(bomb)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF", "MPO"])
def test_only_the_first_frame_counts(kind: str) -> None:
    """An animation looks like its first frame, and a photo of several pages like its first page."""
    assert np.abs(seen(frames(kind)).astype(int) - (200, 0, 0)).max() <= 3


def test_the_picture_of_an_apng_is_what_a_png_reader_shows() -> None:
    """If the picture is no part of the animation, it still counts."""
    assert np.abs(seen(frames("PNG", default_image=True)).astype(int) - (200, 0, 0)).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 2), (57, 56), (4001, 3001)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_any_shape_becomes_the_square(size: tuple[int, int], mode: str) -> None:
    """Tiny, thin, large and odd photos all fill the square with their own colour."""
    square = seen(encoded(Image.new(mode, size, (90, 80, 70)), "BMP" if mode == "RGB" else "TIFF"))

    assert np.abs(square.astype(int) - (90, 80, 70)).max() <= 1


def test_strips_leave_no_seams() -> None:
    """A photo reduced strip by strip looks as if reduced at once, alpha included."""
    image = scene(2600, 2100).convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(image.size))
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    middle = white.convert("RGB").resize((79, 64), Image.Resampling.BICUBIC).crop((11, 4, 67, 60))

    assert np.abs(seen(encoded(image, "PNG", compress_level=1)).astype(int) - np.asarray(middle)).mean() < 4


def test_scaled_decoding_shows_the_same_picture(photos: list[Path]) -> None:
    """A JPEG decoded at a fraction of its size looks like the same pixels decoded in full."""
    with Image.open(next(path for path in photos if path.name == "rocket.jpg")) as image:
        large = image.convert("RGB").resize((3000, 2000), Image.Resampling.BICUBIC)
    photo = encoded(large, "JPEG", quality=95)
    with Image.open(io.BytesIO(photo)) as image:
        full = seen(encoded(image.convert("RGB"), "BMP"), LITE0)

    assert np.abs(seen(photo, LITE0).astype(int) - full).mean() < 2


def test_too_little_memory_is_a_reason() -> None:
    """A photo for which the memory does not suffice is refused; the process goes on."""
    code = """
import io, resource, sys
from PIL import Image, ImageCms
from pixkind.errors import PhotoError
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, decode
file = io.BytesIO()
Image.new("1", (9000, 9000)).save(file, "PNG")
words = open("/proc/self/status").read().split()
now = int(words[words.index("VmData:") + 1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (now + (32 << 20),) * 2)
try:
    decode(file, LITE0, limit_mp=100, budget=Budget())
except PhotoError as error:
    sys.stdout.write(error.reason)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert said.stdout == "not enough memory to decode it"
