"""HEIC, JPEG XL and camera RAW: each in its colours, upright once, with its facts; or refused with a reason."""

import io
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pillow_heif
import pylibjxl
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from tests.daemon.encoder.worker.dng import dng

import pixkin
import pixkind
from pixkind.encoder.formats import HEIF, JXL, RAW, PhotoFormat
from pixkind.encoder.messages import Inspected
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import Recipe, Square, decode
from pixkind.encoder.worker.header import inspect, open_photo
from pixkind.encoder.worker.plugins import UNAVAILABLE, is_hopeless
from pixkind.encoder.worker.sniff import extra_format
from pixkind.errors import PhotoError

RECIPE = Recipe(short=64, side=56, bicubic=True)
RED, WHITE = (220, 20, 30), (255, 255, 255)
SIZE = (300, 200)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def seen(photo: bytes, limit_mp: int = 100) -> Square:
    """Return what a network would see of these bytes."""
    return decode(io.BytesIO(photo), RECIPE, limit_mp=limit_mp, budget=Budget())


def look(photo: bytes, limit_mp: int = 100) -> Inspected:
    """Return what the worker would say of these bytes."""
    return inspect(io.BytesIO(photo), job=7, limit_mp=limit_mp)


def plain(mode: str, colour: int | tuple[int, ...], size: tuple[int, int] = SIZE) -> Image.Image:
    """Return an image of one colour."""
    return Image.new(mode, size, colour)


