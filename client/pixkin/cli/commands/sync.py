"""`pixkin sync`: waits until the index is up to date."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect
from pixkin.errors import DaemonBusy, UsageError

if TYPE_CHECKING:
    from pixkin.protocol.replies import Synced

_BOOST: Final = "to index now: pixkin boost"
LINE: Final = "wait until the index is up to date"
TEXT: Final = """\
Check every file under PATH (by default in all watched folders). Wait until each file has been indexed,
is gone, or has failed. pixkin does not wait for files that are still being written, for drives that are not
connected, or for photos while indexing is paused. It names them, and the exit status is 75.

  pixkin sync
  cp *.jpg ~/Pictures/new/ && pixkin sync ~/Pictures/new
  pixkin sync /mnt/photos --accept-drive    after you have moved the photos to another drive
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("path", nargs="?", metavar="PATH", help="a photo or a folder")
    parser.add_argument(
        "--timeout", type=arguments.seconds, metavar="S", help="give up after S seconds (default: never)"
    )
    parser.add_argument(
        "--accept-drive",
        action="count",
        default=0,
        help="PATH is a watched folder that has moved to another drive: accept the drive that is there now; given twice:"
        " even if it has no photo, which hides all photos of PATH",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Wait, print the result, and return the exit status."""
    if options.accept_drive and options.path is None:
        raise UsageError("--accept-drive needs PATH: the watched folder that is on another drive now")
    with connect(options) as client:
        accepts, accepts_empty = options.accept_drive > 0, options.accept_drive > 1
        reply = client.sync(options.path, options.timeout, accept_drive=accepts, accept_empty=accepts_empty)
    output.emit(synced_as_json(reply) if options.json else synced_as_text(reply))
    for line in synced_remarks(reply):
        output.note(line)
    return DaemonBusy.status if reply.open or reply.roots or reply.held else 0


def synced_as_json(reply: Synced) -> bytes:
    """Return one JSON object."""
    return output.json_line(
        {
            "photos": reply.photos,
            "failed": [output.failed_fields(failure) for failure in reply.failed],
            **output.paths_fields("open", reply.open),
            "roots": [output.root_fields(root) for root in reply.roots],
            "held": reply.held,
            "why": reply.why,
        }
    )


def synced_as_text(reply: Synced) -> bytes:
    """Return a one-line summary."""
    return f"synced {output.many(reply.photos, 'photo', 'photos')}, {len(reply.failed):,} failed\n".encode()


def synced_remarks(reply: Synced) -> list[str]:
    """Return a line for each file or root that was not waited for, and for each photo that failed."""
    return [
        *(f"{output.shown(path)} is still open for writing" for path in reply.open),
        *(f"{output.shown(root.path)} is {root.state}{output.why(root)}" for root in reply.roots),
        *(f"{output.shown(root.path)}: {output.harmless(root.hint)}" for root in reply.roots if root.hint),
        *(
            [f"{output.many(reply.held, 'photo waits', 'photos wait')}: {output.harmless(reply.why)}", _BOOST]
            if reply.held
            else []
        ),
        *(f"failed: {line}" for line in output.failure_lines(reply.failed)),
    ]
