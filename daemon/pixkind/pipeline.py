"""The way of one photo from being found to being searchable: opened, inspected, struck, encoded, looked at again, committed.

Runs in the ingest thread, which owns it; the worker's outcomes come back through the owner's inbox.
"""

import functools
import heapq
import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from pixkind.batch import Batch, Failed, Found, Lost
from pixkind.census import Census
from pixkind.config import Config
from pixkind.encoder import Encoder, WorkerDied
from pixkind.errors import PhotoError
from pixkind.handle import StillOpen, Vanished, open_photo
from pixkind.index import Index
from pixkind.job import Encoded, Inspected
from pixkind.photo import Stamp
from pixkind.record import UNKNOWN, Facts
from pixkind.store import Store, StoreFull
from pixkind.territory import Territory
from pixkind.visit import Visit, next_try

_log = logging.getLogger(__name__)

BATCH: Final = 64  # photos of one durable commit: it costs a few ms, they cost most of a second
COMMIT_S: Final = 1.0  # a finished photo waits no longer for its commit
INSPECTING: Final = 64  # photos in the worker to be inspected
ENCODING: Final = 96  # photos in the worker to be encoded; with those above the most descriptors that are open
OPEN_S: Final = 30.0  # how often a file that somebody writes to is tried, should its close be missed
STRIKES: Final = 5  # deaths of the worker that nobody is blamed for, before a photo waits
WAIT_S: Final = 86400
FULL_S: Final = 10.0  # how often a commit is tried while there is no room for it

_Result = TypeVar("_Result", Inspected, Encoded)


class Owner(Protocol):
    """What the pipeline needs of the ingest loop. All but `post` are called in its thread only."""

    def post(self, action: Callable[[], None]) -> None:
        """Have `action` called in the ingest thread; from any thread."""

    def look_at(self, path: str, due: float) -> None:
        """Have `path` looked at again when the monotonic clock says `due`; until then it is pending."""

    def try_again(self, path: str, due: float) -> None:
        """Have `path`, which failed, looked at again when the monotonic clock says `due`."""

    def settled(self, path: str) -> None:
        """`path` has its outcome, durably."""

    def left_open(self, path: str) -> None:
        """`path` has no outcome now, because somebody writes to it."""

    def recheck(self) -> None:
        """A root is not what it was."""


