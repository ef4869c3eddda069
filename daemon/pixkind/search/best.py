"""Orders the photos of a group of duplicates, the best first, and tells which of the others may be deleted.

The module knows neither the store nor files: the caller has looked at them.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pixkind.encoder.messages import Details, Extra
from pixkind.fs.name_date import date_in_name
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
    is_passing: bool = False  # it lies in a cache

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
    system and in no cache; whole; raw; more pixels; more pages; more bits a channel; more of video, sound, depth and the like;
    more of date, camera, place, caption and rating; a sidecar; more metadata; the name of an original; older.
    """
    return sorted(members, key=_rank)


def is_spare(one: Member, best: Member) -> bool:
    """Return whether a photo may be deleted: it is an exact copy, and the best of its group has all that it has.

    What only looks alike is never spare: a smaller version may be an edit, or a frame of a burst whose original is gone.
    """
    ours, theirs = one.record.details, best.record.details
    return (
        one.record.content == best.record.content
        and not one.offline
        and not best.offline
        and not best.is_read_only
        and not best.is_passing
        and ours is not None
        and theirs is not None
        and theirs.covers(ours)
        and (best.has_sidecar or not one.has_sidecar)
        and _is_dated(best) >= _is_dated(one)  # perhaps only by its name
    )


def is_in_cache(path: str, root: str) -> bool:
    """Return whether a photo lies in a folder below its root whose files a program makes, and deletes again."""
    return any(part.lower() in _CACHES for part in os.path.dirname(path)[len(root) :].split("/"))


def notes(members: Sequence[Member]) -> list[tuple[str, ...]]:
    """Return for each photo of a group what it has that others lack, a few words each."""
    having = {extra: sum(bool(one.details.extras & extra) for one in members) for extra in _SAID}
    pages, bits = (min(getattr(one.details, name) for one in members) for name in ("pages", "bits"))
    have_sidecars = all(one.has_sidecar for one in members)
    shared = dict[bytes, Details]()  # by content: what all its photos say
    for one in members:
        ours, content = one.details, one.record.content
        all_say = shared.get(content, ours)
        shared[content] = Details(
            extras=ours.extras & all_say.extras,
            pages=min(ours.pages, all_say.pages),
            blocks=tuple({*ours.blocks} & {*all_say.blocks}),
        )
    result = list[tuple[str, ...]]()
    for one in members:
        details = one.details
        found = [
            _phrase(extra, is_only=count == 1)
            for extra, count in having.items()
            if details.extras & extra and count < len(members)
        ]
        found += [f"{details.pages} pages"] if details.pages > pages else []
        found += [f"{details.bits} bits"] if details.bits > bits else []
        found += ["damaged"] if details.damaged else []
        found += ["date in its name"] if _is_dated(one) and not all(map(_is_dated, members)) else []
        if one.has_sidecar:
            found += ["sidecar not compared"] if have_sidecars else ["has a sidecar"]
        if not found and not shared[one.record.content].covers(details):
            found = ["other metadata"]
        result.append(tuple(found))
    return result


def _phrase(extra: Extra, *, is_only: bool) -> str:
    text = _SAID[extra]
    if extra & (_PIXELS | Extra.RAW):
        return text
    return f"{text} only here" if is_only else f"has {text}"


def _is_dated(one: Member) -> bool:
    """Return whether a photo says when it was taken, if only by its name."""
    return bool(one.details.taken_s or date_in_name(os.path.basename(one.record.path)))


def _rank(one: Member) -> tuple[object, ...]:
    details, path = one.details, one.record.path
    name = os.path.basename(path)
    metadata = details.extras & ~(_PIXELS | Extra.RAW)
    return (
        one.offline,
        one.is_read_only,
        one.is_passing,
        details.damaged,
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
