"""What the user decided about groups of duplicates, in `web-decisions.jsonl` in the data folder: outside of the store.

Lines are only appended, each a JSON object; the last one of a group counts. `apart` is the daemon's to remember as well.
Paths are text with surrogate escapes for bytes that are not UTF-8.

| key | holds |
| --- | --- |
| `group` | the id of the group: a hash of its contents, so a rename or a new store does not change it |
| `at` | s since the epoch |
| `keep`, `aside` | paths |
| `apart`, `later` | whether its photos are no duplicates; whether it was put off |
"""

import json
import os
import threading
from contextlib import closing

import msgspec
from msgspec import Struct

from pixkin.appending import LineWriter
from pixkin.errors import InputUnreadable


class GroupDecision(Struct, frozen=True):
    """What was decided about one group."""

    group: str
    at: int
    keep: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    apart: bool = False
    later: bool = False

    def __bool__(self) -> bool:
        """Return whether anything is decided; if not, the line undoes the one before."""
        return bool(self.keep or self.aside or self.apart or self.later)


class GroupDecisions:
    """The file."""

    def __init__(self, file: str) -> None:
        """Keep where it is; it is read when it is first needed, and when another process has written."""
        self._file = file
        self._seen: tuple[int, ...] = ()
        self._known: dict[str, GroupDecision] = {}
        self._lock = threading.Lock()

    def of(self, group: str) -> GroupDecision | None:
        """Return the decision about a group; None: there is none."""
        return self.all().get(group)

    def all(self) -> dict[str, GroupDecision]:
        """Return all decisions, by group.

        Raises:
            InputUnreadable: the file cannot be read.
        """
        with self._lock:
            try:
                st = os.stat(self._file)
                if (seen := (st.st_ino, st.st_size, st.st_mtime_ns)) != self._seen:
                    self._known, self._seen = self._read(), seen
            except FileNotFoundError:
                self._known, self._seen = {}, ()
            except OSError as error:
                raise InputUnreadable(f"{self._file}: {(error.strerror or 'unreadable').lower()}") from error
            return self._known

    def write(self, decision: GroupDecision) -> None:
        """Append a decision, and return when it is on the disk.

        Raises:
            InputUnreadable: it cannot be written.
        """
        try:
            os.makedirs(os.path.dirname(self._file), 0o700, exist_ok=True)
            with closing(LineWriter(self._file)) as lines:
                lines.write(msgspec.to_builtins(decision))
        except OSError as error:
            raise InputUnreadable(f"{self._file}: {(error.strerror or 'it cannot be written').lower()}") from error

    def _read(self) -> dict[str, GroupDecision]:
        known: dict[str, GroupDecision] = {}
        with open(self._file, "rb") as lines:
            for line in lines:
                try:
                    decision = msgspec.convert(json.loads(line), GroupDecision)
                except (ValueError, RecursionError, msgspec.ValidationError):
                    continue  # it was cut off
                known.pop(decision.group, None)
                if decision:
                    known[decision.group] = decision
        return known
