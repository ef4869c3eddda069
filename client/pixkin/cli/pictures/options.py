"""The options that show photos. Nothing here needs the daemon or a package."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli.pictures import files
from pixkin.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from pixkin.cli.pictures.looker import Looker
    from pixkin.tiles.tile import ThumbnailSource

_SUFFIXES: Final = {"sheet": (".png",), "html": (".html", ".htm")}


def add(parser: argparse.ArgumentParser, *, default: bool = False) -> None:
    """Add the options.

    Args:
        parser: the parser of a command.
        default: without an option, pictures are shown on a terminal that can show them.
    """
    add = parser.add_argument_group("look at the photos").add_argument
    when = "; the default if the terminal can" if default else ""
    add("--show", action="store_true", default=None, help=f"also print the photos as pictures{when}")
    add("--no-show", dest="show", action="store_false", default=None, help="print no pictures")
    add("--sheet", metavar="FILE.png", help="write a contact sheet")
    add("--html", metavar="FILE.html", help="write a page for a browser: one file, without scripts")
    add("--open", action="store_true", help="open what --sheet or --html writes")
    parser.set_defaults(show_default=default)


def check(options: argparse.Namespace) -> None:
    """Return if the options go together, and their files may be written.

    Raises:
        UsageError: they do not, or another file would be lost.
    """
    if options.show and options.form:
        raise UsageError("--show is for people; --json, --paths and -0 are for programs")
    if options.open and not (options.sheet or options.html):
        raise UsageError("--open opens what --sheet or --html writes; give one of them")
    for name, suffixes in _SUFFIXES.items():
        file: str | None = getattr(options, name)
        if file is not None and not file.lower().endswith(suffixes):
            raise UsageError(f"--{name} writes a file that ends in {suffixes[0]}, and {file} does not")
        if file is not None and not files.may_be_replaced(file):
            raise UsageError(f"{file} exists, and pixkin did not write it; name another file")


def are_given(options: argparse.Namespace) -> bool:
    """Return whether photos are to be shown, as far as that can be told without asking the terminal."""
    if options.sheet is not None or options.html is not None or options.show:
        return True
    is_default = options.show is None and options.show_default and not options.form
    return bool(is_default) and sys.stdout is not None and sys.stdout.isatty()


def looker(client: ThumbnailSource, options: argparse.Namespace) -> Looker | None:
    """Return what shows photos; None: none are to be shown.

    Raises:
        UsageError: a package is missing.
    """
    if not are_given(options):
        return None
    from pixkin.cli.pictures.looker import Looker

    return Looker(client, options) or None
