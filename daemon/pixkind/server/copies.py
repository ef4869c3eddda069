"""Looks for a copy of an image that is in the library now. The store alone proves nothing when a memory card is erased.

A copy counts if its drive is there, it is no part of the card, and it was opened and read just now: its stamp is the
recorded one, its content the image's, and it is another file than the image. The worker says what the content is. Since a
photo may have taken it over, this process compares the bytes of both files, too.
"""

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pixkin.mounts import lies_in, read_mounts
from pixkin.protocol.replies import Has, Holding, Unproven
from pixkin.protocol.requests import Image
from pixkin.two_files import SeenFile, are_two_files, is_one_file
from pixkind.encoder.messages import Inspected
from pixkind.fs.aliases import file_at, same_files
from pixkind.fs.identity import resolve_locally
from pixkind.fs.interface import is_unchanged
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.roots import WatchedRoots
from pixkind.ingest.inbox import Inbox
from pixkind.search.best import is_in_cache
from pixkind.search.errors import RequestError
from pixkind.search.proof import Proof, compare
from pixkind.server.query_images import QueryImages, outcome
from pixkind.storage.record import Record

PATHS: Final = 100  # named for one picture, so that a reply stays small
_CHANGED: Final = "it has changed since it was indexed"


class Card:
    """What may be erased because of an answer: the folders that are asked about, and the roots that they are a part of."""

    def __init__(self, places: Sequence[str], roots: WatchedRoots) -> None:
        """Resolve the places, absolute paths of folders or photos."""
        self._roots = roots
        self._mounts = read_mounts()
        self._places = [resolve_locally(place, self._mounts)[0] for place in places]
        self._lost_roots = {root for root in roots.paths if self._is_on(root)}

    def holds(self, path: str) -> bool:
        """Return whether a photo of the library may be erased too."""
        return self._roots.root_of(path) in self._lost_roots or self._is_on(resolve_locally(path, self._mounts)[0])

    def _is_on(self, path: str) -> bool:
        return any(lies_in(path, place) or same_files((place, path), self._mounts) for place in self._places)


def seen_file(photo: OpenPhoto) -> SeenFile:
    """Return an opened photo as a file to compare with others."""
    device = 0 if photo.is_copy else os.fstat(photo.descriptor).st_dev
    return file_at(photo.path, photo.stamp, read_mounts(), f"{os.major(device)}:{os.minor(device)}" if device else "")


def looked_at(path: str, roots: WatchedRoots) -> SeenFile:
    """Return a file whose bytes came from the client, as far as it can be looked at."""
    real, file_system = roots.find(path)
    if file_system is not None:
        with suppress(OSError):
            return file_at(real, file_system.look(real)[1], read_mounts())
    return file_at(real, None, read_mounts())


