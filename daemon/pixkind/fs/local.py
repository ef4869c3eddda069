"""Touches files and folders directly, on file systems that answer or fail but do not hang.

`remote.RemoteFileSystem` does the same through a process, for file systems that may hang.
"""

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pixkin.mounts import read_mounts
from pixkind.fs.exclusions import CACHE_TAG, IGNORE_FILE, LARGEST, MARKERS, NO_MEDIA, SIGNATURE, Markers
from pixkind.fs.identity import DriveIdentity, RootCheck, assess, unique_id
from pixkind.fs.interface import ABSENT, Listing, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, open_photo, open_regular
from pixkind.fs.reach import reached, refuse_snapshot
from pixkind.fs.rules import PhotoRules
from pixkind.fs.stamp import Stamp

_log = logging.getLogger(__name__)


class LocalFileSystem:
    """`interface.FileSystem` for all local file systems."""

    def __init__(
        self,
        rules: PhotoRules,
        is_remote: Callable[[str], bool] = lambda _path: False,
        *,
        roots: Sequence[str] = (),
    ) -> None:
        """Keep the rules.

        Args:
            rules: tell photos from other files.
            is_remote: tells which folders may hang: they are listed, but never touched.
            roots: below these no symbolic link is followed.
        """
        self._rules = rules
        self._is_remote = is_remote
        self._roots = roots

    def look(self, path: str) -> tuple[int, Stamp]:
        """See `interface.FileSystem`."""
        with reached(path, self._roots) as (above, name):
            st = os.stat(name, dir_fd=above, follow_symlinks=False)
        return st.st_mode, Stamp.of(st)

    def list(self, folder: str) -> Listing:
        """See `interface.FileSystem`."""
        listing = Listing()
        for _ in list_slowly(folder, self._rules, listing, self._is_remote, roots=self._roots):
            pass
        return listing

    def markers(self, folder: str) -> Markers:
        """See `interface.FileSystem`."""
        with reached(folder, self._roots) as (above, name):
            at = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
        try:
            has_tag = _head(at, CACHE_TAG, len(SIGNATURE)) == SIGNATURE
            closed_by = CACHE_TAG if has_tag else NO_MEDIA if _is_file(at, NO_MEDIA) else ""
            return Markers(_head(at, IGNORE_FILE, LARGEST), closed_by)
        finally:
            os.close(at)

    def names(self, folder: str) -> set[str]:
        """See `interface.FileSystem`."""
        return set(names_slowly(folder, self._roots))

    def open(self, path: str, limits: OpenLimits) -> OpenPhoto:
        """See `interface.FileSystem`."""
        if limits.quiet_ns is None:
            return open_regular(path, self._roots)
        return open_photo(
            path, limit_mb=limits.limit_mb, quiet_ns=limits.quiet_ns, now_ns=time.time_ns(), roots=self._roots
        )

    def resolve(self, path: str) -> str:
        """See `interface.FileSystem`."""
        return os.path.realpath(path)

    def assess(self, root: str, known: DriveIdentity | None, *, has_photos: bool) -> tuple[RootCheck, int]:
        """See `interface.FileSystem`."""
        return assess(root, known, has_photos=has_photos, mounts=read_mounts()), unique_id(root)


def list_slowly(
    folder: str,
    rules: PhotoRules,
    listing: Listing,
    is_remote: Callable[[str], bool] = lambda _path: False,
    *,
    roots: Sequence[str] = (),
) -> Iterator[None]:
    """Fill a listing, and yield after each entry, because any may be slow.

    Raises:
        OSError: as in `FileSystem.list`.
    """
    start = f"{folder.rstrip('/')}/"
    with _scanned(folder, roots) as entries:
        for entry in entries:
            path = start + entry.name
            try:
                if entry.is_symlink():
                    listing.links += not entry.name.startswith(".")
                elif entry.is_dir(follow_symlinks=False):
                    if rules.is_walked(entry.name):
                        may_hang = is_remote(path)
                        listing.folders.append((0 if may_hang else entry.stat(follow_symlinks=False).st_mtime_ns, path))
                elif rules.is_photo(entry.name) and stat.S_ISREG((st := entry.stat(follow_symlinks=False)).st_mode):
                    listing.photos.append((path, Stamp.of(st)))
                elif entry.name in MARKERS:
                    listing.is_marked = True
            except (FileNotFoundError, NotADirectoryError):  # it was removed after it was listed
                pass
            except OSError as error:
                listing.unreadable.append((path, error.strerror or str(error)))
            yield


def names_slowly(folder: str, roots: Sequence[str]) -> Iterator[str]:
    """Yield the name of each entry of a folder; errors as in `FileSystem.list`."""
    with _scanned(folder, roots) as entries:
        for entry in entries:
            yield entry.name


def _is_file(folder: int, name: str) -> bool:
    """Return whether there is a regular file in an open folder."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise


def _head(folder: int, name: str, size: int) -> bytes:
    """Return the first bytes of a regular file in an open folder; none if there is none, or it is closed to us."""
    if not _is_file(folder, name):
        return b""
    try:
        # It may be another one by now: no pipe of this name holds anybody up.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        _log.warning("%s cannot be read, and leaves nothing out", name)
        return b""
    try:
        return os.read(descriptor, size) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)


@contextmanager
def _scanned(folder: str, roots: Sequence[str]) -> "Iterator[Iterator[os.DirEntry[str]]]":
    """Yield the entries of a folder, which is not followed if it is a link below a root; their paths are names."""
    with reached(folder, roots) as (above, name):
        no_link = 0 if above is None else os.O_NOFOLLOW
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | no_link, dir_fd=above)
    try:
        if above is not None:
            refuse_snapshot(descriptor)
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)
