"""`pixkin pause`: stop indexing for a while, or let a drive go."""

import argparse
from typing import Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect

LINE: Final = "stop indexing for a while, or let a drive go"
TEXT: Final = """\
Stop indexing, for TIME or until `pixkin resume`. Folders are still watched and all queries answered;
photos that are being encoded are finished. A reload of the daemon keeps the pause, its end ends it.

With ROOT, one of the watched folders: close every file there and open none any more.
When the command returns, the drive can be ejected. Its photos are still answered.
That pause ends with `pixkin resume ROOT`, when the drive was away and is back, and with the daemon.

  pixkin pause 2h                           also 90s, 30min, 1d; a folder of such a name is ./2h
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
    """Ask, print, and return the exit status."""
    span, root = (options.what, None) if isinstance(options.what, int) else (0, options.what)
    with connect(options) as client:
        reply = client.pause(root, for_s=span, timeout_s=options.timeout)
    output.emit(output.roots_as_text("paused", reply))
    return 0
