"""`pixkin like`: prints the photos most like an image."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments, output, questions
from pixkin.cli.connect import connect
from pixkin.cli.fields import match_fields
from pixkin.cli.pictures import options as pictures
from pixkin.tiles import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixkin.protocol.replies import Match, Matches
    from pixkin.query_images import Source
    from pixkin.tiles.tile import TileGroup

LINE: Final = "print the photos most like an image"
TEXT: Final = """\
Print the photos most like IMAGE, best first: score, band, distance, path.
The score says how alike two pictures are: 1 means the same picture, about 0 means unrelated, and -1 is the lowest.
(It is the cosine similarity of their feature vectors, centred on your library.)
The distance is the Euclidean distance of the same vectors, before centring; it is 0 for the same picture.
The band says in words what the score means:

  same photo   perhaps saved again or resized
  same shot    cropped, edited, or the next of a burst
  alike        edited more, or the same kind of picture
  loosely      something in common
  no relation  no higher than unrelated photos score

The bands describe how alike the pictures look. They do not show that a file is a copy: for that there is `pixkin dupes`.
Copies, other versions of one shot and the shots of a burst are one match, and their numbers stand below it.
Several images are one query for photos that are near to all of them: the lowest of the scores counts most.
A weight may precede each image, as in 0.5:a.jpg.
For a file of that name write ./0.5:a.jpg.

  pixkin like beach.jpg
  pixkin like beach.jpg 0.5:sea.jpg --minus crowd.jpg -n 20 --min-score 0.6
  pixkin like --region 10%,10%,50%,50% --taken 2019-06 --camera pixel beach.jpg
  pixkin like --under ~/Pictures/2024 -0 beach.jpg | xargs -0r cp -nt album/
  pixkin like beach.jpg -n 30 --html like.html --open
  curl -s https://example.org/a.jpg | pixkin like -
"""
_NONE: Final = 1  # the exit status when there are no matches
_UNKNOWN: Final = "--min-score and --related know no bands yet: there are too few photos"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    text = "an image file, indexed or not; - is standard input; at most eight images"
    add("images", nargs="+", type=arguments.weighted, metavar="IMAGE", help=text)
    questions.add(parser)
    add("--timeout", type=arguments.seconds, default=30.0, metavar="S", help="give up after S seconds (default: 30)")
    pictures.add(parser, default=True)
    arguments.add_forms(
        parser,
        json="print one line for each match, a JSON object: path, score, distance, offline, copies, versions, burst, frames, related, band, damaged",
    )


def run(options: argparse.Namespace) -> int:
    """Send the query, print the matches, and return the exit status."""
    images, minus = questions.images_of(options, options.images)
    pictures.check(options)
    with connect(options, options.timeout) as client:
        looker = pictures.looker(client, options)
        reply = questions.ask(client, options, images, minus, pictures=looker is not None)
    notes = [remark(reply, is_cut=isinstance(options.min_score, str)) or _emptied(reply, options)]
    notes = [note for note in (*notes, output.doubts(reply.doubt)) if note]
    if looker is not None and reply.matches:
        for row in looker.rows(tiles(reply, images, minus)):
            output.emit(row)
    output.emit(_written(reply, options.form))
    for note in notes:
        output.note(note)
    if looker is not None:
        looker.close(title(images), notes)
    return 0 if reply.matches else _NONE


def title(images: Sequence[tuple[float, Source]]) -> str:
    """Return the title of a page with the answer."""
    names = [output.shown(os.path.basename(os.fsencode(one))) for _, one in images if isinstance(one, str)]
    return f"Photos like {', '.join(names) or 'this one'}"


def tiles(reply: Matches, images: Sequence[tuple[float, Source]], minus: Sequence[tuple[float, Source]]) -> TileGroup:
    """Return the tiles of the query, and of its matches."""
    from pixkin.tiles.tile import Tile, TileGroup

    asked = [
        Tile(
            word if weight == 1 else f"{word} x {weight:g}",
            os.fsencode(os.path.abspath(source)) if isinstance(source, str) else b"",
            colour=output.YELLOW,
            source=source,
        )
        for word, some in (("query", images), ("minus", minus))
        for weight, source in some
    ]
    return TileGroup(asked + answers.match_tiles(reply))


def _written(reply: Matches, form: str | None) -> bytes:
    screen = output.Screen.of(sys.stdout)
    match form:
        case "json":
            return matches_as_json(reply)
        case "null" | "paths":
            return b"".join(output.bare_path(match.path, form, screen) for match in reply.matches)
        case _:
            return matches_as_table(reply, screen)


def remark(reply: Matches, *, is_cut: bool) -> str:
    """Return a line that says that no match is meaningful, or that this is unknown; empty if one is meaningful.

    Args:
        reply: the matches.
        is_cut: the user asked for meaningful matches only.
    """
    if reply.chance is None:
        return _UNKNOWN if is_cut else ""
    if any(answers.is_related(match, reply.chance) for match in reply.matches) or not (reply.matches or is_cut):
        return ""
    return f"no strong match: nothing scores above what photos without any relation reach ({reply.chance:.2f})"


def _emptied(reply: Matches, options: argparse.Namespace) -> str:
    """Return a line that names the options that left no match; empty if the reply names none."""
    named = questions.named(reply.emptied_by, options)
    return f"no photo passes {' and '.join(named)}{' together' if len(named) > 1 else ''}" if named else ""


def matches_as_json(reply: Matches) -> bytes:
    """Return a line for each match, a JSON object."""
    return b"".join(output.json_line(match_fields(match, reply.chance)) for match in reply.matches)


def matches_as_table(reply: Matches, screen: output.Screen) -> bytes:
    """Return score, band, distance and path of each match, aligned for a terminal.

    Else there is no header, and tabs separate score, distance, path and what else there is: `offline`, `damaged`, the band, the copies.
    """
    lines = (
        [screen.paint(f"{'score':>6}  {'':11}  {'distance':>8}  path", output.DIM)]
        if reply.matches and screen.tty
        else []
    )
    table = "".join(line + "\n" for line in lines).encode()
    return table + b"".join(match_lines(match, reply.chance, screen) for match in reply.matches)


def match_lines(match: Match, chance: float | None, screen: output.Screen) -> bytes:
    """Return what `matches_as_table` says of one match."""
    score, distance, _, *marks = cells = _cells(match, chance)
    if not screen.tty:
        return ("\t".join(cells) + "\n").encode()
    remarks = "".join(screen.paint(f"  {remark}", output.YELLOW) for remark in answers.remarks(match))
    is_chance = answers.is_related(match, chance) is False
    painted = screen.paint(f"{score:>6}  {answers.band(match, chance):11}", output.DIM if is_chance else output.GREEN)
    lines = [f"{painted}  {distance:>8}  {screen.link(match.path)}{remarks}"]
    if match.copies or match.versions or match.frames:
        lines.append(" " * 31 + screen.paint(marks[-1], output.DIM))
    return "".join(line + "\n" for line in lines).encode()


def _cells(match: Match, chance: float | None) -> list[str]:
    marks = answers.remarks(match)
    marks += [answers.band(match, chance)] if answers.band(match, chance) else []
    marks += [", ".join(folded)] if (folded := answers.folded(match)) else []
    return [f"{match.score:.3f}", f"{match.distance:.2f}", output.shown(match.path), *marks]
