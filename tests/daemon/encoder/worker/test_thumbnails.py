"""A thumbnail is the picture as it is shown: upright, in sRGB, on white, and nothing else."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from pixkind.encoder.messages import Size, ThumbnailOf
from pixkind.encoder.thumbnail_checks import BOUNDS, Drawing, check
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import LITE0, decode
from pixkind.encoder.worker.thumbnails import Allowance, Passing, draw, fitting
from pixkind.errors import PhotoError

RED, BLUE = (200, 30, 30), (30, 30, 200)
OF = ThumbnailOf("file:///p/a.jpg", 12)


def photo(kind: str = "JPEG", size: tuple[int, int] = (1200, 800), mode: str = "RGB", **options: object) -> bytes:
    """Return a photo whose upper left quarter is red."""
    image = Image.new("RGB", size, BLUE)
    image.paste(RED, (0, 0, size[0] // 2, size[1] // 2))
    image.paste(Image.linear_gradient("L"), (size[0] // 2, size[1] // 3))
    file = io.BytesIO()
    (image.quantize() if mode == "P" else image.convert(mode)).save(file, kind, **options)
    return file.getvalue()


def drawn(data: bytes, size: Size = Size.S, budget: Budget | None = None) -> tuple[Image.Image, Drawing]:
    """Return the thumbnail of a photo, which the daemon would believe."""
    jpeg, look = draw(io.BytesIO(data), size, limit_mp=200, budget=budget or Budget())
    return Image.open(io.BytesIO(jpeg)), check(jpeg, size, look)


def is_near(pixel: object, colour: tuple[int, ...], most: int = 12) -> bool:
    """Return whether a pixel has this colour."""
    assert isinstance(pixel, tuple)
    return all(abs(one - other) <= most for one, other in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("size", "whole", "wanted"),
    [
        (Size.S, (4000, 3000), (341, 256)),
        (Size.S, (3000, 4000), (192, 256)),
        (Size.S, (200, 100), (200, 100)),
        (Size.S, (30_000, 1000), (2048, 68)),
        (Size.S, (100_000, 1), (2048, 1)),
        (Size.M, (4000, 3000), (682, 512)),
        (Size.L, (3000, 4000), (1536, 2048)),
        (Size.X, (4000, 3000), (4000, 3000)),
        (Size.X, (12_000, 8000), (6000, 4000)),
        (Size.X, (100_000, 100), (65_500, 65)),
    ],
)
def test_a_thumbnail_has_the_shape_of_its_picture(size: Size, whole: tuple[int, int], wanted: tuple[int, int]) -> None:
    """It keeps to the bounds that the daemon checks, and is never larger than the picture."""
    assert fitting(*whole, size) == wanted
    assert all(here <= most for here, most in zip(wanted, BOUNDS[size], strict=True))
    assert math.prod(wanted) <= 24_000_000


@pytest.mark.parametrize("size", [*Size])
@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("TIFF", "CMYK")]
)
def test_every_size_is_drawn_of_every_kind(kind: str, mode: str, size: Size) -> None:
    """The corners are where they were, and have their colours."""
    image, drawing = drawn(photo(kind, mode=mode), size)

    assert image.size == (drawing.width, drawing.height) == fitting(1200, 800, size)
    assert is_near(image.getpixel((5, 5)), RED)
    assert is_near(image.getpixel((image.width - 5, image.height - 5)), BLUE)


@pytest.mark.parametrize("way", range(1, 9))
def test_a_thumbnail_is_upright(way: int, orientations: Path) -> None:
    """Whatever the orientation says, it shows the same picture; and its look says whether the sides are swapped."""
    image, drawing = drawn((orientations / f"landscape_{way}.jpg").read_bytes(), Size.M)
    upright, _ = drawn((orientations / "landscape_1.jpg").read_bytes(), Size.M)

    assert image.size == upright.size
    assert np.abs(np.asarray(image, np.int16) - np.asarray(upright, np.int16)).mean() < 12
    assert drawing.look.turned == (way > 4)


def test_no_metadata_leave(tmp_path: Path) -> None:
    """No position, no comment, no profile and no preview of the photo is in its thumbnail."""
    image = Image.open(io.BytesIO(photo()))
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "SECRET"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = b"SECRET"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "a.jpg", exif=exif, comment=b"SECRET", icc_profile=profile, xmp=b"SECRET", dpi=(123, 123))
    words = PngInfo()
    words.add_text("Comment", "SECRET")
    image.save(tmp_path / "a.png", pnginfo=words, exif=exif, icc_profile=profile, dpi=(123, 123))

    for file in tmp_path.iterdir():
        shown, drawing = drawn(file.read_bytes())
        assert b"SECRET" in file.read_bytes()
        assert b"SECRET" not in drawing.data
        assert shown.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert shown.info["jfif_density"] == (1, 1)


def test_a_thumbnail_is_in_srgb() -> None:
    """The colours of another profile are converted, since the profile itself does not leave."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"....", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"....", b"bXYZ", 1)

    image, _ = drawn(photo("PNG", icc_profile=swapped))

    assert is_near(image.getpixel((5, 5)), BLUE)
    assert is_near(image.getpixel((5, image.height - 5)), RED)


def test_what_is_transparent_is_white() -> None:
    """As in the picture that a network sees."""
    file = io.BytesIO()
    Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(file, "PNG")

    image, drawing = drawn(file.getvalue())

    assert is_near(image.getpixel((9, 9)), (255, 255, 255))
    assert is_near(tuple(drawing.look.colour.to_bytes(3, "big")), (255, 255, 255), 2)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB", "RGBA"])
