"""Reads, renames and copies files without following a link, and never over another file.

A file is named by the descriptor of its folder and its name in there. A folder above that is renamed, or replaced by a
link, after it was opened changes nothing.
"""

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

from pixkin.renaming import NAME_BYTES, rename_over_nothing, sync_folder

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO with the name of a photo must not hang us.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIGEST: Final = "sha256"  # the processor has instructions for it


class Stays(Exception):
    """A file is not moved; the text says why, to follow its path."""


class Spot(NamedTuple):
    """One name in one folder, whether or not a file is there."""

    path: str
    folder: int  # a descriptor; it is closed by `reached`
    name: str

    def beside(self, name: str) -> "Spot":
        """Return another name in the same folder."""
        return Spot(os.path.join(os.path.dirname(self.path), name), self.folder, name)

    def stat(self) -> os.stat_result:
        """Return the stat of the file itself.

        Raises:
            OSError: it is not there, or cannot be seen.
        """
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def stamp(self) -> tuple[int, ...]:
        """Return what tells, without reading the file, whether it has changed; see `Reading.stamp`.

        Raises:
            OSError: as `stat`.
        """
        return _reading(self.stat(), "").stamp

    def exists(self) -> bool:
        """Return whether anything is there; what cannot be seen counts as there."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def unlink(self) -> None:
        """Delete the name."""
        os.unlink(self.name, dir_fd=self.folder)


class Reading(NamedTuple):
    """A file as it was when all of it was read. Two that are equal are one file that nothing has touched in between."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int  # a rename changes it on most file systems, so it shows when two names are one file
    links: int
    digest: str

    @property
    def stamp(self) -> tuple[int, ...]:
        """Return the device, inode, size and times."""
        return self[:5]

    def is_one_with(self, other: "Reading") -> bool:
        """Return whether both are the same inode."""
        return (self.device, self.inode) == (other.device, other.inode)


@contextmanager
def reached(path: str, *, make: bool = False) -> Iterator[Spot]:
    """Yield the name at `path`, an absolute path; no folder on the way is followed if it is a link.

    Args:
        path: absolute.
        make: make the folders that are missing.

    Raises:
        Stays: a folder on the way is a link, is missing or cannot be searched.
    """
    *folders, name = path.removeprefix("/").split("/")
    if not path.startswith("/") or not {"", ".", ".."}.isdisjoint([*folders, name]):
        raise Stays("this is not a plain absolute path")
    folder = os.open("/", _FOLDER)
    try:
        for one in folders:
            try:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(one, dir_fd=folder)
                        sync_folder(folder)
                below = os.open(one, _FOLDER, dir_fd=folder)
            except NotADirectoryError as error:
                raise Stays(f"the folder {one} above it is a link or a file") from error
            except OSError as error:
                raise Stays(f"the folder {one} above it: {said(error)}") from error
            os.close(folder)
            folder = below
        yield Spot(path, folder, name)
    finally:
        os.close(folder)


def read(spot: Spot, *, afresh: bool = False) -> Reading:
    """Read all of a regular file.

    Args:
        spot: where it is.
        afresh: from its drive, not from memory, if the system can do that.

    Raises:
        Stays: it changes while it is read, or is no regular file.
        OSError: it cannot be read.
    """
    descriptor = os.open(spot.name, _READ, dir_fd=spot.folder)
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise Stays("it is not a regular file")
        if afresh:
            with suppress(OSError):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        digest = hashlib.file_digest(file, _DIGEST).hexdigest()
        after = os.fstat(descriptor)
    if (seen := _reading(before, digest)) != _reading(after, digest):
        raise Stays("it changes at this moment")
    return seen


def _reading(st: os.stat_result, digest: str) -> Reading:
    return Reading(st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_nlink, digest)


def move(source: Spot, target: Spot) -> None:
    """Rename a file over nothing; errors and interrupts as of `renaming`."""
    rename_over_nothing((source.folder, source.name), (target.folder, target.name))


def copy(source: Spot, target: Spot, digest: str) -> None:
    """Copy a file with its dates to a new file, read the copy back from its drive and compare it.

    If anything fails, there is no copy.

    Args:
        source: a regular file.
        target: a name that is free.
        digest: what `read` found in the source.

    Raises:
        Stays: the copy differs.
        OSError: a file cannot be read or written.
    """
    to = os.open(target.name, _NEW, 0o600, dir_fd=target.folder)
    try:
        with open(to, "wb") as written, open(os.open(source.name, _READ, dir_fd=source.folder), "rb") as file:
            shutil.copyfileobj(file, written, 1 << 20)
            written.flush()
            names = (f"/proc/self/fd/{one.fileno()}" for one in (file, written))
            with suppress(OSError):  # modes and attributes that the file system of the target does not have
                shutil.copystat(*names)
            st = os.fstat(file.fileno())
            os.utime(to, ns=(st.st_atime_ns, st.st_mtime_ns))
            os.fsync(to)
        if read(target, afresh=True).digest != digest:
            raise Stays("its copy differs from it")
    except BaseException:
        target.unlink()
        raise


def hidden(name: str) -> str:
    """Return a hidden name that no file has, with the old name in it if there is room, for a user who finds it."""
    tail = f".pixkin-{secrets.token_hex(4)}"
    return f".{name}{tail}" if len(os.fsencode(name + tail)) < NAME_BYTES else tail


def said(error: OSError) -> str:
    """Return the reason of the system."""
    return (error.strerror or type(error).__name__).lower()
