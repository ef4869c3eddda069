"""`pixkin integrate`: puts "Find similar photos" into the menus of file managers, and takes it out again."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from pixkin import installing
from pixkin.cli import output
from pixkin.cli.commands import web
from pixkin.errors import PixkinError, Refused

if TYPE_CHECKING:
    from pixkin.desktop.places import Place

LINE: Final = 'put "Find similar photos" into the menu of your file manager'
TEXT: Final = """\
Put "Find similar photos" into the menu that a right click on a photo opens in your file manager. It opens the answer in
your browser, as `pixkin open` does. If there is no answer, a notification says why.
`menu` puts pixkin among your applications. Without a PLACE, print which file managers are found.
Only files of your own are written. --remove takes out what was written, and nothing else.

  pixkin integrate
  pixkin integrate nautilus
  pixkin integrate thunar menu
  pixkin integrate --remove                    everywhere
"""
# Those of `desktop.places`, which is imported when it is needed.
_NAMES: Final = ("nautilus", "nemo", "caja", "dolphin", "thunar", "menu")


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("places", nargs="*", type=_place, metavar="PLACE", help=", ".join(_NAMES))
    parser.add_argument("--remove", action="store_true", help="remove what was written; without a PLACE, everywhere")


def run(options: argparse.Namespace) -> int:
    """Write, remove or list, and return the exit status."""
    from pixkin.desktop.places import places

    known = places(_program())
    if options.remove:
        parts = [part for name in options.places or known for part in known[name].parts]
        removed = 0
        for said in filter(None, (part.remove() for part in parts)):
            _say(said)
            removed += 1
        if not removed:
            _say("nothing to remove")
    elif options.places:
        for place in (known[name] for name in options.places):
            _say(*(part.install() for part in place.parts), place.advice)
        if not web.is_installed():
            output.note(
                "without the page of `pixkin web` an answer is a file, which a browser in a snap cannot read;"
                f" to get the page: {installing.command('web')}"
            )
    else:
        _say(*(_row(name, place) for name, place in known.items()))
    return 0


def _place(name: str) -> str:
    if name not in _NAMES:
        raise argparse.ArgumentTypeError(f"there is no {name}; there are {', '.join(_NAMES)}")
    return name


def _program() -> str:
    """Return the path of this program, as the files name it."""
    import shutil  # here, because `pixkin --help` imports this module

    started = os.path.abspath(sys.argv[0])
    beside = os.path.join(sys.prefix, "bin", "pixkin")
    found = started if os.path.basename(started) == "pixkin" else shutil.which(beside) or shutil.which("pixkin")
    if found is None:
        raise Refused(f"there is no program at {beside}", "install pixkin with pipx, or into a virtual environment")
    return found


def _say(*lines: str) -> None:
    output.emit("".join(f"{output.harmless(line)}\n" for line in lines).encode())


def _row(name: str, place: Place) -> str:
    """Return a line: name, state, and the command that changes it."""
    try:
        if place.is_integrated():
            return f"{name:9} integrated  pixkin integrate {name} --remove"
    except PixkinError as error:
        return f"{name:9} {error.what}"
    return f"{name:9} found       pixkin integrate {name}" if place.is_found() else f"{name:9} not found"
