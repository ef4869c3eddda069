"""Draws a picture in a terminal: kitty's and iTerm2's graphics, sixels, or blocks of two colours.

No library does all of it. textual-image has no iTerm2 graphics, xterm shows its sixels in wrong colours, and it has the LGPL.
term-image needs a Pillow that is too old for the daemon.
"""

from __future__ import annotations

import binascii
import io
import re
from typing import TYPE_CHECKING, Final

from pixkin.cli.pictures.decoding import decoded
from pixkin.cli.pictures.terminal import How

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from PIL import Image

    from pixkin.cli.pictures.terminal import PictureScreen

_CHUNK: Final = 4096  # bytes of base64 that kitty takes at a time
_NONE: Final = 255  # a colour that is not drawn
_SIXELS: Final = bytes(63 + (bits & 63) for bits in range(256))  # the letter of each six bits
_RUN: Final = re.compile(r"(.)\1{3,}")  # of a letter, which is shorter as a number
# Each block, and which of its four pixels have its colour and which that of the background: left before right, top first.
_SPLITS: Final = tuple(
    (block, tuple(one for one in range(4) if mask >> one & 1), tuple(one for one in range(4) if not mask >> one & 1))
    for mask, block in enumerate(" ▘▝▀▖▌▞▛")
)
_LEVELS: Final = (0, 95, 135, 175, 215, 255)  # of the colours 16 to 231 of xterm


def picture(jpeg: bytes, width: int, height: int, screen: PictureScreen) -> tuple[int, str | list[str]]:
    """Return how many lines a picture takes in a box, and what draws it there: a text for the cursor, or the lines.

    Args:
        jpeg: the thumbnail.
        width: of the box, in columns.
        height: of the box, in lines.
        screen: how the terminal shows pictures.

    Raises:
        ValueError: it cannot be decoded; the text says why.
    """
    if screen.how in (How.RGB, How.PALETTE):
        lines = _blocks(decoded(jpeg, 2 * width, 4 * height), _rgb if screen.how is How.RGB else _palette)
        return len(lines), lines
    across, down = screen.cell
    image = decoded(jpeg, width * across, height * down)
    rows = -(-image.height // down)
    free = rows * down - image.height  # pixels above the picture, which stands on its caption
    if screen.how is How.SIXEL:
        return rows, sixels(image, free)
    png = _png(image, free)
    return rows, _kitty(png) if screen.how is How.KITTY else _iterm2(png, image.width, rows * down)


def _iterm2(png: bytes, width: int, height: int) -> str:
    return f"\x1b]1337;File=inline=1;size={len(png)};width={width}px;height={height}px:{_base64(png)}\a"


def _png(image: Image.Image, free: int) -> bytes:
    """Return the picture as PNG, with transparent lines above it."""
    whole = image.convert("RGBA").crop((0, -free, image.width, image.height))
    file = io.BytesIO()
    whole.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _kitty(png: bytes) -> str:
    """Return a PNG in pieces, as kitty wants it; `q=2`: the terminal answers nothing."""
    data = _base64(png)
    parts = [data[begin : begin + _CHUNK] for begin in range(0, len(data), _CHUNK)]
    keys = ["a=T,f=100,q=2,", *[""] * (len(parts) - 1)]
    more = [*[1] * (len(parts) - 1), 0]
    return "".join(f"\x1b_G{key}m={m};{part}\x1b\\" for key, m, part in zip(keys, more, parts, strict=True))


def sixels(image: Image.Image, free: int) -> str:
    """Return the picture as sixels, in at most 255 colours of its own, below free lines. Source: the VT330/VT340 Programmer Reference.

    All colours are defined first: xterm shows others if they are defined between the pixels.
    """
    paletted, width = image.quantize(_NONE), image.width
    data, palette = bytes([_NONE]) * (free * width) + paletted.tobytes(), paletted.getpalette() or []
    parts = [f'\x1bP0;1q"1;1;{width};{free + image.height}']
    for colour in sorted(set(data) - {_NONE}):
        percents = ";".join(str(round(value / 2.55)) for value in palette[3 * colour : 3 * colour + 3])
        parts.append(f"#{colour};2;{percents}")
    bands = []
    for top in range(0, len(data), 6 * width):
        band = data[top : top + 6 * width]
        rows = [band[begin : begin + width] for begin in range(0, len(band), width)]
        bands.append("".join(f"#{colour}{_band(rows, colour)}$" for colour in sorted(set(band) - {_NONE})))
    return "".join(parts) + "-".join(bands) + "\x1b\\"


def _band(rows: Sequence[bytes], colour: int) -> str:
    """Return the sixels of a colour in up to six rows, of which each is a bit; runs are shortened."""
    bits = 0
    for number, row in enumerate(rows):
        is_colour = bytearray(256)
        is_colour[colour] = 1 << number
        bits |= int.from_bytes(row.translate(is_colour))
    letters = bits.to_bytes(len(rows[0])).translate(_SIXELS).decode().rstrip("?")
    return _RUN.sub(lambda run: f"!{len(run[0])}{run[1]}", letters)


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


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()
