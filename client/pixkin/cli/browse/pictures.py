"""Small pictures on the screen: by the terminal's own protocol where it has one, else as half blocks.

The library `textual-image` draws by protocol (kitty's and sixel). Its half blocks need a function that Pillow 14 will lack,
and know no reduced colours, so those stand here. Its sixels are replaced by those of `cli/pictures`.
A half block shows two pixels in each cell: the upper one is the colour of the letter, the lower one that behind it.
"""

import io
import os
import sys
from collections.abc import Callable
from functools import cache, lru_cache, partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple

from PIL import Image as PillowImage
from rich._palettes import EIGHT_BIT_PALETTE, STANDARD_PALETTE
from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Container
from textual.strip import Strip
from textual.widget import Widget

from pixkin.cli.pictures.drawing import sixels
from pixkin.cli.pictures.terminal import How, NoPictures, picture_screen

_UPPER: Final = "▀"
_UNKNOWN: Final = 0x3A3A3A  # the colour of a picture whose mean colour is not known


class PictureKind(NamedTuple):
    """How pictures are drawn."""

    widget: "Callable[[], HalfBlocks | ProtocolPicture]"
    cell: tuple[int, int]  # the pixels of one cell of the terminal

    def box(self, columns: int, rows: int) -> tuple[int, int]:
        """Return the pixels in so many cells; at least those of one cell."""
        return max(1, columns) * self.cell[0], max(1, rows) * self.cell[1]


def best_kind() -> PictureKind:
    """Return how the terminal shows pictures best. This asks the terminal, so textual must not run yet."""
    try:
        screen = picture_screen(sys.__stdout__)
    except NoPictures:
        return HALF_BLOCKS
    if screen.how not in (How.KITTY, How.ITERM2, How.SIXEL):
        return HALF_BLOCKS
    widgets = _library(screen.cell)
    library = widgets.TGPImage if screen.how is How.KITTY else widgets.SixelImage  # iTerm2 knows sixels too
    return PictureKind(partial(ProtocolPicture, library, screen.cell), screen.cell)


def _library(cell: tuple[int, int]) -> ModuleType:
    """Import the library, and tell it the size of a cell.

    It asks the terminal by itself when it is imported, and waits for 0.1 s. Over a slow line, its answer would come later,
    as if it had been typed. So it is imported where it finds no terminal.
    """
    os.environ |= {"TEXTUAL_CELL_WIDTH": str(cell[0]), "TEXTUAL_CELL_HEIGHT": str(cell[1])}
    terminal, sys.__stdout__ = sys.__stdout__, io.StringIO()  # type: ignore[misc,assignment]  # for a moment
    try:
        library = import_module("textual_image.widget")
    finally:
        sys.__stdout__ = terminal  # type: ignore[misc]
    # xterm shows the library's sixels in wrong colours, and black bars beside them.
    library.sixel.image_to_sixels = lambda picture, *_: sixels(picture.convert("RGB"), 0)
    return library


class HalfBlocks(Widget):
    """Shows a picture as half blocks, in the middle."""

    _lines: list[list[Segment]] = []  # noqa: RUF012  never changed in place

    def show(self, picture: PillowImage.Image | None, size: tuple[int, int], colour: int) -> None:
        """Show a picture; while it is None, an area of its size in its mean colour (0xRRGGBB; -1: unknown)."""
        if picture is None:
            rgb = colour if colour >= 0 else _UNKNOWN
            picture = PillowImage.new("RGB", size, (rgb >> 16, rgb >> 8 & 255, rgb & 255))
        self._lines = half_blocks(picture)
        self.refresh()

    def clear(self) -> None:
        """Show nothing."""
        self._lines = []
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line of cells."""
        width, height = self.size
        behind = Style(bgcolor=self.background_colors[1].rich_color)
        row = y - (height - len(self._lines)) // 2
        cells = self._lines[row] if 0 <= row < len(self._lines) else []
        left = max(0, (width - len(cells)) // 2)
        right = max(0, width - len(cells) - left)
        return Strip([Segment(" " * left, behind), *cells, Segment(" " * right, behind)]).crop(0, width)


class ProtocolPicture(Container):
    """Shows a picture by the terminal's protocol, in the middle."""

    DEFAULT_CSS = "ProtocolPicture { align: center middle; }"

    def __init__(self, library: type[Any], cell: tuple[int, int]) -> None:
        """Make the widget of the library, whose class is given; and how many pixels a cell has."""
        super().__init__()
        self._picture, self._cell = library(), cell

    def compose(self) -> ComposeResult:
        """Show it."""
        yield self._picture

    def show(self, picture: PillowImage.Image | None, size: tuple[int, int], colour: int) -> None:  # noqa: ARG002
        """Show a picture. Until it is there, nothing: a terminal takes its time with each picture."""
        if picture is not None:  # whole cells: the library would fill the rest with black
            styles = self._picture.styles
            styles.width, styles.height = (
                max(1, round(pixels / of_cell)) for pixels, of_cell in zip(picture.size, self._cell, strict=True)
            )
        self._picture.image = picture

    def clear(self) -> None:
        """Show nothing."""
        self._picture.image = None


def fitted(shape: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of this shape in a box; without a shape, the box."""
    width, height = shape if min(shape, default=0) > 0 else box
    scale = min(box[0] / max(width, 1), box[1] / max(height, 1))
    return max(1, round(width * scale)), max(1, round(height * scale))


def half_blocks(picture: PillowImage.Image) -> list[list[Segment]]:
    """Return the cells of a picture, line by line; neighbours of the same colours are one segment."""
    width, height = picture.size
    if height % 2:
        taller = PillowImage.new("RGB", (width, height + 1))
        taller.paste(picture)
        taller.paste(picture.crop((0, height - 1, width, height)), (0, height))
        picture, height = taller, height + 1
    data = picture.tobytes()
    lines = []
    for y in range(0, height, 2):
        upper, lower = (data[at * width * 3 : (at + 1) * width * 3] for at in (y, y + 1))
        pairs = [(upper[x : x + 3], lower[x : x + 3]) for x in range(0, width * 3, 3)]
        lines.append([Segment(_UPPER, _style(*pair)) for pair in pairs])
    return lines


@lru_cache(maxsize=8192)
def _style(upper: bytes, lower: bytes) -> Style:
    return Style.from_color(Color.from_triplet(ColorTriplet(*upper)), Color.from_triplet(ColorTriplet(*lower)))


def reduced(picture: PillowImage.Image, colours: "ColorSystem | None") -> PillowImage.Image:
    """Return the picture in the colours that the terminal has, dithered: else skies and faces become flat spots."""
    if colours not in (ColorSystem.STANDARD, ColorSystem.EIGHT_BIT):
        return picture
    return picture.quantize(palette=_palette(colours), dither=PillowImage.Dither.FLOYDSTEINBERG).convert("RGB")


@cache
def _palette(colours: ColorSystem) -> PillowImage.Image:
    """Return a picture with the colours of a terminal: 16, or of 256 those that no theme changes."""
    table, begin, count = (STANDARD_PALETTE, 0, 16) if colours is ColorSystem.STANDARD else (EIGHT_BIT_PALETTE, 16, 240)
    image = PillowImage.new("P", (1, 1))
    image.putpalette([part for number in range(begin, begin + count) for part in table[number]])
    return image


HALF_BLOCKS: Final = PictureKind(HalfBlocks, (1, 2))
