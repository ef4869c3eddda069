"""`pixkin dupes`: prints groups of near-duplicates."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, fields, output, removing
from pixkin.cli.connect import connect
from pixkin.cli.pictures import options as pictures
from pixkin.errors import DaemonBusy, UsageError
from pixkin.tiles import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixkin.client import Client
    from pixkin.protocol.replies import Failed, Group, Groups, Photo


LINE: Final = "print groups of near-duplicates"
TEXT: Final = """\
Print groups of near-duplicates in FOLDER (by default everywhere); those that waste the most space come first.
Within a group every photo is alike every other; a photo is in at most one group.
The band of a group is that of its two least similar photos:
  identical  exact copies: the same picture, and the best photo has all metadata of the others
  same shot  photos that were saved again, resized, cropped or brightened, or whose metadata differ
  similar    bursts and heavier edits, of which many are different photos; ask for them with --min-score 0.75
The best photo of a group comes first: on a connected drive, raw, with the most pixels and metadata, with an original
name, the oldest. A photo is spare if it is an exact copy, and the best one has all that it has. Before pixkin prints a
group, it looks at all of its files, and compares the bytes of exact copies. It leaves out a photo whose file has changed,
and then ends with 75.

  pixkin dupes
  pixkin dupes ~/Pictures/2024 --min-score 0.9
  pixkin dupes --html dupes.html --open                       look at them in a browser
  pixkin dupes --trash                                        move exact copies to the trash, after a question
  pixkin dupes --undo                                         bring them back
  pixkin dupes --trash --across ~/Downloads                   only those there that are elsewhere, too
  pixkin dupes --apart a.jpg b.jpg                            never group these two, even if they are renamed
