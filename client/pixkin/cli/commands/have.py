"""`pixkin have`: tells whether everything on a memory card is somewhere else too, and copies what is not."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from itertools import groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from pixkin.cli import arguments, output
from pixkin.cli.connect import connect
from pixkin.cli.pictures import options as pictures
from pixkin.errors import InputUnreadable, UsageError
from pixkin.tiles import answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pixkin.card.copying import Copier
    from pixkin.card.drives import Lost
    from pixkin.card.walk import CardFile
    from pixkin.cli.pictures.looker import Looker
    from pixkin.client import Client
    from pixkin.protocol.replies import Doubt, Holding, Welcome


LINE: Final = "tell whether everything on a memory card is somewhere else too"
TEXT: Final = """\
Print for each photo in FOLDER and below whether it is in the library:
  there      exactly this picture is there, with all its metadata; the copy was read just now
  near       the library has the same shot in another file, or a part of it
  new        the library has neither
  bare       the picture is there, but without some of the metadata of this file
  away       the picture is known, but its copies are on drives that are not connected
  only here  the picture is known from FOLDER alone, from its drive, or from the watched folder around it
  unseen     the picture is known, but no copy could be read now, or be told from this file
Other files are `skipped`: videos, sidecars, hidden files, links, photos of a kind that is not read. With --also, a file
whose bytes are in another folder is `there`. Bookkeeping of cameras and systems, such as .DS_Store, is passed over.
Nothing is written, neither to the card nor to the library, unless --copy-to names a folder.

  pixkin have /media/card                                what would be lost
  pixkin have /media/card --copy-to ~/Pictures/new       copy that, and read every copy back
  pixkin have /media/card --html new.html --open         look at what is new
  pixkin have /media/card --also ~/Videos                videos may be there
  pixkin have /media/card --new                          the paths of the new photos

exit status:
  0   every file is there, or was copied
  1   some file is not there, or was skipped
  66  some files or folders cannot be read
"""
_AT_ONCE: Final = 2  # photos a request: the daemon answers other queries between two requests
_WAIT_S: Final = 120.0  # for these photos: they may be large, the card slow, and the network not yet loaded
_NOT_ALL: Final = 1  # the exit status when something is not there
_ANSWERS: Final = ("there", "near", "new")
_WORDS: Final = {"only_here": "only here"}
# An `Unproven`, and what it means.
_KNOWN: Final = {
    "bare": (
        "photo is in the library without all of its metadata",
        "photos are in the library without all their metadata",
    ),
    "away": ("photo is only on a drive that is not connected", "photos are only on drives that are not connected"),
    "only_here": (
        "photo is in the library only because this folder, its drive or the folder around it is watched",
        "photos are in the library only because this folder, its drive or the folder around it is watched",
    ),
    "unseen": (
        "photo is known, but no copy could be read now, or be told from the file itself",
        "photos are known, but no copy could be read now, or be told from the files themselves",
    ),
}
_PHOTOS: Final = ("photo", "unread photo")  # the kinds that --photos-only is about
_COLOURS: Final = {"there": output.DIM, "copied": output.DIM, "skipped": output.DIM, "new": output.GREEN}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("places", nargs="+", metavar="FOLDER", help="a folder, or a photo")
    add("--new", dest="wanted", action="append_const", const="new", help="print only the photos that are new")
    add("--near", dest="wanted", action="append_const", const="near", help="print only the photos that are near")
    add("--there", dest="wanted", action="append_const", const="there", help="print only the files that are there")
    add(
        "--also",
        action="append",
        default=[],
        metavar="TARGET",
        help="a file that has its bytes in TARGET or below is there too; may be given several times",
    )
    add(
        "--photos-only",
        action="store_true",
        help="only photos matter: videos, sidecars, links, hidden and other files are only counted",
    )
    add("--copy-to", metavar="TARGET", help="copy everything that is not there to TARGET, and read every copy back")
    add(
        "--timeout",
        type=arguments.seconds,
        default=_WAIT_S,
        metavar="S",
        help=f"give up if {_AT_ONCE} photos take longer than S seconds (default: {_WAIT_S:.0f})",
    )
    pictures.add(parser)
    keys = "path, kind, has, known, score, paths, reason, copied"
    arguments.add_forms(parser, json=f"print one line for each file, a JSON object: {keys}")


class _Row(NamedTuple):
    """What is known of one file."""

    file: CardFile
    has: str = "skipped"  # or a `Has`
    known: str = ""  # an `Unproven`
    score: float = 0.0
    paths: tuple[bytes, ...] = ()
    reason: str = ""
    copied: bytes = b""  # its copy in the target of --copy-to, which was read back

    @property
    def is_safe(self) -> bool:
        """Whether the file may be erased."""
        return self.has == "there" or bool(self.copied)


def run(options: argparse.Namespace) -> int:
    """Look at each file, print what is known of it, and return the exit status."""
    pictures.check(options)
    with connect(options, options.timeout) as client:
        from pixkin.card.drives import Lost
        from pixkin.card.walk import Walk

        lost = Lost(options.places)
        rules = client.hello()
        elsewhere = _Elsewhere(options, lost, rules)
        walk = Walk(rules)
        files = list(walk.files(options.places))
        looker, new = pictures.looker(client, options), list[_Row]()
        tally, screen, progress = _Tally(options), output.Screen.of(sys.stdout), output.Progress()
        try:
            for number, row in enumerate(map(elsewhere.kept, _asked(client, files, lost, tally)), 1):
                progress.clear()
                tally.count(row)
                if not options.wanted or row.has in options.wanted:
                    output.emit(_written(row, options.form, screen))
                if looker and row.has == "new":
                    new.append(row)
                progress.show(f"{number:,} of {len(files):,} files")
        finally:
            progress.clear()
    for folder, reason in walk.unreadable:
        output.note(f"{output.shown(folder)}: {reason}")
    if looker:
        _show(looker, new)
    return tally.summed(len(walk.unreadable), elsewhere)


def _asked(client: Client, files: Sequence[CardFile], lost: Lost, tally: _Tally) -> Iterator[_Row]:
    """Yield a row for each file, in order, with the daemon's answers about photos."""
    for is_photo, some in groupby(files, key=lambda file: file.kind == "photo"):
        if not is_photo:
            yield from map(_Row, some)
            continue
        while pair := list(islice(some, _AT_ONCE)):
            reply = client.have(*(os.fsdecode(file.path) for file in pair), within=lost.places)
            tally.doubt = answers.both(tally.doubt, reply.doubt)
            yield from map(_row, pair, reply.holdings)


