"""What differs between the photos of a group, which of them is proposed to stay, and why: in a sentence."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pixkin.printable import shown
from pixkin.protocol.pictures import File, Picture
from pixkin.protocol.replies import Band, Photo
from pixkin.web.duplicate_search import file_id


class Proposal(NamedTuple):
    """What is proposed; nothing is done."""

    keep: tuple[str, ...] = ()  # ids of files
    aside: tuple[str, ...] = ()
    reason: str = ""
    read: bool = False  # the file that is to be kept was read just now


class Seen(NamedTuple):
    """A photo of a group, and what is known of its file."""

    photo: Photo
    file: File
    picture: Picture | None = None

    @property
    def pixels(self) -> int:
        """How many it has."""
        return self.photo.width * self.photo.height


def differing(members: Sequence[Seen]) -> list[dict[str, Any]]:
    """Return the facts that are not the same for all, with the members that are better, if one can be."""
    facts: list[tuple[str, Callable[[Seen], Any], Callable[[Seen], int] | None]] = [
        ("pixels", lambda one: [one.photo.width, one.photo.height], lambda one: one.pixels),
        ("format", lambda one: _format(one.photo.path), None),
        ("size", lambda one: one.photo.size, None),
        ("taken", lambda one: one.file.taken_s, lambda one: bool(one.file.taken_s)),
        ("camera", lambda one: one.file.camera, lambda one: bool(one.file.camera)),
        ("notes", lambda one: list(one.photo.notes), lambda one: len(one.photo.notes)),
        ("folder", lambda one: shown(os.path.dirname(one.photo.path)), None),
    ]
    found = []
    for name, value, rank in facts:
        values = [value(one) for one in members]
        if all(one == values[0] for one in values):
            continue
        ranks = [rank(one) for one in members] if rank else []
        best = [at for at, one in enumerate(ranks) if one == max(ranks)] if ranks and min(ranks) < max(ranks) else []
        found.append({"fact": name, "values": values, "best": best})
    return found


def proposal(band: Band, photos: Sequence[Photo], unreadable: str) -> Proposal:
    """Return what may go, and why. The daemon puts the best photo first.

    Args:
        band: of the group.
        photos: all of it.
        unreadable: why the first photo cannot be read now; empty: it was read just now.
    """
    first, *others = photos
    name = shown(os.path.basename(first.path))
    if unreadable:
        return Proposal(reason=f"Nothing is proposed, because {name} cannot be read now: {unreadable}.")
    if band is Band.SIMILAR:
        return Proposal(reason="Nothing is proposed: these are different shots.", read=True)
    spare = [one for one in others if one.spare]
    smaller = [one for one in others if not one.spare and _is_lesser(one, first)] if band is Band.SAME_SHOT else []
    if not spare and not smaller:
        return Proposal(reason=f"Nothing is proposed: each of the others has something that {name} lacks.", read=True)
    reasons = [
        f"{_many(len(spare), 'is an exact copy', 'are exact copies')}, and it has all that they have" if spare else "",
        f"{_many(len(smaller), 'is the same shot with no more pixels', 'are the same shot with no more pixels')}"
        if smaller
        else "",
    ]
    left = len(others) - len(spare) - len(smaller)
    said = "; ".join(filter(None, reasons)) + (
        f"; {_many(left, 'stays', 'stay')}, because of what only they have" if left else ""
    )
    aside = tuple(file_id(one.path) for one in (*spare, *smaller))
    return Proposal((file_id(first.path),), aside, f"Keep {name}: {said}.", read=True)


def _is_lesser(one: Photo, first: Photo) -> bool:
    return not one.notes and not one.offline and 0 < one.width * one.height <= first.width * first.height


def _many(n: int, one: str, more: str) -> str:
    return f"1 other {one}" if n == 1 else f"{n} others {more}"


def _format(path: bytes) -> str:
    return shown(os.path.splitext(path)[1][1:].upper())