def test_the_mean_colour_is_that_of_the_picture(mode: str) -> None:
    """A quarter is red, so it is a little red."""
    file = io.BytesIO()
    Image.new(mode, (300, 200), 1 if mode == "1" else 65_535 if mode == "I;16" else "white").save(file, "PNG")

    white = drawn(file.getvalue())[1].look.colour
    assert is_near(tuple(white.to_bytes(3, "big")), (255, 255, 255), 2)
    image, drawing = drawn(photo())
    mean = np.asarray(image, np.float64).mean(axis=(0, 1))
    assert np.abs(mean - np.frombuffer(drawing.look.colour.to_bytes(3, "big"), np.uint8)).max() < 3


def test_the_largest_size_keeps_to_the_memory_of_the_worker() -> None:
    """What the whole picture would take is too much: then it is drawn smaller, and not refused."""
    large = photo(size=(6000, 4000))

    whole, _ = drawn(large, Size.X)
    small, _ = drawn(large, Size.X, Budget(most_bytes=150_000_000))

    assert whole.size == (6000, 4000)
    assert small.size == (3000, 2000)
    with pytest.raises(PhotoError, match="memory"):
        drawn(large, Size.X, Budget(most_bytes=1_000_000))


def test_a_large_jpeg_is_decoded_at_a_part_of_its_size() -> None:
    """A photo of 24 MP takes 96 MB in full, and little for a small thumbnail."""
    image, _ = drawn(photo(size=(6000, 4000)), Size.S, Budget(most_bytes=4_000_000))

    assert image.size == (384, 256)


@pytest.mark.parametrize("data", [b"", b"no photo", photo()[:2000], photo("PNG")[:-300]])
def test_a_broken_photo_is_refused_with_a_sentence(data: bytes) -> None:
    """As when it is indexed."""
    with pytest.raises(PhotoError):
        drawn(data)


def of_desktop(uri: str = "file:///p/a.jpg", mtime: str = "12", size: tuple[int, int] = (512, 341)) -> bytes:
    """Return a thumbnail as the desktop makes it."""
    words = PngInfo()
    words.add_text("Thumb::URI", uri)
    words.add_text("Thumb::MTime", mtime)
    return photo("PNG", size, pnginfo=words)


@pytest.mark.parametrize("mtime", ["12", "12.5"])
def test_a_thumbnail_of_the_desktop_is_drawn_again(mtime: str) -> None:
    """So nothing that stands in it leaves."""
    jpeg, _ = draw(io.BytesIO(of_desktop(mtime=mtime)), Size.S, limit_mp=1, budget=Budget(), of=OF)

    assert Image.open(io.BytesIO(jpeg)).size == (384, 256)
    assert b"Thumb" not in jpeg


@pytest.mark.parametrize(
    "data",
    [of_desktop("file:///p/b.jpg"), of_desktop(mtime="13"), of_desktop(size=(512, 255)), photo("PNG"), photo(), b""],
)
def test_a_thumbnail_that_is_not_of_the_photo_is_refused(data: bytes) -> None:
    """Of another photo, of an earlier version, too small, or not made by a desktop."""
    with pytest.raises(PhotoError):
        draw(io.BytesIO(data), Size.S, limit_mp=1, budget=Budget(), of=OF)


def test_a_photo_that_is_indexed_has_its_thumbnail_in_passing() -> None:
    """It has all pixels, and is what is drawn on demand, but for how it was scaled down."""
    data = photo(size=(4000, 3000))
    passing = Passing(wants_thumbnail=True)

    decode(io.BytesIO(data), LITE0, limit_mp=100, budget=Budget(), show=passing.show)

    image, drawing = drawn(data)
    here = Image.open(io.BytesIO(passing.thumbnail))
    assert here.size == image.size == (341, 256)
    assert np.abs(np.asarray(image, np.int16) - np.asarray(here, np.int16)).mean() < 3
    assert is_near(tuple(passing.look.colour.to_bytes(3, "big")), tuple(drawing.look.colour.to_bytes(3, "big")), 2)
    assert not passing.look.turned
    check(passing.thumbnail, Size.S)


def test_what_is_made_in_passing_takes_a_share_of_what_decoding_takes() -> None:
    """However little that is: then it is made of some photos only. A slow photo saves nothing up for thousands of fast ones."""
    allowance, made_s, decoding_s = Allowance(), 0.0, 0.0
    for number in range(2000):
        photo_s = 60.0 if number == 100 else 0.002
        passing_s = 0.002 if allowance.is_left() else 0.00001
        allowance.note(photo_s, passing_s)
        if number != 100:
            made_s, decoding_s = made_s + passing_s, decoding_s + photo_s

    assert 0.025 * decoding_s < made_s < 0.04 * decoding_s + 0.15


def test_what_is_made_in_passing_fails_no_photo() -> None:
    """An image that cannot be shown is indexed all the same."""
    passing, image = Passing(wants_thumbnail=True), Image.new("RGB", (9, 9))
    image.close()

    passing.show(image, 1)

    assert (passing.thumbnail, passing.look.colour) == (b"", -1)


@pytest.fixture
def orientations() -> Path:
    """Return the folder of photos in all orientations."""
    folder = Path(__file__).parents[5] / "shared/data/orientation"
    if not folder.is_dir():
        pytest.skip("the photos of all orientations are not there")
    return folder


def test_a_thumbnail_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon would take it for an attack."""
    monkeypatch.setattr("pixkind.encoder.worker.thumbnails.DRAWN_BYTES", 999)

    with pytest.raises(PhotoError, match="MiB"):
        drawn(photo(), Size.L)
