"""Forgets photos that have been gone for `keep_gone_days`: their records, and the vectors of contents that no record names.

Each root has a clock of its own. A complete scan advances it by the time since the scan before, by a day at most. So the
clock runs only while the drive of the root is connected: the days in a drawer do not count, and a clock of the machine
that was set wrong costs one day. A missing photo is noted as gone at the time of this clock. It is forgotten after
`keep_gone_days` of the clock, if its path is still empty then. That takes two looks at least, a day apart.

A root that is no longer configured is hidden. Its photos, unless they lie in another root, are forgotten after as many
days in which a daemon runs without it. A content that an edit replaced is kept as long, by the clock on the wall.

A user may forget photos at once, wherever their drive is, but not a photo that lies in a watched folder now: the next scan
would index it again. With them go all contents that no photo has any more. `wipe` removes the traces of all this.

Ingest thread only. Time is an argument.
"""

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final, Protocol

from msgspec.structs import replace

from pixkin.mounts import lies_in
from pixkind.fs.interface import ABSENT, FileSystem
from pixkind.ingest.matching import Matching
from pixkind.storage.decisions import Decisions
from pixkind.storage.environment import StoreFull
from pixkind.storage.ignored import IgnoredFailures
from pixkind.storage.record import Clock, Record
from pixkind.storage.store import SLICE, Store
from pixkind.storage.write_batch import CommitDelta

_log = logging.getLogger(__name__)

DAY_S: Final = 86400
TICK_S: Final = 3600.0  # between two ticks
_CONTENTS: Final = ""  # in place of the path of a root: forget the contents that no record names


class RootAccess(Protocol):
    """What the purge asks of the roots."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The roots, absolute, none inside another."""

    def is_read(self, root: str) -> bool:
        """Return whether a root may be touched."""

    def is_online(self, root: str) -> bool:
        """Return whether the drive of a root was there at the last check."""

    def check(self, root: str) -> bool:
        """Look, and return whether the drive of a root is there now."""

    def file_system(self, path: str) -> FileSystem:
        """Return the file system of a path: a photo is forgotten only if nothing stands there."""


@dataclass(frozen=True, slots=True)
class UsersFiles:
    """What users have said, in files outside of the store."""

    decisions: Decisions
    ignored: IgnoredFailures
    matching: Matching

    def strip(self, paths: Collection[str]) -> None:
        """Remove the names of photos that are forgotten.

        Raises:
            StoreFull: some of them may stay.
        """
        self.decisions.forget(paths)
        self.ignored.remove(paths.__contains__)
        self.matching.strip(paths)

    def forget(
        self, is_meant: Callable[[str], bool], contents: Collection[bytes], *, stays: Callable[[str], bool]
    ) -> None:
        """Remove what is said of paths that a user asks to forget, unless the photo stays, and of pictures that are lost.

        Raises:
            StoreFull: some of it may stay.
        """
        self.decisions.forget((), contents)
        self.ignored.remove(lambda path: is_meant(path) and not stays(path))
        self.matching.forget(is_meant, contents)


@dataclass(slots=True)
class Forgetting:
    """What a user asks to forget, and what becomes of it."""

    tops: Sequence[str]  # photos and folders, none inside another
    photos: int = 0  # that are forgotten
    away: int = 0  # of these: whose drive is not connected
    there: int = 0  # that stay: they lie in a watched folder now
    contents: set[bytes] = field(default_factory=set)  # of those that are forgotten
    traces: str = ""  # why traces are left; empty: there are none

    def is_meant(self, path: str) -> bool:
        """Return whether a path is one of those, or lies below."""
        return any(lies_in(path, top) for top in self.tops)


