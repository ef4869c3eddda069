"""Opens a photo safely, checks that no process writes to it, and records which version was opened.

The worker reads through the descriptor. The daemon itself reads only to compare two files byte by byte (search/proof.py).
"""

import errno
import fcntl
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pixkind.errors import PhotoError
from pixkind.fs.reach import reached
from pixkind.fs.stamp import Stamp

_NOT_REGULAR: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)  # nothing there, a link, a socket
OUR_FAULT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # the photo is not to blame


class Vanished(Exception):
    """There is no regular file any more."""


class StillOpen(Exception):
    """A process has the file open for writing; or the system cannot tell, and the file is old enough in `rest_ns`."""

    def __init__(self, rest_ns: int = 0) -> None:
        """Keep how long to wait; 0: until it is closed."""
        super().__init__(rest_ns)
        self.rest_ns = rest_ns


@dataclass(frozen=True, slots=True)
class OpenPhoto:
    """A descriptor of the photo at `path`, which may be closed by now, and the stamp of the photo when it was opened."""

    path: str
    descriptor: int
    stamp: Stamp
    is_copy: bool = False  # of a copy in memory, which keeps no drive busy

    def close(self) -> None:
        """Close the descriptor; while it is open, its drive cannot be unmounted."""
        os.close(self.descriptor)


def open_photo(path: str, *, limit_mb: int, quiet_ns: int, now_ns: int, roots: Sequence[str] = ()) -> OpenPhoto:
    """Open the photo at `path` for the indexer.

    Args:
        path: absolute; if its last component is a symbolic link, it is not followed.
        limit_mb: a larger file is refused, in MiB.
        quiet_ns: where the system cannot tell whether a process writes, the file must have been unchanged for this long.
        now_ns: the time, ns since the epoch.
        roots: below these no folder on the way is followed if it is a symbolic link.

    Raises:
        Vanished: nothing is there, or it is not a regular file.
        StillOpen: it cannot be read now; look again later.
        PhotoError: the file cannot be read, or is too large.
    """
    photo = open_regular(path, roots)
    try:
        if photo.stamp.size > limit_mb << 20:
            raise PhotoError(
                f"{photo.stamp.size / 2**20:.0f} MiB is over the limit of {limit_mb} MiB (decode.limit_mb)"
            )
        _check_closed(photo.descriptor, quiet_ns - abs(now_ns - photo.stamp.ctime_ns))
    except BaseException:
        photo.close()
        raise
    return photo


def open_regular(path: str, roots: Sequence[str] = ()) -> OpenPhoto:
    """Open a regular file without blocking and without following a link; arguments and errors as in `open_photo`."""
    try:
        with reached(path, roots) as (above, name):
            # O_NONBLOCK: a FIFO with the name of a photo must not hang us. O_NOATIME would need ownership.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        if error.errno in OUR_FAULT:
            raise
        if error.errno in _NOT_REGULAR:
            raise Vanished(path) from error
        raise PhotoError(f"cannot be opened: {error.strerror}") from error
    st = os.fstat(descriptor)
    if not stat.S_ISREG(st.st_mode):
        os.close(descriptor)
        raise Vanished(path)
    return OpenPhoto(path, descriptor, Stamp.of(st))


def in_memory(path: str, data: bytes) -> OpenPhoto:
    """Return bytes as an open file that is on no drive: the worker takes descriptors only. `path` only names it."""
    descriptor = os.memfd_create("query", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        return OpenPhoto(path, descriptor, Stamp.of(os.fstat(descriptor)))
    except BaseException:
        os.close(descriptor)
        raise


def _check_closed(descriptor: int, rest_ns: int) -> None:
    """Return if no process has the file open for writing, or if the system cannot tell and `rest_ns` is not positive.

    Source: fcntl(2), F_SETLEASE: the kernel grants a read lease only while no process has the file open for writing.

    Raises:
        StillOpen: the file is open, or too young to be sure.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError as error:
        raise StillOpen from error
    except OSError as error:  # EACCES: the file belongs to another user; EINVAL: the file system has no leases
        if rest_ns > 0:
            raise StillOpen(rest_ns) from error
    else:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
