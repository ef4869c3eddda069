"""`pixkin sync`: waits until the index is up to date."""

from __future__ import annotations

import argparse
import os
import time
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect
from pixkin.errors import DaemonBusy, InputUnreadable, UsageError

if TYPE_CHECKING:
    from pixkin.client import Client
    from pixkin.protocol.replies import Synced

_BOOST: Final = "to index now: pixkin boost"
LINE: Final = "wait until the index is up to date"
TEXT: Final = """\
Check every file under each PATH (by default in all watched folders). Wait until each file has been indexed,
is gone, or has failed. pixkin does not wait for files that are still being written, for drives that are not
connected, or for photos while indexing is paused. It names them, and the exit status is 75.
A PATH that does not exist, lies in no watched folder or is no photo ends with 66.
Of several statuses the first one counts. Symbolic links are not followed; their number is printed.

  pixkin sync
  cp *.jpg ~/Pictures/new/ && pixkin sync ~/Pictures/new
  pixkin sync /mnt/photos --accept-drive    after you have moved the photos to another drive
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a photo or a folder")
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
    parser.add_argument("--json", action="store_true", help="print one JSON object for each PATH")


def run(options: argparse.Namespace) -> int:
    """Wait for each path, print the results, and return the first exit status that is not 0."""
    if options.accept_drive and len(options.paths) != 1:
        raise UsageError("--accept-drive needs one PATH: the watched folder that is on another drive now")
    until = None if options.timeout is None else time.monotonic() + options.timeout
    status = 0
    with connect(options) as client:
        for path in options.paths or [None]:
            try:
                this = _sync(client, options, path, until)
            except InputUnreadable as error:  # the other paths may be good
                output.complaint(error)
                this = error.status
            status = status or this
    return status


def _sync(client: Client, options: argparse.Namespace, path: str | None, until: float | None) -> int:
    """Wait for one path (None: for all folders), print the result, and return the exit status."""
    accepts, accepts_empty = options.accept_drive > 0, options.accept_drive > 1
    timeout_s = None if until is None else max(0.001, until - time.monotonic())
    reply = client.sync(path, timeout_s, accept_drive=accepts, accept_empty=accepts_empty)
    output.emit(synced_as_json(reply) if options.json else synced_as_text(reply))
    is_photo = path is not None and not os.path.isdir(path)
    for line in synced_remarks(reply, tells_known=is_photo):
        output.note(line)
    if reply.open or reply.roots or reply.held:
        return DaemonBusy.status
    # Of a folder, failed photos are a result. A photo that was named is no photo then.
    return InputUnreadable.status if is_photo and reply.failed else 0


def synced_as_json(reply: Synced) -> bytes:
    """Return one JSON object."""
    return output.json_line(
        {
            "photos": reply.photos,
            "failed": [output.failed_fields(failure) | {"known": failure.known} for failure in reply.failed],
            **output.paths_fields("open", reply.open),
            "roots": [output.root_fields(root) for root in reply.roots],
            "held": reply.held,
            "why": reply.why,
            "more_failed": reply.more_failed,
            "more_open": reply.more_open,
            "links": reply.links,
        }
    )


def synced_as_text(reply: Synced) -> bytes:
    """Return a one-line summary."""
    failed = len(reply.failed) + reply.more_failed
    return f"synced {output.many(reply.photos, 'photo', 'photos')}, {failed:,} failed\n".encode()


def synced_remarks(reply: Synced, *, tells_known: bool = False) -> list[str]:
    """Return a line for each file or root that was not waited for, and for each photo that failed now, or ever."""
    lines = [f"{output.shown(path)} is still open for writing" for path in reply.open]
    if reply.more_open:
        lines.append(f"and {output.many(reply.more_open, 'more file is', 'more files are')} open for writing")
    lines += [f"{output.shown(root.path)} is {root.state}{output.why(root)}" for root in reply.roots]
    lines += [f"{output.shown(root.path)}: {output.harmless(root.hint)}" for root in reply.roots if root.hint]
    if reply.held:
        lines += [f"{output.many(reply.held, 'photo waits', 'photos wait')}: {output.harmless(reply.why)}", _BOOST]
    told = [one for one in reply.failed if tells_known or not one.known]
    lines += [f"failed: {line}" for line in output.failure_lines(told)]
    if reply.more_failed and len(told) == len(reply.failed):  # those that are known come last
        lines.append(f"failed: and {reply.more_failed:,} more")
    if reply.links:
        lines.append(output.links(reply.links))
    return lines
