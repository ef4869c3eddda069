"""Reaches what lies below a root without following any symbolic link."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pixkind.fs.paths import lies_in

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
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
        OSError: a folder on the way is missing, or cannot be searched. If it is a link, the error is ENOTDIR.
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
        yield above, name
    finally:
        os.close(above)
