"""Reaches what lies below a root without following any symbolic link, or entering a snapshot."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pixkin.mounts import lies_in

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_SUBVOLUME_INODE: Final = 256  # of the top folder of each Btrfs subvolume: BTRFS_FIRST_FREE_OBJECTID
_SUBVOL_GETFLAGS: Final = 0x80089419  # BTRFS_IOC_SUBVOL_GETFLAGS: fills in a uint64. Source: linux/btrfs.h
_SUBVOL_RDONLY: Final = 1 << 1
_MOST_BYTES: Final = 4096  # PATH_MAX. The kernel does not check it here, and the way to a deeper folder takes long.


@contextmanager
def reached(path: str, roots: Sequence[str]) -> Iterator[tuple[int | None, str]]:
    """Yield the `dir_fd` and the name by which a path is touched, so that no folder on the way is a symbolic link.

    A link in the place of a folder would let one photo have two paths, and then seem to be its own copy.
    The way to a root may have links, because the root's identity proves what is there. A root itself and a path outside
    of the roots are yielded as they are, without a `dir_fd`.
    The folders are opened one after the other. That needs no openat2, which a sandbox may forbid, and costs about as much.

    Args:
        path: absolute.
        roots: absolute paths, none inside another.

    Raises:
        OSError: a folder on the way is missing, or cannot be searched. If it is a link, the error is ENOTDIR; if it is a
            snapshot, ENOENT.
    """
    root = next((root for root in roots if path != root and lies_in(path, root)), None)
    if root is None:
        yield None, path
        return
    if len(os.fsencode(path)) >= _MOST_BYTES:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    *folders, name = path[len(root) :].strip("/").split("/")
    above = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
            refuse_snapshot(above)
        yield above, name
    finally:
        os.close(above)


def refuse_snapshot(folder: int) -> None:
    """Refuse a folder that is a read-only subvolume of Btrfs: its photos are second copies that go away by themselves.

    Args:
        folder: its descriptor, which may be of the kind O_PATH.

    Raises:
        FileNotFoundError: it is one.
        OSError: it cannot be read.
    """
    if os.fstat(folder).st_ino != _SUBVOLUME_INODE:
        return
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    flags = bytearray(8)
    try:
        fcntl.ioctl(readable, _SUBVOL_GETFLAGS, flags)
    except OSError:  # another file system
        return
    finally:
        os.close(readable)
    if int.from_bytes(flags, sys.byteorder) & _SUBVOL_RDONLY:
        raise FileNotFoundError(errno.ENOENT, "a read-only snapshot")
