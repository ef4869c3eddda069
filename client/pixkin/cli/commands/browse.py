"""`pixkin browse`: shows the photos in the terminal."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from importlib.util import find_spec
from typing import Final

from pixkin import installing
from pixkin.cli import output
from pixkin.cli.connect import socket_of
from pixkin.errors import Refused

LINE: Final = "look at photos in the terminal, and go on from one to those like it"
TEXT: Final = """\
Show the newest photos in the terminal, or those most like IMAGE. Enter on a photo asks for photos like it, Backspace goes
back, Space shows it large, and ? shows all keys. It works over ssh and without a mouse. It deletes nothing.
Pictures are drawn by the protocol of the terminal (kitty's or sixel), or else as half blocks.

  pixkin browse
  pixkin browse beach.jpg
  pixkin browse -0 | xargs -0r cp -nt album/     copy the photos that you mark with x and take with y, over nothing

It needs the extra pixkin[tui], and says how to install it.
"""
_INTERRUPTED: Final = 130  # exit status


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("image", nargs="?", metavar="IMAGE", help="an image file, indexed or not")
    add("-0", "--null", action="store_true", help="print each path followed by a zero byte, for xargs -0")
    add("--half-blocks", action="store_true", help="draw half blocks, even if the terminal has a protocol for pictures")


def run(options: argparse.Namespace) -> int:
    """Show the photos, print the paths that were copied, and return the exit status."""
    if missing := [name for name in ("textual", "textual_image", "PIL") if find_spec(name) is None]:
        raise Refused(
            f"`pixkin browse` needs packages that are not installed: {', '.join(missing)}",
            installing.command("tui"),
        )
    from pixkin.cli.browse.terminal import terminal

    gc.enable()  # `main` has turned it off, for commands that end soon
    with terminal():
        from pixkin.cli.browse.app import BrowseApp
        from pixkin.cli.browse.pictures import HALF_BLOCKS, best_kind
        from pixkin.client import Client

        image = None if options.image is None else os.fsencode(os.path.abspath(options.image))
        app = BrowseApp(Client(socket_of(options)), image, HALF_BLOCKS if options.half_blocks else best_kind())
        signal.signal(signal.SIGTERM, lambda *_: app.exit(False))  # the terminal is left as it was
        prints = app.run()
    if app.return_code:  # a bug, with a traceback
        return 1
    screen = output.Screen.of(sys.stdout)
    if prints:
        form = "null" if options.null else "paths"
        output.emit(b"".join(output.bare_path(path, form, screen) for path in app.session.copied))
    return 0 if prints else _INTERRUPTED
