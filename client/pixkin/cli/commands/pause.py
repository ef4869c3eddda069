"""`pixkin pause`: stops indexing for a while, or releases a drive."""

import argparse
from typing import Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect

LINE: Final = "stop indexing for a while, or release a drive"
TEXT: Final = """\
Stop indexing for TIME, or until `pixkin resume`. Folders are still watched, and queries are still answered.
Photos that are being encoded are finished. The pause survives a reload of the daemon, but not a restart.

With ROOT, one of the watched folders: close every file there, and open none.
When the command returns, the drive can be ejected. Queries still find its photos.
`pixkin resume ROOT` ends this pause. It also ends when the drive was away and is back, or when the daemon ends.

  pixkin pause 2h                           also 90s, 30min, 1d; for a folder of that name write ./2h
  pixkin pause /mnt/photos && umount /mnt/photos
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "what",
        nargs="?",
        type=arguments.span_or_path,
        metavar="TIME|ROOT",
        help="how long, or one of the watched folders",
    )
    parser.add_argument(
        "--timeout", type=arguments.seconds, default=10.0, metavar="S", help="give up after S seconds (default: 10)"
    )


def run(options: argparse.Namespace) -> int:
    """Send the request, print the answer, and return the exit status."""
    span, root = (options.what, None) if isinstance(options.what, int) else (0, options.what)
    with connect(options) as client:
        reply = client.pause(root, for_s=span, timeout_s=options.timeout)
    output.emit(output.roots_as_text("paused", reply))
    return 0
