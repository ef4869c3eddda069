"""Pictures as cells of a terminal."""

import random

import pytest
from PIL import Image as PillowImage
from rich.color import ColorSystem

from pixkin.cli.browse.pictures import fitted, half_blocks, reduced


def test_a_half_block_shows_two_pixels() -> None:
    """The upper pixel is the colour of the letter, the lower one that behind it."""
    picture = PillowImage.new("RGB", (2, 2))
    picture.putdata([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)])

    (line,) = half_blocks(picture)

    colours = [
        (segment.text, segment.style.color.triplet, segment.style.bgcolor.triplet)
        for segment in line
        if segment.style and segment.style.color and segment.style.bgcolor
    ]
    assert colours == [("▀", (255, 0, 0), (0, 0, 255)), ("▀", (0, 255, 0), (9, 9, 9))]


def test_an_odd_last_row_is_doubled() -> None:
    """Else its cells would be half black."""
    (_, line) = half_blocks(PillowImage.new("RGB", (1, 3), (1, 2, 3)))

    assert line[0].style is not None
    assert line[0].style.color == line[0].style.bgcolor


@pytest.mark.parametrize(
    ("shape", "box", "expected"),
    [
        ((300, 200), (18, 16), (18, 12)),
        ((200, 300), (18, 16), (11, 16)),
        ((0, 0), (18, 16), (18, 16)),
        ((100_000, 1), (18, 16), (18, 1)),
        ((1, 100_000), (0, 0), (1, 1)),
    ],
)
def test_a_shape_is_fitted_in_a_box(shape: tuple[int, int], box: tuple[int, int], expected: tuple[int, int]) -> None:
    """Also those that are thinner than a pixel, and of no size."""
    assert fitted(shape, box) == expected


@pytest.mark.parametrize(("colours", "most"), [(ColorSystem.STANDARD, 16), (ColorSystem.EIGHT_BIT, 240)])
def test_few_colours_are_mixed(colours: ColorSystem, most: int) -> None:
    """A grey that the terminal lacks is a pattern of greys that it has, and of the same brightness."""
    noise = random.Random(1).randbytes(64 * 64 * 3)
    picture = PillowImage.frombytes("RGB", (64, 64), noise)
    assert len(reduced(picture, colours).getcolors(5000) or ()) <= most

    grey = reduced(PillowImage.new("RGB", (64, 64), (130, 130, 130)), colours).resize(
        (1, 1), PillowImage.Resampling.BOX
    )
    assert all(abs(part - 130) <= 6 for part in grey.getpixel((0, 0)))  # type: ignore[union-attr]


def test_all_colours_stay() -> None:
    """A terminal with all colours gets the picture as it is."""
    picture = PillowImage.new("RGB", (4, 4), (1, 2, 3))

    assert reduced(picture, ColorSystem.TRUECOLOR) is picture
    assert reduced(picture, None) is picture
