"""Tracks each `pixkin sync`: what it waits for, and what it will report. Only the ingest thread uses it."""

import os
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec.structs import replace

from pixkin.mounts import lies_in
from pixkin.protocol.replies import Failed, Root, Synced
from pixkind.system.futures import complete, fail

MOST: Final = 1000  # paths named in a reply

_KEPT: Final = 10_000  # photos of which it is remembered that they were named
Version = tuple[bytes, int]  # the path and mtime of a photo


class Failures(NamedTuple):
    """The photos that failed."""

    named: tuple[Failed, ...] = ()  # at most MOST
    more: int = 0  # how many are not named


FailuresBelow = Callable[[str, Collection[Version]], Failures]


@dataclass(slots=True)
class SyncRequest:
    """One `pixkin sync`. It is done when every file that its scans met has been indexed or has failed."""

    top: str  # the path of a photo or a folder; empty: every root
    until_ms: int = 0  # CLOCK_MONOTONIC in ms; 0: no limit
    future: "Future[Synced]" = field(default_factory=Future)
    scans: int = 0  # that are still running
    photos: int = 0  # files that the scans met
    links: int = 0  # symbolic links that they met
    told: set[Version] = field(default_factory=set)  # photos that failed and that replies have named
    _waiting: set[str] = field(default_factory=set)
    _open: set[str] = field(default_factory=set)
    _roots: dict[bytes, Root] = field(default_factory=dict)
    _held: int = 0
    _why: str = ""

    def wait_for(self, path: str) -> None:
        """Wait until a path has been indexed or has failed."""
        self._waiting.add(path)

    def settle(self, path: str) -> None:
        """Note that a path has been indexed or has failed."""
        self._waiting.discard(path)

    def leave(self, path: str) -> None:
        """Stop waiting for a file that another process writes to."""
        if path in self._waiting:
            self._waiting.discard(path)
            self._open.add(path)

    def leave_root(self, root: Root, path: str = "") -> None:
        """Stop waiting for a root that is not there, and name it in the reply.

        With `path`, do so only for what is waited for at and below `path`, if anything is.
        """
        left = {one for one in self._waiting if lies_in(one, path)} if path else set()
        self._waiting -= left
        if left or not path:
            self._roots[root.path] = root

    def leave_held(self, is_held: Callable[[str], bool], why: str) -> None:
        """Stop waiting for photos that the throttle holds back."""
        if held := set(filter(is_held, self._waiting)):
            self._waiting -= held
            self._held, self._why = self._held + len(held), why

    def conclude(self, now_ms: int, failures: FailuresBelow) -> bool:
        """Answer if nothing is left to wait for or the time is up; return whether the request is done.

        Args:
            now_ms: CLOCK_MONOTONIC in ms.
            failures: returns the photos at and below `top` that have no vector; those that are known already come last.
        """
        if self.future.cancelled():
            return True
        if not self.scans and not self._waiting:
            complete(self.future, self._reply(failures(self.top, self.told)))
        elif self.until_ms and now_ms >= self.until_ms:
            fail(self.future, TimeoutError(self._late()))
        else:
            return False
        return True

    def _reply(self, failed: Failures) -> Synced:
        names = tuple(os.fsencode(path) for path in sorted(self._open))
        meant = [one for one in failed.named if not one.ignored or one.path == os.fsencode(self.top)]
        named = tuple(replace(one, known=(one.path, one.mtime_ns) in self.told) for one in meant)
        if len(self.told) > _KEPT:
            self.told.clear()  # they are named once more
        self.told.update((one.path, one.mtime_ns) for one in meant)
        return Synced(
            photos=self.photos,
            failed=named,
            more_failed=failed.more,
            open=names[:MOST],
            more_open=len(names[MOST:]),
            roots=tuple(self._roots.values()),
            held=self._held,
            why=self._why,
            links=self.links,
        )

    def _late(self) -> str:
        n = len(self._waiting)
        waits = "1 photo is not indexed yet" if n == 1 else f"{n:,} photos are not indexed yet"
        return f"{waits}, and not every folder has been scanned" if self.scans else waits


class Syncs:
    """All sync requests that are not done."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: list[SyncRequest] = []
        self._told: set[Version] = set()

    def add(self, sync: SyncRequest) -> None:
        """Add a request."""
        sync.told = self._told
        self._all.append(sync)

    def settle(self, path: str) -> None:
        """Note that a path has been indexed or has failed."""
        for sync in self._all:
            sync.settle(path)

    def leave(self, path: str) -> None:
        """Let no request wait for a file that another process writes to."""
        for sync in self._all:
            sync.leave(path)

    def leave_root(self, root: Root, path: str) -> None:
        """Let no request wait for `path`, which lies in a root that is not there."""
        for sync in self._all:
            sync.leave_root(root, path)

    def leave_held(self, is_held: Callable[[str], bool], why: str) -> None:
        """Let no request wait for photos that the throttle holds back."""
        for sync in self._all:
            sync.leave_held(is_held, why)

    def conclude(self, now_ms: int, failures: FailuresBelow) -> None:
        """Answer the requests that are done or out of time; see `SyncRequest.conclude`."""
        self._all = [sync for sync in self._all if not sync.conclude(now_ms, failures)]

    def limits(self) -> list[int]:
        """Return the deadline of each request, CLOCK_MONOTONIC in ms; 0: no limit."""
        return [sync.until_ms for sync in self._all]


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """One `pixkin pause` of a root. It is done when its drive can be unmounted."""

    root: str
    until_ms: int  # CLOCK_MONOTONIC in ms; 0: no limit
    future: "Future[None]"

    def conclude(self, now_ms: int, *, is_open: bool) -> bool:
        """Answer if nothing is open any more or the time is up; return whether the request is done."""
        if self.future.cancelled():
            return True
        if not is_open:
            complete(self.future, None)
        elif self.until_ms and now_ms >= self.until_ms:
            fail(self.future, TimeoutError(f"files in {self.root} are still open"))
        else:
            return False
        return True
