"""Bytes to squares: every kind of photo comes out upright, in its colours, or is refused."""

import contextlib
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pixkind.config import Config
from pixkind.encoder.messages import Region
from pixkind.encoder.worker.budget import Budget, price
from pixkind.encoder.worker.decode import LITE0, Recipe, Square, decode, every_way_of
from pixkind.encoder.worker.header import open_image
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


def seen_in_steps(photo: bytes) -> Square:
    """Return the same of a photo that is too large to be read at once."""
    return decode(io.BufferedReader(io.BytesIO(photo)), RECIPE, limit_mp=100, budget=Budget())


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


def tiff_pages(*pages: tuple[NDArray[Any], int]) -> bytes:
    """Return a TIFF of pictures, each with its NewSubfileType: 1 is a thumbnail."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for pixels, kind in pages:
            writer.write(pixels, photometric="rgb", subfiletype=kind, metadata=None)
    return file.getvalue()


def box(name: bytes, body: bytes) -> bytes:
    """Return a box of an ISO file."""
    return (8 + len(body)).to_bytes(4, "big") + name + body


def paletted_jp2(index: int, palette: Sequence[tuple[int, ...]], depth: int, dtype: type = np.uint8) -> bytes:
    """Return a JPEG 2000 of one index into a palette of `depth` bits."""
    stream = encoded(Image.fromarray(np.full((80, 90), index, dtype)), "JPEG2000", no_jp2=True)
    channels, size = len(palette[0]), (depth + 7) // 8
    colours = b"".join(value.to_bytes(size, "big") for entry in palette for value in entry)
    header = (
        box(b"ihdr", struct.pack(">IIHBBBB", 80, 90, 1, np.dtype(dtype).itemsize * 8 - 1, 7, 0, 0))
        + box(b"colr", struct.pack(">BBBI", 1, 0, 0, 16))
        + box(b"pclr", struct.pack(">HB", len(palette), channels) + bytes([depth - 1] * channels) + colours)
        + box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, channel) for channel in range(channels)))
    )
    start = b"\0\0\0\x0cjP  \r\n\x87\n" + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", header) + box(b"jp2c", stream)


def chunk(name: bytes, body: bytes, *, spoilt: bool = False) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ spoilt)


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

LAB = np.zeros((80, 90, 3), np.int16)
LAB[..., 0] = -32768  # 50 %, which is (119, 119, 119)
LAB_ALPHA = np.dstack([np.full((80, 90), value, np.uint8) for value in (128, 0, 0, 255)])
GREY_ALPHA = np.dstack([np.full((80, 90), value, np.uint16) for value in (0, 16384)])
CMYK_ALPHA = np.full((80, 90, 5), (255, 0, 255, 0, 255), np.uint8)
SLOPES = np.dstack([np.tile(np.arange(90) * factor, (80, 1)) for factor in (700, 300, 90)]).astype(np.uint16)
EXTRA_GOLDEN = {
    **{
        f"TIFF, {name}, {order}, {compression}": (
            tiff(pixels, photometric=kind, byteorder=order, compression=compression, **options),
            colour,
        )
        for order in "<>"
        for compression in (None, "zlib")
        for name, pixels, kind, options, colour in (
            ("of more than 4 GB if it were so", DEEP_GREEN, "rgb", {"bigtiff": True}, GREEN),
            ("Lab of 16 bits", LAB.view(np.uint16), "cielab", {}, (119, 119, 119)),
            ("Lab with alpha", LAB_ALPHA, "cielab", {"extrasamples": ["UNASSALPHA"]}, (119, 119, 119)),
            ("16 bits, alpha", GREY_ALPHA, "minisblack", {"extrasamples": ["UNASSALPHA"]}, (191, 191, 191)),
            (
                "alpha",
                (GREY_ALPHA >> 8).astype(np.uint8),
                "minisblack",
                {"extrasamples": ["ASSOCALPHA"]},
                (191, 191, 191),
            ),
            ("CMYK with alpha", CMYK_ALPHA, "separated", {"extrasamples": ["UNASSALPHA"]}, (0, 255, 0)),
            ("16 bits, white is 0", DEEP_GREY // 2, "miniswhite", {}, (191, 191, 191)),
        )
    },
    "TIFF, a thumbnail first": (
        tiff_pages((np.zeros((20, 30, 3), np.uint8), 1), (np.full((200, 300, 3), GREEN, np.uint8), 0)),
        GREEN,
    ),
    "TIFF, a thumbnail first that does not say so": (
        tiff_pages((np.zeros((20, 30, 3), np.uint8), 0), (np.full((200, 300, 3), GREEN, np.uint8), 0)),
        GREEN,
    ),
    "TIFF, a smaller version behind it": (
        tiff_pages((np.full((200, 300, 3), GREEN, np.uint8), 0), (np.zeros((20, 30, 3), np.uint8), 1)),
        GREEN,
    ),
    "TIFF, a page of another shape behind it": (
        tiff_pages((np.full((200, 300, 3), GREEN, np.uint8), 0), (np.zeros((900, 300, 3), np.uint8), 0)),
        GREEN,
    ),
    "JPEG 2000, a palette": (paletted_jp2(3, [(0, 0, 0)] * 3 + [GREEN] + [(9, 9, 9)] * 4, 8), GREEN),
    "JPEG 2000, a palette of 16 bits": (paletted_jp2(1, [(0, 0, 0), (2570, 51400, 7710)], 16), GREEN),
    "JPEG 2000, indices of 16 bits": (paletted_jp2(300, [(0, 0, 0)] * 300 + [GREEN], 8, np.uint16), GREEN),
}


def test_channels_of_16_bits_in_planes_of_their_own_are_seen() -> None:
    """Pillow takes them for 8 bits."""
    planes = tiff(np.moveaxis(SLOPES, 2, 0).copy(), photometric="rgb", planarconfig="separate")

    assert np.abs(seen(planes).astype(int) - seen(tiff(SLOPES, photometric="rgb"))).max() <= 1


GOLDEN = {
    **EXTRA_GOLDEN,
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
    """A photo of one colour has that colour in every mode, transparent parts lying on white. Its size does not matter."""
    photo, colour = GOLDEN[name]
    square = seen(photo)

    assert (seen_in_steps(photo) == square).all()

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


def test_what_is_no_part_of_a_png_cannot_break_it() -> None:
    """Long texts, a large profile, wrong checksums of metadata and a broken animation leave the picture as it is."""
    photo = encoded(scene(), "PNG")
    extras = [
        chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"a rather long workflow " * 90_000)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 2_000_000)),
        chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0", spoilt=True),
        chunk(b"tRNS", b"\0\1\0\2\0\3", spoilt=True),
        chunk(b"acTL", b"\0\0\0\3\0\0\0\0") + chunk(b"fcTL", bytes(26)),
        chunk(b"iCCP", b"large\0\0" + zlib.compress(bytes(3_000_000))),
    ]

    for extra in extras:
        changed = photo[:33] + extra + photo[33:]
        assert (seen(changed) == seen(photo)).all()
        assert (seen_in_steps(changed) == seen(photo)).all()


@pytest.mark.parametrize("kind", ["before", "behind", "in a text"])
def test_exif_of_a_png_counts_wherever_it_stands(kind: str) -> None:
    """GIMP and darktable write it behind the pixels, ImageMagick into a text."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    block = exif.tobytes()
    text = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    extra = chunk(b"eXIf", block[6:]) if kind != "in a text" else chunk(b"tEXt", b"Raw profile type exif\0" + text)
    photo = encoded(scene().transpose(Image.Transpose.ROTATE_90), "PNG")
    at = len(photo) - 12 if kind == "behind" else 33

    assert np.abs(seen(photo[:at] + extra + photo[at:]).astype(int) - seen(encoded(scene(), "PNG"))).max() <= 2


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    """What has a checksum tells that it is broken; zeros instead of the rest are no grey picture."""
    photo = encoded(scene(), "PNG")
    at = photo.index(b"IDAT")
    spoilt = bytearray(photo)
    spoilt[-13] ^= 1

    for look in (seen, seen_in_steps):
        with pytest.raises(PhotoError, match="the checksum of its IDAT chunk is wrong"):
            look(bytes(spoilt))
    for part in (0.1, 0.5, 0.9):
        cut = at + int((len(photo) - at) * part)
        with pytest.raises(PhotoError, match=r"checksum|unfinished|truncated"):
            seen(photo[:cut] + bytes(len(photo) - cut))


