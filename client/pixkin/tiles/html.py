"""A tile as HTML. All text is escaped, so a file name is never markup."""

from __future__ import annotations

import binascii
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixkin.tiles.tile import Tile


def picture(tile: Tile, attributes: str = "") -> str:
    """Return the thumbnail; without one the reason.

    Args:
        tile: of a photo.
        attributes: of the element, in HTML.
    """
    if not tile.jpeg:
        return f'<span class="none"{attributes}>{escape(tile.missing)}</span>'
    data = binascii.b2a_base64(tile.jpeg, newline=False).decode()
    return f'<img alt="{escape(f"{tile.name}: {tile.head}")}" src="data:image/jpeg;base64,{data}"{attributes}>'


def words(tile: Tile) -> str:
    """Return what is said of a photo."""
    remarks = (f"<small>{escape(text)}</small>" for text in (tile.remark, tile.folder) if text)
    return f"<b>{escape(tile.head)}</b><bdi>{escape(tile.name)}</bdi>{''.join(remarks)}"