def _row(file: CardFile, holding: Holding) -> _Row:
    known, reason = str(holding.known or ""), holding.reason
    if holding.has == "there" and not holding.seen:
        known, reason = "unseen", "this pixkind is older than pixkin, and looked at no copy; restart it"
    has = "new" if known and holding.has == "there" else str(holding.has)
    return _Row(file, has, known, holding.score, holding.paths, reason)


def _show(looker: Looker, new: Sequence[_Row]) -> None:
    """Show the photos that are new."""
    from pixkin.tiles.tile import Tile, TileGroup

    tiles = [Tile(_word(row), row.file.path, output.GREEN) for row in new]
    begin = b"\n"
    for shown in looker.rows(TileGroup(tiles)) if tiles else ():
        output.emit(begin + shown)
        begin = b""
    looker.close("New photos", [output.many(len(new), "photo is new", "photos are new")])


class _Elsewhere:
    """Looks for files in the folders of --also, and copies them to that of --copy-to."""

    def __init__(self, options: argparse.Namespace, lost: Lost, rules: Welcome) -> None:
        from pixkin.card.byte_copies import ByteCopies

        self._photos_only: bool = options.photos_only
        self._also = ByteCopies(options.also, lost, rules.skipped)
        self._copier = _copier(options.copy_to, lost, options.places)
        self.copied: Counter[bool] = Counter()  # whether the copy is new
        self.full = ""  # why nothing more can be copied

    def kept(self, row: _Row) -> _Row:
        """Return the row with what was found or copied."""
        file = row.file
        if row.is_safe or file.kind == "link" or (self._photos_only and file.kind not in _PHOTOS):
            return row
        try:
            copy = self._also.find(file.path)
        except OSError as error:
            return row._replace(reason=(error.strerror or "cannot be read").lower())
        if copy is not None:
            return _Row(file, "there", score=1.0, paths=(copy,))
        return row._replace(copied=self._copy(file))

    def _copy(self, file: CardFile) -> bytes:
        """Copy a file and return the path of the copy; empty: it could not be copied."""
        from pixkin.card.copying import CopyFailed, TargetFull

        if self._copier is None or self.full:
            return b""
        try:
            copied, is_new = self._copier.copy(file.path, file.top)
        except TargetFull as error:
            self.full = str(error)
        except CopyFailed as error:
            output.note(f"{output.shown(file.path)}: not copied: {output.harmless(str(error))}")
        else:
            self.copied[is_new] += 1
            return copied
        return b""


def _copier(target: str | None, lost: Lost, places: Sequence[str]) -> Copier | None:
    """Return what copies to a folder, which must not lie on the card."""
    from pixkin.card.copying import Copier

    if target is None:
        return None
    if lost.holds(target):
        raise UsageError(f"{target} lies on what you ask about; name a folder elsewhere")
    try:
        copier = Copier(target)
        is_shown = copier.is_shown_in(places)
    except OSError as error:
        raise InputUnreadable(f"{target}: {(error.strerror or 'cannot be used').lower()}") from error
    if is_shown:  # as in a pool of which the target is a disk
        raise UsageError(f"what is written to {target} appears in what you ask about; name a folder elsewhere")
    return copier


