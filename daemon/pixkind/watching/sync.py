"""Each `pixkin sync`: what it still waits for, and what it will say. Used by the ingest thread alone."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from pixkin.protocol.replies import Failed, Root, Synced
from pixkind.fs.paths import lies_in

MOST: Final = 1000  # paths named in a reply


@dataclass(slots=True)
class SyncRequest:
    """Done when every file that its scans met has an outcome."""

    top: str  # a photo or a folder; empty: every root
    until_ms: int = 0  # CLOCK_MONOTONIC in ms; 0: no limit
    future: "Future[Synced]" = field(default_factory=Future)
    scans: int = 0  # still running
    photos: int = 0  # files met
    _waiting: set[str] = field(default_factory=set)
    _open: set[str] = field(default_factory=set)
    _roots: dict[bytes, Root] = field(default_factory=dict)
    _held: int = 0
    _why: str = ""

    def wait_for(self, path: str) -> None:
        """Wait for the outcome of a path."""
        self._waiting.add(path)

    def settle(self, path: str) -> None:
        """Note that a path has its outcome."""
        self._waiting.discard(path)

    def leave(self, path: str) -> None:
        """Do not wait for a file that somebody writes to."""
        if path in self._waiting:
            self._waiting.discard(path)
            if len(self._open) < MOST:
                self._open.add(path)

    def leave_root(self, root: Root, path: str = "") -> None:
        """Do not wait for a root that is not there; or not for a photo or folder in it, if anything there is waited for."""
        left = {one for one in self._waiting if lies_in(one, path)} if path else set()
        self._waiting -= left
        if left or not path:
            self._roots[root.path] = root

    def leave_held(self, is_held: Callable[[str], bool], why: str) -> None:
        """Do not wait for photos that indexing holds back."""
        if held := set(filter(is_held, self._waiting)):
            self._waiting -= held
            self._held, self._why = self._held + len(held), why

    def conclude(self, now_ms: int, failures: Callable[[str], tuple[Failed, ...]]) -> bool:
        """Answer if there is nothing left to wait for, or no time; return whether that is so.

        Args:
            now_ms: CLOCK_MONOTONIC in ms.
            failures: returns the photos under `top` that have no vector.
        """
        if self.future.cancelled():
            return True
        if not self.scans and not self._waiting:
            names = tuple(os.fsencode(path) for path in sorted(self._open))
            self.future.set_result(
                Synced(
                    photos=self.photos,
                    failed=failures(self.top),
                    open=names,
                    roots=tuple(self._roots.values()),
                    held=self._held,
                    why=self._why,
                )
            )
        elif self.until_ms and now_ms >= self.until_ms:
            self.future.set_exception(TimeoutError(f"{max(len(self._waiting), 1)} photos still wait for their outcome"))
        else:
            return False
        return True


class Syncs:
    """All that are not done."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: list[SyncRequest] = []

    def add(self, sync: SyncRequest) -> None:
        """Take in one more."""
        self._all.append(sync)

    def settle(self, path: str) -> None:
        """Note that a path has its outcome."""
        for sync in self._all:
            sync.settle(path)

    def leave(self, path: str) -> None:
        """Let none wait for a file that somebody writes to."""
        for sync in self._all:
            sync.leave(path)

    def leave_root(self, root: Root, path: str) -> None:
        """Let none wait for a photo or folder in a root that is not there."""
        for sync in self._all:
            sync.leave_root(root, path)

    def leave_held(self, is_held: Callable[[str], bool], why: str) -> None:
        """Let none wait for photos that indexing holds back."""
        for sync in self._all:
            sync.leave_held(is_held, why)

    def conclude(self, now_ms: int, failures: Callable[[str], tuple[Failed, ...]]) -> None:
        """Answer those that have nothing left to wait for, or no time; as `SyncRequest.conclude`."""
        self._all = [sync for sync in self._all if not sync.conclude(now_ms, failures)]

    def limits(self) -> list[int]:
        """Return until when each may wait, CLOCK_MONOTONIC in ms; 0: no limit."""
        return [sync.until_ms for sync in self._all]


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """Done when the drive can go."""

    root: str
    until_ms: int  # CLOCK_MONOTONIC in ms; 0: no limit
    future: "Future[None]"

    def conclude(self, now_ms: int, *, is_open: bool) -> bool:
        """Answer if nothing is open any more, or there is no time left; return whether that is so."""
        if self.future.cancelled():
            return True
        if not is_open:
            self.future.set_result(None)
        elif self.until_ms and now_ms >= self.until_ms:
            self.future.set_exception(TimeoutError(f"files in {self.root} are still open"))
        else:
            return False
        return True