class Purge:
    """The clocks of all roots, and what must be forgotten."""

    def __init__(
        self,
        store: Store,
        access: RootAccess,
        users: UsersFiles | None = None,
        *,
        keep_days: int,
        is_whole: bool,
    ) -> None:
        """Read the clocks; nothing is written before `tick`.

        Args:
            store: forgets the photos.
            access: to the roots of this run.
            users: lose what is forgotten. None: there are none.
            keep_days: `index.keep_gone_days`.
            is_whole: the roots are all that are configured, so any other one was removed; False: they are this run's alone.
        """
        self._store = store
        self._access = access
        self._users = users
        self._paths = access.paths
        self._keep_s = keep_days * DAY_S
        self._is_whole = is_whole
        self._clocks = store.roots.clocks()
        self._due: dict[str, Iterator[CommitDelta]] = {}
        self.forgotten = 0  # records, since the start
        self.deadline = 0.0  # monotonic s: when the next tick is due

    def __bool__(self) -> bool:
        """Whether `turn` has something to do."""
        return bool(self._due)

    def clock_s(self, root: str, now_s: int) -> int:
        """Return what the clock of a root says: a photo that is missing now is noted as gone at this time.

        Args:
            root: one of this run's.
            now_s: seconds since the epoch, like every time of this name here.
        """
        clock = self._clock(root, now_s)
        return clock.clock_s + _passed(clock, now_s)

    def scanned(self, root: str, now_s: int) -> None:
        """Note that a root was scanned to its end and all of it could be read; `turn` forgets what is due there."""
        if not self._is_there(root):
            return  # its drive has gone since
        clock = replace(self._clock(root, now_s), clock_s=self.clock_s(root, now_s), seen_s=now_s)
        self._set({root: clock})
        self._due[root] = self._forget_gone(root, clock.clock_s - self._keep_s, now_s)

    def tick_if_due(self, now: float, now_s: int) -> None:
        """Call `tick` at the first call, then hourly; `now` is of the monotonic clock."""
        if now >= self.deadline:
            self.deadline = now + TICK_S
            self.tick(now_s)

    def tick(self, now_s: int) -> None:
        """Advance the time of removed roots and replaced contents. To be called at the start, then hourly."""
        clocks = {root: self._clock(root, now_s) for root in self._paths}
        changed = {
            root: replace(clock, removed_s=None, named=clock.named and not self._is_whole)
            for root, clock in clocks.items()
        }
        for root, clock in self._clocks.items() if self._is_whole else ():
            if root in changed or clock.named:
                continue
            removed_s = 0 if clock.removed_s is None else clock.removed_s + _passed(clock, now_s)
            changed[root] = replace(clock, removed_s=removed_s, seen_s=now_s)
            if removed_s >= self._keep_s:
                self._due[root] = self._forget_root(root, now_s)
        self._set(changed)
        self._due[_CONTENTS] = self._sweep(now_s)

    def turn(self) -> CommitDelta | None:
        """Forget one slice of what is due, and return what that changed; None if nothing is due any more.

        The caller applies the change to index and counts before the next turn, which may drop the vectors. No photo may be
        on its way: one whose vector was found in the store would be committed without it.
        """
        while self._due:
            root, slices = next(iter(self._due.items()))
            try:
                return next(slices)
            except StopIteration:
                del self._due[root]
            except StoreFull:  # that costs nothing: the same is due again at the next scan or tick
                self._due.clear()
        return None

    def count(self, asked: Forgetting) -> Iterator[None]:
        """Count what `forget` would do, a slice a step."""
        for _ in self._chosen(asked):
            yield

    def forget(self, asked: Forgetting, now_s: int) -> Iterator[CommitDelta]:
        """Forget what a user asks to, a slice a step, and all contents that no photo has then. The rules are those of `turn`.

        Raises:
            StoreFull: some of it may be forgotten.
        """
        for records in self._chosen(asked):
            asked.contents.update(record.content for record in records)
            yield self._forget(records)
        for root in [one for one in self._clocks if asked.is_meant(one) and not self._is_configured(one)]:
            self._store.roots.forget(root)
            self._clocks.pop(root)
        for _ in self._store.sweep(now_s, 0):
            yield CommitDelta()
        lost = [content for content in asked.contents if not self._store.is_named(content)]
        self._store.apart.forget(lost)
        if self._users is not None:
            self._users.forget(asked.is_meant, lost, stays=lambda path: self._store.record(path) is not None)

    # The slices.

    def _chosen(self, asked: Forgetting) -> Iterator[list[Record]]:
        """Yield the photos that a user may forget, in blocks, and count them and those that stay."""
        for root in filter(self._access.is_read, self._paths):
            # Else a drive that went a moment ago would seem to be there, without its photos.
            if asked.is_meant(root) or any(lies_in(top, root) for top in asked.tops):
                self._access.check(root)
        single = (record for top in asked.tops if (record := self._store.record(top)) is not None and record.live)
        live = chain(single, *(self._live(top) for top in asked.tops))
        while block := list(islice(live, SLICE)):
            yield [record for record in block if self._may_go(record, asked)]
        for block in self._store.gone():
            yield [record for record in block if asked.is_meant(record.path) and self._may_go(record, asked)]

    def _may_go(self, record: Record, asked: Forgetting) -> bool:
        root = next((root for root in self._paths if lies_in(record.path, root)), None)
        if root is not None and not self._access.is_online(root):
            asked.away += 1
        elif root is not None and record.live and not (self._access.is_read(root) and self._is_absent(record.path)):
            asked.there += 1
            return False
        asked.photos += 1
        return True

    def _forget_gone(self, root: str, until_s: int, now_s: int) -> Iterator[CommitDelta]:
        before = self.forgotten
        for block in self._store.gone():
            due = [one for one in block if one.gone_s <= until_s and lies_in(one.path, root)]
            absent = [one for one in due if self._is_absent(one.path)]
            if absent and not self._is_there(root):
                return  # the drive has gone: its empty mount point proves nothing
            yield self._forget(absent)
        if self.forgotten > before:
            days = self._keep_s // DAY_S
            _log.info("forgot %d photos of %s, gone for %d days", self.forgotten - before, root, days)
        yield from self._sweep(now_s)

    def _forget_root(self, root: str, now_s: int) -> Iterator[CommitDelta]:
        before = self.forgotten
        live = self._live(root, skips=self._is_configured)
        while block := list(islice(live, SLICE)):
            yield self._forget(block)
        for block in self._store.gone():
            yield self._forget(one for one in block if lies_in(one.path, root) and not self._is_configured(one.path))
        self._store.roots.forget(root)
        self._clocks.pop(root, None)  # unless a user has forgotten it since
        _log.info("forgot %d photos of %s, which is not configured any more", self.forgotten - before, root)
        yield from self._sweep(now_s)

    def _live(self, top: str, *, skips: Callable[[str], bool] = lambda _: False) -> Iterator[Record]:
        """Yield the live photos below a folder, without those of the folders that it `skips`."""
        folders = [top]
        while folders:
            folder = folders.pop()
            if skips(folder):
                continue
            photos, below = self._store.children(folder)
            folders += (os.path.join(folder, name) for name in below)
            yield from filter(None, (self._store.record(os.path.join(folder, name)) for name in photos))

    def _sweep(self, now_s: int) -> Iterator[CommitDelta]:
        for _ in self._store.sweep(now_s, self._keep_s):
            yield CommitDelta()

    def _forget(self, records: Iterable[Record]) -> CommitDelta:
        if not (records := list(records)):
            return CommitDelta()
        if self._users is not None:
            self._users.strip({record.path for record in records})
        delta = self._store.forget(records)
        self.forgotten += len(records)
        return delta

    # Clocks and paths.

    def _is_there(self, root: str) -> bool:
        return self._access.is_read(root) and self._access.check(root)

    def _clock(self, root: str, now_s: int) -> Clock:
        """Return the clock of a root.

        A new one begins now, or with the clock of a root around it or within it, whose gone photos it takes over.
        """
        if (clock := self._clocks.get(root)) is not None:
            return clock
        kin = (clock.clock_s for path, clock in self._clocks.items() if lies_in(path, root) or lies_in(root, path))
        return Clock(os.fsencode(root), min((now_s, *kin)), now_s, named=not self._is_whole)

    def _set(self, clocks: dict[str, Clock]) -> None:
        changed = [clock for root, clock in clocks.items() if clock != self._clocks.get(root)]
        self._clocks |= clocks
        try:
            if changed:
                self._store.roots.put_clocks(changed)
        except StoreFull:
            _log.debug("the clocks of the roots could not be stored; the time until the next scan may count less")

    def _is_configured(self, path: str) -> bool:
        return any(lies_in(path, root) for root in self._paths)

    def _is_absent(self, path: str) -> bool:
        try:
            self._access.file_system(path).look(path)
        except OSError as error:
            return error.errno in ABSENT
        return False


def _passed(clock: Clock, now_s: int) -> int:
    return min(max(now_s - clock.seen_s, 0), DAY_S)