class _Tally:
    """Counts the rows, and says what they mean."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.doubt: Doubt | None = None
        self._photos: Counter[str] = Counter()  # by answer
        self._skipped: Counter[str] = Counter()  # other files, by kind
        self._found = 0  # other files
        self._missing = 0  # files that matter, and are neither there nor copied
        self._failed = 0

    def count(self, row: _Row) -> None:
        """Count a row, and say why a photo failed."""
        matters = not self._options.photos_only or row.file.kind in _PHOTOS
        self._missing += matters and not row.is_safe
        if row.has == "there" and row.file.kind != "photo":
            self._found += 1
        elif row.has == "skipped":
            self._skipped[row.file.kind] += not row.is_safe
        elif row.has in _ANSWERS:
            self._photos[row.known or row.has] += 1
        elif not row.is_safe:
            self._failed += 1
        if row.reason and not row.known:
            output.note(f"{output.shown(row.file.path)}: {output.harmless(row.reason)}")

    def summed(self, unreadable: int, elsewhere: _Elsewhere) -> int:
        """Say what was found, and return the exit status."""
        photos = self._photos.total() + self._failed + unreadable + self._skipped["unread photo"]
        others = self._found + self._skipped.total()
        if not photos and not elsewhere.copied and (self._options.photos_only or not others):
            raise InputUnreadable(f"no photos in {', '.join(self._options.places)}", "is the card mounted?")
        for line in self._lines(unreadable, elsewhere):
            output.note(line)
        if self._failed or unreadable:
            return InputUnreadable.status
        return _NOT_ALL if self._missing else 0

    def _lines(self, unreadable: int, elsewhere: _Elsewhere) -> Iterator[str]:
        failed = self._failed + unreadable
        counts = [f"{self._photos[answer]:,} {answer}" for answer in _ANSWERS]
        counts += [f"{self._photos[known]:,} {_WORDS.get(known, known)}" for known in _KNOWN if self._photos[known]]
        yield ", ".join(counts + ([f"{failed:,} could not be read"] if failed else []))
        yield from (output.many(self._photos[known], *_KNOWN[known]) for known in _KNOWN if self._photos[known])
        if self._found:
            yield f"{output.many(self._found, 'other file is', 'other files are')} there too"
        if new := elsewhere.copied[True]:
            yield f"{output.many(new, 'file was', 'files were')} copied; every copy was read back and compared"
        if old := elsewhere.copied[False]:
            yield f"{output.many(old, 'file was', 'files were')} copied before; every copy was compared"
        if elsewhere.full:
            yield f"the rest was not copied: {elsewhere.full}"
        if kinds := [output.many(n, str(kind), f"{kind}s") for kind, n in sorted(self._skipped.items()) if n]:
            was = "was" if self._skipped.total() == 1 else "were"
            looked = "there" if self._options.also and not self._options.photos_only else "looked at"
            yield f"{', '.join(kinds)} {was} not {looked}"
        if self.doubt is not None and (doubts := output.doubts(self.doubt)):
            yield doubts


def _word(row: _Row) -> str:
    return "copied" if row.copied else _WORDS.get(row.known, row.known) or row.has


def _written(row: _Row, form: str | None, screen: output.Screen) -> bytes:
    path = row.file.path
    if form == "json":
        return output.json_line(
            {
                **output.path_fields("path", path),
                "kind": str(row.file.kind),
                "has": row.has,
                "known": row.known,
                "score": row.score,
                **output.paths_fields("paths", row.paths),
                "reason": row.reason,
                **output.path_fields("copied", row.copied),
            }
        )
    if row.has not in (*_ANSWERS, "skipped") and not row.copied:
        return b""  # failures go to standard error
    if form is not None:
        return output.bare_path(path, form, screen)
    word = _word(row)
    paths = (row.copied,) if row.copied else row.paths
    score = f"{row.score:.3f}" if row.paths and not row.copied else ""
    if not screen.tty:
        return ("\t".join((word, score, *map(output.shown, (path, *paths)))) + "\n").encode()
    lines = [f"{screen.paint(f'{word:<9}', _COLOURS.get(word, output.YELLOW))}  {score:>5}  {screen.link(path)}"]
    if paths:
        more = f" and {output.many(len(paths) - 1, 'copy', 'copies')}" if len(paths) > 1 else ""
        why = f" ({output.harmless(row.reason)})" if row.known and row.reason else ""
        lines.append(" " * 18 + screen.paint(f"{output.shown(paths[0])}{more}{why}", output.DIM))
    return "".join(f"{line}\n" for line in lines).encode()
