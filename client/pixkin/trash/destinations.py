"""Where photos go: freedesktop's trash on their own drive, or a folder.

send2trash is not used: it takes a path, which it resolves again, it may write over a file in the trash, it copies to
another drive where a rename fails, and it does not say where the file went, so nothing could bring it back.
Source: the FreeDesktop.org Trash specification 1.0.
"""

import errno
import os
import stat
import time
from typing import Final, Protocol
from urllib.parse import quote

from pixkin.renaming import NAME_BYTES, sync_folder
from pixkin.trash.files import Spot, Stays, copy, move, reached, said
from pixkin.trash.journal import TrashJournal

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INFO: Final = ".trashinfo"


class Destination(Protocol):
    """Takes files."""

    name: str  # `trash`, or the folder

    def prepare(self, spot: Spot) -> None:
        """Return if a file can go there.

        Raises:
            Stays: it cannot.
        """

    def take(self, aside: Spot, path: str, digest: str, journal: TrashJournal, number: int) -> None:
        """Move a file there, after a line in the journal.

        Args:
            aside: the file.
            path: its own path.
            digest: of its bytes.
            journal: where it is written.
            number: of the file in the journal.

        Raises:
            Stays: it cannot be moved.
            OSError: the same.
        """


class Bin:
    """One trash folder."""

    def __init__(self, folder: str, top: str) -> None:
        """Make the folder's parts, and open them.

        Args:
            folder: the trash folder.
            top: the mount point that it belongs to; empty: the user's own trash, which names files by absolute paths.

        Raises:
            Stays: it is not a folder of this user.
            OSError: it cannot be made.
        """
        self._top = top
        self.folder = folder
        if not top:
            os.makedirs(folder, 0o700, exist_ok=True)
        elif not os.path.lexists(folder):
            os.mkdir(folder, 0o700)
        above = os.open(folder, _FOLDER)
        if os.fstat(above).st_uid != os.getuid():
            raise Stays(f"{folder} belongs to another user")
        for name in ("files", "info"):
            if not os.path.lexists(os.path.join(folder, name)):
                os.mkdir(name, 0o700, dir_fd=above)
        self._files, self._info = (os.open(name, _FOLDER, dir_fd=above) for name in ("files", "info"))
        os.close(above)

    def is_beside(self, folder: int) -> bool:
        """Return whether a rename from a folder can reach it: same mount, same file system."""
        return _drive(self._files) == _drive(folder)

    def spots(self, name: str, number: int) -> tuple[Spot, Spot]:
        """Return where a file of this name goes, and its note; with a number above 0, under another name."""
        stem, suffix = os.path.splitext(name)
        tail = f".{number}{suffix}" if number else suffix
        if len(os.fsencode(stem + tail + _INFO)) > NAME_BYTES:
            stem, tail = "long-name", f".{number}"
        name = stem + tail
        file = Spot(os.path.join(self.folder, "files", name), self._files, name)
        return file, Spot(os.path.join(self.folder, "info", name + _INFO), self._info, name + _INFO)

    def note(self, path: str) -> bytes:
        """Return the note of a file: its path and the time."""
        path = os.path.relpath(path, self._top) if self._top else path
        date = time.strftime("%Y-%m-%dT%H:%M:%S")
        return f"[Trash Info]\nPath={quote(os.fsencode(path))}\nDeletionDate={date}\n".encode()


