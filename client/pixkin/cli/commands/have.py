"""`pixkin have`: lists which photos of a memory card are in the library already."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect
from pixkin.errors import InputUnreadable

if TYPE_CHECKING:
    from pixkin.protocol.replies import Doubt, Holding, Welcome


LINE: Final = "list which photos of a memory card are in the library already"
TEXT: Final = """\
Print for each photo in FOLDER and below whether it is in the library:
  there  exactly this picture is in the library; its metadata may differ
  near   the library has the same shot in another file, or a part of it
  new    the library has neither
pixkin writes nothing, neither to the card nor to the library. It skips hidden folders, and files that are no photos.

  pixkin have /media/card
  pixkin have /media/card --new       the paths of the new photos

exit status:
  0   every photo is there
  1   some photos are new or near, or are in the library only because FOLDER is a watched folder
  66  some files or folders cannot be read
"""
_AT_ONCE: Final = 2  # photos a request: the daemon answers other queries between two requests
_WAIT_S: Final = 120.0  # for these photos: they may be large, the card slow, and the network not yet loaded
_NOT_ALL: Final = 1  # the exit status when some are new or near, or known from the card alone


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("places", nargs="+", metavar="FOLDER", help="a folder, or a photo")
    add("--new", dest="wanted", action="append_const", const="new", help="print only the photos that are new")
    add("--near", dest="wanted", action="append_const", const="near", help="print only the photos that are near")
    add("--there", dest="wanted", action="append_const", const="there", help="print only the photos that are there")
    add(
        "--timeout",
        type=arguments.seconds,
        default=_WAIT_S,
        metavar="S",
        help=f"give up if {_AT_ONCE} photos take longer than S seconds (default: {_WAIT_S:.0f})",
    )
    arguments.add_forms(parser, json="print one line for each photo, a JSON object: path, has, score, paths, reason")


def run(options: argparse.Namespace) -> int:
    """Send requests, print each answer as it comes, and return the exit status."""
    screen = output.Screen.of(sys.stdout)
    counts: Counter[str] = Counter()
    doubt: Doubt | None = None
    with connect(options, options.timeout) as client:
        walk = _Walk(client.hello())
        folders = [os.path.join(os.fsencode(os.path.realpath(place)), b"") for place in options.places]
        paths = walk.paths(options.places)
        while some := list(islice(paths, _AT_ONCE)):
            reply = client.have(*some)
            doubt = reply.doubt
            for holding in reply.holdings:
                counts[holding.has] += 1
                counts["only here"] += bool(holding.paths) and all(_lies_in(path, folders) for path in holding.paths)
                if not options.wanted or holding.has in options.wanted:
                    output.emit(_written(holding, options.form, screen))
                if holding.reason:
                    output.note(f"{output.shown(holding.path)}: {output.harmless(holding.reason)}")
    counts["failed"] += walk.unreadable
    only_here = counts.pop("only here", 0)
    if not counts.total():
        raise InputUnreadable(f"no photos in {', '.join(options.places)}", "is the card mounted?")
    output.note(_summed(counts))
    if doubt is not None and (doubts := output.doubts(doubt)):
        output.note(doubts)
    if only_here:
        only = output.many(only_here, "photo is", "photos are")
        output.note(f"{only} in the library only because this folder is watched")
    if counts["failed"]:
        return InputUnreadable.status
    return _NOT_ALL if counts["new"] or counts["near"] or only_here else 0


def _lies_in(path: bytes, places: Iterable[bytes]) -> bool:
    """Return whether a path is one of the places or lies below one; each place ends with a slash."""
    return any((path + b"/").startswith(place) for place in places)


class _Walk:
    """Walks folders by the daemon's rules; `unreadable` counts the folders that could not be listed."""

    def __init__(self, rules: "Welcome") -> None:
        self._suffixes = {suffix.encode() for suffix in rules.suffixes}
        self._skipped = {name.encode() for name in rules.skipped}
        self.unreadable = 0

    def paths(self, places: Iterable[str]) -> Iterator[str]:
        """Yield each file that is named, and the photos of each folder: sorted, those of a folder before those below it."""
        for place in places:
            if not os.path.isdir(place):
                yield place
                continue
            folders = [os.fsencode(os.path.abspath(place))]
            while folders:
                photos, below = self._listed(folders.pop())
                yield from map(os.fsdecode, photos)
                folders += reversed(below)

    def _listed(self, folder: bytes) -> tuple[list[bytes], list[bytes]]:
        """Return the photos and the folders in a folder; symbolic links are skipped."""
        photos: list[bytes] = []
        below: list[bytes] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(b"."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        below += [] if entry.name.lower() in self._skipped else [entry.path]
                    elif self._is_photo(entry.name) and entry.is_file(follow_symlinks=False):
                        photos.append(entry.path)
        except OSError as error:
            self.unreadable += 1
            output.note(f"{output.shown(folder)}: {(error.strerror or 'cannot be read').lower()}")
        return sorted(photos), sorted(below)

    def _is_photo(self, name: bytes) -> bool:
        _, dot, suffix = name.rpartition(b".")
        return bool(dot) and suffix.lower() in self._suffixes


def _summed(counts: Counter[str]) -> str:
    parts = [f"{counts[has]:,} {has}" for has in ("there", "near", "new")]
    return ", ".join(parts + ([f"{counts['failed']:,} could not be read"] if counts["failed"] else []))


def _written(holding: "Holding", form: str | None, screen: output.Screen) -> bytes:
    if form == "json":
        return output.json_line(
            {
                **output.path_fields("path", holding.path),
                "has": str(holding.has),
                "score": holding.score,
                **output.paths_fields("paths", holding.paths),
                "reason": holding.reason,
            }
        )
    if holding.has not in ("there", "near", "new"):
        return b""  # failures go to standard error
    if form is not None:
        return output.bare_path(holding.path, form, screen)
    score = f"{holding.score:.3f}" if holding.paths else ""
    if not screen.tty:
        cells = (str(holding.has), score, *map(output.shown, (holding.path, *holding.paths)))
        return ("\t".join(cells) + "\n").encode()
    colour = {"there": output.DIM, "near": output.YELLOW, "new": output.GREEN}[holding.has]
    lines = [f"{screen.paint(f'{holding.has:<5}', colour)}  {score:>5}  {screen.link(holding.path)}"]
    if holding.paths:
        more = f" and {output.many(len(holding.paths) - 1, 'copy', 'copies')}" if len(holding.paths) > 1 else ""
        lines.append(" " * 14 + screen.paint(f"{output.shown(holding.paths[0])}{more}", output.DIM))
    return "".join(f"{line}\n" for line in lines).encode()
