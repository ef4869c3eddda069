"""Answers as a notebook shows them: a few thumbnails with their words; without thumbnails a table.

A notebook keeps in its file what a cell has shown. So the HTML needs nothing but itself, and its size is bounded.
It has no script, and no style sheet, which would also apply to the rest of the notebook.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Final

from pixkin.printable import many
from pixkin.protocol.replies import Matches
from pixkin.tiles import answers
from pixkin.tiles.html import picture, words
from pixkin.tiles.tile import TileFetcher, TileGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pixkin.protocol.replies import Group
    from pixkin.tiles.tile import ThumbnailSource, Tile

_MOST: Final = 20  # photos
_MOST_BYTES: Final = 2 << 20  # of all thumbnails; twenty usual ones have 400 kB
_HEIGHT: Final = 150  # CSS pixels of a thumbnail
_LEAST_WIDTH: Final = 120  # CSS pixels of its words
_ROW: Final = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start"
_PICTURE: Final = f' style="display:block;height:{_HEIGHT}px;max-width:100%;object-fit:contain"'
_WORDS: Final = "display:flex;flex-direction:column;font-size:12px;line-height:1.35;overflow-wrap:anywhere"


def html(answer: Matches | Group, client: ThumbnailSource) -> str:
    """Return an answer as HTML. Its thumbnails are fetched now; without a daemon there are none."""
    if isinstance(answer, Matches):
        group = TileGroup(answers.match_tiles(answer), "" if answer.matches else "no match")
        notes = [answers.doubts(answer.doubt)]
    else:
        group, notes = answers.group_tiles(answer), []
    tiles = [*_bounded(TileFetcher(client).fetched(group.tiles[:_MOST]))]
    if left := len(group.tiles) - len(tiles) + group.more:
        notes.append(f"{many(left, 'more photo is', 'more photos are')} not shown")
    if any(tile.jpeg for tile in tiles):
        shown = f'<div style="{_ROW}">{"".join(map(_figure, tiles))}</div>'
    else:
        shown = _table(tiles)
        notes += [f"no pictures: {reason}" for reason, _ in Counter(tile.missing for tile in tiles).most_common(1)]
    return "".join([*_lines([group.title]), shown, *_lines(notes)])


def _bounded(tiles: Iterable[Tile]) -> Iterator[Tile]:
    """Yield the tiles, without the thumbnails that are too much."""
    room = _MOST_BYTES
    for tile in tiles:
        room -= len(tile.jpeg)
        is_left_out = room < 0 and tile.jpeg
        yield tile._replace(jpeg=b"", missing="left out, as all pictures are too large") if is_left_out else tile


def _figure(tile: Tile) -> str:
    width = max(_LEAST_WIDTH, round(_HEIGHT * tile.ratio))
    return (
        f'<div style="width:{width}px;max-width:100%">{picture(tile, _PICTURE)}'
        f'<span style="{_WORDS}">{words(tile)}</span></div>'
    )


def _table(tiles: Sequence[Tile]) -> str:
    rows = (
        f"<tr><td>{escape(tile.head)}</td><td><bdi>{escape(tile.name)}</bdi></td>"
        f"<td>{escape(tile.remark)}</td><td><bdi>{escape(tile.folder)}</bdi></td></tr>"
        for tile in tiles
    )
    return f"<table>{''.join(rows)}</table>" if tiles else ""


def _lines(texts: Iterable[str]) -> Iterator[str]:
    return (f"<p>{escape(text)}</p>" for text in texts if text)
