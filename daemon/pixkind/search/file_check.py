"""Looks whether the file of a photo is now as the store has it: only then may a user delete another photo because of it."""

import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pixkind.errors import PhotoError
from pixkind.fs.interface import ABSENT, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.spelling import Spelling
from pixkind.search.proof import Proof, compare
from pixkind.storage.record import Record

_TRUSTED_S: Final = 1.0  # for so long the listing of a folder may tell spellings apart
_LIMITS: Final = OpenLimits(512, None)  # MiB of a copy in memory, where a file system may hang
_SIDECARS: Final = (".xmp", ".XMP", ".aae", ".AAE")  # Adobe and darktable, and Apple


class FileCheck:
    """Looks at files through the file systems of their roots. One thread uses it."""

    def __init__(
        self, roots: WatchedRoots, dirty: Callable[[str], object], open_photos: set[OpenPhoto] | None = None
    ) -> None:
        """Begin.

        Args:
            roots: tell which drive is there, and how a path is touched.
            dirty: has a path looked at by a scan, because its record is old.
            open_photos: gets the photos that are open; until they are closed, their drives cannot be unmounted.
        """
        self._roots = roots
        self._dirty = dirty
        self._open_photos = set() if open_photos is None else open_photos
        self._spelling = Spelling(roots.file_system)
        self._until = 0.0  # monotonic: a new spelling is made then

    def objection(self, record: Record) -> str:
        """Return why the store is not to be believed about a photo, a sentence for people; empty if its file is as recorded."""
        root = self._roots.root_of(record.path)
        if root is None or self._roots.is_second_name(record.path):
            return "its folder is not watched under this name"
        if not self._roots.is_read(root):
            return f"its folder is {self._roots.root(root).state}"
        try:
            mode, found = self._roots.file_system(record.path).look(record.path)
            is_there = stat.S_ISREG(mode) and self._fresh_spelling().is_exact(record.path, root)
        except OSError as error:
            if error.errno not in ABSENT:
                return f"it cannot be looked at: {error.strerror or error}"
            is_there, found = False, record.stamp
        if is_there and found == record.stamp and record.details is not None:
            return ""
        self._dirty(record.path)
        if not is_there:
            return "it is no longer there"
        return "it waits to be read again" if found == record.stamp else "it has changed, and is not indexed again yet"

    def proof(self, stays: Record, goes: Record) -> Proof | None:
        """Read the files of two photos and compare them; None: one cannot be read, or has changed."""
        try:
            with self._opened(stays) as ours, self._opened(goes) as theirs:
                return compare(ours, theirs)
        except (OSError, PhotoError, StillOpen, Vanished):
            for record in (stays, goes):
                self._dirty(record.path)
            return None

    @contextmanager
    def _opened(self, record: Record) -> Iterator[int]:
        photo = self._roots.file_system(record.path).open(record.path, _LIMITS)
        self._open_photos.add(photo)
        try:
            if photo.stamp != record.stamp:
                raise Vanished(record.path)
            yield photo.descriptor
        finally:
            self._open_photos.discard(photo)
            photo.close()

    def has_sidecar(self, path: str) -> bool:
        """Return whether a file with a user's edits or ratings lies with a photo."""
        file_system = self._roots.file_system(path)
        stem = path.rpartition(".")[0]
        for sidecar in (start + end for start in (stem, path) for end in _SIDECARS):
            try:
                file_system.look(sidecar)
            except OSError as error:
                if error.errno in ABSENT:
                    continue
            return True
        return False

    def _fresh_spelling(self) -> Spelling:
        if (now := time.monotonic()) >= self._until:
            self._spelling, self._until = Spelling(self._roots.file_system), now + _TRUSTED_S
        return self._spelling
