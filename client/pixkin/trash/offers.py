"""Chooses which photos of a group may go, and which one stays, by what the daemon says and what the user wants."""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from pixkin.errors import InputUnreadable
from pixkin.protocol.replies import Group, Photo
from pixkin.trash.files import Spot, Stays, reached, said
from pixkin.trash.sidecars import check_covered, sidecars


class Offer(NamedTuple):
    """One photo that may go."""

    path: str
    size: int
    kept: str  # the photo that stays, and has all that this one has
    sidecars: tuple[str, ...]  # names of files that go with it
    same_bytes: bool  # the daemon compared it with another photo than `kept`, so only equal bytes prove anything
    stamps: tuple[tuple[int, ...], tuple[int, ...]]  # of both, right after the daemon had looked at them


class Wishes:
    """What the user allows: `--keep`, `--never`, `--across` and `--drives`. It notes the photos that stay."""

    def __init__(
        self,
        *,
        keep: Sequence[str] = (),
        never: Sequence[str] = (),
        across: Sequence[str] = (),
        drives: bool = False,
    ) -> None:
        """Find the folders.

        Raises:
            InputUnreadable: one of them is not there, so nothing would be safe in it.
        """
        self._keep, self._never, self._across = (_Folders(names) for names in (keep, never, across))
        self._drives = drives
        self._listed: dict[str, frozenset[str]] = {}  # names, by folder
        self.stay: Counter[str] = Counter()
        self.left_out: list[str] = []  # photos that cannot be reached or must not go, each with the reason

    def offers(self, group: Group) -> list[Offer]:
        """Return the photos of a group that may go; what stays is counted, unless the user asked for that."""
        here = [photo for photo in group.photos if not photo.offline]
        outside = [photo for photo in here if not (self._across and self._across.hold(photo))]
        if self._across and len(outside) in (0, len(here)):
            return []
        stays = [photo for photo in here if self._keep.may_hold(photo)] or outside
        first = group.photos[0]
        kept = first if first in stays else next(iter(stays), None)
        elsewhere = {photo.path for photo in outside} if self._across else set[bytes]()
        if away := len(group.photos) - len(here):
            self.stay["on drives that are not connected"] += away
        if kept is None:
            return []
        asked = [photo for photo in here if photo is not kept and photo.path not in elsewhere]
        found = (self._offer(photo, kept, first) for photo in asked if not self._keep.may_hold(photo))
        return [offer for offer in found if offer is not None]

    def offered(self, group: Group) -> list[Photo]:
        """Return the photos themselves that `offers` names."""
        paths = {os.fsencode(offer.path) for offer in self.offers(group)}
        return [photo for photo in group.photos if photo.path in paths]

    def _offer(self, photo: Photo, kept: Photo, first: Photo) -> Offer | None:
        if reason := self._against(photo, kept, first):
            self.stay[reason] += 1
            return None
        try:
            return self._seen(photo, kept, same_bytes=kept is not first)
        except Stays as error:
            self.left_out.append(f"{os.fsdecode(photo.path)}: {error}")
        except OSError as error:
            self.left_out.append(f"{os.fsdecode(photo.path)}: {said(error)}")
        return None

    def _against(self, photo: Photo, kept: Photo, first: Photo) -> str:
        if self._never.may_hold(photo):
            return "in a folder of --never"
        if not photo.spare and photo is not first:
            return "not sure to be in the copy that stays (pixkin dupes says what differs)"
        if kept is not first and (photo.content, photo.size) != (kept.content, kept.size):
            return "not the same bytes as the copy that --keep or --across keeps"
        return ""

    def _seen(self, photo: Photo, kept: Photo, *, same_bytes: bool) -> Offer | None:
        paths = os.fsdecode(photo.path), os.fsdecode(kept.path)
        with reached(paths[0]) as spot, reached(paths[1]) as other:
            if spot.stat().st_dev != other.stat().st_dev and not self._drives:
                self.stay["on another drive than the copy that stays (--drives)"] += 1
                return None
            if same_bytes and not self._keep.may_hold(kept) and os.statvfs(other.folder).f_flag & os.ST_RDONLY:
                raise Stays("its copy elsewhere is on a read-only file system, such as a snapshot")
            if kept.passing and not self._keep.may_hold(kept):
                raise Stays("its copy elsewhere is in a cache")
            if spot.name not in self._names(spot):  # a file system that ignores case finds it by other names as well
                raise Stays("its folder lists no file of exactly this name")
            if (photo.size, kept.size) != (spot.stat().st_size, other.stat().st_size):
                raise Stays("it or the copy that stays has changed a moment ago; try again")
            names = sidecars(spot)
            check_covered(spot, names, paths[1])
            return Offer(paths[0], photo.size, paths[1], names, same_bytes, (spot.stamp(), other.stamp()))

    def _names(self, spot: Spot) -> frozenset[str]:
        folder = os.path.dirname(spot.path)
        if folder not in self._listed:
            self._listed[folder] = frozenset(os.listdir(f"/proc/self/fd/{spot.folder}"))
        return self._listed[folder]


class _Folders:
    """Folders that the user named. A photo lies in one whatever name of the folder its path has."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._names = []
        self._ids = set()
        self._known: dict[str, frozenset[tuple[int, int]]] = {}
        for folder in folders:
            name = os.path.realpath(folder)
            try:
                with os.scandir(name):
                    self._ids.add(_id(os.stat(name)))
            except OSError as error:
                raise InputUnreadable(f"{folder}: {said(error)}") from error
            self._names.append(name.rstrip("/") + "/")

    def __bool__(self) -> bool:
        return bool(self._names)

    def hold(self, photo: Photo) -> bool:
        """Return whether a photo lies in one of them or below."""
        path = os.fsdecode(photo.path)
        return path.startswith(tuple(self._names)) or not self._ids.isdisjoint(self._above(os.path.dirname(path)))

    def may_hold(self, photo: Photo) -> bool:
        """Return the same; where upper and lower case may be one, yes."""
        path = os.fsdecode(photo.path).casefold()
        return self.hold(photo) or path.startswith(tuple(name.casefold() for name in self._names))

    def _above(self, folder: str) -> frozenset[tuple[int, int]]:
        """Return the folder and all folders above it."""
        if folder not in self._known:
            above = frozenset[tuple[int, int]]() if folder == "/" else self._above(os.path.dirname(folder))
            with suppress(OSError):  # its photos cannot be seen either
                above |= {_id(os.stat(folder))}
            self._known[folder] = above
        return self._known[folder]


def _id(st: os.stat_result) -> tuple[int, int]:
    return st.st_dev, st.st_ino
