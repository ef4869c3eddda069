"""The contact sheet that `--sheet` writes."""

import io
from collections.abc import Callable

import pytest
from PIL import Image

from pixkin.cli import output
from pixkin.cli.pictures import sheet as module
from pixkin.cli.pictures.decoding import decoded
from pixkin.cli.pictures.sheet import sheet
from pixkin.tiles.tile import Tile, TileGroup

ODD = "/p/中文😀 e\u0301 \udcff\x1b[31m.jpg".encode("utf-8", "surrogateescape")


def opened(data: bytes) -> Image.Image:
    """Return the sheet, decoded."""
    image = Image.open(io.BytesIO(data), formats=["PNG"])
    image.load()
    return image


def colours(image: Image.Image) -> set[tuple[int, ...]]:
    """Return the colours that fill much of a picture, as far as a JPEG keeps them."""
    found = image.getcolors(1 << 24)
    assert found is not None
    return {tuple(value // 16 for value in colour) for count, colour in found if count > 5000}  # type: ignore[union-attr]  # it is RGB


def test_a_sheet_has_each_photo_and_a_grey_box_for_a_missing_one(jpeg: Callable[..., bytes]) -> None:
    """Rows have one width; the sheet says in its text that pixkin wrote it."""
    tiles = [Tile("query", b"/p/a.jpg", output.YELLOW, jpeg=jpeg("red"), width=384, height=256)]
    tiles += [Tile("0.9", ODD, output.GREEN, "+2 copies", jpeg=jpeg("blue"), width=384, height=256)] * 9
    tiles += [Tile("0.1", b"", output.DIM, missing="a reason with quite some words " * 9)]
    image = opened(sheet([TileGroup(tiles, "a title", more=2)], ["812 photos wait"]))

    assert image.info["Software"] == "pixkin"
    assert image.width == 1600
    assert {(254 // 16, 0, 0), (0, 0, 254 // 16), (0x33 // 16,) * 3} <= colours(image)


@pytest.mark.parametrize("size", [(4000, 40), (40, 4000), (1, 1)])
def test_a_sheet_stands_every_shape(jpeg: Callable[..., bytes], size: tuple[int, int]) -> None:
    """A panorama, a tower and a dot keep their shape in a box."""
    tile = Tile("0.9", b"/p/a.jpg", jpeg=jpeg("blue", size), width=size[0], height=size[1])

    assert opened(sheet([TileGroup([tile] * 5)])).width == 1600


def test_a_thousand_photos_are_a_sheet_that_can_be_opened(jpeg: Callable[..., bytes]) -> None:
    """Their rows are lower, so that it has 40 megapixels at most."""
    tile = Tile("0.9", b"/p/a.jpg", jpeg=jpeg("blue", (48, 32)), width=48, height=32)
    image = opened(sheet([TileGroup([tile] * 1000)]))

    assert image.width * image.height < 40_000_000


def test_a_sheet_without_fontconfig_has_captions_all_the_same(
    jpeg: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's own font is taken."""
    monkeypatch.setenv("PATH", "/nonexistent")
    module._font_of.cache_clear()

    assert opened(sheet([TileGroup([Tile("0.9", ODD, jpeg=jpeg())])])).width == 1600


def huge(data: bytes) -> bytes:
    """Return a JPEG whose header says that it has 65,000 x 65,000 pixels."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + b"\xfd\xe8\xfd\xe8" + data[at + 4 :]


def test_what_is_no_small_jpeg_is_not_decoded(jpeg: Callable[..., bytes]) -> None:
    """Not another format, not a bomb, and not half a picture: each is a grey box instead."""
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    for data in (b"", b"\xff\xd8\xff", png.getvalue(), huge(jpeg()), jpeg("red", (3000, 2000)), jpeg()[:-400]):
        with pytest.raises(ValueError, match="thumbnail"):
            decoded(data, 100, 100)
        assert opened(sheet([TileGroup([Tile("0.9", b"/p/a.jpg", jpeg=data)])])).width == 1600