@dataclass(slots=True)
class CopySearch:
    """The search for a copy of one image. Exactly one copy is open after `open_next` has returned a future."""

    image: Image
    photo: OpenPhoto  # the image, open
    seen: Inspected  # what the worker says of it
    file: SeenFile | None  # the image; None: it is no file
    card: Card
    images: QueryImages
    inbox: Inbox
    ahead: deque[Record]  # copies that are not looked at yet
    copy: OpenPhoto | None = None  # that is being inspected
    why: str = ""  # the first reason why a copy is unseen
    _passed: dict[Unproven, list[str]] = field(default_factory=dict)
    _record: Record | None = None  # of `copy`

    def open_next(self, until_ms: int) -> "Future[Inspected] | None":
        """Open the next copy that may count, and have it inspected; None: there is none.

        `until_ms`: when the client gives up, as CLOCK_MONOTONIC says; 0: never.
        """
        while self.ahead:
            self._record = record = self.ahead.popleft()
            has_less = record.details is not None and not record.details.covers(self.seen.details)
            if has_less and Unproven.BARE in self._passed:
                self._passed[Unproven.BARE].append(record.path)
            elif self._may_count(record) and (copy := self._opened(record)) is not None:
                self.copy = copy
                return self.images.encoder.inspect(copy.descriptor, urgent=True, until_ms=until_ms)
        return None

    def take(self, inspected: "Future[Inspected]") -> Holding | None:
        """Return the holding if the copy that was inspected counts; else None. The copy is closed."""
        copy, record = self.copy, self._record
        if copy is None or record is None:
            raise ValueError("no copy is open")
        file_system = self.images.roots.file_system(record.path)
        try:
            seen = outcome(inspected, Image(path=os.fsencode(record.path)))
            if seen.content != self.seen.content or not is_unchanged(file_system, copy.path, copy.stamp):
                self._doubt(record, _CHANGED)
                return None
            proof = compare(copy.descriptor, self.photo.descriptor)
        except RequestError as error:
            self._doubt(record, error.failure.what)
            return None
        except OSError as error:
            self._doubt(record, f"it cannot be read: {error.strerror}")
            return None
        finally:
            self.close()
        if proof is Proof.OTHER:  # a photo has made the worker lie
            self._pass(Unproven.UNSEEN, record, "its content id was wrong; it is read again")
            self.inbox.rotten(self.images.store, [record.content])
            return None
        if proof is Proof.BARE or not seen.details.covers(self.seen.details):
            self._pass(Unproven.BARE, record)
            return None
        others = [path for paths in self._passed.values() for path in paths] + [one.path for one in self.ahead]
        paths = [record.path, *(path for path in others if not self.card.holds(path))]
        return Holding(self.image.path, Has.THERE, 1.0, _named(paths), seen=True)

    def close(self) -> None:
        """Close the copy that is open."""
        if self.copy is not None:
            self.images.let_go(self.copy)
            self.copy = None

    def unproven(self) -> Holding | None:
        """Return why none of the copies counts; None: there is none."""
        for known in (Unproven.BARE, Unproven.AWAY, Unproven.UNSEEN, Unproven.ONLY_HERE):
            if paths := self._passed.get(known):
                has = Has.NEAR if known is Unproven.BARE else Has.NEW
                why = self.why if known is Unproven.UNSEEN else ""
                return Holding(self.image.path, has, 1.0, _named(paths), why, known=known)
        return None

    def _may_count(self, record: Record) -> bool:
        roots = self.images.roots
        root = roots.root_of(record.path)
        if self.card.holds(record.path):
            self._pass(Unproven.ONLY_HERE, record)
        elif root is None or not roots.is_online(root):
            self._pass(Unproven.AWAY, record)
        elif not roots.is_read(root):
            self._pass(Unproven.UNSEEN, record, f"{root} is paused")
        elif is_in_cache(record.path, root):
            self._pass(Unproven.UNSEEN, record, "its only copies are in a cache")
        else:
            return True
        return False

    def _opened(self, record: Record) -> OpenPhoto | None:
        """Open a copy; return None if it cannot be opened, has changed, or may be the image itself."""
        file_system = self.images.roots.file_system(record.path)
        try:
            copy = self.images.open(Image(path=os.fsencode(record.path)), record.path, file_system)
        except RequestError as error:
            self._doubt(record, error.failure.what)
            return None
        mine = seen_file(copy)
        if copy.stamp != record.stamp:
            self._doubt(record, _CHANGED)
        elif self.file is not None and is_one_file(self.file, mine):
            self._pass(Unproven.ONLY_HERE, record)
        elif self.file is not None and not are_two_files(self.file, mine):
            self._pass(Unproven.UNSEEN, record, "it may be the same file under another name")
        else:
            return copy
        self.images.let_go(copy)
        return None

    def _doubt(self, record: Record, why: str) -> None:
        """Pass a copy over, and have the ingest thread look at it again."""
        self._pass(Unproven.UNSEEN, record, why)
        self.inbox.dirty(record.path)

    def _pass(self, known: Unproven, record: Record, why: str = "") -> None:
        self._passed.setdefault(known, []).append(record.path)
        if why and not self.why:
            self.why = f"{record.path}: {why}"


def _named(paths: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(os.fsencode(path) for path in paths[:PATHS])
