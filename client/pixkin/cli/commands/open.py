"""`pixkin open`: opens the photos like a photo in a browser, and says what is wrong where people see it. For desktops."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pixkin import locations
from pixkin.cli import extras, output
from pixkin.cli.commands import like, web
from pixkin.cli.connect import connect
from pixkin.errors import InputUnreadable, PixkinError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pixkin.tiles.tile import TileGroup

LINE: Final = "open the photos like a photo in a browser"
TEXT: Final = """\
Open the photos most like PHOTO in your browser: on the page of `pixkin web`, or else on a page of its own, in a file.
Several photos are one question, as for `pixkin like`. Without a photo, the page of `pixkin web` is opened.
If nobody serves that page yet, this command does, until nobody has used it for ten minutes. Of a PHOTO that is not in the
library the page keeps a small copy, as of one that is dropped there: see `keep_pasted_days` in the configuration.

File managers run this command after `pixkin integrate`. So it also takes the URIs of files, and shows errors on the desktop.

  pixkin open beach.jpg
"""
_MOST: Final = 8  # photos of a question: the page and the protocol take no more
_SHOWN: Final = 30  # photos on a page in a file
_TIMEOUT_S: Final = 30.0
_KEPT_S: Final = 3600  # how long such a page can be loaded again
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    text = "an image file, indexed or not, or its URI; at most eight"
    parser.add_argument("images", nargs="*", metavar="PHOTO", help=text)


def run(options: argparse.Namespace) -> int:
    """Open the answer, or show why there is none, and return the exit status."""
    try:
        _open(options, [_path(word) for word in options.images])
    except PixkinError as error:
        _show(error)
        raise
    return 0


def _path(word: str) -> str:
    """Return the path that a word is, or that it names as a URI.

    Raises:
        InputUnreadable: no file of this machine has that URI. Source: RFC 8089.
    """
    if not _URI.match(word):
        return word
    from urllib.parse import unquote_to_bytes  # here, because `pixkin --help` imports this module

    scheme, _, rest = word.partition("://")
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file" or host not in ("", "localhost", os.uname().nodename):
        raise InputUnreadable(
            f"{word} is not in a folder of this machine", "choose the photo in the folder where it is"
        )
    return os.fsdecode(unquote_to_bytes(os.fsencode(slash + path)))


def _open(options: argparse.Namespace, paths: Sequence[str]) -> None:
    if len(paths) > _MOST:
        raise UsageError(f"too many photos: {len(paths)} given, at most {_MOST} allowed")
    where = _question(options, paths) if web.is_installed() or not paths else None
    if where is None:
        return _write(*_answer(options, paths))
    with extras.needed("pixkin open", "web"):
        from pixkin.web import server
        from pixkin.web.settings import web_settings
    return web.serve(options, web_settings().port, where, idle_s=server.IDLE_S)


def _question(options: argparse.Namespace, paths: Sequence[str]) -> str | None:
    """Return where the page answers, below its root; None: the library has not all the photos, and nothing may be kept."""
    if not paths:
        return ""
    from pixkin.protocol.requests import Size
    from pixkin.web import ids
    from pixkin.web.pasted import PastedPhotos
    from pixkin.web.settings import web_settings

    days = web_settings().keep_pasted_days
    pasted = PastedPhotos(os.path.join(locations.cache_folder(), "queries"), days=days)
    asked = []
    with connect(options, _TIMEOUT_S) as client:
        for path in paths:
            thumb = client.thumbnail(path, size=Size.L)
            if not client.describe(thumb.content).descriptions[0].files:
                if not days:
                    return None
                pasted.keep(thumb.content, thumb.data)
            asked.append(ids.encoded(thumb.content))
    return "like?" + "&".join(f"q={one}" for one in dict.fromkeys(asked))


def _answer(options: argparse.Namespace, paths: Sequence[str]) -> tuple[str, Sequence[TileGroup], list[str]]:
    """Return the title, the photos and the notes of a page in a file."""
    from pixkin.tiles.tile import TileFetcher

    images = [(1.0, path) for path in paths]
    with connect(options, _TIMEOUT_S) as client:
        reply = client.like(*images, n=_SHOWN, pictures=True)
        group = like.tiles(reply, images, ())
        shown = group._replace(tiles=[*TileFetcher(client).fetched(group.tiles)])
    none = "" if reply.matches else "There is no photo like it."
    return like.title(images), [shown], [none, like.remark(reply, is_cut=False), output.doubts(reply.doubt)]


def _show(error: PixkinError) -> None:
    """Show an error on the desktop: by a notification or, if it takes none, on a page."""
    from pixkin import notification

    what, hint = output.harmless(error.what), output.harmless(error.hint)
    if not notification.show("pixkin has no answer", "\n".join(filter(None, (what, hint)))):
        with suppress(PixkinError, OSError):  # the error stands on standard error, too
            _write("pixkin has no answer", [], [what, hint])


def _write(title: str, groups: Sequence[TileGroup], notes: Sequence[str]) -> None:
    """Write a page in the runtime folder, which nobody else can read and which ends with the session, and open it.

    Raises:
        NotPrivate: another user could change the folder.
        OutputLost: it cannot be written.
    """
    import secrets

    from pixkin.cli.pictures import files
    from pixkin.cli.pictures.page import page
    from pixkin.private import make_private

    folder = locations.answers_folder()
    make_private(folder)
    for name in os.listdir(folder):
        with suppress(OSError):
            if os.stat(path := os.path.join(folder, name)).st_mtime < time.time() - _KEPT_S:
                os.unlink(path)
    data = page(title, groups, [*filter(None, notes)])
    files.write(os.path.join(folder, f"{secrets.token_hex(8)}.html"), data, opens=True)