def with_aperture(photo: bytes, clap: bytes) -> bytes:
    """Return an AVIF with a clean aperture more in the properties of its first item."""
    ipco, ipma = photo.index(b"ipco"), photo.index(b"ipma")
    end = ipco - 4 + int.from_bytes(photo[ipco - 4 : ipco], "big")
    count, inner, at = 0, photo[ipco + 4 : end], 0
    while at < len(inner):
        at += int.from_bytes(inner[at : at + 4], "big")
        count += 1
    added = box(b"clap", clap)
    body = bytearray(photo)
    number = ipma + 4 + 4 + 4 + 2  # of associations of the first item
    body[number] += 1
    body[number + 1 : number + 1] = bytes((0x80 | (count + 1),))
    body[end:end] = added
    for name, more in ((b"ipco", len(added)), (b"ipma", 1), (b"iprp", len(added) + 1), (b"meta", len(added) + 1)):
        place = body.index(name) - 4
        body[place : place + 4] = (int.from_bytes(body[place : place + 4], "big") + more).to_bytes(4, "big")
    mdat = photo.index(b"mdat") + 4
    place = body.index(mdat.to_bytes(4, "big"), body.index(b"iloc"))
    body[place : place + 4] = (mdat + len(added) + 1).to_bytes(4, "big")
    return bytes(body)


