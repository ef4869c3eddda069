"""A new file that has its name only when it is whole.

Until then it has none, and vanishes with the process (open(2), O_TMPFILE). Where the file system has no such files, it has a
hidden name and a lock. One whose process was killed is deleted by the next export into its folder.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from pixkin.errors import OutputLost, UsageError
from pixkin.renaming import rename_over_nothing, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNNAMED: Final = os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC
_PART: Final = re.compile(r"\.pixkin-export-[0-9a-f]{16}\.part")
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_READ_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a lock on NFS needs both
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_BEGINNINGS: Final = (b'{"content"', b"\x93NUMPY", b"PAR1")  # of exports


class NewFile:
    """One such file, whose content is being written to `file`."""

    def __init__(self, path: str, *, force: bool) -> None:
        """Begin.

        Args:
            path: where it will be; a link is followed.
            force: whether it may replace another file.

        Raises:
            UsageError: something is there that it must not replace.
            OutputLost: the folder cannot be written.
        """
        self.path = path
        self._force = force
        place = os.path.realpath(path)
        self._name = os.path.basename(place) or "."
        self._part = f".pixkin-export-{os.urandom(8).hex()}.part"
        with self.lost():
            self._folder = os.open(os.path.dirname(place), _FOLDER)
            try:
                self._look()
                _sweep(self._folder)
                self.file = os.fdopen(self._begun(), "wb")
            except BaseException:
                os.close(self._folder)
                raise

    def write(self, data: bytes) -> None:
        """Append to it.

        Raises:
            OutputLost: it cannot be written.
        """
        with self.lost():
            self.file.write(data)

    def rewrite(self, data: bytes) -> None:
        """Replace its first bytes. Raises as `write`."""
        with self.lost():
            self.file.seek(0)
            self.file.write(data)

    def sync(self) -> None:
        """Return when all of it is on the disk. Raises as `write`."""
        with self.lost():
            self.file.flush()
            os.fsync(self.file.fileno())

    def withdraw(self) -> None:
        """Delete the file that it is to replace by force, if there is one. Raises as `publish`."""
        if self._force:
            self._look()
            with self.lost(), suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._folder)
                sync_folder(self._folder)

    def publish(self) -> None:
        """Give it its name, and return when that and all of its content are on the disk.

        Raises:
            UsageError: something has come there that it must not replace.
            OutputLost: it cannot be renamed.
        """
        self.sync()
        self._look()
        with self.lost():
            try:
                if self._is_unnamed:
                    own = f"/proc/self/fd/{self.file.fileno()}"
                    os.link(own, self._part if self._force else self._name, dst_dir_fd=self._folder)
                if self._force:
                    os.replace(self._part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
                elif not self._is_unnamed:
                    rename_over_nothing((self._folder, self._part), (self._folder, self._name))
            except FileExistsError as error:
                raise self._exists() from error
            sync_folder(self._folder)

    def retract(self) -> None:
        """Delete it after `publish`, unless another file has its name by now."""
        with suppress(OSError):
            there = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            if os.path.samestat(there, os.fstat(self.file.fileno())):
                os.unlink(self._name, dir_fd=self._folder)

    def close(self) -> None:
        """Close it, and delete what has not got its name."""
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            os.unlink(self._part, dir_fd=self._folder)
        os.close(self._folder)

    @contextmanager
    def lost(self) -> Iterator[None]:
        """Turn an OSError of writing `file` into OutputLost, with the path."""
        try:
            yield
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise OutputLost(f"{self.path} cannot be written: {why}") from error

    def _begun(self) -> int:
        """Return a descriptor of a new file, without a name if there can be one. A lock says that it is in use."""
        self._is_unnamed = True
        try:
            part = os.open(".", _UNNAMED, 0o600, dir_fd=self._folder)
        except OSError:
            self._is_unnamed = False
            part = os.open(self._part, _NEW, 0o600, dir_fd=self._folder)
        with suppress(OSError):  # this file system has no locks
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return part

    def _look(self) -> None:
        """Raise UsageError if something is there that it must not replace. By force it replaces only exports: any other file might be a photo."""
        with self.lost():
            try:
                st = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            except FileNotFoundError:
                return
        if not stat.S_ISREG(st.st_mode):
            raise UsageError(f"{self.path} is no regular file", "name another file")
        if st.st_size and not self._head().startswith(_BEGINNINGS):
            raise UsageError(f"{self.path} exists, and pixkin did not write it", "name another file")
        if not self._force:
            raise self._exists()

    def _head(self) -> bytes:
        """Return the first bytes of the file that is there; none if it cannot be read."""
        with suppress(OSError), open(os.open(self._name, _READ, dir_fd=self._folder), "rb") as file:
            return file.read(len(max(_BEGINNINGS, key=len)))
        return b""

    def _exists(self) -> UsageError:
        return UsageError(f"{self.path} exists", "--force replaces it")


def _sweep(folder: int) -> None:
    """Delete what killed exports have left in a folder."""
    for name in filter(_PART.fullmatch, os.listdir(f"/proc/self/fd/{folder}")):
        with suppress(OSError), open(os.open(name, _READ_WRITE, dir_fd=folder), "r+b") as part:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=folder)
