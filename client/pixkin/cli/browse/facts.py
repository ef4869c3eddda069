"""What is said of a photo, in words. Names are escaped: they may hold anything but a zero byte and a slash."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from pixkin.cli import output
from pixkin.cli.browse.trail import Hit
from pixkin.protocol.replies import Relation

if TYPE_CHECKING:
    from pixkin.protocol.pictures import Description


def path_of(hit: Hit, described: "Description | None") -> bytes:
    """Return where the photo is now; where it was last, if it is gone."""
    return described.files[0].path if described and described.files else hit.path


def state_of(hit: Hit, described: "Description | None") -> str:
    """Return a word if the photo is not there: `gone` or `offline`."""
    if described is None:
        return "offline" if hit.offline else ""
    if not described.files:
        return "gone"
    return "offline" if all(file.offline for file in described.files) else ""


def caption(hit: Hit, described: "Description | None", *, marked: bool, width: int) -> str:
    """Return the name of a photo and its marks, in one line of at most `width` cells."""
    words = ["[x]"] if marked else []
    words += [f"({state})"] if (state := state_of(hit, described)) else []
    return cut(" ".join([*words, output.shown(os.path.basename(path_of(hit, described)))]), width)


def facts_line(hit: Hit, described: "Description | None", reason: str = "") -> str:
    """Return what is wrong with the photo, how alike it is, and its date, camera and size.

    Args:
        hit: the photo.
        described: what the daemon has said of it.
        reason: why there is no picture.
    """
    parts = [f"no picture: {reason}"] if reason else []
    state = state_of(hit, described)
    if state == "gone":
        parts.append(output.harmless(described.why) if described and described.why else "gone: it was here")
    if state == "offline":
        parts.append("its drive is not connected")
    if hit.match:
        score = f"{hit.match.score:.3f}"
        parts.append(score if hit.match.band is Relation.UNKNOWN else f"{hit.match.band} ({score})")
    picture = described.picture if described and described.files else hit.picture
    if picture.taken_s:
        parts.append(output.taken(picture))
    if described and described.camera:
        parts.append(output.harmless(described.camera))
    if picture.width:
        parts.append(f"{picture.width} x {picture.height}")
    return "  ".join([*parts, *(_of_files(described) if described and described.files else ())])


def _of_files(described: "Description") -> Iterator[str]:
    first, *others = described.files
    yield output.size(first.size)
    if first.damaged:
        yield "damaged"
    if others:
        yield f"+{output.many(len(others), 'copy', 'copies')}"


def cut(text: str, width: int) -> str:
    """Return the begin of a text, in at most `width` cells of a terminal."""
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def cut_left(text: str, width: int) -> str:
    """Return the end of a text, in at most `width` cells: the end of a path says more than its begin."""
    if cell_len(text) <= width:
        return text
    while cell_len(text) > width - 1:
        text = text[1:]
    return f"…{text}"


def spread(left: str, right: str, width: int) -> str:
    """Return two texts at both ends of a line; the left one is cut if need be."""
    left = cut(left, max(width - cell_len(right) - 2, 0))
    return left + " " * max(width - cell_len(left) - cell_len(right), 0) + right
