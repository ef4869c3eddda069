"""Which photo of a group stays, which one could go, and why. Nothing goes: `pixkin dupes --trash` is for that."""

import os
from typing import NamedTuple

import msgspec

from pixkin.cli import output
from pixkin.protocol.replies import Group, Photo
from pixkin.trash.offers import Wishes


class Fate(NamedTuple):
    """What would become of a photo."""

    stays: bool
    why: str  # a sentence


def fates(group: Group, most: int = 50) -> tuple[Fate, ...]:
    """Return the fates of the first `most` photos of a group. This looks at files, so it may take as long as a drive does.

    A photo could go exactly if `pixkin dupes --trash` would offer it.
    """
    best, *others = group.photos[:most]
    return Fate(True, _why_best(best, others)), *(_fate(photo, best, group) for photo in others)


def _why_best(best: Photo, others: list[Photo]) -> str:
    if not best.offline and all(photo.offline for photo in others):
        return "It stays: its drive is connected."
    if all(_pixels(photo) < _pixels(best) for photo in others):
        return "It stays: it has the most pixels."
    if best.notes:
        return f"It stays: it {_joined(best.notes)}."
    if all(photo.spare for photo in others):
        return "It stays: the others hold nothing that it lacks, and it is the oldest or has the original name."
    return "It stays: it is the best by drive, format, pixels, metadata, name and age, in this order."


def _fate(photo: Photo, best: Photo, group: Group) -> Fate:
    if not photo.spare:
        if photo.content != best.content:
            differs = [f"it {_joined(photo.notes)}"] if photo.notes else []
            differs += ["it is smaller"] if _pixels(photo) < _pixels(best) else []
            return Fate(True, f"It stays: it is no exact copy{'; ' if differs else ''}{', and '.join(differs)}.")
        lacks = f": it {_joined(photo.notes)}" if photo.notes else ""
        return Fate(True, f"It stays: the best one may lack something of it{lacks}.")
    wishes = Wishes()
    if wishes.offers(msgspec.structs.replace(group, photos=(best, photo))):
        return Fate(False, f"It could go: {_name(best)} is the same picture, has all its metadata, and stays.")
    reason = next(iter(wishes.stay), "") or next(iter(wishes.left_out), "it cannot be reached")
    return Fate(True, f"It stays: {output.harmless(reason.removeprefix(f'{os.fsdecode(photo.path)}: '))}.")


def _pixels(photo: Photo) -> int:
    return photo.width * photo.height


def _joined(notes: tuple[str, ...]) -> str:
    return output.harmless(", ".join(notes))


def _name(photo: Photo) -> str:
    return output.shown(os.path.basename(photo.path))


def facts_of(photo: Photo, group: Group) -> tuple[str, ...]:
    """Return the facts in which a photo differs from others of its group; the better one has a mark."""
    lines = []
    if len({(one.width, one.height) for one in group.photos}) > 1:
        mark = " ▲" if _pixels(photo) == max(map(_pixels, group.photos)) else ""
        lines.append(f"{photo.width} x {photo.height}{mark}")
    if len({one.size for one in group.photos}) > 1:
        lines.append(output.size(photo.size))
    return *lines, *map(output.harmless, photo.notes)
