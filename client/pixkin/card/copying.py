"""Copies files from a memory card so that the card may be erased afterwards: over nothing, and each copy is read back.

A copy gets its name only after its bytes were read back from the disk. A process that is killed leaves nothing else than a
hidden `.pixkin-….part`, which the next run deletes.
"""

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Final, NamedTuple

from pixkin.card.byte_copies import CHUNK, READ, have_same_bytes
from pixkin.card.drives import seen_file
from pixkin.mounts import read_mounts
from pixkin.renaming import NAME_BYTES, rename_over_nothing, sync_folder
from pixkin.two_files import are_two_files

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PART: Final = re.compile(r"\.pixkin-[0-9a-f]{16}\.part")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class CopyFailed(Exception):
    """One file could not be copied; nothing was left of it."""


class TargetFull(Exception):
    """Nothing more can be copied."""


class Copied(NamedTuple):
    """Where the copy of a file is."""

    path: bytes
    is_new: bool  # False: the same bytes were there already


class Copier:
    """Copies files into one folder."""

    def __init__(self, folder: str) -> None:
        """Make the folder.

        Raises:
            OSError: it cannot be made.
        """
        os.makedirs(folder, exist_ok=True)
        self._top = os.path.realpath(os.fsencode(folder))
        self._swept: set[bytes] = set()
        self._numbers: dict[bytes, int] = {}  # by path without suffix

    def is_shown_in(self, places: Iterable[str]) -> bool:
        """Return whether the folder is, or lies in, one of these places under another name: a new file would show there.

        Raises:
            OSError: nothing can be written to the folder.
        """
        with _folder(self._top, []) as folder, _part(folder) as (_, name):
            return any(name in names for place in places for _, _, names in os.walk(os.fsencode(place)))

    def copy(self, source: bytes, top: bytes) -> Copied:
        """Copy a file to its path below `top`. A name that another file has gets a number.

        Raises:
            CopyFailed: it cannot be read, has changed meanwhile, or cannot be written.
            TargetFull: there is no room, or nothing may be written there.
        """
        relative = os.path.relpath(source, top)
        *folders, name = relative.split(b"/")
        try:
            with _folder(self._top, folders) as folder, _source(source) as file:
                where = os.path.join(self._top, *folders)
                if where not in self._swept:
                    _sweep(folder)
                    self._swept.add(where)
                copied, is_new = _copy(file, folder, name, self._first_number(folder, source))
                return Copied(os.path.join(where, copied), is_new)
        except OSError as error:
            if error.errno in _FULL:
                raise TargetFull((error.strerror or "no room").lower()) from error
            raise CopyFailed((error.strerror or str(error)).lower()) from error

    def _first_number(self, folder: int, source: bytes) -> int:
        """Return the lowest number under which all files of one name fit: a sidecar belongs to the photo of its name."""
        stem = os.path.splitext(source)[0]
        if stem not in self._numbers:
            above, base = os.path.split(stem)
            names = [name for name in os.listdir(above) if name == base or name.startswith(base + b".")]
            self._numbers[stem] = next(
                number for number in count(1) if all(_fits(folder, os.path.join(above, name), number) for name in names)
            )
        return self._numbers[stem]


def _fits(folder: int, source: bytes, number: int) -> bool:
    """Return whether the numbered name of a file is free, or its copy has it."""
    try:
        other = os.open(numbered(os.path.basename(source), number), READ, dir_fd=folder)
    except FileNotFoundError:
        return True
    except OSError:  # a symbolic link, or unreadable: the name is taken
        return False
    try:
        with _source(source) as file:
            return _is_copy(file, other)
    except OSError:
        return False
    finally:
        os.close(other)


def numbered(name: bytes, number: int) -> bytes:
    """Return a name with ` (2)` before its suffix, so that it stays a photo's name; it keeps to 255 bytes."""
    if number == 1:
        return name
    stem, suffix = os.path.splitext(name)
    tail = b" (%d)" % number + suffix
    kept = os.fsdecode(stem)
    while len(os.fsencode(kept) + tail) > NAME_BYTES and kept:
        kept = kept[:-1]
    return os.fsencode(kept) + tail


