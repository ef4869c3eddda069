"""How the daemon touches files and folders: here directly, for file systems that answer or fail but do not hang.

`far.Far` does the same through a process, for those that may.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pixkind.handle import Handle, open_photo, open_regular
from pixkind.mounts import read_mounts
from pixkind.photo import Stamp
from pixkind.roots import Identity, Verdict, assess, unique_id


class Rules(Protocol):
    """What is asked of the configuration."""

    def is_photo(self, name: str) -> bool:
        """Return whether a file of this name is a photo by its suffix."""

    def is_walked(self, name: str) -> bool:
        """Return whether a folder of this name is entered."""


@dataclass(slots=True)
class Listing:
    """What stands directly in a folder."""

    photos: list[tuple[str, Stamp]] = field(default_factory=list)
    folders: list[tuple[int, str]] = field(default_factory=list)  # (mtime in ns, path)
    blind: list[tuple[str, str]] = field(default_factory=list)  # (path, why it cannot be seen)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a photo may not be opened."""

    limit_mb: int  # a larger file is refused, in MiB
    quiet_ns: int | None  # see handle.open_photo; None: for a query, whoever writes to it


class Disk(Protocol):
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

    def open(self, path: str, limits: Limits) -> Handle:
        """Open a photo; errors as in handle.open_photo."""

    def resolve(self, path: str) -> str:
        """Return `path` without links, as far as it exists."""

    def assess(self, root: str, known: Identity | None, *, holds: bool) -> tuple[Verdict, int]:
        """Return what a root is now (roots.assess), and the number of its mount (roots.unique_id)."""


class Near:
    """The local file systems."""

    def __init__(self, rules: Rules, is_far: Callable[[str], bool] = lambda _path: False) -> None:
        """Keep the rules. `is_far`: a folder that is listed and must not be looked at, since it may hang."""
        self._rules = rules
        self._is_far = is_far

    def look(self, path: str) -> tuple[int, Stamp]:
        """See `Disk`."""
        st = os.lstat(path)
        return st.st_mode, Stamp.of(st)

    def list(self, folder: str) -> Listing:
        """See `Disk`."""
        listing = Listing()
        for _ in list_slowly(folder, self._rules, listing, self._is_far):
            pass
        return listing

    def open(self, path: str, limits: Limits) -> Handle:
        """See `Disk`."""
        if limits.quiet_ns is None:
            return open_regular(path)
        return open_photo(path, limit_mb=limits.limit_mb, quiet_ns=limits.quiet_ns, now_ns=time.time_ns())

    def resolve(self, path: str) -> str:
        """See `Disk`."""
        return os.path.realpath(path)

    def assess(self, root: str, known: Identity | None, *, holds: bool) -> tuple[Verdict, int]:
        """See `Disk`."""
        return assess(root, known, holds=holds, mounts=read_mounts()), unique_id(root)


def is_file(disk: Disk, path: str) -> bool:
    """Return whether a regular file is seen at a path."""
    try:
        return stat.S_ISREG(disk.look(path)[0])
    except OSError:
        return False


def is_unchanged(disk: Disk, handle: Handle) -> bool:
    """Return whether the same file still stands at the path of a photo, in the version that was opened."""
    try:
        return disk.look(handle.path)[1] == handle.stamp
    except OSError:
        return False


def list_slowly(
    folder: str, rules: Rules, listing: Listing, is_far: Callable[[str], bool] = lambda _path: False
) -> Iterator[None]:
    """Fill a listing, and yield after each entry: any may have taken its time.

    Raises:
        OSError: as in `Disk.list`.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if rules.is_walked(entry.name):
                        far = is_far(entry.path)
                        listing.folders.append(
                            (0 if far else entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
                        )
                elif rules.is_photo(entry.name) and stat.S_ISREG((st := entry.stat(follow_symlinks=False)).st_mode):
                    listing.photos.append((entry.path, Stamp.of(st)))
            except (FileNotFoundError, NotADirectoryError):  # it was removed since it was listed
                pass
            except OSError as error:
                listing.blind.append((entry.path, error.strerror or str(error)))
            yield
