"""`pixkin dupes --trash`, `--move-to` and `--undo`: what would be moved, the question, and what was done."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from pixkin import locations
from pixkin.cli import output
from pixkin.cli.pictures import options as pictures
from pixkin.errors import DaemonBusy, InputUnreadable, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pixkin.cli.pictures.looker import Looker
    from pixkin.client import Client
    from pixkin.protocol.replies import Groups
    from pixkin.trash.destinations import Destination
    from pixkin.trash.offers import Offer, Wishes

_NOT_ALL: Final = 1  # the exit status unless all that was to be moved was moved
_MOST_LINES: Final = 20  # folders or reasons that are printed; how many more there are is said


class SearchProgress(Protocol):
    """Shows how far a search is."""

    remarks: list[str]
    left_out: int  # photos whose files are not as the index has them

    def told(self, reply: Groups) -> None:
        """Show a reply's progress."""

    def clear(self) -> None:
        """Erase the line."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group(
        "move what is not needed",
        "A photo goes only if another photo has its picture and metadata, and stays. Both are read first.\n"
        "Without --min-score only exact copies go. Exit status 0: all photos went that were to go.",
    )
    add = group.add_argument
    add("--trash", action="store_true", help="move copies to the trash of their drive; asks first")
    add("--move-to", metavar="DIR", help="move them to a folder instead, where they keep their whole path")
    add("--dry-run", action="store_true", help="only print what would be moved")
    add("--yes", action="store_true", help="do not ask")
    add("--undo", action="store_true", help="bring back what the last run has moved; again: the run before it")
    add("--keep", action="append", default=[], metavar="DIR", help="photos in DIR stay, and are the ones that are kept")
    add("--never", action="append", default=[], metavar="DIR", help="photos in DIR stay")
    add("--across", action="append", default=[], metavar="DIR", help="only photos in DIR go, if one elsewhere stays")
    add("--drives", action="store_true", help="also photos on another drive than the one that stays, such as backups")


def is_asked(options: argparse.Namespace) -> bool:
    """Return whether photos are to be moved."""
    return options.trash or options.move_to is not None


def check(options: argparse.Namespace) -> None:
    """Return if the options go together.

    Raises:
        UsageError: they do not.
    """
    moves = is_asked(options)
    chosen = options.keep or options.never or options.across or options.drives
    others = options.folder is not None or options.min_score is not None or options.form or options.but_best
    others = others or pictures.are_given(options)
    if options.undo and (moves or chosen or others or options.dry_run or options.apart or options.together):
        raise UsageError("--undo takes no other option")
    if moves and (options.form or options.but_best or options.apart or options.together):
        raise UsageError("--trash and --move-to print a list of their own; --but-best prints paths and moves nothing")
    if options.trash and options.move_to is not None:
        raise UsageError("give either --trash or --move-to")
    if (options.yes or options.dry_run) and not moves:
        raise UsageError("--yes and --dry-run belong to --trash or --move-to")
    if chosen and not (moves or options.but_best):
        raise UsageError("--keep, --never, --across and --drives belong to --trash, --move-to or --but-best")
    if moves and not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise UsageError(
            "there is no terminal to ask on, so nothing is moved", "give --yes, or --dry-run to look first"
        )


def wishes(options: argparse.Namespace) -> Wishes:
    """Return what the user allows.

    Raises:
        InputUnreadable: a folder is not there.
    """
    from pixkin.trash.offers import Wishes

    return Wishes(keep=options.keep, never=options.never, across=options.across, drives=options.drives)


def stays(allowed: Wishes) -> None:
    """Print why photos stay."""
    for reason, count in allowed.stay.most_common():
        output.note(f"{output.many(count, 'photo stays', 'photos stay')}: {reason}")
    _note_some(allowed.left_out)


def remove(client: Client, options: argparse.Namespace, progress: SearchProgress, looker: Looker | None = None) -> int:
    """Look for copies, print and show what would be moved, ask, move it, and return the exit status."""
    allowed, destination = wishes(options), _destination(client, options)
    if not options.dry_run:
        _tidy(locations.trash_journal())
    asked_ns = time.time_ns()
    least = 1.0 if options.min_score is None else options.min_score
    try:
        found = [allowed.offers(group) for group in client.dupes(options.folder, min_score=least, told=progress.told)]
    finally:
        progress.clear()
    found.sort(key=lambda some: -sum(offer.size for offer in some))
    offers = [offer for some in found for offer in some]
    if looker:
        _show(looker, [some for some in found if some])
    _summarise(offers, listed=options.dry_run)
    stays(allowed)
    for line in progress.remarks:
        output.note(line)
    status = DaemonBusy.status if progress.left_out else 0
    if options.dry_run or not offers:
        return status or (0 if offers else _NOT_ALL)
    to = "the trash" if options.trash else output.shown(os.fsencode(destination.name))
    if not options.yes and not output.agreed(f"Move {_counted(offers)} to {to}?"):
        output.note("nothing was moved")
        return _NOT_ALL
    return _move(offers, destination, asked_ns, to) or status


def undo() -> int:
    """Bring back what the last run has moved, and return the exit status. It needs no daemon."""
    from pixkin.trash.moving import bring_back_last

    found = bring_back_last(locations.trash_journal())
    if found is None:
        output.note("there is nothing to bring back")
        return _NOT_ALL
    run, missing = found.run, [f"{moved.path}: {reason}" for moved, reason in found.missing]
    back = output.many(len(run.moved) - len(missing), "file", "files")
    output.emit(f"brought back {back} of the run of {run.at}\n".encode())
    _note_some(missing)
    if run.unread:
        output.note(
            f"{output.many(run.unread, 'line', 'lines')} of {_shown(run.file)} cannot be read: a file may be missing"
        )
    return _NOT_ALL if missing or run.unread else 0


def _destination(client: Client, options: argparse.Namespace) -> Destination:
    from pixkin.trash.destinations import TargetFolder, Trash

    if options.trash:
        return Trash(locations.trash_folder())
    folder = os.path.realpath(options.move_to)
    for root in client.status().roots:
        if _lies_in(folder, os.fsdecode(root.path)):
            raise UsageError(
                f"{options.move_to} lies in the watched folder {_shown(os.fsdecode(root.path))}, "
                "so what is moved there would still count as a copy"
            )
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise InputUnreadable(f"{options.move_to}: {(error.strerror or 'it cannot be made').lower()}") from error
    return TargetFolder(folder)


def _lies_in(folder: str, root: str) -> bool:
    """Return whether a folder, which may not exist yet, is a root or lies in it, under whatever name."""
    while True:
        with suppress(OSError):
            if folder == root or os.path.samefile(folder, root):
                return True
        if folder == "/":
            return False
        folder = os.path.dirname(folder)


def _counted(offers: Sequence[Offer]) -> str:
    sidecars = sum(len(offer.sidecars) for offer in offers)
    more = f" and {output.many(sidecars, 'sidecar', 'sidecars')}" if sidecars else ""
    return f"{output.many(len(offers), 'photo', 'photos')}{more} ({output.size(sum(offer.size for offer in offers))})"


def _show(looker: Looker, found: Sequence[Sequence[Offer]]) -> None:
    """Show the photos of each group that would be moved, behind the one that stays."""
    from pixkin.tiles.tile import Tile, TileGroup

    for some in found:
        tiles = [Tile("stays", os.fsencode(some[0].kept), output.GREEN)]
        tiles += [Tile("would go", os.fsencode(one.path), output.YELLOW, output.size(one.size)) for one in some]
        for row in looker.rows(TileGroup(tiles, f"{_counted(some)} would go")):
            output.emit(row)
    looker.close("Photos that would go")


def _summarise(offers: Sequence[Offer], *, listed: bool) -> None:
    """Print the photos if they are to be listed, and how many there are in each folder, the largest saving first."""
    lines = []
    if listed:
        lines += [f"{output.size(one.size):>10}  {_shown(one.path)}  (stays: {_shown(one.kept)})" for one in offers]
    folders: dict[str, list[Offer]] = {}
    for offer in offers:
        folders.setdefault(os.path.dirname(offer.path), []).append(offer)
    ranked = sorted(folders.items(), key=lambda item: -sum(offer.size for offer in item[1]))
    lines += [f"{_counted(some)}  {_shown(folder)}" for folder, some in ranked[:_MOST_LINES]]
    if len(ranked) > _MOST_LINES:
        rest = [offer for _, some in ranked[_MOST_LINES:] for offer in some]
        lines.append(f"{_counted(rest)}  in {output.many(len(ranked) - _MOST_LINES, 'other folder', 'other folders')}")
    lines.append(f"{_counted(offers)} in all" if offers else "no photo can go")
    output.emit("".join(f"{line}\n" for line in lines).encode())


def _move(offers: Sequence[Offer], destination: Destination, asked_ns: int, to: str) -> int:
    from pixkin.trash.moving import move_all

    left: list[str] = []

    def told(gone: list[Offer], failed: list[str]) -> None:
        left.extend(failed)
        _report(gone, failed, to)

    move_all(locations.trash_journal(), offers, destination, asked_ns, told)
    return _NOT_ALL if left else 0


def _tidy(folder: str) -> None:
    """Give the files back their names that a run which was cut off has left under hidden names."""
    from pixkin.trash.moving import tidy

    for moved, reason in tidy(folder):
        output.note(f"{_shown(moved.path)}, which a run that was cut off had renamed: {reason or 'it is back'}")


def _report(gone: Sequence[Offer], failed: Sequence[str], to: str) -> None:
    _note_some(failed)
    text = f"moved {_counted(gone)} to {to}; `pixkin dupes --undo` brings back all\n" if gone else "nothing was moved\n"
    output.emit(text.encode())


def _note_some(lines: Sequence[str]) -> None:
    for line in lines[:_MOST_LINES]:
        output.note(_shown(line))
    if len(lines) > _MOST_LINES:
        output.note(f"and {len(lines) - _MOST_LINES:,} more")


def _shown(path: str) -> str:
    return output.shown(os.fsencode(path))
