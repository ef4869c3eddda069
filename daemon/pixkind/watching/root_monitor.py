"""Decides when each root is checked: is its drive there, is it watched, is a full scan due?

It runs in the ingest thread and tells it what to scan.
"""

import math
import os
import random
import time
from collections.abc import Callable
from typing import Final

from pixkind.fs.roots import MountState, WatchedRoots
from pixkind.watching.coverage import Coverage

POLL_S: Final = 300.0  # between two scans of a root that is not fully watched
FLAP_S: Final = 30.0  # least time between two scans of a network drive that keeps disappearing
OFFLINE_S: Final = 1.0  # between two checks of an offline root; no event reports that a folder has its name back


class RootMonitor:
    """The checks and rescans of all roots."""

    def __init__(
        self,
        roots: WatchedRoots,
        coverage: Coverage,
        rescan_s: float,
        *,
        post: Callable[[Callable[[], None]], None],
        scan: Callable[[str], None],
    ) -> None:
        """Begin with every root due.

        Args:
            roots: the state of the roots.
            coverage: records what is watched and scanned.
            rescan_s: time between two scans of a fully watched root; it varies by a quarter.
            post: has a function called in the ingest thread; any thread may call it.
            scan: begins to scan a root.
        """
        self._roots = roots
        self._coverage = coverage
        self._rescan_s = rescan_s
        self._post = post
        self._scan = scan
        self._due = dict.fromkeys(roots.paths, 0.0)  # monotonic s
        self._mount_state: dict[str, MountState] = {}  # by root: the mounts when it was last followed
        self._followed_at: dict[str, float] = {}
        self._random = random.Random(os.getpid())  # noqa: S311  # it only spreads the rescans of several daemons

    def turn(self, now: float) -> None:
        """Check the roots that are due."""
        for root, due in list(self._due.items()):
            if due <= now:
                self.check(root, due=True)

    def deadline(self) -> float:
        """Return when, on the monotonic clock, the next root is due."""
        return min(self._due.values(), default=math.inf)

    def check(self, root: str, *, due: bool = False) -> bool:
        """Check a root and return whether it is online; watch and scan it if it came back or its mounts changed.

        Args:
            root: a configured root.
            due: scan it even if nothing has changed.
        """
        was = self._roots.is_online(root)
        if not self._roots.check(root):
            self._coverage.scanned(root)
            self._due[root] = time.monotonic() + OFFLINE_S
            return False
        is_new = self._mount_state.get(root) != self._roots.mount_state(root)
        if not (due or is_new or was) and self._roots.is_remote(root) and (wait_s := self._flapping(root)) > 0:
            self._due[root] = min(self._due[root], time.monotonic() + wait_s)
        elif due or is_new or not was:
            self._followed_at[root] = time.monotonic()
            # Kept here, because others also call `WatchedRoots.check`.
            self._mount_state[root] = self._roots.mount_state(root)
            self._due[root] = time.monotonic() + self._random.uniform(0.75, 1.25) * self._rescan_s
            if self._roots.is_read(root):
                self._follow(root)  # watched before it is scanned, so that changes during the scan are reported
            else:
                self._coverage.scanned(root)
        return True

    def _flapping(self, root: str) -> float:
        """Return how many seconds a root that came back must wait for a scan; a slow share often goes silent for a moment."""
        return self._followed_at.get(root, 0.0) + FLAP_S - time.monotonic()

    def _follow(self, root: str) -> None:
        if self._roots.is_unwatchable(root):  # watching could hang, and would report too little
            self._followed(root, None)
            return
        self._coverage.follow(root, lambda error: self._post(lambda: self._followed(root, error)))

    def _followed(self, root: str, error: BaseException | None) -> None:
        if error is not None:
            raise error
        again = self._coverage.followed(root)
        if not self._roots.is_read(root):
            self._coverage.scanned(root)
            return
        if again:
            self._follow(root)
            return
        self._scan(root)
        if root in self._coverage.watch.unwatched() or not self._roots.reports_changes(root):
            self._due[root] = min(self._due[root], time.monotonic() + POLL_S)