def _copy(source: int, folder: int, name: bytes, first: int) -> tuple[bytes, bool]:
    """Copy an open file to a free name, with this number or a higher one; return the name, and whether it is new."""
    candidates = (numbered(name, number) for number in count(first))
    free, is_there = _free(source, folder, candidates)
    if is_there:
        return free, False
    with _part(folder) as (part, temporary):
        _fill(part, source)
        while True:
            try:
                rename_over_nothing((folder, os.fsdecode(temporary)), (folder, os.fsdecode(free)))
            except FileExistsError:  # somebody was faster
                free, is_there = _free(source, folder, candidates)
                if is_there:
                    return free, False
            else:
                sync_folder(folder)
                return free, True


def _free(source: int, folder: int, candidates: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the first name that is free, or whose file has the same bytes, and whether it has."""
    for name in candidates:
        try:
            other = os.open(name, READ, dir_fd=folder)
        except FileNotFoundError:
            return name, False
        except OSError:  # a symbolic link, or unreadable: the name is taken
            continue
        try:
            if _is_copy(source, other):
                sync_folder(folder)
                return name, True
        finally:
            os.close(other)
    raise AssertionError  # there are always more


def _is_copy(source: int, other: int) -> bool:
    """Return whether another file has the same bytes on the disk."""
    ours, theirs = os.fstat(source), os.fstat(other)
    if not stat.S_ISREG(theirs.st_mode) or theirs.st_size != ours.st_size:
        return False
    mounts = read_mounts()
    one, two = (seen_file(_path(file), st, mounts) for file, st in ((source, ours), (other, theirs)))
    if not are_two_files(one, two):  # the target shows the card's own files, as a pool does, or it may
        return False
    os.fsync(other)
    os.posix_fadvise(other, 0, 0, os.POSIX_FADV_DONTNEED)
    return have_same_bytes(source, other)


def _fill(part: int, source: int) -> None:
    """Copy bytes and times, and read the bytes back from the disk."""
    before = os.fstat(source)
    read = hashlib.blake2b()
    for chunk in _chunks(source):
        read.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(part, view) :]
    after = os.fstat(source)
    unchanged = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not unchanged or os.fstat(part).st_size != before.st_size:
        raise OSError(errno.EIO, "it changed while it was copied")
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.fsync(part)
    os.posix_fadvise(part, 0, 0, os.POSIX_FADV_DONTNEED)
    written = hashlib.blake2b()
    for chunk in _chunks(part):
        written.update(chunk)
    if written.digest() != read.digest():
        raise OSError(errno.EIO, "the copy has other bytes when it is read back; check the drive")


def _path(file: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % file)


def _chunks(descriptor: int) -> Iterator[bytes]:
    at = 0
    while chunk := os.pread(descriptor, CHUNK, at):
        yield chunk
        at += len(chunk)


@contextmanager
def _source(path: bytes) -> Iterator[int]:
    """Yield a regular file, open for reading."""
    file = os.open(path, READ)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        yield file
    finally:
        os.close(file)


@contextmanager
def _folder(top: bytes, names: list[bytes]) -> Iterator[int]:
    """Yield a folder below `top`, which is made; no symbolic link below `top` is followed."""
    folder = os.open(top, _FOLDER)
    try:
        for name in names:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
                sync_folder(folder)
            below = os.open(name, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _part(folder: int) -> Iterator[tuple[int, bytes]]:
    """Yield a new file with a temporary name, which is deleted unless it got another name. A lock says that it is in use."""
    name = b".pixkin-%s.part" % os.urandom(8).hex().encode()
    part = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
    try:
        with suppress(OSError):  # this file system has no locks
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield part, name
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        os.close(part)


def _sweep(folder: int) -> None:
    """Delete what a killed run has left."""
    for name in os.listdir(folder):
        if not _PART.fullmatch(name):
            continue
        with suppress(OSError):
            part = os.open(name, READ, dir_fd=folder)
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name, dir_fd=folder)
            finally:
                os.close(part)