def test_the_clean_aperture_of_an_avif_is_what_is_shown() -> None:
    """What lies outside of it is no part of the picture."""
    photo = encoded(scene(320, 200), "AVIF", quality=95)
    # 200 x 100 pixels, 20 to the right of the middle and 10 above it: from (80, 40) on
    cut = with_aperture(photo, struct.pack(">IIIIiIiI", 200, 1, 100, 1, 20, 1, -10, 1))
    beyond = with_aperture(photo, struct.pack(">IIIIiIiI", 900, 1, 100, 1, 20, 1, -10, 1))
    shown = encoded(scene(320, 200).crop((80, 40, 280, 140)), "PNG")

    assert np.abs(seen(cut).astype(int) - seen(shown)).mean() < 4
    with contextlib.suppress(PhotoError):  # libavif may refuse it
        assert (seen(beyond) == seen(photo)).all()


def test_what_an_aperture_hides_counts_for_the_limits() -> None:
    """The decoder makes all pixels, however few are shown."""
    photo = encoded(Image.new("RGB", (1600, 1000)), "AVIF", speed=10)
    cut = with_aperture(photo, struct.pack(">IIIIiIiI", 200, 1, 100, 1, 0, 1, 0, 1))

    with pytest.raises(PhotoError, match="2 MP is over the limit of 1 MP"):
        seen(cut, limit_mp=1)
    with open_image(io.BytesIO(cut), 100) as image:
        assert image.size == (200, 100)
        assert price(image, image.size, io.BytesIO(cut)) > 1600 * 1000 * 9


@pytest.mark.parametrize("change", [(b"II*\0", b"XX\0\0"), (b"MM\0*", b"XX\0\0")])
def test_broken_exif_of_an_avif_costs_no_picture(change: tuple[bytes, bytes]) -> None:
    """Every other program shows it."""
    exif = Image.Exif()
    exif.endian = "<" if change[0] == b"II*\0" else ">"
    exif[ORIENTATION] = 1
    exif[271] = "Acme"
    photo = encoded(scene(), "AVIF", exif=exif.tobytes())

    assert (seen(photo.replace(*change)) == seen(encoded(scene(), "AVIF"))).all()


def test_a_jpeg_without_its_last_rows_shows_no_grey() -> None:
    """The last row that is there takes their place, at any scale."""
    noise = Image.effect_noise((900, 640), 60).convert("RGB")
    photo = encoded(noise, "JPEG", quality=80)
    square = seen(photo[: len(photo) * 95 // 100])

    assert np.abs(square.astype(int) - seen(photo))[:48].max() <= 1
    assert np.abs(square[-4:].astype(int) - 128).max() > 4


def test_a_photo_of_200_megapixels_is_seen() -> None:
    """Phones and cameras make them, and a JPEG is decoded at a part of its size."""
    assert seen(encoded(Image.new("L", (16_384, 12_288)), "JPEG"), LITE0, limit_mp=Config().decode.limit_mp).max() == 0


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
    "truncated TIFF, raw": (encoded(scene(), "TIFF")[:-2000], "truncated|broken|not an image"),
    "preallocated WebP": (encoded(scene(), "WEBP")[:-500] + bytes(500), "unfinished"),
    "preallocated WebP, without loss": (encoded(scene(), "WEBP", lossless=True)[:-100] + bytes(100), "unfinished"),
    "preallocated WebP, its second frame": (frames("WEBP")[:-60] + bytes(60), "unfinished"),
    "preallocated AVIF": (encoded(scene(), "AVIF")[:-300] + bytes(300), "unfinished"),
    "preallocated JPEG 2000": (encoded(scene(), "JPEG2000")[:-900] + bytes(900), "unfinished"),
    "TIFF of floats": (
        tiff(np.zeros((80, 90, 3), np.float32), photometric="rgb"),
        "a TIFF in RGB with 32 floating-point",
    ),
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

    for look in (seen, seen_in_steps):
        with pytest.raises(PhotoError, match=reason):
            look(photo)


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
from pixkind.encoder.worker.header import open_image
from pixkind.errors import PhotoError
from pixkind.encoder.worker.budget import Budget, price
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
