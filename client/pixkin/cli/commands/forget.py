"""`pixkin forget`: deletes what the index knows of photos that are gone."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from pixkin import locations
from pixkin.cli import output
from pixkin.cli.connect import connect
from pixkin.errors import DaemonBusy, UsageError

LINE: Final = "delete what the index knows of photos that are gone"
TEXT: Final = """\
The index keeps deleted photos for a while, hidden, in case that they come back (`keep_gone_days`). Forget the photos at
and below each PATH now. PATH need not exist: its drive may be away, or it may have been deleted.
Then pixkind wipes their names, hashes and vectors from all its files. For a million photos this takes some minutes.
Queries are answered all the time.

A photo that lies in a watched folder stays, because it would be indexed again at once. Delete or move it first, or
remove the folder from the configuration. A photo on a drive that is away is indexed again if the drive comes back.
The journal of `pixkin dupes --trash` still names the files that it has moved, because --undo needs it.
The exit status is 0 if there were photos, all of them are forgotten, and no trace is left.

  pixkin forget ~/Pictures/secret       # a folder that you have deleted
  pixkin forget --dry-run /mnt/lost     # how many photos would that be?
"""
_NOT_ALL: Final = 1  # the exit status if photos stay, or there are none
_AT_ONCE: Final = 200  # paths of one request


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a photo or a folder")
    parser.add_argument("--dry-run", action="store_true", help="only say how many photos would be forgotten")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> int:
    """Count the photos, ask, forget them, and return the exit status."""
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise UsageError(
            "there is no terminal to ask on, so nothing is forgotten", "give --yes, or --dry-run to look first"
        )
    parts = [options.paths[at : at + _AT_ONCE] for at in range(0, len(options.paths), _AT_ONCE)]
    with connect(options) as client:
        found = [client.forget(*part, dry_run=True) for part in parts]
        photos, away, there = (sum(getattr(one, key) for one in found) for key in ("photos", "away", "there"))
        if away:
            drives = f"{output.many(away, 'of them is', 'of them are')} on drives that are not connected"
            output.note(f"{drives}; pixkind indexes such photos again if the drive comes back")
        if there:
            stay = output.many(there, "photo stays, because it lies", "photos stay, because they lie")
            output.note(f"{stay} in a watched folder; delete or move them first")
        counted = output.many(photos, "photo", "photos")
        if options.dry_run or (there and not photos):
            output.emit(f"{counted} to forget\n".encode())
            return _NOT_ALL if there or not photos else 0
        # A photo that is no longer known may have left traces.
        question = f"forget {counted}?" if photos else "the index has no such photo; wipe what is left of deleted ones?"
        if not (options.yes or output.agreed(question)):
            output.note("nothing is forgotten")
            return _NOT_ALL
        done = [client.forget(*part) for part in parts]
    import shutil  # here, because `pixkin --help` imports this module

    shutil.rmtree(locations.answers_folder(), ignore_errors=True)
    output.emit(f"forgot {output.many(sum(one.photos for one in done), 'photo', 'photos')}\n".encode())
    if traces := done[-1].traces:
        output.note(f"traces of them are left: {output.harmless(traces)}; pixkind tries again every hour")
        return DaemonBusy.status
    return _NOT_ALL if there or not photos else 0