class Trash:
    """The trash that file managers show: the user's own for the drive of the home folder, else one on the file's drive."""

    name = "trash"

    def __init__(self, home: str) -> None:
        """Keep the path of the user's own trash; it is made when it is needed."""
        self._home = home
        self._bins: dict[tuple[int, int], Bin] = {}  # by drive

    def prepare(self, spot: Spot) -> None:
        """Find or make the trash of the drive."""
        self._bin_of(spot)

    def take(self, aside: Spot, path: str, digest: str, journal: TrashJournal, number: int) -> None:
        """Write the note, as the specification asks, and rename the file."""
        del digest  # a rename copies nothing
        bin_ = self._bin_of(aside)
        names = 0
        while True:
            file, info = bin_.spots(os.path.basename(path), names)
            names += 1
            if file.exists() or info.exists():
                continue
            journal.write("move", n=number, to=file.path, info=info.path)
            try:
                _write_new(info, bin_.note(path))
            except FileExistsError:
                continue
            try:
                move(aside, file)
            except FileExistsError:
                info.unlink()
            except OSError:
                info.unlink()
                raise
            else:
                return

    def _bin_of(self, spot: Spot) -> Bin:
        drive = _drive(spot.folder)
        if drive not in self._bins:
            self._bins[drive] = self._found(spot)
        return self._bins[drive]

    def _found(self, spot: Spot) -> Bin:
        try:
            home = Bin(self._home, "")
            if home.is_beside(spot.folder):
                return home
        except (OSError, Stays):
            pass  # it is on another drive, or there is no home
        top = top_of(spot.path)
        user = os.getuid()
        shared = os.path.join(top, ".Trash")
        reason = "it is another drive"
        for folder in ([os.path.join(shared, str(user))] if _is_shared(shared) else []) + [
            os.path.join(top, f".Trash-{user}")
        ]:
            try:
                found = Bin(folder, top)
                if found.is_beside(spot.folder):
                    return found
            except OSError as error:
                reason = said(error)
            except Stays as error:
                reason = str(error)
        raise Stays(f"its drive has no trash, and none can be made ({reason}); --move-to FOLDER needs none")


class TargetFolder:
    """A folder of the user's choice. Photos keep their whole path in it, so that no two of them meet."""

    def __init__(self, folder: str) -> None:
        """Keep the folder, an absolute path without links."""
        self.name = folder

    def prepare(self, spot: Spot) -> None:
        """Return: that it can be written to is seen when a file goes."""

    def take(self, aside: Spot, path: str, digest: str, journal: TrashJournal, number: int) -> None:
        """Rename the file, or copy it to another drive; then it is deleted after the copy was read back and compared."""
        with reached(self.name + path, make=True) as target:
            if target.exists():
                raise Stays(f"{target.path} is there already")
            making = target.beside(aside.name)
            journal.write("move", n=number, to=target.path, copy=making.path)
            try:
                move(aside, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                transfer(aside, making, target, digest)


def transfer(source: Spot, making: Spot, target: Spot, digest: str) -> None:
    """Move a file to another drive: copy it, compare, give the copy its name, and only then delete the source.

    Args:
        source: the file.
        making: a hidden name in the folder of the target, for the copy while it is not whole.
        target: where it goes.
        digest: what `read` found in the source.

    Raises:
        Stays: the copy differs, so the file stays.
        OSError: the copy cannot be made, or the target is taken.
    """
    copy(source, making, digest)
    try:
        move(making, target)
    except OSError:
        making.unlink()
        raise
    sync_folder(target.folder)
    source.unlink()


def top_of(path: str) -> str:
    """Return the mount point of the folder of a path, or of the nearest folder above it that is there."""
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    while (above := os.path.dirname(folder)) != folder and _mount(above) == _mount(folder):
        folder = above
    return folder


def _mount(folder: str) -> int:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _drive(descriptor)[0]
    finally:
        os.close(descriptor)


def _drive(descriptor: int) -> tuple[int, int]:
    """Return the mount and the file system of an open folder. Two subvolumes of a drive have one mount. Source: proc(5)."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        mount = next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
    return mount, os.fstat(descriptor).st_dev


def _is_shared(folder: str) -> bool:
    """Return whether an administrator has made a trash for all users; the specification asks for the sticky bit."""
    try:
        st = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(st.st_mode) and bool(st.st_mode & stat.S_ISVTX)


def _write_new(spot: Spot, data: bytes) -> None:
    with open(os.open(spot.name, _NEW, 0o600, dir_fd=spot.folder), "wb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            spot.unlink()
            raise
