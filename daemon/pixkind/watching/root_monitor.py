"""When each root is looked at: is its drive there, is it watched, is it time to scan all of it?

Runs in the ingest thread, which it tells what to scan.
"""

import math
import os
import random
import time
from collections.abc import Callable
from typing import Final

from pixkind.fs.roots import MountState, WatchedRoots
from pixkind.watching.coverage import Coverage

POLL_S: Final = 300.0  # between two scans of a root whose changes are not all told
FLAP_S: Final = 30.0  # between two scans of a share that goes and comes
OFFLINE_S: Final = 1.0  # how often an absent root is looked for: no event tells that a folder has its name back


class RootMonitor:
    """The rounds."""

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
            roots: what is known of the roots.
            coverage: how much of them is seen.
            rescan_s: how long a root that is fully watched is not scanned, give or take a quarter.
            post: have something called in the ingest thread; from any thread.
            scan: begin to scan a root.
        """
        self._roots = roots
        self._coverage = coverage
        self._rescan_s = rescan_s
        self._post = post
        self._scan = scan
        self._due = dict.fromkeys(roots.paths, 0.0)  # monotonic s
        self._mount_state: dict[str, MountState] = {}  # on which each root was last followed
        self._followed_at: dict[str, float] = {}
        self._random = random.Random(os.getpid())  # noqa: S311  # only spreads the rescans of several daemons

    def turn(self, now: float) -> None:
        """Check the roots that are due."""
        for root, due in list(self._due.items()):
            if due <= now:
                self.check(root, due=True)

    def deadline(self) -> float:
        """Return when, on the monotonic clock, the next root is due."""
        return min(self._due.values(), default=math.inf)

    def check(self, root: str, *, due: bool = False) -> bool:
        """Look at a root, and return whether it is there.

        Args:
            root: one of the territory's.
            due: scan it even if it is as it was.
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
            self._mount_state[root] = self._roots.mount_state(root)  # kept here, for others check in between
            self._due[root] = time.monotonic() + self._random.uniform(0.75, 1.25) * self._rescan_s
            if self._roots.is_read(root):
                self._follow(root)  # watched before it is scanned: what happens meanwhile is told
            else:
                self._coverage.scanned(root)
        return True

    def _flapping(self, root: str) -> float:
        """Return how long a root that has come back is not scanned again yet, s: what is slow falls silent now and then."""
        return self._followed_at.get(root, 0.0) + FLAP_S - time.monotonic()

    def _follow(self, root: str) -> None:
        if self._roots.is_unwatchable(root):  # watching it could hang, and would tell too little
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
