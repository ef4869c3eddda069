"""The journal: what was moved from where to where, so that `pixkin dupes --undo` can bring it back after any end.

A run has a file of its own, `trash/TIME.jsonl` in the data folder, to which lines are appended, each a JSON object.
A line is on the disk before the step that it announces. Paths are text with surrogate escapes for bytes that are not UTF-8.

| step | when | keys |
| --- | --- | --- |
| `begin` | first | `at` (local time), `to` (`trash`, or the folder) |
| `aside` | before file `n` gets a hidden name in its folder | `path`, `aside`, `kept`, `size` in bytes, `digest` (SHA-256), `top` (its mount point) |
| `move` | before it goes from there to `to` | `to`, `info` (the trash's own note, or empty), `copy` (a copy in the making, or empty) |
| `moved` | after that | |
| `back` | before it gets its own name again | |
| `is back` | after that | |
| `end` | last | |
| `undone` | after `--undo` | `missing`: files that it could not bring back |
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec

from pixkin.appending import APPEND, LineWriter
from pixkin.errors import AlreadyMoving, InputUnreadable

_SUFFIX: Final = ".jsonl"
_HIDDEN: Final = re.compile(r"\.pixkin-[0-9a-f]{8}$")  # the end of the names that `files.hidden` gives


@dataclass(frozen=True, slots=True)
class MovedFile:
    """What the lines say of one file."""

    path: str
    aside: str
    size: int
    digest: str
    top: str
    to: str = ""
    info: str = ""
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What one file of the journal says."""

    file: str
    at: str
    moved: dict[int, MovedFile]  # by number, in their order; without files that were put back at once
    undone: bool  # `--undo` has done what it could
    unread: int = 0  # damaged lines; what only they say of a file is not known


class TrashJournal:
    """Writes the lines of one run."""

    def __init__(self, file: str) -> None:
        """Open the file.

        Raises:
            InputUnreadable: it cannot be written.
        """
        self._file = file
        self._numbers = 0
        try:
            self._lines = LineWriter(file)
        except OSError as error:
            raise _unwritable(file, error) from error

    @classmethod
    def begin(cls, folder: str, to: str) -> "TrashJournal":
        """Return the journal of a new run.

        Raises:
            InputUnreadable: it cannot be written.
        """
        now_ns = time.time_ns()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now_ns // 10**9))
        journal = cls(os.path.join(folder, f"{stamp}.{now_ns % 10**9:09}{_SUFFIX}"))
        journal.write("begin", at=time.strftime("%Y-%m-%d %H:%M:%S"), to=to)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(OSError):  # some file systems cannot
            os.fsync(descriptor)
        os.close(descriptor)
        return journal

    def number(self) -> int:
        """Return the number of the next file."""
        self._numbers += 1
        return self._numbers

    def write(self, step: str, **keys: object) -> None:
        """Append a line, and return when it is on the disk.

        Raises:
            InputUnreadable: it cannot be written: the step must not be taken.
        """
        try:
            self._lines.write({"step": step, **keys})
        except OSError as error:
            raise _unwritable(self._file, error) from error

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Make the folder of the journal, and hold its lock: one process at a time moves photos of one user.

    Raises:
        AlreadyMoving: another process holds the lock.
        InputUnreadable: the folder cannot be made.
    """
    try:
        for one in (os.path.dirname(folder), folder):  # makedirs gives the mode to the last folder only
            os.makedirs(one, 0o700, exist_ok=True)
        descriptor = os.open(os.path.join(folder, "lock"), APPEND, 0o600)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyMoving("another `pixkin dupes` is moving photos at this moment", "try again") from error
        yield
    finally:
        os.close(descriptor)


def runs(folder: str) -> list[Run]:
    """Return all runs, the newest first."""
    with suppress(FileNotFoundError):
        names = sorted((name for name in os.listdir(folder) if name.endswith(_SUFFIX)), reverse=True)
        return [_read(os.path.join(folder, name)) for name in names]
    return []


def _read(file: str) -> Run:
    moved: dict[int, MovedFile] = {}
    at, undone, unread = "", False, 0
    with open(file, "rb") as lines:
        for line in lines:
            try:
                match json.loads(line):
                    case {"step": "begin", "at": str(at)}:
                        pass
                    case {"step": "aside", "n": int(number)} as record if number not in moved:
                        moved[number] = _moved(record)
                    case {"step": "move", "n": int(number)} as record:
                        moved[number] = _moved({**asdict(moved[number]), **record})
                    case {"step": "is back", "n": int(number)}:
                        moved.pop(number, None)
                    case {"step": "undone"}:
                        undone = True
                    case {"step": str(step)} if step != "aside":
                        pass  # `moved`, `back` and `end`: where a file is, is looked at, not believed
                    case _:
                        unread += 1
            except (ValueError, KeyError, RecursionError):
                unread += line.endswith(b"}\n")  # else it was cut off, so its step was not taken
    return Run(file, at, moved, undone, unread)


def _moved(record: dict[str, Any]) -> MovedFile:
    """Return what lines say of a file. Keys that are not known here are left out: a later release may write more.

    Raises:
        ValueError: it is not what this module writes.
    """
    moved = msgspec.convert(record, MovedFile)
    hidden = {moved.aside: moved.path, moved.copy: moved.to} if moved.copy else {moved.aside: moved.path}
    for path in (moved.path, moved.aside, *filter(None, (moved.to, moved.info, moved.copy))):
        os.fsencode(path)  # UnicodeEncodeError is a ValueError
        if not path.startswith("/") or "\0" in path:
            raise ValueError(path)
    for path, other in hidden.items():  # undo deletes a copy in the making, which it cannot know by its bytes
        if os.path.dirname(path) != os.path.dirname(other) or not _HIDDEN.search(path):
            raise ValueError(path)
    return moved


def _unwritable(file: str, error: OSError) -> InputUnreadable:
    return InputUnreadable(f"the journal {file} cannot be written: {(error.strerror or 'it failed').lower()}")
