"""How files and folders are touched: look, list, open, resolve, assess. `local` and `remote` do it."""

import errno
import stat
from dataclasses import dataclass, field
from typing import Final, Protocol

from pixkind.fs.identity import DriveIdentity, RootCheck
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.stamp import Stamp


@dataclass(slots=True)
class Listing:
    """What stands directly in a folder."""

    photos: list[tuple[str, Stamp]] = field(default_factory=list)
    folders: list[tuple[int, str]] = field(default_factory=list)  # (mtime in ns, path)
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # (path, why it cannot be seen)


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """When a photo may not be opened."""

    limit_mb: int  # a larger file is refused, in MiB
    quiet_ns: int | None  # see open_photo.open_photo; None: for a query, whoever writes to it


class FileSystem(Protocol):
    """One file system, or all that are local. Any thread may call."""

    def look(self, path: str) -> tuple[int, Stamp]:
        """Return the mode and the stamp of what stands at `path`, which is not followed if it is a link.

        Raises:
            OSError: nothing, or it cannot be seen.
        """

    def list(self, folder: str) -> Listing:
        """Return what the rules let be seen in a folder.

        Raises:
            OSError: it is missing, no folder, or cannot be read.
        """

    def open(self, path: str, limits: OpenLimits) -> OpenPhoto:
        """Open a photo; errors as in open_photo.open_photo."""

    def resolve(self, path: str) -> str:
        """Return `path` without links, as far as it exists."""

    def assess(self, root: str, known: DriveIdentity | None, *, has_photos: bool) -> tuple[RootCheck, int]:
        """Return what a root is now (identity.assess), and the number of its mount (identity.unique_id)."""


def is_file(file_system: FileSystem, path: str) -> bool:
    """Return whether a regular file is seen at a path."""
    try:
        return stat.S_ISREG(file_system.look(path)[0])
    except OSError:
        return False


def is_unchanged(file_system: FileSystem, photo: OpenPhoto) -> bool:
    """Return whether the same file still stands at the path of a photo, in the version that was opened."""
    try:
        return file_system.look(photo.path)[1] == photo.stamp
    except OSError:
        return False


class NoAnswer(OSError):
    """The file system does not answer: that says nothing of what stands there."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "does not answer")


# Only these say that nothing stands there. Any other errno (EIO, ESTALE, EACCES, …) says that we cannot see.
ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})  # a link that leads to itself is no folder
