"""The one loop that knows the order of the stages: dirty, rested, scanned, then the pipeline.

It runs in a thread of its own, the only one that scans local roots and the only one that writes the store.
Other threads post to it; nothing else is shared. A change says where to look, never what happened.
"""

import functools
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from pixkin.wire import Failed, Synced, now_ms
from pixkind.census import Census
from pixkind.config import Config
from pixkind.coverage import Coverage
from pixkind.encoder import Encoder
from pixkind.index import Index
from pixkind.pending import Pending
from pixkind.pipeline import Pipeline
from pixkind.scan import Blind, Gone, Look, Scan, Step, Wait, Walked, sees
from pixkind.store import Store
from pixkind.sync import MOST, Sync
from pixkind.territory import Ground, Territory
from pixkind.thread import Thread

_log = logging.getLogger(__name__)

SLICE_S: Final = 0.05  # a scan of a million files must not keep the finished photos waiting
FEW: Final = 16  # photos from which on a rate is no guess
BLIND_S: Final = 300.0  # between two scans of a root whose changes are not all told
OFFLINE_S: Final = 1.0  # how often an absent root is looked for: no event tells that a folder has its name back


@dataclass(slots=True)
class _Running:
    top: str
    steps: Iterator[Step]
    sync: Sync | None
    has_begun: bool = False


