"""Finds copies of files in other folders, byte by byte: for videos, sidecars and all else that has no content id."""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from pixkin.card.drives import Lost, seen_file
from pixkin.errors import InputUnreadable, UsageError
from pixkin.mounts import read_mounts
from pixkin.two_files import are_two_files

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SNAPSHOTS: Final = frozenset((b".zfs", b".snapshots", b".snapshot"))
_UNFINISHED: Final = re.compile(rb"\.pixkin-[0-9a-f]+(\.part)?$|\.part$")  # a later run deletes or renames it
CHUNK: Final = 1 << 20


class ByteCopies:
    """The files of some folders, by size."""

    def __init__(self, folders: Sequence[str], lost: Lost, skipped: Iterable[str] = ()) -> None:
        """List the folders, hidden ones too, but no bins and snapshots; no symbolic link is followed.

        Args:
            folders: where copies may be.
            lost: what may be erased: a copy there does not count.
            skipped: names of folders that are left out, such as bins and snapshots, in lower case.

        Raises:
            InputUnreadable: a folder cannot be listed.
            UsageError: a folder may be erased too.
        """
        self._lost = lost
        self._skipped = {os.fsencode(name) for name in skipped}
        self._mounts = read_mounts()
        self._paths: defaultdict[int, list[bytes]] = defaultdict(list)
        for folder in folders:
            if lost.holds(folder):
                raise UsageError(f"{folder} is, or lies on, what you ask about; name a folder elsewhere")
            self._list(folder)

    def find(self, path: bytes) -> bytes | None:
        """Return another file with the same bytes, which was read just now; None: there is none.

        Raises:
            OSError: the file itself cannot be read.
        """
        if not self._paths:
            return None
        with os.fdopen(os.open(path, READ), "rb", buffering=0) as file:
            st = os.fstat(file.fileno())
            if not stat.S_ISREG(st.st_mode):
                return None
            mine = seen_file(os.path.realpath(path), st, self._mounts)
            name = os.path.basename(path)
            for copy in sorted(self._paths[st.st_size], key=lambda copy: os.path.basename(copy) != name):
                try:
                    with os.fdopen(os.open(copy, READ), "rb", buffering=0) as other:
                        theirs = os.fstat(other.fileno())
                        is_other = are_two_files(mine, seen_file(copy, theirs, self._mounts))
                        if stat.S_ISREG(theirs.st_mode) and is_other and have_same_bytes(file.fileno(), other.fileno()):
                            return copy
                except OSError:  # this copy cannot be read
                    continue
        return None

    def _list(self, folder: str) -> None:
        top = os.path.realpath(os.fsencode(folder))
        folders = [top]
        while folders:
            above = folders.pop()
            try:
                with os.scandir(above) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders += [entry.path] if self._is_kept(entry) else []
                        elif entry.is_file(follow_symlinks=False) and not _UNFINISHED.search(entry.name):
                            self._paths[entry.stat(follow_symlinks=False).st_size].append(entry.path)
            except OSError as error:
                if above == top:
                    what = (error.strerror or "cannot be read").lower()
                    raise InputUnreadable(f"{folder}: {what}") from error

    def _is_kept(self, folder: os.DirEntry[bytes]) -> bool:
        """Return whether files in a folder stay: it is no bin or snapshot, and is not erased with the card."""
        name = folder.name.lower()
        if name in self._skipped or name in _SNAPSHOTS or name.startswith(b".trash"):
            return False
        return not self._lost.holds(os.fsdecode(folder.path))


def have_same_bytes(one: int, other: int) -> bool:
    """Return whether two open files have the same bytes; both are read from their beginning."""
    at = 0
    while True:
        ours, theirs = os.pread(one, CHUNK, at), os.pread(other, CHUNK, at)
        if ours != theirs:
            return False
        if not ours:
            return True
        at += len(ours)
