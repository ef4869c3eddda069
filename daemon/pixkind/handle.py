"""A photo held open: opened without harm, known to be at rest, and told apart from what may stand there later.

The daemon never reads through it; the worker does.
"""

import errno
import fcntl
import os
import stat
from dataclasses import dataclass
from typing import Final

from pixkind.errors import PhotoError
from pixkind.photo import Stamp

_NOT_REGULAR: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)  # nothing, a link, a socket
_OUR_FAULT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # says nothing of the photo


class Vanished(Exception):
    """No regular file stands there any more."""


class StillOpen(Exception):
    """Somebody has the file open for writing, or it cannot be told and the file is too young."""


@dataclass(frozen=True, slots=True)
class Handle:
    """An open descriptor of the photo at `path`, and its stamp when it was opened."""

    path: str
    descriptor: int
    stamp: Stamp

    def unchanged(self) -> bool:
        """Return whether the same file still stands at `path`, in the version that was opened."""
        try:
            there = Stamp.of(os.lstat(self.path))
        except OSError:
            return False
        return there == self.stamp == Stamp.of(os.fstat(self.descriptor))

    def close(self) -> None:
        """Close the descriptor: while it is open, its drive cannot be unmounted."""
        os.close(self.descriptor)


def open_photo(path: str, *, limit_mb: int, quiet_ns: int, now_ns: int) -> Handle:
    """Open the photo at `path` for the indexer.

    Args:
        path: absolute; its last component is not followed if it is a symbolic link.
        limit_mb: a larger file is refused, in MiB.
        quiet_ns: where the system cannot tell whether somebody writes, the file must not have changed for this long.
        now_ns: the time, ns since the epoch.

    Raises:
        Vanished: nothing there, or no regular file.
        StillOpen: not now; look again later.
        PhotoError: it cannot be read, or is too large.
    """
    handle = open_regular(path)
    try:
        if handle.stamp.size > limit_mb << 20:
            raise PhotoError(
                f"{handle.stamp.size / 2**20:.0f} MiB is over the limit of {limit_mb} MiB (decode.limit_mb)"
            )
        if _is_written(handle.descriptor, young=abs(now_ns - handle.stamp.ctime_ns) < quiet_ns):
            raise StillOpen
    except BaseException:
        handle.close()
        raise
    return handle


def open_regular(path: str) -> Handle:
    """Open a regular file without blocking and without following a link; errors as in `open_photo`."""
    try:
        # O_NONBLOCK: a FIFO that took a photo's name must not hang us. O_NOATIME would need ownership.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _OUR_FAULT:
            raise
        if error.errno in _NOT_REGULAR:
            raise Vanished(path) from error
        raise PhotoError(f"cannot be opened: {error.strerror}") from error
    st = os.fstat(descriptor)
    if not stat.S_ISREG(st.st_mode):
        os.close(descriptor)
        raise Vanished(path)
    return Handle(path, descriptor, Stamp.of(st))


def _is_written(descriptor: int, *, young: bool) -> bool:
    """Tell whether somebody has the file open for writing; where nobody can tell: whether it is `young`.

    Source: fcntl(2), F_SETLEASE: a read lease is granted only while nobody has the file open for writing.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # EACCES: the file is another user's; EINVAL: this file system has no leases
        return young
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
