"""`pixkin boost`: index now, whatever else goes on."""

import argparse
from typing import Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect

LINE: Final = "index now, whatever else goes on"
TEXT: Final = """\
Index now, for TIME (by default one hour), on battery and however busy the machine is, and not in the background.
It ends a pause of all indexing, but not that of a folder; `pixkin resume` ends it.

  pixkin boost
  pixkin boost 20min && pixkin sync
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "time", nargs="?", type=arguments.span, default=3600, metavar="TIME", help="how long (default: 1h)"
    )


def run(options: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    with connect(options) as client:
        output.emit(output.roots_as_text("boosted", client.boost(options.time)))
    return 0
