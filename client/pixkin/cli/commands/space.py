"""`pixkin space`: the encoders whose vectors the store holds."""

import argparse
import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli import output
from pixkin.cli.connect import connect
from pixkin.errors import UsageError

if TYPE_CHECKING:
    from pixkin.protocol.replies import Spaces, SpaceState


LINE: Final = "print, choose or drop what encoders have made of your photos"
TEXT: Final = """\
A space holds what one encoder has made of your photos. When `encoder.model` is changed in the configuration,
the space of the new one is filled in the background, newest photos first, while the old one answers;
as soon as the new one finds all photos that the old one finds, it answers. Going back costs nothing.

  pixkin space list
  pixkin space use NAME         answer from this one from now on, whatever it finds yet
  pixkin space use              answer from the configured one, as soon as it finds all
  pixkin space drop NAME        forget one that neither answers nor is filled
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("what", choices=("list", "use", "drop"), metavar="list|use|drop")
    parser.add_argument("name", nargs="?", metavar="NAME", help="of a space, as `list` prints it, or its encoder")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line for each space")


def run(options: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    if options.what == "list" and options.name is not None:
        raise UsageError("list takes no NAME")
    if options.what == "drop" and options.name is None:
        raise UsageError("which space is to be dropped?", "pixkin space list")
    with connect(options) as client:
        if options.what == "use":
            reply = client.use_space(options.name or "")
        elif options.what == "drop":
            reply = client.drop_space(options.name)
        else:
            reply = client.spaces()
    if options.json:
        output.emit(b"".join(output.json_line(_fields(space, reply)) for space in reply.spaces))
    else:
        output.emit(_table(reply, output.Screen.of(sys.stdout)))
    return 0


def _fields(space: "SpaceState", reply: "Spaces") -> dict[str, object]:
    return {
        "name": space.name,
        "encoder": space.encoder,
        "vectors": space.vectors,
        "photos": space.photos,
        "share": space.photos / reply.photos if reply.photos else 0.0,
        "bytes": space.bytes,
        "answers": space.answers,
        "fills": space.fills,
    }


def _table(reply: "Spaces", screen: output.Screen) -> bytes:
    """Return a line for each space: aligned for a terminal, else with tabs and without a header."""
    rows = [_cells(space, reply) for space in reply.spaces]
    if not screen.tty:
        return "".join("\t".join(row).rstrip("\t") + "\n" for row in rows).encode()
    rows.insert(0, ("photos", "share", "vectors", "size", "space", ""))
    wide = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join((*(cell.rjust(width) for cell, width in zip(row, wide, strict=False)), row[4], row[5])).rstrip()
        for row in rows
    ]
    lines[0] = screen.dim(lines[0])
    return "".join(line + "\n" for line in lines).encode()


def _cells(space: "SpaceState", reply: "Spaces") -> tuple[str, ...]:
    marks = ["answers"] if space.answers else []
    if space.fills and not space.answers:
        marks.append("is filled")
    share = f"{100 * space.photos // reply.photos} %" if reply.photos else "-"
    return (
        f"{space.photos:,}",
        share,
        f"{space.vectors:,}",
        output.size(space.bytes),
        output.harmless(space.name),
        ", ".join(marks),
    )