class Ingest:
    """The loop, its inbox, and the numbers it tells."""

    def __init__(
        self,
        config: Config,
        store: Store,
        index: Index,
        encoder: Encoder,
        territory: Territory,
        census: Census,
    ) -> None:
        """Prepare; nothing is touched before `start`."""
        self._config = config
        self._store = store
        self._territory = territory
        self._scan = Scan(store, config, time.time_ns, int(config.index.rest_s * 1e9))
        self._thread = Thread("ingest", self._run)
        self._inbox: deque[Callable[[], object]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self.coverage = Coverage(territory.roots)
        self._pending = Pending(config.index.rest_s, patience_s=max(60.0, 2 * config.index.rest_s))
        self._retries = Pending(0.0, patience_s=0.0)  # photos that failed: they have their outcome, so none is pending
        self._scans: deque[_Running] = deque()
        self._asked: deque[Sync] = deque()
        self._syncs: list[Sync] = []
        self._ended = False  # nobody takes from `_asked` any more
        self._pipeline = Pipeline(config, store, index, encoder, territory, census, self)
        self._next_check = dict.fromkeys(territory.roots, 0.0)
        self._ground: dict[str, Ground] = {}  # on which each root was last followed
        self._random = random.Random(os.getpid())  # noqa: S311  # only spreads the rescans of several daemons
        self._rescans = 0

    # A service.

    def start(self) -> None:
        """Start the thread; its first turn scans every root."""
        for record, _ in self._store.failures(MOST):
            if record.retry_s:
                self._retries.add_at(record.path, time.monotonic() + max(0.0, record.retry_s + 1 - time.time()))
        self._thread.start()

    def stop(self) -> None:
        """Finish what was encoded, commit it, and end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(4)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is written to the store any more."""
        return self._ended

    def failure(self) -> BaseException | None:
        """Return what the thread died of."""
        return self._thread.failure

    def beat(self) -> int:
        """Return how often its loop has turned."""
        return self._thread.beats

    # Posts from other threads (watch.Inbox among them).

    def dirty(self, path: str) -> None:
        """Something happened at `path`: look at it once it has rested."""
        self.post(lambda: self._add_dirty(path))

    def rescan(self, root: str, why: str) -> None:
        """Events of a root may have been lost, or it went away: look whether it is there, and at all of it."""
        _log.info("rescan root=%s why=%s", root, why)
        self.post(lambda: self._check(root, due=True))

    def recheck(self) -> None:
        """A drive may have come or gone: look at every root."""
        for root in self._territory.roots:
            self.post(functools.partial(self._check, root))

    def sync(self, path: str, until_ms: int) -> "Future[Synced]":
        """Scan `path` (a path in a root; empty: every root) and return a future that is done when all has its outcome."""
        sync = Sync(path, until_ms)
        self._asked.append(sync)
        self._wake.set()
        if self._ended:
            sync.future.cancel()
        return sync.future

    def post(self, action: Callable[[], object]) -> None:
        """Have `action` called in the ingest thread."""
        self._inbox.append(action)
        self._wake.set()

    # What it is doing, for status. Read by other threads: sums of whole numbers, maybe one turn old.

    @property
    def pending(self) -> int:
        """Photos known to exist and not yet searchable."""
        return len(self._pipeline) + len(self._pending)

    @property
    def doing(self) -> str:
        """The first rung of the ladder that holds."""
        if self._pipeline.full:
            return f"waiting for room: {self._pipeline.full}"
        if self._scans or not self.coverage.is_complete:
            return "scanning"
        if len(self._pipeline):
            return "indexing"
        return "waiting for files to rest" if len(self._pending) else "idle"

    def rate(self) -> float:
        """Return how many photos a second the last commits wrote; 0 while nothing is indexed."""
        if not len(self._pipeline):
            return 0.0
        recent = [(when, photos) for when, photos in list(self._pipeline.recent) if when > time.monotonic() - 30]
        written = sum(photos for _, photos in recent[1:])
        return written / max(recent[-1][0] - recent[0][0], 1e-3) if written >= FEW else 0.0

    def counters(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self._pipeline.counters, "rescans": self._rescans}

    # The loop.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._thread.beat()
                self._turn()
                self._wake.wait(self._timeout())
                self._wake.clear()
            self._pipeline.finish()
        finally:
            self._ended = True
            for sync in (*self._syncs, *self._asked):
                sync.future.cancel()

    def _turn(self) -> None:
        while self._inbox:
            self._inbox.popleft()()
        while self._asked:
            self._begin_sync(self._asked.popleft())
        now = time.monotonic()
        for root, due in list(self._next_check.items()):
            if due <= now:
                self._check(root, due=True)
        for path in (*self._pending.take_due(now), *self._retries.take_due(now)):
            self._look_at(path)
        self._advance_scans()
        self._pipeline.advance(scanning=bool(self._scans))
        self._syncs = [sync for sync in self._syncs if not sync.conclude(now_ms(), self._failures_under)]

    def _timeout(self) -> float:
        """Return how long nothing needs to be done, in s, if nobody posts."""
        if self._inbox or self._asked or self._scans:
            return 0.0
        now = time.monotonic()
        due = [now + Thread.BEAT_S, *self._next_check.values()]
        due += [
            at
            for at in (self._pending.next_deadline(), self._retries.next_deadline(), self._pipeline.next_deadline())
            if at is not None
        ]
        due += [now + max(0, sync.until_ms - now_ms()) / 1000 for sync in self._syncs if sync.until_ms]
        return max(0.0, min(due) - now)

    # Roots and scans.

    def _check(self, root: str, *, due: bool = False) -> bool:
        """Look at a root; scan it if that is due, if it has come back, or if something was mounted there."""
        was = self._territory.is_online(root)
        if not self._territory.check(root):
            self.coverage.scanned(root)
            self._next_check[root] = time.monotonic() + OFFLINE_S
        elif due or not was or self._ground.get(root) != self._territory.ground(root):
            self._ground[root] = self._territory.ground(root)  # kept here, for others check in between
            self._follow(root)  # watched before it is scanned: what happens meanwhile is told
            self._next_check[root] = time.monotonic() + self._random.uniform(0.75, 1.25) * self._config.index.rescan_s
        return self._territory.is_online(root)

    def _follow(self, root: str) -> None:
        self.coverage.follow(root, lambda error: self.post(lambda: self._followed(root, error)))

    def _followed(self, root: str, error: BaseException | None) -> None:
        if error is not None:
            raise error
        if self.coverage.followed(root):
            self._follow(root)
            return
        self._rescan(root)
        if root in self.coverage.watch.unwatched() or self._territory.is_remote(root):
            self._next_check[root] = min(self._next_check[root], time.monotonic() + BLIND_S)

    def _rescan(self, root: str) -> None:
        if any(scan.sync is None and scan.top == root and not scan.has_begun for scan in self._scans):
            return  # one is about to look anyway: a storm of overflows costs two scans
        self._rescans += 1
        self._begin(root, None)

    def _begin_sync(self, sync: Sync) -> None:
        self._syncs.append(sync)
        for root in self._territory.roots:
            if sync.top and not self.is_seen(sync.top, root):
                continue
            if self._check(root):  # it may have come back just now
                self._begin(sync.top or root, sync)
            else:
                self._next_check[root] = min(self._next_check[root], time.monotonic() + OFFLINE_S)
                sync.leave_root(self._territory.root(root))

    def _begin(self, top: str, sync: Sync | None) -> None:
        if sync is not None:
            sync.scans += 1
        self._scans.append(_Running(top, self._scan.steps(top), sync))

    def _add_dirty(self, path: str) -> None:
        """Keep a dirty path, unless it is a file that is no photo: it would count as one that waits."""
        if self._config.is_photo(os.path.basename(path)) or not os.path.isfile(path):
            self._pending.add(path, time.monotonic())

    def _look_at(self, path: str) -> None:
        """Scan a dirty path, if the rules let anything there be seen."""
        root = self._territory.root_of(path)
        if root is None:
            return
        if not self._territory.is_online(root):
            for sync in self._syncs:
                sync.leave_root(self._territory.root(root), path)
        elif path == root:
            self._check(root)
        elif self.is_seen(path, root):
            self._begin(path, None)

    def is_seen(self, path: str, root: str) -> bool:
        """Return whether a scan of the root would come to `path`: no folder on the way is one that is left out."""
        return self._territory.root_of(path) == root and sees(self._config, root, path)

    def _advance_scans(self) -> None:
        until = time.monotonic() + SLICE_S
        while self._scans and time.monotonic() < until:
            running = self._scans[0]
            if not running.has_begun and running.top in self._territory.roots:
                self.coverage.sees(running.top)
            running.has_begun = True
            step = next(running.steps, None)
            if step is not None:
                self._take(step, running.sync)
                continue
            self._scans.popleft()
            self.coverage.scanned(running.top)
            if running.sync is not None:
                running.sync.scans -= 1
            elif running.top not in self._pipeline and running.top not in self._pending:
                self.settled(running.top)  # it went, or is in order again, before it could be opened

    def _take(self, step: Step, sync: Sync | None) -> None:
        if sync is not None and isinstance(step, (Look, Wait, Gone)):
            sync.wait_for(step.path)
        match step:
            case Look():
                self._pipeline.add(step.path, step.mtime_ns)
            case Wait():
                self._pending.add_at(step.path, time.monotonic() + step.rest_ns / 1e9)
            case Gone():
                self._pipeline.lose(step.path)
            case Blind():
                _log.warning("cannot see %s: %s; what is known of it is kept", step.path, step.reason)
                if (root := self._territory.root_of(step.path)) is not None:
                    self.coverage.cannot_see(root, step.path, step.reason)
                    if sync is not None:
                        sync.leave_root(self._territory.root(root, self.coverage.gaps()[root]))
            case Walked():
                if sync is not None:
                    sync.photos += step.photos

    # What the pipeline tells (pipeline.Owner).

    def look_at(self, path: str, due: float) -> None:
        """Look at `path` again when the monotonic clock says `due`."""
        self._pending.add_at(path, due)

    def try_again(self, path: str, due: float) -> None:
        """Look at `path`, which failed, again when the monotonic clock says `due`."""
        self._retries.add_at(path, due)

    def settled(self, path: str) -> None:
        """`path` has its outcome, durably."""
        for sync in self._syncs:
            sync.settle(path)

    def left_open(self, path: str) -> None:
        """`path` has no outcome now, because somebody writes to it."""
        for sync in self._syncs:
            sync.leave(path)

    def _failures_under(self, top: str) -> tuple[Failed, ...]:
        below = f"{top.rstrip('/')}/"
        found = self._store.failures(
            MOST,
            lambda path: self._territory.root_of(path) is not None and f"{path}/".startswith(below if top else "/"),
        )
        return tuple(Failed(os.fsencode(record.path), reason, record.retry_s) for record, reason in found)
