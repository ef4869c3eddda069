"""Prints tiles as a grid in a terminal.

A grid has rows of boxes of one size. First come the lines of a row that are text: blocks, and what is missing.
Then the cursor goes up again, and draws pictures over the free boxes. Each box starts at a column of its own,
so that a character which the terminal makes wider than expected moves nothing.
"""

from __future__ import annotations

import binascii
import io
import textwrap
from itertools import islice
from typing import TYPE_CHECKING, Final
from unicodedata import combining, east_asian_width

from pixkin.cli import output
from pixkin.cli.pictures.decoding import decoded
from pixkin.cli.pictures.terminal import How

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from PIL import Image

    from pixkin.cli.pictures.terminal import PictureScreen
    from pixkin.cli.pictures.tiles import Tile

_GAP: Final = 2  # columns
_WIDEST: Final = 36  # columns of a box
_BOX: Final = 4 / 3  # how many times as wide as high
_CHUNK: Final = 4096  # bytes of base64 that kitty takes at a time
# Each block, and which of its four pixels have its colour and which that of the background: left before right, top first.
_SPLITS: Final = tuple(
    (block, tuple(one for one in range(4) if mask >> one & 1), tuple(one for one in range(4) if not mask >> one & 1))
    for mask, block in enumerate(" ▘▝▀▖▌▞▛")
)
_LEVELS: Final = (0, 95, 135, 175, 215, 255)  # of the colours 16 to 231 of xterm
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
    lines, drawn = [""] * height, ""
    for place, tile in places:
        shown = _picture(tile, width, height, screen) if tile.jpeg else _missing(tile.missing, width, height, text)
        if isinstance(shown, str):
            drawn += f"{place}\x1b7{shown}\x1b8"
            continue
        for number, line in enumerate(shown, height - len(shown)):
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


def _picture(tile: Tile, width: int, height: int, screen: PictureScreen) -> str | list[str]:
    """Return what draws a picture at the cursor, or its lines of text from the bottom of its box on."""
    across, down = screen.cell if screen.how not in (How.RGB, How.PALETTE) else (2, 4)
    try:
        image = decoded(tile.jpeg, width * across, height * down)
    except ValueError as error:
        return _missing(str(error), width, height, output.Screen())
    top = height - -(-image.height // down)  # rows that stay free above it
    lower = f"\x1b[{top}B" if top else ""
    match screen.how:
        case How.KITTY:
            return lower + _kitty(image)
        case How.ITERM2:
            size = f"width={image.width}px;height={image.height}px;preserveAspectRatio=1"
            return f"{lower}\x1b]1337;File=inline=1;size={len(tile.jpeg)};{size}:{_base64(tile.jpeg)}\a"
        case How.SIXEL:
            return lower + _sixel(image)
        case How.RGB | How.PALETTE:
            return _blocks(image, _rgb if screen.how is How.RGB else _palette)


def _kitty(image: Image.Image) -> str:
    """Return the picture in kitty's protocol, which wants PNG; `q=2`: the terminal answers nothing."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=3)
    data = _base64(file.getvalue())
    parts = [data[begin : begin + _CHUNK] for begin in range(0, len(data), _CHUNK)]
    keys = ["a=T,f=100,q=2,", *[""] * (len(parts) - 1)]
    more = [*[1] * (len(parts) - 1), 0]
    return "".join(f"\x1b_G{key}m={m};{part}\x1b\\" for key, m, part in zip(keys, more, parts, strict=True))


def _sixel(image: Image.Image) -> str:
    """Return the picture as sixels, in 256 colours of its own."""
    # A private module, so the releases are pinned: the package itself would ask the terminal, and wait for only 0.1 s.
    from textual_image._sixel import image_to_sixels

    return image_to_sixels(image.quantize(256))


def _blocks(image: Image.Image, colour: Callable[[bytes], str]) -> list[str]:
    """Return lines of blocks: a character shows four pixels in the two colours that come nearest to them."""
    columns, rows = max(1, round(image.width / 2)), max(1, round(image.height / 4))
    data = image.resize((2 * columns, 2 * rows)).tobytes()
    pixels = [data[begin : begin + 3] for begin in range(0, len(data), 3)]
    lines = []
    for top in range(0, len(pixels), 4 * columns):
        line, last = "", ""
        for left in range(top, top + 2 * columns, 2):
            below = left + 2 * columns
            block, ink, paper = _split([*pixels[left : left + 2], *pixels[below : below + 2]])
            style = f"38;{colour(ink)};48;{colour(paper)}" if ink else f"48;{colour(paper)}"
            line += (f"\x1b[{style}m" if style != last else "") + block
            last = style
        lines.append(f"{line}\x1b[0m")
    return lines


def _split(four: Sequence[bytes]) -> tuple[str, bytes, bytes]:
    """Return the block, its colour and that of its background that come nearest to four pixels."""
    red, green, blue = ([pixel[channel] for pixel in four] for channel in range(3))

    def nearness(split: tuple[str, tuple[int, ...], tuple[int, ...]]) -> float:
        """Return a sum over the means: the larger it is, the smaller are the squares of the errors."""
        near = 0.0
        for some in split[1:]:
            for channel in (red, green, blue) if some else ():
                near += sum(channel[one] for one in some) ** 2 / len(some)
        return near

    block, ink, paper = max(_SPLITS, key=nearness)
    first, second = (
        bytes(sum(channel[one] for one in some) // len(some) for channel in (red, green, blue)) if some else b""
        for some in (ink, paper)
    )
    return block, first, second


def _rgb(pixel: bytes) -> str:
    return "2;{};{};{}".format(*pixel)


def _palette(pixel: bytes) -> str:
    """Return the nearest of the 6 x 6 x 6 colours and 24 greys of a terminal with 256 colours."""
    cube = [max(range(6), key=lambda level: -abs(_LEVELS[level] - value)) for value in pixel]
    grey = min(23, max(0, round((sum(pixel) / 3 - 8) / 10)))
    shades = [tuple(_LEVELS[level] for level in cube), (8 + 10 * grey,) * 3]
    far = [sum((one - other) ** 2 for one, other in zip(shade, pixel, strict=True)) for shade in shades]
    return f"5;{232 + grey if far[1] < far[0] else 16 + 36 * cube[0] + 6 * cube[1] + cube[2]}"


def _missing(reason: str, width: int, height: int, text: output.Screen) -> list[str]:
    """Return a grey box with the reason."""
    words = textwrap.wrap(reason, max(1, width - 2), max_lines=height, placeholder=" …")
    above = (height - len(words)) // 2
    lines = [*[""] * above, *words, *[""] * (height - len(words) - above)]
    padded = [f"{f' {line}':{width}}"[:width] for line in lines]
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


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
