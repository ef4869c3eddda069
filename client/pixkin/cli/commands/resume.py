"""`pixkin resume`: ends a pause."""

import argparse
from typing import Final

from pixkin.cli import output
from pixkin.cli.connect import connect

LINE: Final = "end a pause"
TEXT: Final = """\
End the pause of ROOT. pixkind then indexes the photos there that are new or have changed.
Without ROOT, end every pause, and a boost too.

  pixkin resume
  pixkin resume /mnt/photos
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("root", nargs="?", metavar="ROOT", help="one of the watched folders (default: everything)")


def run(options: argparse.Namespace) -> int:
    """Send the request, print the answer, and return the exit status."""
    with connect(options) as client:
        output.emit(output.roots_as_text("resumed", client.resume(options.root)))
    return 0
