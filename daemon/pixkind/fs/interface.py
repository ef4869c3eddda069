"""The interface to files and folders: look, list, open, resolve, assess. `local` and `remote` implement it."""

import errno
import stat
from dataclasses import dataclass, field
from typing import Final, Protocol

from pixkind.fs.exclusions import Markers
from pixkind.fs.identity import DriveIdentity, RootCheck
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.stamp import Stamp


@dataclass(slots=True)
class Listing:
    """The photos and folders directly in a folder."""

    photos: list[tuple[str, Stamp]] = field(default_factory=list)
    folders: list[tuple[int, str]] = field(default_factory=list)  # (mtime in ns, path)
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # (path, reason)
    links: int = 0  # symbolic links, whatever they lead to; hidden ones do not count
    is_marked: bool = False  # the folder has a file that may leave something out: ask for its markers


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """The limits for opening a photo."""

    limit_mb: int  # a larger file is refused, in MiB
    quiet_ns: int | None  # see open_photo.open_photo; None: for a query, which does not care who writes


class FileSystem(Protocol):
    """One file system, or all local ones. Any thread may call.

    Below a root, `look`, `list`, `names` and `open` follow no symbolic link: what only a link leads to is absent.
    """

    def look(self, path: str) -> tuple[int, Stamp]:
        """Return the mode and the stamp of the file at `path`, without following a symbolic link.

        Raises:
            OSError: nothing is there, or it cannot be read.
        """

    def list(self, folder: str) -> Listing:
        """Return the contents of a folder that the rules include.

        Raises:
            OSError: it is missing, not a folder, or unreadable.
        """

    def markers(self, folder: str) -> Markers:
        """Return what a folder says of itself; errors as in `list`."""

    def names(self, folder: str) -> set[str]:
        """Return the names of all entries of a folder, exactly as it lists them; errors as in `list`."""

    def open(self, path: str, limits: OpenLimits) -> OpenPhoto:
        """Open a photo; errors as in open_photo.open_photo."""

    def resolve(self, path: str) -> str:
        """Return `path` without symbolic links, as far as it exists."""

    def assess(self, root: str, known: DriveIdentity | None, *, has_photos: bool) -> tuple[RootCheck, int]:
        """Check a root (identity.assess); return the result and the number of its mount (identity.unique_id)."""


def is_file(file_system: FileSystem, path: str) -> bool:
    """Return whether there is a regular file at a path."""
    try:
        return stat.S_ISREG(file_system.look(path)[0])
    except OSError:
        return False


def is_unchanged(file_system: FileSystem, path: str, stamp: Stamp) -> bool:
    """Return whether the file at a path still has a stamp, so is the one that was scanned or opened."""
    try:
        return file_system.look(path)[1] == stamp
    except OSError:
        return False


class NoAnswer(OSError):
    """The file system does not answer; the file may or may not be there."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "does not answer")


# Only these mean that nothing is there. With any other errno (EIO, ESTALE, EACCES, …) the file may well be there.
ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})  # ELOOP: a link
