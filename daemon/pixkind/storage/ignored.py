"""Keeps of which failures users want to hear no more, in a file of its own: that is no derived data, and outlives every store.

The file is `ignored.jsonl` in the data folder, beside `decisions.jsonl` and of the same form (storage/lines.py). Each line:

| key | what |
| --- | --- |
| `format` | 1 |
| `kind` | `ignored` |
| `path`, `mtime_ns` | of the version of a photo that failed; if another version of it fails, users are told again |

A line goes when the user takes it back, and when the photo is forgotten. It stays while the photo does, and when a broken
file is deleted, of which the index keeps nothing: then only `pixkin forget` removes it, because the same file may return.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable
from typing import Final, Literal

from msgspec import Struct

from pixkind.storage.lines import LineFile, line_of, said_in
from pixkind.storage.record import Record

_log = logging.getLogger(__name__)

_KIND: Final = "ignored"


class _Line(Struct, frozen=True):
    format: int
    kind: Literal["ignored"]
    path: str
    mtime_ns: int


class IgnoredFailures:
    """The file. One thread at a time writes; any thread asks."""

    def __init__(self, folder: str) -> None:
        """Read the file in the data folder. Where it cannot be read, nothing is ignored."""
        path = os.path.join(folder, "ignored.jsonl")
        self._file = LineFile(path, _parsed)
        self._known: dict[str, int] = {}  # the mtime of each path; never changed, but replaced
        try:
            self._known = {line.path: line.mtime_ns for line in self._file.read()}
        except OSError as error:
            _log.warning("%s cannot be read (%s): all failures are told again", path, error.strerror)

    def __bool__(self) -> bool:
        """Whether any is ignored."""
        return bool(self._known)

    @property
    def paths(self) -> Collection[str]:
        """The paths of all that are ignored."""
        return self._known.keys()

    def __contains__(self, record: Record) -> bool:
        """Whether users want to hear no more of this version of a photo."""
        return self._known.get(record.path) == record.stamp.mtime_ns

    def add(self, records: Iterable[Record]) -> None:
        """Ignore the failures of these photos, durably.

        Raises:
            StoreFull: nothing has changed.
        """
        new = {record.path: record.stamp.mtime_ns for record in records if record not in self}
        lines = (line_of(_KIND, {"path": path, "mtime_ns": mtime_ns}) for path, mtime_ns in new.items())
        if new:
            self._file.append(b"".join(lines))
            self._known = self._known | new

    def remove(self, is_meant: Callable[[str], bool]) -> int:
        """Ignore photos no more whose path `is_meant`, durably, and return how many.

        Raises:
            StoreFull: nothing has changed.
        """
        kept = {path: mtime_ns for path, mtime_ns in self._known.items() if not is_meant(path)}
        if count := len(self._known) - len(kept):
            self._file.rewrite(lambda line: b"" if is_meant(line.path) else None)
            self._known = kept
        return count


def _parsed(line: bytes) -> _Line | None:
    """Return what a line says; None for a kind or a format that is not known.

    Raises:
        ValueError: the line is broken.
    """
    said: _Line | None = said_in(line, {_KIND}, _Line)
    if said is not None:
        os.fsencode(said.path)  # UnicodeEncodeError is a ValueError, too
    return said
