"""`pixkin resume`: go on after a pause."""

import argparse
from typing import Final

from pixkin.cli import output
from pixkin.cli.connect import connect

LINE: Final = "go on after a pause"
TEXT: Final = """\
End what `pixkin pause` began; what is new or changed under ROOT is indexed.
Without ROOT it ends every pause, and `pixkin boost`.

  pixkin resume
  pixkin resume /mnt/photos
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("root", nargs="?", metavar="ROOT", help="one of the watched folders (default: everything)")


def run(options: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    with connect(options) as client:
        output.emit(output.roots_as_text("resumed", client.resume(options.root)))
    return 0
