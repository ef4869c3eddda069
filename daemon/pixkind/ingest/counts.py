"""Counts the photos of each root, and notices when many have vanished.

The ingest thread changes the counts; any thread reads them.
"""

import logging
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pixkin.mounts import lies_in
from pixkin.protocol.replies import Failed
from pixkind.fs.roots import WatchedRoots
from pixkind.storage.ignored import IgnoredFailures
from pixkind.storage.record import Record
from pixkind.storage.store import Store
from pixkind.watching.sync import MOST, Failures, Version

_log = logging.getLogger(__name__)

MANY: Final = (50, 0.2)  # photos, and share of a root: a user who tidies up does not delete more than both at once


@dataclass(frozen=True, slots=True)
class RootCount:
    """How many live photos one root has."""

    found: int
    failed: int
    most: int  # at once, since the scan before the last

    @property
    def all(self) -> int:
        """How many photos there are: those that can be found, and those that failed."""
        return self.found + self.failed

    @property
    def vanished(self) -> int:
        """How many photos have gone since the scan before the last, if they are many, else 0."""
        lost = self.most - self.all
        return lost if lost > max(MANY[0], MANY[1] * self.most) else 0

    @property
    def note(self) -> str:
        """What to tell users of the photos that have vanished; empty: nothing."""
        return f"{self.vanished} of {self.most} photos have vanished; they are kept" if self.vanished else ""


class PhotoCounts:
    """The counts of some roots."""

    def __init__(
        self, roots: Sequence[str], count: Callable[[str], tuple[int, int]], ignored: Callable[[], int] = int
    ) -> None:
        """Begin with the photos that the store knows.

        Args:
            roots: absolute paths.
            count: returns how many live photos in a folder and below can be found, and how many failed (store.count).
            ignored: returns how many of those that failed users want to hear no more of; takes a while if they are many.
        """
        self.roots = roots
        self._count = count
        self._count_ignored = ignored
        self.changes = 0  # how often `changed` was called
        self._ignored = (0, 0)  # the count of ignored failures, and after how many changes it was made
        self._before = dict.fromkeys(roots, 0)  # the most photos at once between the last two scans of a root
        self._since = dict.fromkeys(roots, 0)  # the same since the last one
        self._told: set[str] = set()  # roots of which it was logged that many photos have vanished
        self.changed()

    def of(self, root: str) -> RootCount:
        """Return the counts of a root."""
        found, failed = self._count(root)
        return RootCount(found, failed, max(self._before[root], self._since[root], found + failed))

    @property
    def ignored(self) -> int:
        """How many photos failed of which users want to hear no more."""
        count, made = self._ignored
        if made != (changes := self.changes):
            count = self._count_ignored()
            self._ignored = (count, changes)
        return count

    def changed(self) -> None:
        """Count again, since the store has changed, or what is ignored."""
        self.changes += 1
        self._since = {root: max(self._since[root], self.of(root).all) for root in self.roots}

    def reset(self) -> None:
        """Begin again: from now on another space is counted."""
        self._before, self._since = dict.fromkeys(self.roots, 0), dict.fromkeys(self.roots, 0)
        self.changed()

    def tell(self) -> None:
        """Log the roots of which many photos have vanished.

        To be called when no photo is on its way: the photos of a folder that moves vanish before they appear again.
        """
        lost = {root: count for root in self.roots if (count := self.of(root)).vanished}
        for root in lost.keys() - self._told:
            _log.warning("root %s: %s", root, lost[root].note)
        self._told = set(lost)

    def scanned(self, root: str) -> None:
        """Note that a root was scanned to its end: what had vanished before has been said for long enough, once it is logged."""
        count = self.of(root)
        is_said = not count.vanished or root in self._told
        self._before[root] = self._since[root] if is_said else count.most
        self._since[root] = count.all


@dataclass(frozen=True, slots=True)
class FailedPhotos:
    """The photos of the roots that failed, and of which of them users want to hear no more."""

    roots: WatchedRoots
    ignored: IgnoredFailures

    def named(self, store: Store, top: str = "", known: Collection[Version] = frozenset()) -> Failures:
        """Return those at and below `top`, with the reasons; empty: all. Those that are ignored are no `more`.

        The others come first, and of them those that are not `known`.
        """
        told = self.found(store, top, most=MOST, unless=known)
        if known and len(told) < MOST:
            told += [one for one in self.found(store, top, most=MOST) if version_of(one[0]) in known][
                : MOST - len(told)
            ]
        rest = self.found(store, top, is_ignored=True, most=MOST - len(told))
        more = 0
        if len(told) == MOST:
            total = sum(store.count(folder)[1] for folder in ([top] if top else self.roots.paths))
            more = max(0, total - MOST - self.count_ignored(store, top))
        return Failures((*(_failed(*one) for one in told), *(_failed(*one, ignored=True) for one in rest)), more)

    def count_ignored(self, store: Store, top: str = "") -> int:
        """Return how many of those at and below `top` are ignored. It looks at the ignored ones alone: the others may be many more."""
        return sum(self._has_failed(store, path) for path in self.ignored.paths if lies_in(path, top))

    def found(
        self,
        store: Store,
        top: str = "",
        *,
        is_ignored: bool = False,
        most: int | None = None,
        unless: Collection[Version] = frozenset(),
    ) -> list[tuple[Record, str]]:
        """Return at most `most` of those at and below `top` that are ignored, or not, with the reasons; none of `unless`."""

        def is_meant(one: Record) -> bool:
            return (
                (one in self.ignored) == is_ignored
                and lies_in(one.path, top)
                and self.roots.root_of(one.path) is not None
                and not (unless and version_of(one) in unless)
            )

        return [] if is_ignored and not self.ignored else store.failures(most, is_meant)

    def _has_failed(self, store: Store, path: str) -> bool:
        """Return whether the ignored version of a photo is there, and has failed."""
        if self.roots.root_of(path) is None or (record := store.record(path)) is None or not record.live:
            return False
        return record.failed and record in self.ignored and not store.has_vector(record.content)


def version_of(record: Record) -> Version:
    """Return the version of a photo, as replies name it."""
    return os.fsencode(record.path), record.stamp.mtime_ns


def _failed(record: Record, reason: str, *, ignored: bool = False) -> Failed:
    return Failed(os.fsencode(record.path), reason, record.retry_s, record.stamp.mtime_ns, ignored)
