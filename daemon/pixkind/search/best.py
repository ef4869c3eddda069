"""Orders the photos of a group of duplicates, the best first, and tells which of the others may be deleted.

The module knows neither the store nor files: the caller has looked at them.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pixkind.encoder.messages import Details, Extra
from pixkind.storage.record import Facts, Record

_UNREAD: Final = Details()
# Names of folders whose files a program makes, and deletes again.
_CACHES: Final = frozenset({"cache", "caches", "thumbnails", "thumbs", "previews", "temp", "tmp"})
# A program adds these to the name of a copy: file managers, browsers, and chat apps that also shrink it.
_COPY: Final = re.compile(
    r"""[\s_.-]*\(\d+\)$
    | [\s_-]+\(?(?:\w+\s)?(?:copy|kopie|copie|copia|kopia|cópia|kopi|копия|副本|コピー)(?:[\s_]*\(?\d+\)?)?\)?$
    | ~\d+$
    | ^(?:img|vid)-\d{8}-wa\d{4}
    | ^(?:fb_img_|received_|signal-\d{4}|photo_\d{4}-\d\d)""",
    re.IGNORECASE | re.VERBOSE,
)
_SAID: Final = {
    Extra.VIDEO: "has a video",
    Extra.SOUND: "has sound",
    Extra.DEPTH: "has depth",
    Extra.GAIN_MAP: "has HDR data",
    Extra.PICTURES: "has further pictures",
    Extra.RAW: "raw",
    Extra.GPS: "GPS",
    Extra.CAPTION: "caption",
    Extra.RATING: "rating",
}
_PIXELS: Final = Extra.VIDEO | Extra.SOUND | Extra.DEPTH | Extra.GAIN_MAP | Extra.PICTURES


@dataclass(frozen=True, slots=True)
class Member:
    """A photo of a group."""

    record: Record
    facts: Facts
    offline: bool = False
    is_read_only: bool = False  # its file system cannot be written: a snapshot, a disc, a card with its lock set
    has_sidecar: bool = False

    @property
    def details(self) -> Details:
        """What its file says; as of an ordinary photo if the file was not read."""
        return self.record.details or _UNREAD

    @property
    def pixels(self) -> int:
        """How many pixels it has."""
        return self.facts.width * self.facts.height

    @property
    def is_raw(self) -> bool:
        """Whether it has the data of the sensor."""
        return bool(self.details.extras & Extra.RAW)


def ranked(members: Sequence[Member]) -> list[Member]:
    """Return the members of a group, the best first.

    The first rule that tells two photos apart decides: it is there now; it stays where it is, so it is on no read-only file
    system and in no cache; raw; more pixels; more pages; more bits a channel; more of video, sound, depth and the like;
    more of date, camera, place, caption and rating; a sidecar; more metadata; the name of an original; older.
    """
    return sorted(members, key=_rank)


def is_spare(one: Member, best: Member) -> bool:
    """Return whether a photo may be deleted, because the best of its group has all that it has.

    A raw photo is spare only as an exact copy, and no photo is spare because of a raw one: they belong to one shot.
    Pages, films and the like are compared with those of exact copies alone: two of them may show anything.
    """
    ours, theirs = one.record.details, best.record.details
    if one.offline or best.offline or best.is_read_only or ours is None or theirs is None:
        return False
    if one.has_sidecar and not best.has_sidecar:
        return False
    if one.record.content == best.record.content:
        return theirs.covers(ours)
    return (
        not best.is_raw
        and one.pixels <= best.pixels
        and ours.bits <= theirs.bits
        and ours.pages == 1
        and not ours.extras & (_PIXELS | Extra.RAW | ~theirs.extras)
    )


def notes(one: Member, members: Sequence[Member]) -> tuple[str, ...]:
    """Return what a photo has that others of its group lack, a few words each."""
    details, others = one.details, [member.details for member in members if member is not one]
    found = list[str]()
    for extra, text in _SAID.items():
        having = sum(bool(other.extras & extra) for other in others)
        if details.extras & extra and having < len(others):
            is_metadata = not extra & (_PIXELS | Extra.RAW)
            found.append((f"{text} only here" if not having else f"has {text}") if is_metadata else text)
    if any(other.pages < details.pages for other in others):
        found.append(f"{details.pages} pages")
    if any(other.bits < details.bits for other in others):
        found.append(f"{details.bits} bits")
    if one.has_sidecar and not all(member.has_sidecar for member in members):
        found.append("has a sidecar")
    same = [member.details for member in members if member.record.content == one.record.content]
    if not found and not all(other.covers(details) for other in same):
        found.append("other metadata")
    return tuple(found)


def _rank(one: Member) -> tuple[object, ...]:
    details, path = one.details, one.record.path
    folder, name = os.path.split(path)
    metadata = details.extras & ~(_PIXELS | Extra.RAW)
    return (
        one.offline,
        one.is_read_only,
        any(part.lower() in _CACHES for part in folder.split("/")),
        not one.is_raw,
        -one.pixels,
        -details.pages,
        -details.bits,
        -(details.extras & _PIXELS).bit_count(),
        -(metadata.bit_count() + bool(details.taken_s) + bool(details.camera)),
        not one.has_sidecar,
        -details.metadata_bytes,
        bool(_COPY.search(os.path.splitext(name)[0])),
        one.record.stamp.mtime_ns,
        path,
    )
