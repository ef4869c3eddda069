"""`pixkin sync`: wait until the index is up to date."""

import argparse
from typing import Final

from pixkin import render, values
from pixkin.connect import connect
from pixkin.errors import DaemonBusy, UsageError

LINE: Final = "return when the index is up to date"
TEXT: Final = """\
Look at every file under PATH (by default everywhere) and return when each has an outcome:
searchable, gone, or failed. Files still being written, and drives that are not there,
are named and not waited for, nor are photos while indexing is paused; the exit status is 75 then.

  pixkin sync
  cp *.jpg ~/Pictures/new/ && pixkin sync ~/Pictures/new
  pixkin sync /mnt/photos --accept-drive    the photos have moved to another drive
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("path", nargs="?", metavar="PATH", help="a photo or a folder")
    parser.add_argument("--timeout", type=values.seconds, metavar="S", help="give up after S seconds (default: never)")
    parser.add_argument(
        "--accept-drive",
        action="store_true",
        help="PATH is a watched folder: take the drive that stands there for its own",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Wait, print, and return the exit status."""
    if options.accept_drive and options.path is None:
        raise UsageError("--accept-drive needs PATH, the watched folder whose drive is another one now")
    with connect(options) as client:
        reply = client.sync(options.path, options.timeout, accept_drive=options.accept_drive)
    render.emit(render.synced_as_json(reply) if options.json else render.synced_as_text(reply))
    for line in render.synced_remarks(reply):
        render.note(line)
    return DaemonBusy.status if reply.open or reply.roots or reply.held else 0