def scene(size: tuple[int, int] = (600, 400)) -> Image.Image:
    """Return an image whose corners all differ."""
    width, height = size
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.paste((200, 30, 30), (0, 0, width // 2, height // 3))
    image.paste((30, 30, 200), (width // 2, height // 2, width * 2 // 3, height))
    return image


def stored(way: int) -> Image.Image:
    """Return the scene as a camera stores it that is held in this way, 1 to 8 as in EXIF."""
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][way]
    return scene() if undo is None else scene().transpose(Image.Transpose(undo))


def exif(orientation: int = 1) -> bytes:
    """Return an EXIF block."""
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.Make], block[ExifTags.Base.Model] = "Acme", "Acme One"
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:05:06 07:08:09"
    return block.tobytes()


def heic(image: Image.Image, **options: object) -> bytes:
    """Return the image as HEIC."""
    file = io.BytesIO()
    image.save(file, "HEIF", quality=95, **options)
    return file.getvalue()


def deep_heic(colour: tuple[int, int, int]) -> bytes:
    """Return 10 bits a channel as HEIC."""
    pixels = np.full((SIZE[1], SIZE[0], 3), colour, np.uint16) * 257
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", SIZE, pixels.tobytes()).save(file, quality=95)
    return file.getvalue()


def jxl(image: Image.Image, **options: object) -> bytes:
    """Return the image as JPEG XL."""
    return pylibjxl.encode(np.array(image), effort=1, **options)  # type: ignore[arg-type]  # whatever it takes


def jxl_of_jpeg(way: int) -> bytes:
    """Return a JPEG that has become a JPEG XL without loss, which keeps its orientation in the codestream."""
    file = io.BytesIO()
    stored(way).save(file, "JPEG", quality=95, exif=exif(way))
    return pylibjxl.jpeg_to_jxl(file.getvalue(), effort=1)


# Frames of 90 x 80 pixels, (10, 200, 30) and (245, 55, 225), encoded by imagecodecs 2026.3.6.
TWO_FRAMES = bytes.fromhex(
    "ff0a7802b2089a00404c0804010068004b188b1500d41b638cbb31ee011c"
    "40f1a6440ad793d74243d0440804050080004b188b1500d41b638c7137ee"
    "010024470480ba1509fc4292086726cd4ac4940d"
)
# Make and model, and zeros; by Brotli 1.1.
EXIF_OF_64_MIB = bytes.fromhex(
    "cbffff3f0084a06d9e0f82a62dc4a585b152a4cb4a908fae447ab01c0bc19c1e34510e818abb9c021def5ce0fddf583b196be7f5fd09ffff"
    "ff00900088c302d0bdffe3ffff1f001200715800baf77ffcffff034002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f00098038"
    "2c00ddfb3ffeffff012001108705a07bffc7ffff3f002400e2b00074efff2207008004401c110001"
)
GOLDEN = {
    "HEIC": (heic(plain("RGB", RED)), RED),
    "HEIC, grey": (heic(plain("L", 77)), (77, 77, 77)),
    "HEIC, hidden by alpha": (heic(plain("RGBA", (*RED, 0))), WHITE),
    "HEIC, 10 bits": (deep_heic(RED), RED),
    "JPEG XL": (jxl(plain("RGB", RED)), RED),
    "JPEG XL, grey": (jxl(plain("L", 77)), (77, 77, 77)),
    "JPEG XL, hidden by alpha": (jxl(plain("RGBA", (*RED, 0)), lossless=True), WHITE),
    "JPEG XL, half alpha": (jxl(plain("RGBA", (255, 0, 0, 128)), lossless=True), (255, 127, 127)),
    "JPEG XL, without loss": (jxl(plain("RGB", RED), lossless=True), RED),
    "JPEG XL, the first of two frames": (TWO_FRAMES, (10, 200, 30)),
    "RAW, its preview": (dng(plain("RGB", RED, (600, 400))), RED),
    "RAW, developed": (dng(grey=1), (0, 0, 0)),
}
TURNED: dict[str, Callable[[int], bytes]] = {
    "HEIC": lambda way: heic(stored(way), exif=exif(way)),
    "JPEG XL": jxl_of_jpeg,
    "RAW": lambda way: dng(stored(way), size=stored(way).size, orientation=way),
}
LARGE: Final = {
    "HEIC": heic(scene(), exif=exif()),
    "JPEG XL": jxl(scene(), exif=exif()),
    "RAW": dng(scene((300, 260)), size=(600, 400)),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_every_mode_has_its_colour(name: str) -> None:
    """A photo of one colour has that colour in every mode, transparent parts lying on white."""
    photo, colour = GOLDEN[name]
    square = seen(photo)

    assert square.shape == (56, 56, 3)
    assert np.abs(square.astype(int) - colour).max() <= 4


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("kind", TURNED)
def test_orientation_is_undone_once(kind: str, way: int) -> None:
    """However the camera was held, and in how many places a photo says so, it stands upright."""
    assert np.abs(seen(TURNED[kind](way)).astype(int) - seen(jxl(scene()))).mean() < 4


@pytest.mark.parametrize("kind", LARGE)
def test_facts_come_from_the_header(kind: str) -> None:
    """Size, time and camera are read before a pixel is decoded; those of a raw photo are its own, not its preview's."""
    said = look(LARGE[kind])

    assert (said.width, said.height, said.details.taken_s, said.details.camera) == (600, 400, 1620284889, "Acme One")


@pytest.mark.parametrize("kind", LARGE)
def test_too_many_pixels_are_refused_before_they_are_decoded(kind: str) -> None:
    """The limit holds for the photo itself, whatever its preview's size."""
    large = {"HEIC": heic, "JPEG XL": jxl, "RAW": lambda image: dng(scene(), size=image.size)}[kind](
        plain("RGB", RED, (1200, 900))
    )

    with pytest.raises(PhotoError, match=r"1 MP is over the limit of 1 MP \(decode.limit_mp\)"):
        look(large, limit_mp=1)
    with pytest.raises(PhotoError, match=r"is over the limit"):
        seen(large, limit_mp=1)


NOISE = Image.effect_noise((600, 400), 90).convert("RGB")
WHOLE: Final = {
    "HEIC": heic(NOISE),
    "HEIC of tiles": heic(NOISE, tile_size=256),
    "JPEG XL": jxl(NOISE),
    "JPEG XL, without loss": jxl(NOISE, lossless=True),
    "RAW, its preview": dng(NOISE, size=(64, 48)),
    "RAW, developed": dng(),
}


@pytest.mark.parametrize("part", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_truncated_photo_is_refused(kind: str, part: float) -> None:
    """A file without all of its picture is refused with a reason, never half decoded."""
    whole = WHOLE[kind]

    with pytest.raises(PhotoError, match=r"broken|header|truncated|LibRaw"):
        seen(whole[: int(len(whole) * part)])


@pytest.mark.parametrize("kind", WHOLE)
def test_a_preallocated_photo_is_refused(kind: str) -> None:
    """A file that has its size already, but zeros where half of it is to be, is no grey picture."""
    whole = WHOLE[kind]
    half = len(whole) // 2

    with pytest.raises(PhotoError, match=r"broken|header|unfinished|LibRaw"):
        seen(whole[:half] + bytes(len(whole) - half))


ENTRY = "<HHII"  # of a TIFF: tag, type, how many values, the value
HALF_MISSING = dng().replace(struct.pack(ENTRY, 279, 4, 1, 480_000), struct.pack(ENTRY, 279, 4, 1, 960_000))
STRIP_MISSING = dng().replace(struct.pack(ENTRY, 278, 4, 1, 400), struct.pack(ENTRY, 278, 4, 1, 100))
COMPRESSED = dng(scene(), grey=0).replace(struct.pack(ENTRY, 259, 3, 1, 1), struct.pack(ENTRY, 259, 3, 1, 7))
# Found by `make fuzz`: a TIFF in whose middle LibRaw finds a raw photo, and then reads past the end.
ODD = bytearray(15138)
for at, some in {
    0: b"II*\0\x08",
    8: b"\x0e\0\0\1",
    18: b"Z",
    22: b"\1\1",
    30: b"P\0\0\0\2\1",
    42: b"\x10",
    82: b"\x11\1",
    93: b"i",
    178: b"\xea",
    235: b"u",
    12080: b"\6\1\3\0\1",
    12088: b"#\x80",
}.items():
    ODD[at : at + len(some)] = some
WITHOUT_PIXELS = {
    "beyond its end, in the middle of a TIFF": (bytes(ODD), "truncated"),
    "beyond its end": (HALF_MISSING, "truncated"),
    "beyond its end, behind a preview": (
        dng(scene()).replace(struct.pack(ENTRY, 279, 4, 1, 480_000), struct.pack(ENTRY, 279, 4, 1, 960_000)),
        "truncated",
    ),
    "fewer strips than rows": (STRIP_MISSING, "truncated"),
    "zeros": (dng(grey=0), "unfinished"),
    "zeros, compressed, behind a preview": (COMPRESSED, "unfinished"),
    "Fujifilm": (
        b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">6I", 160, 999, 0, 0, 2000, 9999),
        "truncated",
    ),
    "Canon since 2018": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + b"\0\1\0\0mdat" + bytes(300), "truncated"),
}


@pytest.mark.parametrize("name", WITHOUT_PIXELS)
def test_a_raw_photo_without_its_pixels_is_refused(name: str) -> None:
    """It is never shown in black or as noise, nor by a preview that hides what is missing."""
    photo, reason = WITHOUT_PIXELS[name]

    with pytest.raises(PhotoError, match=f"^{reason}"):
        look(photo)


def test_a_directory_without_end_is_none() -> None:
    """A HEIF whose directory claims four billion parts of no bytes is refused at once."""
    info = bytes(6)
    places = bytes((1, 0, 0, 0, 0, 0)) + b"\xff\xff" + (b"\0\1\0\0\0\0" + b"\xff\xff") * 0xFFFF
    inner = bytes(4) + b"".join(
        (8 + len(body)).to_bytes(4, "big") + name + body for name, body in ((b"iinf", info), (b"iloc", places))
    )
    photo = b"\0\0\0\x14ftypheic\0\0\0\0heic" + (8 + len(inner)).to_bytes(4, "big") + b"meta" + inner

    with pytest.raises(PhotoError):
        look(photo)


def test_a_kind_that_is_no_word_is_not_shown() -> None:
    """Bytes of a file in the reason of a failure could command a terminal."""
    photo = heic(scene()).replace(b"hvc1", b"\x1b[2J")

    with pytest.raises(PhotoError) as refused:
        look(photo)
    assert refused.value.reason.isprintable()


def test_what_follows_a_whole_heic_does_not_matter() -> None:
    """A film, or anything else, may be attached to a photo."""
    assert (seen(WHOLE["HEIC"] + b"\xff\xff\xff\xffmpvd" + bytes(99)) == seen(WHOLE["HEIC"])).all()


def test_colours_of_jpeg_xl_are_those_of_its_profile() -> None:
    """The same numbers under another profile are other colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"....", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"....", b"bXYZ", 1)

    assert np.abs(seen(jxl(plain("RGB", (250, 0, 0)), icc=swapped)).astype(int) - (0, 0, 250)).max() <= 4


def container(*boxes: tuple[bytes, bytes]) -> bytes:
    """Return a JPEG XL file of these boxes."""
    whole = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
    return whole + b"".join((8 + len(body)).to_bytes(4, "big") + name + body for name, body in boxes)


def test_jpeg_xl_is_read_in_pieces_and_with_its_metadata_anywhere() -> None:
    """A codestream may be cut into boxes, and EXIF stand before or behind it, at any place in its box."""
    stream, said = jxl(scene()), b"\0\0\0\3..." + exif()
    pieces = (b"jxlp", bytes(4) + stream[:99]), (b"jxlp", b"\x80\0\0\1" + stream[99:])
    photos = [container((b"Exif", said), *pieces), container(*pieces, (b"free", bytes(70_000)), (b"Exif", said))]

    assert [look(photo).details.camera for photo in photos] == ["Acme One"] * 2
    assert all((seen(photo) == seen(stream)).all() for photo in photos)


def test_compressed_metadata_of_jpeg_xl_cannot_fill_the_memory() -> None:
    """150 bytes that would be an EXIF of 64 MiB are left alone, and the picture is none the worse."""
    bomb = container((b"jxlc", jxl(scene())), (b"brob", b"Exif" + EXIF_OF_64_MIB))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said, square = look(bomb), seen(bomb)

    assert said.details.camera == ""
    assert (square == seen(jxl(scene()))).all()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_for_a_preview_no_data_of_the_sensor_are_unpacked() -> None:
    """That takes long, and then rawpy frees the file from which LibRaw reads the preview. Data that nothing can unpack show it."""
    odd = struct.pack(ENTRY, 259, 3, 1, 8)  # a compression
    photo = dng(plain("RGB", RED, (600, 400))).replace(struct.pack(ENTRY, 259, 3, 1, 1), odd, 1)

    assert odd in photo
    assert np.abs(seen(photo).astype(int) - RED).max() <= 4


def test_a_raw_photo_is_developed_when_its_preview_is_too_small() -> None:
    """A preview that would have to be enlarged is not used; a larger one is, whatever the sensor saw."""
    small, large = (seen(dng(plain("RGB", RED, size), grey=1)) for size in ((240, 160), (390, 260)))

    assert small.max() <= 4
    assert np.abs(large.astype(int) - RED).max() <= 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_plain_tiff_stays_one(order: Literal["<", ">"]) -> None:
    """A TIFF is a RAW photo only by its data: neither a camera's name nor several pages make it one."""
    file = io.BytesIO()
    pages = np.stack([np.full((80, 90, 3), colour, np.uint8) for colour in (RED, WHITE)])
    camera = [(int(ExifTags.Base.Make), 2, 0, "Canon", True), (int(ExifTags.Base.Model), 2, 0, "Canon EOS 5D", True)]
    tifffile.imwrite(file, pages, byteorder=order, photometric="rgb", extratags=camera)

    assert extra_format(file) is None
    assert look(file.getvalue()).details.camera == "Canon EOS 5D"
    assert np.abs(seen(file.getvalue()).astype(int) - RED).max() <= 4


STARTS = {
    HEIF: [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", b"\0\0\0\x14ftypmsf1\0\0\0\0msf1"],
    JXL: [b"\xff\x0a\x78", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl "],
    RAW: [
        *(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", b"FUJIFILMCCD-RAW 0201", b"IIU\0\x18\0\0\0", b"IIRO\x08\0\0\0"),
        *(b"II*\0\x10\0\0\0CR\2\0", b"II\x1a\0\0\0HEAPCCDR", b"II*\0\x08\0\0\0" + bytes.fromhex("0100 0601 0300 01000000 2380 0000 00000000")),
    ],
    None: [
        *(b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", b"\x89PNG\r\n\x1a\n", b"", b"II*\0"),
        b"II*\0\x08\0\0\0" + bytes.fromhex("0100 0601 0300 01000000 0200 0000 08000000"),  # its next page is itself
        b"II*\0\x08\0\0\0" + bytes.fromhex("0100 4a01 0400 ffffffff 08000000 ffffffff"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", STARTS, ids=lambda kind: kind and kind.name)
def test_its_first_bytes_tell_what_a_photo_needs(kind: PhotoFormat | None) -> None:
    """HEIF, JPEG XL and RAW are recognised by content alone, however broken it is."""
    told = [extra_format(io.BytesIO(start + bytes(100 * bool(start)))) for start in STARTS[kind]]

    assert told == [kind] * len(STARTS[kind])


def test_a_sensor_in_any_directory_makes_a_raw_photo() -> None:
    """Most cameras store a small picture first and the sensor data in a directory below it, and none writes DNG."""
    version = struct.pack("<HH", 50706, 1)
    photo = dng().replace(version, struct.pack("<HH", 50707, 1))

    assert version in dng()
    assert extra_format(io.BytesIO(photo)) is RAW


ALONE = """
import io, sys
sys.path[:0] = sys.argv[1:]
from pixkind.errors import PhotoError
from pixkind.encoder.worker.plugins import UNAVAILABLE, is_hopeless
from pixkind.encoder.worker.header import inspect
try:
    print(inspect(io.BytesIO(sys.stdin.buffer.read()), job=1, limit_mp=100).width)
except PhotoError as error:
    print(error.reason)
"""


@pytest.mark.parametrize(("name", "one"), [("HEIC", HEIF), ("JPEG XL", JXL), ("RAW", RAW)])
def test_a_photo_whose_decoder_is_missing_says_what_to_install(tmp_path: Path, name: str, one: PhotoFormat) -> None:
    """Without its package a format is refused with the command to run, and with a broken package with its error; other formats work."""
    package = one.package.replace("-", "_")
    ours = [str(Path(module.__path__[0]).parent) for module in (pixkin, pixkind)]
    for entry in Path(np.__path__[0]).parent.iterdir():
        if not entry.name.startswith((package, f"_{package}")):
            (tmp_path / entry.name).symlink_to(entry)

    def said(photo: bytes) -> str:
        command = [sys.executable, "-I", "-S", "-c", ALONE, *ours, str(tmp_path)]
        return subprocess.check_output(command, input=photo).decode().strip()

    absent = said(LARGE[name])
    others = [said(photo) for other, photo in LARGE.items() if other != name]
    (tmp_path / f"{package}-1.dist-info").mkdir()
    (tmp_path / f"{package}-1.dist-info/METADATA").write_text(f"Name: {package}\nVersion: 1\n")

    assert absent.startswith(
        f"{one.name} needs {one.package}, which is not installed: {sys.executable} -m pip install "
    )
    assert one.package in absent.partition(" -m pip install ")[2]
    assert "--force-reinstall" not in absent
    assert others == ["600", "600"]
    assert "cannot be loaded: No module named" in said(LARGE[name])


def test_what_cannot_be_read_is_not_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first piece of a photo tells that its decoder is missing; of other photos, and where none is missing, nothing is given up."""
    first = [photo[:4096] for photo in LARGE.values()]
    now = [is_hopeless(head) for head in first]
    monkeypatch.setitem(UNAVAILABLE, HEIF, "it is not installed")

    assert now == [False, False, False]
    assert [is_hopeless(head) for head in first] == [True, False, False]


def test_real_phones_hold_their_photos_upright(shared_photos: Path) -> None:
    """A photo of a phone has the size in which it is shown, and its camera is known."""
    folder = shared_photos.parent / "orientation"
    if not folder.is_dir():
        pytest.skip(f"no real photos in {folder}")
    facts = {}
    for path in sorted(folder.glob("*.[Hh][Ee]*")):
        one = inspect(open_photo(os.open(path, os.O_RDONLY)), job=0, limit_mp=100)
        facts[path.name] = (one.width, one.height, one.details.camera)

    assert facts["iphone_13_pro_max.HEIC"] == (3024, 4032, "Apple iPhone 13 Pro Max")
    assert len(facts) == 5
