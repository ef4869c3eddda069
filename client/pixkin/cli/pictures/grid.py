"""Prints tiles as a grid in a terminal.

A grid has rows of boxes of one size. First come the lines of a row that are text: blocks, and what is missing.
Then the cursor goes up again, and draws pictures over the free boxes. Each box starts at a column of its own,
so that a character which the terminal makes wider than expected moves nothing.
"""

from __future__ import annotations

import textwrap
from itertools import islice
from typing import TYPE_CHECKING, Final
from unicodedata import combining, east_asian_width

from pixkin.cli import output
from pixkin.cli.pictures.drawing import picture
from pixkin.cli.pictures.terminal import How

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pixkin.cli.pictures.terminal import PictureScreen
    from pixkin.tiles.tile import Tile

_GAP: Final = 2  # columns
_WIDEST: Final = 36  # columns of a box
_BOX: Final = 4 / 3  # how many times as wide as high
_GREY: Final = "38;5;252;48;5;238"  # a light text on dark grey, readable on every background


def rows(tiles: Iterable[Tile], screen: PictureScreen, text: output.Screen) -> Iterator[bytes]:
    """Yield each row of the grid, as soon as its tiles are there."""
    count, width = _columns(screen)
    height = max(2, round(width * screen.cell[0] / screen.cell[1] / _BOX))
    left = iter(tiles)
    while row := list(islice(left, count)):
        yield "".join(_row(row, width, height, screen, text)).encode()


def _columns(screen: PictureScreen) -> tuple[int, int]:
    """Return how many boxes stand side by side, and how many columns each has."""
    wanted = 24 if screen.how in (How.RGB, How.PALETTE) else 20  # blocks need more room to be seen
    count = max(1, (screen.columns + _GAP) // (wanted + _GAP))
    return count, min(_WIDEST, (screen.columns - _GAP * (count - 1)) // count)


def _row(row: list[Tile], width: int, height: int, screen: PictureScreen, text: output.Screen) -> Iterator[str]:
    places = [(f"\x1b[{1 + number * (width + _GAP)}G", tile) for number, tile in enumerate(row)]
    pictures = [_shown(tile, width, height, screen, text) for tile in row]
    height = max(taken for taken, _ in pictures)
    lines, drawn = [""] * height, ""
    for (place, _), (taken, shown) in zip(places, pictures, strict=True):
        if isinstance(shown, str):
            drawn += f"{place}\x1b7" + (f"\x1b[{height - taken}B" if height > taken else "") + f"{shown}\x1b8"
            continue
        for number, line in enumerate(shown, height - taken):
            lines[number] += place + line
    yield from (f"{line}\n" for line in lines)
    if drawn:
        yield f"\x1b[{height}A{drawn}\x1b[{height}B\r"
    yield "".join(place + _head(tile, width, text) for place, tile in places) + "\n"
    yield "".join(place + text.link(tile.path, shortened(tile.name, width)) for place, tile in places) + "\n"
    if any(tile.remark for _, tile in places):
        yield "".join(place + text.dim(shortened(tile.remark, width)) for place, tile in places if tile.remark) + "\n"
    yield "\n"


def _head(tile: Tile, width: int, text: output.Screen) -> str:
    head = shortened(tile.head, width)
    return text.paint(head, tile.colour) if tile.colour else head


def _shown(
    tile: Tile, width: int, height: int, screen: PictureScreen, text: output.Screen
) -> tuple[int, str | list[str]]:
    """Return how many lines a tile takes at the bottom of its box, and what draws it there."""
    missing = tile.missing
    if tile.jpeg:
        try:
            return picture(tile.jpeg, width, height, screen)
        except ValueError as error:
            missing = str(error)
    return height, _missing(missing, width, height, text)


def _missing(reason: str, width: int, height: int, text: output.Screen) -> list[str]:
    """Return a grey box with the reason."""
    words = textwrap.wrap(reason, max(1, width - 2), max_lines=height, placeholder=" …")
    above = (height - len(words)) // 2
    lines = [*[""] * above, *words, *[""] * (height - len(words) - above)]
    lines = [shortened(f" {line}", width) for line in lines]
    padded = [line + " " * (width - cells(line)) for line in lines]
    return [f"\x1b[{_GREY}m{line}\x1b[0m" if text.colour else line for line in padded]


def shortened(text: str, width: int) -> str:
    """Return the text, or its begin and its end if it has more than `width` columns: the end tells files apart."""
    if cells(text) <= width:
        return text
    begin, end = "", ""
    for letter in text:
        if cells(begin + letter) > width // 2:
            break
        begin += letter
    for letter in reversed(text):
        if cells(letter + end) > width - cells(begin) - 1:
            break
        end = letter + end
    return f"{begin}…{end}"


def cells(text: str) -> int:
    """Return how many columns a terminal needs for a text, most likely."""
    return sum(0 if combining(letter) else 1 + (east_asian_width(letter) in "WF") for letter in text)