"""
_NONE: Final = 1  # the exit status when there are no groups
_SHOWN: Final = 10  # names of photos that were left out


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("folder", nargs="?", metavar="FOLDER", help="only photos in FOLDER or below")
    add(
        "--min-score",
        type=arguments.closeness,
        metavar="S",
        help="any two photos of a group score at least S, 0.5 to 1 (default: 0.85); 1: only exact copies",
    )
    add(
        "--but-best",
        action="store_true",
        help="print only the photos that are spare; to delete them use --trash, which compares first",
    )
    words = parser.add_mutually_exclusive_group()
    two = ("A", "B")
    words.add_argument(
        "--apart", nargs=2, metavar=two, help="remember that two photos are not duplicates, and print nothing"
    )
    words.add_argument("--together", nargs=2, metavar=two, help="undo --apart")
    removing.add(parser)
    pictures.add(parser)
    arguments.add_forms(parser, json="print one line for each group, a JSON object: band, score, photos, more")


def run(options: argparse.Namespace) -> int:
    """Start the search, print each group as it is found, and return the exit status."""
    asks = options.folder is not None or options.min_score is not None or options.but_best or options.form
    if (options.apart or options.together) and (asks or pictures.are_given(options)):
        raise UsageError("--apart and --together take two photos, and no folder or other option")
    pictures.check(options)
    removing.check(options)
    if options.undo:
        return removing.undo()
    with connect(options) as client:
        if options.apart:
            client.apart(*options.apart)
            return 0
        if options.together:
            client.together(*options.together)
            return 0
        if removing.is_asked(options):
            return removing.remove(client, options, _Progress(), pictures.looker(client, options))
        return _print(client, options)


def _print(client: Client, options: argparse.Namespace) -> int:
    from pixkin.protocol.requests import SAME_SHOT

    screen, progress = output.Screen.of(sys.stdout), _Progress()
    least = SAME_SHOT if options.min_score is None else options.min_score
    allowed = removing.wishes(options) if options.but_best else None
    looker = pictures.looker(client, options)
    try:
        found = [*client.dupes(options.folder, min_score=least, told=progress.told)]
    finally:  # an error message needs a line of its own
        progress.clear()
    count = 0
    for group in sorted(found, key=_saving, reverse=True):
        photos = allowed.offered(group) if allowed else group.photos
        if photos:
            count += 1
            shown = b"".join(looker.rows(answers.group_tiles(group, photos if allowed else None))) if looker else b""
            output.emit(_written(count, group, photos, options.form, screen, shown))
        if photos and group.more:
            output.note(f"group {count} has {output.many(group.more, 'more photo', 'more photos')}, not listed here")
    if allowed:
        removing.stays(allowed)
    notes = [*_summed(found), *progress.remarks]
    for line in notes:
        output.note(line)
    if looker:
        looker.close("Groups of near-duplicates", notes)
    if progress.left_out:
        return DaemonBusy.status
    return 0 if count else _NONE


def _saving(group: Group) -> int:
    """Return how many bytes the spare photos of a group take."""
    return sum(photo.size for photo in group.photos if photo.spare)


def _summed(groups: Sequence[Group]) -> list[str]:
    """Return a line that says what all groups waste; none if there are no groups."""
    if not groups:
        return []
    spare = sum(photo.spare for group in groups for photo in group.photos)
    size = f": {output.size(sum(map(_saving, groups)))}" if spare else ""
    return [
        f"{output.many(len(groups), 'group', 'groups')}; {output.many(spare, 'photo is', 'photos are')} spare{size}"
    ]


def _written(
    number: int, group: Group, photos: Sequence[Photo], form: str | None, screen: output.Screen, shown: bytes
) -> bytes:
    match form:
        case "json":
            return output.json_line(fields.group_fields(group, photos))
        case "null" | "paths":
            return b"".join(output.bare_path(photo.path, form, screen) for photo in photos)
        case _:
            return _table(number, group, photos, screen, shown)


def _table(number: int, group: Group, photos: Sequence[Photo], screen: output.Screen, shown: bytes) -> bytes:
    """Return a heading, pictures and a line for each photo on a terminal, else lines with tabs: group, band, score, photo."""
    if not screen.tty:
        head = [str(number), str(group.band), f"{group.score:.3f}"]
        return "".join(
            "\t".join([*head, *answers.cells(photo), output.shown(photo.path), *_marks(photo)]) + "\n"
            for photo in photos
        ).encode()
    heading = screen.paint(f"{group.band}  {group.score:.3f}", output.GREEN) + "\n"
    lines = []
    for photo in photos:
        pixels, size = answers.cells(photo)
        marks = "".join(screen.paint(f"  {mark}", output.YELLOW) for mark in _marks(photo))
        lines.append(f"{pixels:>13}  {size:>8}  {screen.link(photo.path)}{marks}")
    return heading.encode() + shown + "".join(line + "\n" for line in (*lines, "")).encode()


def _marks(photo: Photo) -> list[str]:
    return [*(["offline"] if photo.offline else []), *(["spare"] if photo.spare else []), *photo.notes]


class _Progress:
    """Shows the progress on standard error if that is a terminal, and keeps the remarks for the end."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self.left_out = 0  # photos
        self._named: list[Failed] = []  # some of them
        self._line = output.Progress()

    def told(self, reply: Groups) -> None:
        """Show the progress that a reply reports, or keep its remarks if it is the last."""
        self.left_out += len(reply.left_out)
        self._named += reply.left_out[: _SHOWN - len(self._named)]
        if reply.done:
            thinned = "so many photos are alike that some groups may be split; try a higher --min-score, or a FOLDER"
            self.remarks = [*output.failure_lines(self._named)]
            if self.left_out:
                names = f", {len(self._named)} of which are named above" if self.left_out > len(self._named) else ""
                self.remarks.append(
                    f"{output.many(self.left_out, 'photo was', 'photos were')} left out{names}; ask again in a moment"
                )
            self.remarks += filter(None, (thinned if reply.thinned else "", output.doubts(reply.doubt)))
        elif reply.search:
            self._line.show(f"{reply.compared:,} of {reply.pictures:,} pictures compared")
        else:
            self._line.show("waiting for another search for duplicates to end")

    def clear(self) -> None:
        """Erase the line."""
        self._line.clear()
