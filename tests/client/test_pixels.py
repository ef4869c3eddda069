"""Images of Pillow, arrays and open files as images of a query: the daemon sees what it would see of a file."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from tests.client.test_client import record
from tests.daemon.encoder.worker.test_decode import GOLDEN, encoded, plain, scene, seen

from pixkin import Client
from pixkin.errors import InputUnreadable
from pixkin.pixels import Content, content_of
from pixkin.protocol import replies, requests

MOST = requests.MAX_IMAGES
# Files of which Pillow itself has other pixels, or none, so that they are wrong before pixkin gets them.
NOT_BY_PILLOW = (
    "TIFF, Lab",
    "TIFF, 16 bits, white is 0",
    "TIFF, 16 bits, alpha, >",
    "JPEG 2000, a palette",
    "JPEG 2000, indices",
)
READ = {name: photo for name, (photo, _) in GOLDEN.items() if not name.startswith(NOT_BY_PILLOW)}

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", READ)
def test_an_image_of_pillow_is_seen_as_its_file(name: str) -> None:
    """Every mode, palettes, alpha, CMYK and 16 bits: a query by the image is a query by the file, to the last bit."""
    photo = READ[name]
    with Image.open(io.BytesIO(photo)) as image:
        sent = content_of(image, MOST)

    assert (seen(sent) == seen(photo)).all()


SRGB, CIELAB = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
MODES = {
    **{mode: scene().convert(mode) for mode in ("CMYK", "YCbCr", "HSV", "RGBX", "I", "F")},
    "RGBa": scene().convert("RGBA").convert("RGBa"),
    "La": scene().convert("LA").convert("La"),
    "PA": scene().quantize(256).convert("PA"),
    "LAB": ImageCms.profileToProfile(scene(), SRGB, CIELAB, outputMode="LAB"),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_that_no_png_has_keeps_its_look(mode: str) -> None:
    """An image that was never a file may have any mode of Pillow. In I and F, black and white are the extremes."""
    image = MODES[mode]
    assert image is not None
    assert image.mode == mode
    look = scene().convert("L") if mode in {"La", "I", "F"} else scene()
    if mode in {"I", "F"}:
        look = ImageOps.autocontrast(look)

    assert np.abs(seen(content_of(image, MOST)).astype(int) - seen(encoded(look, "PNG"))).mean() < 3


@pytest.mark.parametrize("way", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_image_of_pillow_is_turned_as_its_file(way: int, kind: str) -> None:
    """Pillow turns no pixels of most formats, so the orientation must come along."""
    exif = Image.Exif()
    exif[0x0112] = way
    photo = encoded(scene(), kind, exif=exif, **({} if kind == "TIFF" else {"quality": 95}))
    with Image.open(io.BytesIO(photo)) as image:
        assert (seen(content_of(image, MOST)) == seen(photo)).all()


@pytest.mark.parametrize("way", ["up", b"6", 0, 9, 70000, -1, 1.5, (6, 6)])
def test_an_orientation_that_is_none_is_left_out(way: object) -> None:
    """Cameras and programs write all kinds of things there."""
    image = scene()
    image.getexif()[0x0112] = way

    assert (seen(content_of(image, MOST)) == seen(content_of(scene(), MOST))).all()


def test_an_image_of_pillow_has_the_colours_of_its_profile() -> None:
    """The profile comes along."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"....", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"....", b"bXYZ", 1)
    photo = encoded(plain("RGB", (250, 0, 0)), "JPEG", icc_profile=swapped)
    with Image.open(io.BytesIO(photo)) as image:
        square = seen(content_of(image, MOST))

    assert (square == seen(photo)).all()
    assert square[0, 0].argmax() == 2


ARRAY = np.asarray(scene())
SHAPES = {
    "RGB": ARRAY,
    "RGB, mirrored": ARRAY[:, ::-1],
    "RGB, from BGR": np.ascontiguousarray(ARRAY[..., ::-1])[..., ::-1],
    "RGB, every second pixel": ARRAY[::2, ::2],
    "in the order of Fortran": np.asfortranarray(ARRAY),
    "grey": np.asarray(scene().convert("L")),
    "grey, one channel": np.asarray(scene().convert("L"))[..., None],
    "with alpha": np.dstack([ARRAY, np.tile(np.arange(300, dtype=np.uint8), (200, 1))]),
    "one pixel": np.full((1, 1, 3), 7, np.uint8),
}


