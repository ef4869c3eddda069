"""Writes tiles as one page of HTML, which needs nothing beside itself: no script, no network, no further file.

Its Content-Security-Policy allows embedded pictures and this one style sheet, so a file name can never run.
"""

from __future__ import annotations

import binascii
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pixkin import __version__
from pixkin.cli import output
from pixkin.cli.pictures.files import PAGE_MARK
from pixkin.tiles.html import picture, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixkin.tiles.tile import Tile, TileGroup

_HEIGHT: Final = 184  # CSS pixels of a row, at least
_STEP: Final = 100  # ratios are rounded to a hundredth: each has a rule, because the policy forbids `style=`
_GROWTH: Final = 1.4  # how many times higher a row becomes to fill its line: a thumbnail has 256 pixels
_CLASSES: Final = {output.GREEN: "good", output.YELLOW: "warn", output.DIM: "dim"}
_STYLE: Final = """
:root{color-scheme:light dark;--page:#f7f7f6;--text:#1c1c1b;--quiet:#60605d;--tile:#dededb;--good:#17652f;--warn:#8a4b00;--ring:#1a5fb4}
@media(prefers-color-scheme:dark){:root{--page:#161615;--text:#ececea;--quiet:#a5a5a1;--tile:#333331;--good:#7fce95;--warn:#f0b35a;--ring:#8ab8f5}}
*{box-sizing:border-box}
body{margin:0;padding:1.5rem clamp(1rem,3vw,2.5rem) 3rem;background:var(--page);color:var(--text);font:0.875rem/1.4 system-ui,sans-serif}
h1{margin:0 0 .25rem;font-size:1.375rem;font-weight:600;overflow-wrap:anywhere}
h2{margin:2rem 0 .75rem;font-size:1rem;font-weight:600}
h1+p,.note{margin:0 0 .25rem;color:var(--quiet)}
ul{display:flex;flex-wrap:wrap;gap:1.25rem 1rem;margin:1.25rem 0 0;padding:0;list-style:none}
ul::after{content:"";flex:1000 1 0}
li{min-width:0}
a{color:inherit;text-decoration:none}
a:hover bdi{text-decoration:underline}
a:focus-visible{outline:3px solid var(--ring);outline-offset:3px}
img,.none{display:block;width:100%;border-radius:3px;background:var(--tile);object-fit:contain}
.none{display:grid;place-items:center;padding:1rem;text-align:center;color:var(--text);overflow-wrap:anywhere}
a>:last-child{display:block;margin-top:.375rem;contain:inline-size;overflow-wrap:anywhere}
b{font-weight:600}
small{font-size:.8125rem;color:var(--quiet)}
a>:last-child>*{display:block}
.good b{color:var(--good)}.warn b{color:var(--warn)}.dim b{color:var(--quiet);font-weight:400}
.warn img,.warn .none{outline:3px solid var(--warn);outline-offset:-3px}
@media print{li{break-inside:avoid}}
"""


def page(title: str, groups: Sequence[TileGroup], notes: Sequence[str] = ()) -> bytes:
    """Return the page. `title` and `notes` are plain text."""
    ratios = sorted({_step(tile) for group in groups for tile in group.tiles})
    style = _STYLE + "".join(map(_rule, ratios))
    digest = binascii.b2a_base64(hashlib.sha256(style.encode()).digest(), newline=False).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'{PAGE_MARK.decode()} {__version__}">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width">\n<meta name="referrer" content="no-referrer">',
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>",
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        *(line for group in groups for line in _group(group)),
        "</main>\n</body>\n</html>\n",
    ]
    return "\n".join(lines).encode()


def _group(group: TileGroup) -> Iterator[str]:
    if group.title:
        yield f"<h2>{escape(group.title)}</h2>"
    yield "<ul>"
    yield from map(_tile, group.tiles)
    yield "</ul>"
    if group.more:
        yield f'<p class="note">{output.many(group.more, "more photo is", "more photos are")} not shown.</p>'


def _tile(tile: Tile) -> str:
    link = f' href="file://{quote(tile.path)}"' if tile.path else ""
    kind = f"r{_step(tile)} {_CLASSES.get(tile.colour, '')}".strip()
    return f'<li class="{kind}"><a{link}>{picture(tile)}<span>{words(tile)}</span></a></li>'


def _rule(step: int) -> str:
    """Return the rules for photos of one ratio: they grow by it, so that all of a row have one height."""
    width = _HEIGHT * step // _STEP
    grown = round(width * _GROWTH)
    return f".r{step}{{flex:{step} 1 {width}px;max-width:min(100%,{grown}px)}}.r{step} a>:first-child{{aspect-ratio:{step}/{_STEP}}}\n"


def _step(tile: Tile) -> int:
    return round(tile.ratio * _STEP)
