"""Draws tiles as one picture, a contact sheet. Its rows have one width, and the photos of a row one height."""

from __future__ import annotations

import io
import os
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pixkin.cli import output
from pixkin.cli.pictures.decoding import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixkin.tiles.tile import Tile, TileGroup

_WIDTH: Final = 1600  # pixels of the sheet
_MARGIN: Final = 24
_GAP: Final = 12
_HEIGHTS: Final = ((60, 240), (200, 168))  # up to so many tiles: the height of a row
_LEAST_HEIGHT: Final = 112  # of a row of more tiles; a thousand of them are 30 megapixels
_LETTER: Final = 16  # pixels
_LINE: Final = 21
_PAGE, _TEXT, _QUIET, _TILE = "#161615", "#ececea", "#a5a5a1", "#333331"
_COLOURS: Final = {0: _TEXT, output.GREEN: "#7fce95", output.YELLOW: "#f0b35a", output.DIM: _QUIET}
_FONT_S: Final = 5.0  # until a search for a font is given up


class _Placed(NamedTuple):
    tile: Tile
    left: int
    width: int


def sheet(groups: Sequence[TileGroup], notes: Sequence[str] = ()) -> bytes:
    """Return the sheet as a PNG."""
    count = sum(len(group.tiles) for group in groups)
    height = next((height for most, height in _HEIGHTS if count <= most), _LEAST_HEIGHT)
    strips = [strip for group in groups for strip in _strips(group, height)]
    strips += [_words(note, _QUIET) for note in notes]
    whole = Image.new("RGB", (_WIDTH, sum(strip.height for strip in strips) + 2 * _MARGIN), _PAGE)
    top = _MARGIN
    for strip in strips:
        whole.paste(strip, (0, top))
        top += strip.height
    said = PngImagePlugin.PngInfo()
    said.add_text("Software", "pixkin")
    file = io.BytesIO()
    whole.save(file, "PNG", pnginfo=said)
    return file.getvalue()


def _strips(group: TileGroup, height: int) -> Iterator[Image.Image]:
    if group.title:
        yield _words(group.title, _TEXT)
    for row, tall in _rows(group.tiles, height):
        yield _strip(row, tall)
    if group.more:
        yield _words(f"{output.many(group.more, 'more photo is', 'more photos are')} not shown", _QUIET)


def _rows(tiles: Sequence[Tile], height: int) -> Iterator[tuple[list[_Placed], int]]:
    """Yield the tiles of each row, and its height: as wide as the sheet, except for the last row of a group."""
    row: list[Tile] = []
    for number, tile in enumerate(tiles, 1):
        row.append(tile)
        room = _WIDTH - 2 * _MARGIN - _GAP * (len(row) - 1)
        tall = room / sum(one.ratio for one in row)
        if tall <= height or number == len(tiles):
            yield _placed(row, min(tall, height)), round(min(tall, height))
            row = []


def _placed(row: Sequence[Tile], height: float) -> list[_Placed]:
    placed, left = [], float(_MARGIN)
    for tile in row:
        width = tile.ratio * height
        placed.append(_Placed(tile, round(left), round(left + width) - round(left)))
        left += width + _GAP
    return placed


def _strip(row: Sequence[_Placed], height: int) -> Image.Image:
    """Return a row of photos with their captions."""
    lines = max(len(_caption(one.tile)) for one in row)
    strip = Image.new("RGB", (_WIDTH, height + _LINE * lines + 2 * _GAP), _PAGE)
    draw = ImageDraw.Draw(strip)
    for tile, left, width in row:
        _show(strip, tile, left, (width, height))
        for number, (text, colour) in enumerate(_caption(tile)):
            is_name = text in (tile.name, tile.folder)
            _write(draw, (left, height + 8 + number * _LINE), text, colour, width, is_name=is_name)
    return strip


def _caption(tile: Tile) -> list[tuple[str, str]]:
    """Return lines and their colours. Files of one name, as copies often are, differ in their folder."""
    words = ((tile.head, _COLOURS[tile.colour]), (tile.name, _TEXT), (tile.remark, _QUIET), (tile.folder, _QUIET))
    return [(text, colour) for text, colour in words if text]


def _show(strip: Image.Image, tile: Tile, left: int, box: tuple[int, int]) -> None:
    """Draw a photo into its box, or a grey box with the reason why there is none."""
    missing, draw = tile.missing, ImageDraw.Draw(strip)
    draw.rounded_rectangle((left, 0, left + box[0] - 1, box[1] - 1), 3, _TILE)
    if tile.jpeg:
        try:
            image = decoded(tile.jpeg, *box)
        except ValueError as error:
            missing = str(error)
        else:
            strip.paste(image, (left + (box[0] - image.width) // 2, (box[1] - image.height) // 2))
            if tile.colour == output.YELLOW:
                draw.rectangle((left, 0, left + box[0] - 1, box[1] - 1), outline=_COLOURS[output.YELLOW], width=3)
            return
    for number, line in enumerate(_wrapped(missing, box[0] - 16)[: max(1, box[1] // _LINE - 1)]):
        _write(draw, (left + 8, 8 + number * _LINE), line, _TEXT, box[0] - 16)


def _words(text: str, colour: str) -> Image.Image:
    strip = Image.new("RGB", (_WIDTH, 2 * _LINE), _PAGE)
    _write(ImageDraw.Draw(strip), (_MARGIN, 4), text, colour, _WIDTH - 2 * _MARGIN)
    return strip


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, colour: str, width: int, *, is_name: bool = False
) -> None:
    """Write a line. If it is too long, it keeps its begin, and a name also its end, which tells files apart."""
    font, kept, shown = _font(text), len(text), text
    while kept > 1 and font.getlength(shown) > width:
        kept -= 1
        end = kept // 2 if is_name else 0
        shown = f"{text[: kept - end].rstrip()}…{text[len(text) - end :]}"
    draw.text(at, shown, colour, font)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text that is at most so many pixels wide."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(text).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font that has the letters of a text."""
    return _font_of("".join(sorted({letter for letter in text if ord(letter) > 0xFF and letter != "…"})))


@cache
def _font_of(letters: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font if it has these letters, else one of the system that has them, if there is one."""
    own = ImageFont.load_default(_LETTER)
    if not letters:
        return own
    wanted = f"sans-serif:charset={' '.join(f'{ord(letter):x}' for letter in letters)}"
    try:
        words = ["fc-match", "--format=%{file}", wanted]
        found = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_FONT_S, check=True)
        return ImageFont.truetype(os.fsdecode(found.stdout), _LETTER)
    except (OSError, subprocess.SubprocessError):  # there is no fontconfig, or no font that can be drawn in this size
        return own