@pytest.mark.parametrize("name", SHAPES)
def test_an_array_is_seen_as_its_pixels(name: str) -> None:
    """Whatever its strides: Pillow reads the same pixels from what is sent."""
    array = SHAPES[name]
    with Image.open(io.BytesIO(content_of(array, MOST))) as image:
        pixels = np.asarray(image)

    assert image.format == "PNG"
    assert (pixels == array.squeeze()).all()
    assert (seen(content_of(array, MOST)) == seen(encoded(image, "PNG"))).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5, 3), np.float32), "an array of 4 x 5 x 3 values of the type float32"),
        (np.zeros((4, 5), bool), "type bool"),
        (np.zeros((3, 224, 224), np.uint8), "3 x 224 x 224"),
        (np.zeros((1, 4, 5, 3), np.uint8), "1 x 4 x 5 x 3"),
        (np.zeros((0, 5, 3), np.uint8), "0 x 5 x 3"),
        (np.zeros((4, 5, 2), np.uint8), "4 x 5 x 2"),
        (np.zeros(7, np.float64), "7 values"),
        (np.array(7, np.uint8), "no values"),
    ],
)
def test_an_array_that_is_no_image_is_refused(array: NDArray[np.generic], words: str) -> None:
    """The sentence names its shape and type, and the hint what an image is."""
    with pytest.raises(InputUnreadable, match=words) as caught:
        content_of(array, MOST)

    assert "H x W x 3" in caught.value.hint


def test_bytes_in_any_form_are_a_file() -> None:
    """A `bytearray`, a `memoryview`, and an array of one dimension hold the bytes of a file."""
    photo = encoded(scene(), "PNG")
    forms: list[Content] = [bytearray(photo), memoryview(photo), np.frombuffer(photo, np.uint8), io.BytesIO(photo)]

    assert [content_of(one, MOST) for one in forms] == [photo] * 4


def test_an_open_file_is_read_to_its_end(tmp_path: Path) -> None:
    """From where it stands, also if it gives its bytes in parts, as a pipe does."""
    (tmp_path / "a").write_bytes(b"head" + b"x" * 100)
    with (tmp_path / "a").open("rb") as file:
        file.seek(4)
        assert content_of(file, MOST) == b"x" * 100
    read, write = os.pipe()
    os.write(write, b"first")
    with open(read, "rb", buffering=0) as pipe:
        assert pipe.read(2) == b"fi"
        os.write(write, b" second")
        os.close(write)
        assert content_of(pipe, MOST) == b"rst second"


def test_an_endless_file_is_refused() -> None:
    """No more is read than is needed to refuse it."""
    with open("/dev/zero", "rb") as file, pytest.raises(InputUnreadable, match="too large"):
        content_of(file, 1000)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Text is no image, and an error of the disk is a sentence."""
    (tmp_path / "a").write_text("text")
    with (tmp_path / "a").open() as file, pytest.raises(InputUnreadable, match="str, not bytes") as caught:
        content_of(file, MOST)  # type: ignore[arg-type]  # that is the mistake
    assert caught.value.hint == "open it as 'rb'"
    with (tmp_path / "a").open("wb") as file, pytest.raises(InputUnreadable, match="cannot be read"):
        content_of(file, MOST)


def test_an_image_that_cannot_be_decoded_is_refused() -> None:
    """Pillow reads pixels late, so a truncated file is noticed only now."""
    photo = encoded(scene(), "JPEG")
    with Image.open(io.BytesIO(photo[: len(photo) // 2])) as image, pytest.raises(InputUnreadable, match="truncated"):
        content_of(image, MOST)


@pytest.mark.parametrize("what", [7, None, ["a.jpg"], np.array(["2019"], "datetime64")])
def test_what_can_be_no_image_is_a_type_error(serve: Callable[..., str], what: object) -> None:
    """A mistake in the program is no mistake of its user."""
    with pytest.raises(TypeError, match=type(what).__name__):
        Client(serve(lambda _: [])).like(what)  # type: ignore[arg-type]  # that is the mistake


def test_all_forms_are_sent_with_their_weights(serve: Callable[..., str]) -> None:
    """Each takes a frame; `have` and `thumbnail` take the same forms."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    holdings = replies.Holdings(holdings=(replies.Holding(b"", replies.Has.NEW),))
    thumb = replies.Thumb(content=bytes(16), data=b"", width=1, height=1)
    client = Client(serve(record(log, replies.Matches(), holdings, thumb)))
    photo = encoded(scene(), "PNG")
    client.like((0.5, scene()), ARRAY, minus=[io.BytesIO(photo), "/a.jpg"])
    client.have(ARRAY)
    client.thumbnail(scene())

    (like, frames), (_, had), (_, small) = log
    assert isinstance(like, requests.Like)
    assert [(one.frame, one.weight) for one in like.images] == [(2, 0.5), (3, 1), (4, -1), (0, -1)]
    assert frames == [content_of(scene(), MOST), content_of(ARRAY, MOST), photo]
    assert (had, small) == ([frames[1]], [frames[0]])


def test_pixels_that_are_too_many_are_refused(serve: Callable[..., str]) -> None:
    """The sentence is that for a file."""
    with pytest.raises(InputUnreadable, match="too large: at most 128 MiB"):
        Client(serve(lambda _: [])).like(np.zeros((7000, 7000, 3), np.uint8))


def test_neither_library_is_imported() -> None:
    """A query by path needs neither Pillow nor numpy, nor does one by bytes or by an open file."""
    code = """
import io, sys
from pixkin.pixels import content_of
print(content_of(io.BytesIO(b"a"), 9), content_of(bytearray(b"b"), 9), {"PIL", "numpy"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "b'a' b'b' set()\n"
