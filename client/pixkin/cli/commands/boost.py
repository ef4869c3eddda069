"""`pixkin boost`: indexes now, even on battery and on a busy machine."""

import argparse
from typing import Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect

LINE: Final = "index now, even on battery or on a busy machine"
TEXT: Final = """\
Index for TIME (by default one hour), even on battery or on a busy machine, and at normal priority.
A boost ends a pause of all indexing, but not the pause of a folder. `pixkin resume` ends the boost.

  pixkin boost
  pixkin boost 20min && pixkin sync
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "time", nargs="?", type=arguments.span, default=3600, metavar="TIME", help="how long (default: 1h)"
    )


def run(options: argparse.Namespace) -> int:
    """Send the request, print the answer, and return the exit status."""
    with connect(options) as client:
        output.emit(output.roots_as_text("boosted", client.boost(options.time)))
    return 0
