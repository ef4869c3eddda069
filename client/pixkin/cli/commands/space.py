"""`pixkin space`: lists, switches or deletes the indexes built by different models."""

import argparse
import sys
from typing import TYPE_CHECKING, Final

from pixkin.cli import output
from pixkin.cli.connect import connect
from pixkin.errors import UsageError

if TYPE_CHECKING:
    from pixkin.protocol.replies import Spaces, SpaceState


LINE: Final = "list, switch or delete the indexes built by different models"
TEXT: Final = """\
A space is the index that one model has built of your photos. When you change `encoder.model` in the configuration,
pixkind builds the space of the new model in the background, newest photos first. Until the new space finds every
photo that the old one finds, queries use the old one. Switching back costs nothing.

  pixkin space list
  pixkin space use NAME         use this space from now on, even if it is not complete
  pixkin space use              use the space of the configured model, as soon as it is complete
  pixkin space drop NAME        delete a space that is neither in use nor being built
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("what", choices=("list", "use", "drop"), metavar="list|use|drop")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the name of a space, as `list` prints it, or of its model"
    )
    parser.add_argument("--json", action="store_true", help="print one line for each space, a JSON object")


def run(options: argparse.Namespace) -> int:
    """Send the request, print the answer, and return the exit status."""
    if options.what == "list" and options.name is not None:
        raise UsageError("list takes no NAME")
    if options.what == "drop" and options.name is None:
        raise UsageError("drop needs the NAME of a space", "pixkin space list")
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
    marks = ["in use"] if space.answers else []
    if space.fills and not space.answers:
        marks.append("being built")
    share = f"{100 * space.photos // reply.photos} %" if reply.photos else "-"
    return (
        f"{space.photos:,}",
        share,
        f"{space.vectors:,}",
        output.size(space.bytes),
        output.harmless(space.name),
        ", ".join(marks),
    )