class Pipeline:
    """All photos that are on their way."""

    def __init__(
        self,
        config: Config,
        store: Store,
        index: Index,
        encoder: Encoder,
        territory: Territory,
        census: Census,
        owner: Owner,
    ) -> None:
        """Begin empty."""
        self._config = config
        self._store = store
        self._index = index
        self._encoder = encoder
        self._territory = territory
        self._census = census
        self._owner = owner
        self._backlog: list[tuple[int, int, str]] = []  # heap: suspects last, newest first
        self._active: set[str] = set()  # in the backlog or on a visit
        self._suspects: Counter[str] = Counter()  # how often the worker died with them in it: they go alone
        self._inspecting = 0
        self._ready: deque[Visit] = deque()  # inspected, to be encoded
        self._encoding: dict[bytes, Visit] = {}  # by content: from being ready to being committed
        self._in_worker = 0
        self._done: list[tuple[Visit | None, Found | Failed]] = []  # None: it could not even be opened
        self._lost: dict[str, Lost] = {}
        self._done_since = 0.0
        self._stopping = False
        self.full = ""  # why nothing can be stored now
        self._full_until = 0.0
        self.counters: Counter[str] = Counter(encodes=0, inspects=0, commits=0)
        self.recent: deque[tuple[float, int]] = deque(maxlen=64)  # (when, photos) of the last commits, for the rate

    def __len__(self) -> int:
        return len(self._active)

    def add(self, path: str, mtime_ns: int) -> None:
        """Take in a photo that is new or has changed; the newest mtime goes first."""
        if path not in self._active:
            self._active.add(path)
            heapq.heappush(self._backlog, (self._suspects[path], -mtime_ns, path))

    def lose(self, path: str) -> None:
        """Take in that no photo stands at `path` any more."""
        self._mark_done()
        self._lost[path] = Lost(path, int(time.time()))

    def advance(self, *, scanning: bool) -> None:
        """Do what can be done now. `scanning`: more may come, so that a commit can wait for it."""
        while self._backlog and self._inspecting < INSPECTING and len(self._ready) < BATCH and not self.full:
            _, _, path = heapq.heappop(self._backlog)
            self._open(path)
        if self._commit_is_due(scanning=scanning):
            self._commit()

    def next_deadline(self) -> float | None:
        """Return when, on the monotonic clock, `advance` has something to do though nothing has come."""
        return max(self._done_since + COMMIT_S, self._full_until) if self._done or self._lost or self.full else None

    def finish(self) -> None:
        """Commit what is done; send nothing more to the worker."""
        self._stopping = True
        self._commit()

    def _open(self, path: str) -> None:
        quiet_ns = int(2 * self._config.index.rest_s * 1e9)
        try:
            handle = open_photo(path, limit_mb=self._config.decode.limit_mb, quiet_ns=quiet_ns, now_ns=time.time_ns())
        except Vanished:
            self._active.discard(path)
            self.lose(path)
        except StillOpen:
            self._active.discard(path)
            self._owner.look_at(path, time.monotonic() + OPEN_S)
            self._owner.left_open(path)
        except PhotoError as error:
            # Of a sick disk, or a folder that is not ours, the file itself will not tell when it can be read again.
            self._fail_unopened(path, error.reason, int(time.time()) + WAIT_S if error.__cause__ else None)
        else:
            self._inspect(Visit(handle))

    def _fail_unopened(self, path: str, reason: str, retry_s: int | None) -> None:
        try:
            stamp = Stamp.of(os.lstat(path))
        except OSError:
            self._active.discard(path)
            self.lose(path)
            return
        self._mark_done()
        self._done.append((None, self._failure(path, stamp, UNKNOWN, reason, retry_s)))

    def _inspect(self, visit: Visit) -> None:
        self._inspecting += 1
        self.counters["inspects"] += 1
        future = self._encoder.inspect(visit.handle.descriptor, alone=visit.path in self._suspects)
        future.add_done_callback(lambda done: self._owner.post(functools.partial(self._inspected, visit, done)))

    def _inspected(self, visit: Visit, future: "Future[Inspected]") -> None:
        self._inspecting -= 1
        if (outcome := self._outcome(visit, future)) is None:
            return
        visit.content = outcome.content
        visit.facts = Facts(outcome.width, outcome.height, outcome.taken_s, outcome.camera)
        if self._store.has_vector(visit.content):
            self._finish(visit)
        elif visit.content in self._encoding:
            self._encoding[visit.content].twins.append(visit)
        elif visit.path not in self._suspects and self._store.strikes(visit.content):
            self._suspect(visit)  # the worker died with it, and so did the daemon before it could learn more
        else:
            self._encoding[visit.content] = visit
            self._ready.append(visit)

    def _encode(self, visit: Visit) -> None:
        self._in_worker += 1
        self.counters["encodes"] += 1
        future = self._encoder.encode(visit.handle.descriptor, alone=visit.path in self._suspects)
        future.add_done_callback(lambda done: self._owner.post(functools.partial(self._encoded, visit, done)))

    def _encoded(self, visit: Visit, future: "Future[Encoded]") -> None:
        self._in_worker -= 1
        if (outcome := self._outcome(visit, future)) is not None:
            visit.vector = outcome.vector
            self._finish(visit)

    def _outcome(self, visit: Visit, future: "Future[_Result]") -> "_Result | None":
        """Return what the worker made of a photo; None if that was no good, which is then dealt with."""
        try:
            return future.result()
        except PhotoError as error:
            self._finish(visit, error.reason)
        except WorkerDied as death:
            if death.blame:
                self._finish(visit, death.blame, retry_s=0)  # however young: it must not kill the worker again
            elif max(self._store.strikes(visit.content), self._suspects[visit.path] + 1) >= STRIKES:
                self._finish(
                    visit,
                    f"the worker died {STRIKES} times with it, for no reason that is known",
                    int(time.time()) + WAIT_S,
                )
            else:
                self._suspect(visit)
        except CancelledError:  # the daemon stops; its strike stays, which costs it a turn alone next time
            visit.handle.close()
        return None

    def _suspect(self, visit: Visit) -> None:
        self._suspects[visit.path] += 1
        self._again(visit)

    def _again(self, visit: Visit) -> None:
        """Begin anew with a photo, at its place in the queue, and with those that have waited for its vector."""
        if self._encoding.get(visit.content) is visit:
            del self._encoding[visit.content]
        for one in (visit, *visit.twins):
            one.handle.close()
            self._active.discard(one.path)
            self.add(one.path, one.handle.stamp.mtime_ns)

    def _finish(self, visit: Visit, reason: str = "", retry_s: int | None = None) -> None:
        self._mark_done()
        path, stamp = visit.path, visit.handle.stamp
        if reason:
            self._done.append((visit, self._failure(path, stamp, visit.content, reason, retry_s)))
        else:
            self._done.append((visit, Found(path, stamp, visit.content)))

    def _failure(self, path: str, stamp: Stamp, content: bytes, reason: str, retry_s: int | None) -> Failed:
        if retry_s is None:
            retry_s = next_try(stamp.ctime_ns // 1_000_000_000, int(time.time()))
        return Failed(path, stamp, content, reason, retry_s)

    def _mark_done(self) -> None:
        if not self._done and not self._lost:
            self._done_since = time.monotonic()

    # The commit.

    def _commit_is_due(self, *, scanning: bool) -> bool:
        if time.monotonic() < self._full_until:
            return False
        if self._ready and self._in_worker < ENCODING // 3:
            return True  # the next ones need their strikes
        waiting = len(self._done) + len(self._lost)
        nothing_else = not (self._inspecting or self._in_worker or scanning or self._backlog)
        return waiting >= BATCH or (waiting > 0 and (nothing_else or time.monotonic() - self._done_since >= COMMIT_S))

    def _commit(self) -> None:
        """Look again at what is done, write it in one transaction, and send the next photos to be encoded."""
        done, self._done = self._done, []
        lost, self._lost = self._lost, {}
        online = self._confirmed({*lost, *(change.path for _, change in done)})
        batch = Batch(photos=[loss for path, loss in lost.items() if self._territory.root_of(path) in online])
        again = {path for path in lost if self._territory.root_of(path) not in online}
        for visit, change in done:
            is_there = self._territory.root_of(change.path) in online
            if not is_there or (visit is not None and not visit.handle.unchanged()):
                again.add(change.path)
                continue
            batch.photos.append(change)
            if visit is not None and isinstance(change, Found) and visit.facts is not None:
                batch.contents[visit.content] = visit.facts
                if visit.vector:
                    batch.vectors[visit.content] = visit.vector
        batch.acquitted = [visit.content for visit, _ in done if visit is not None and visit.content in self._encoding]
        if self._stopping:  # what the worker still has did not kill it
            batch.acquitted = list(self._encoding)
        chosen = [self._ready.popleft() for _ in range(min(len(self._ready), ENCODING - self._in_worker))]
        batch.strikes = [] if self._stopping else [visit.content for visit in chosen]
        if batch and not self._write(batch):
            self._done, self._lost = done, lost
            self._ready.extendleft(reversed(chosen))
            return
        self._settle(done, again, lost)
        for visit in chosen:
            if self._stopping:
                visit.handle.close()
            else:
                self._encode(visit)

    def _confirmed(self, paths: set[str]) -> set[str | None]:
        """Return those roots of `paths` whose drive is there right now: of all others nothing is believed."""
        roots = {root for path in paths if (root := self._territory.root_of(path)) is not None}
        online = {root for root in roots if self._territory.is_online(root) and self._territory.check(root)}
        if online != roots:
            self._owner.recheck()
        return {*online}

    def _write(self, batch: Batch) -> bool:
        """Commit, and tell index and census; return False, and try again later, if there is no room."""
        try:
            delta = self._store.commit(batch)
        except StoreFull as error:
            if not self.full:
                _log.error(
                    "nothing can be stored: %s; queries go on, and it is tried again every %.0f s", error, FULL_S
                )
            self.full, self._full_until = str(error), time.monotonic() + FULL_S
            return False
        self.full, self._full_until = "", 0.0
        self._index.apply(delta)
        self._census.apply(delta)
        self.counters["commits"] += 1
        now = time.monotonic()
        self.recent.append((now, len(batch.photos)))
        for change in batch.photos:
            if isinstance(change, Failed):
                _log.info("failed %s: %s", change.path, change.reason)
                if change.retry_s:
                    self._owner.try_again(change.path, now + max(0.0, change.retry_s + 1 - time.time()))
        return True

    def _settle(
        self, done: "list[tuple[Visit | None, Found | Failed]]", again: set[str], lost: dict[str, Lost]
    ) -> None:
        """Tell the syncs what has its outcome; begin anew with what changed meanwhile, or stands where nobody can see it."""
        for visit, _ in done:
            if visit is not None:
                visit.handle.close()
                self._encoding.pop(visit.content, None)
        for path in (*lost, *(change.path for _, change in done)):
            self._active.discard(path)
            if path in again:
                self._owner.look_at(path, time.monotonic() + self._config.index.rest_s)
                continue
            del self._suspects[path]
            self._owner.settled(path)
        for visit, change in done:
            for twin in visit.twins if visit is not None else ():
                if self._store.has_vector(twin.content):
                    self._finish(twin)
                elif isinstance(change, Failed) and change.path not in again:
                    self._mark_done()
                    self._done.append((twin, replace(change, path=twin.path, stamp=twin.handle.stamp)))
                else:
                    self._again(twin)
