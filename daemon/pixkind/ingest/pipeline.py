"""The way of one photo from being found to being searchable.

It is opened, inspected, gets a strike, is encoded, looked at again, and committed; the package's docstring explains why.
Runs in the ingest thread. What the worker answers comes back through the inbox.
"""

import time
from collections import Counter, deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, assert_never

from pixkind.config import Config
from pixkind.encoder.deadlines import TooSlow
from pixkind.encoder.messages import Encoded, Inspected, Size
from pixkind.encoder.supervisor import Encoder, WorkerDied
from pixkind.errors import PhotoError
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.stamp import Stamp
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.committer import BATCH, Committed, Committer, DonePhoto
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.opening import (
    NothingThere,
    NotReadable,
    Opened,
    OpenOutcome,
    OpenQueue,
    OpenRefused,
    StillWritten,
    Unanswered,
)
from pixkind.ingest.purge import Purge
from pixkind.ingest.task import Loop, Pace, PhotoTask, failure_of, is_refused
from pixkind.storage.record import UNKNOWN
from pixkind.storage.store import Store
from pixkind.storage.thumbnails import ThumbnailCache
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone

INSPECTING: Final = 64  # photos in the worker to be inspected
ENCODING: Final = 32  # photos in the worker to be encoded: four of its batches, which take a second or two to be closed
STRIKES: Final = 5  # deaths of the worker that no photo is blamed for, before a photo waits
WAIT_S: Final = 86400
WRITTEN_S: Final = 30.0  # how often a file is tried that another process writes to, should its close be missed

_Result = TypeVar("_Result", Inspected, Encoded)


class Pipeline:
    """All photos that are on their way."""

    def __init__(
        self,
        config: Config,
        store: Store,
        encoder: Encoder,
        roots: WatchedRoots,
        purge: Purge,
        spaces: OpenSpaces,
        thumbnails: ThumbnailCache,
        *,
        inbox: Inbox,
        loop: Loop,
        pace: Pace,
    ) -> None:
        """Begin empty."""
        self._thumbnails = thumbnails
        self._rest_s = config.index.rest_s
        self._commit_s = pace.commit_s
        self._store = store
        self._spaces = spaces
        self._encoder = encoder
        self._roots = roots
        self._purge = purge
        self._inbox = inbox
        self._loop = loop
        self._open_queue = OpenQueue(config, roots, inbox, copies_mb=pace.copies_mb)
        self._active: set[str] = set()  # the paths of all photos between `add` and their commit
        self._reread: set[str] = set()  # those of them that are unchanged, and lack only their details
        self._suspects: Counter[str] = Counter()  # how often the worker died with them in it: they go alone
        self._slow: set[str] = set()  # the paths of photos that took too long: they go last, and get more time
        self._inspecting = self._in_worker = 0
        self._ready: deque[PhotoTask] = deque()  # inspected, to be encoded
        self._encoding: dict[bytes, PhotoTask] = {}  # by content: from being ready to being committed
        self._stopping = False
        self.counters: Counter[str] = Counter(encodes=0, inspects=0, commits=0)
        self.committer = Committer(config.rules, store, roots, loop, self.counters, pace)

    def __len__(self) -> int:
        return len(self._active)

    @property
    def reread(self) -> int:
        """How many of these photos can be found as they are: only their details are read."""
        return len(self._reread)

    def __contains__(self, path: str) -> bool:
        return path in self._active or self.committer.is_lost(path)

    def add(self, path: str, stamp: Stamp) -> None:
        """Add a photo that is new or has changed; the newest mtime goes first."""
        if path not in self._active:
            self._active.add(path)
            is_found = self._spaces.is_found(path, stamp.mtime_ns)
            if is_found and (record := self._store.record(path)) is not None and record.stamp == stamp:
                self._reread.add(path)
            tries = self._suspects[path] + (path in self._slow)
            self._open_queue.add(path, stamp.mtime_ns, tries, is_found=is_found)

    def recognise(self, found: PhotoFound) -> None:
        """Add a photo whose content is known, though it is new at its path: nothing of it is read."""
        if found.path not in self._active:
            self._active.add(found.path)
            self.committer.add(DonePhoto(found))

    def lose(self, path: str) -> None:
        """Note that no photo stands at `path` any more."""
        clock_s = self._purge.clock_s(self._roots.root_of(path) or "", int(time.time()))
        self.committer.lose(PhotoGone(path, clock_s))

    def advance(self, *, scanning: bool, is_throttled: bool) -> None:
        """Do what can be done now.

        Args:
            scanning: more photos may come, so that a commit can wait for them.
            is_throttled: no photo may be sent to the worker.
        """
        self._open_queue.close_if_due(self._store.folder, is_busy=len(self) > 0, is_throttled=is_throttled)
        for outcome in self._open_queue.advance(self._may_inspect):
            self._take(outcome)
        if self._commit_is_due(scanning=scanning):
            self._commit()
        if self._may_purge and not scanning and (delta := self._purge.turn()) is not None:
            self._loop.changed(delta)

    def next_deadline(self) -> float | None:
        """Return when, on the monotonic clock, `advance` has something to do though nothing has come."""
        due = [at for part in (self.committer, self._open_queue) if (at := part.deadline()) is not None]
        return min([*due, 0.0] if self._may_purge else due, default=None)

    @property
    def is_still(self) -> bool:
        """Whether the worker has no photo, and none waits for its commit."""
        return not (len(self.committer) or self._inspecting or self._in_worker)

    @property
    def _may_purge(self) -> bool:
        """Whether something is to be forgotten, and no photo is on its way that may rely on it."""
        return bool(self._purge) and self.is_still and not (self._active or self.committer.full)

    def finish(self) -> None:
        """Commit what is done; send nothing more to the worker."""
        self._stopping = True
        self._commit()

    def is_open(self, root: str) -> bool:
        """Return whether a photo of a root is open."""
        return self._open_queue.is_open(root)

    def ahead_of(self, path: str) -> int | None:
        """Return how many photos are opened before a photo; None: it does not wait to be opened."""
        return self._open_queue.ahead_of(path)

    # From the queue into the worker.

    def _may_inspect(self) -> bool:
        return self._inspecting < INSPECTING and len(self._ready) < BATCH and not self.committer.full

    def _take(self, outcome: OpenOutcome) -> None:
        match outcome:
            case Opened():
                self._inspect(PhotoTask(outcome.photo, outcome.root))
            case NothingThere():
                self._leave(outcome.path)
                self.lose(outcome.path)
            case StillWritten():
                self._put_back(outcome.path, WRITTEN_S)
                self._loop.left_open(outcome.path)
            case NotReadable():
                self._put_back(outcome.path)
            case Unanswered():
                self._put_back(outcome.path, WRITTEN_S)
                self._loop.recheck()  # it tells whether the whole root is silent
            case OpenRefused():
                failure = failure_of(outcome.path, outcome.stamp, UNKNOWN, outcome.reason, outcome.retry_s)
                self.committer.add(DonePhoto(failure))
            case _:
                assert_never(outcome)

    def _put_back(self, path: str, wait_s: float = 0.0) -> None:
        """Have a photo looked at again later."""
        self._leave(path)
        self._loop.look_at(path, time.monotonic() + wait_s)

    def _leave(self, path: str) -> None:
        self._active.discard(path)
        self._reread.discard(path)

    def _inspect(self, task: PhotoTask) -> None:
        self._inspecting += 1
        self.counters["inspects"] += 1
        is_slow = task.path in self._slow
        future = self._encoder.inspect(task.photo.descriptor, alone=task.path in self._suspects, is_patient=is_slow)
        future.add_done_callback(lambda done: self._inbox.post(partial(self._inspected, task, done)))

    def _inspected(self, task: PhotoTask, future: "Future[Inspected]") -> None:
        self._inspecting -= 1
        self._open_queue.rest(task.photo)  # until it is its turn to be encoded
        if (outcome := self._outcome(task, future)) is None:
            return
        task.learn(outcome)
        is_known = self._store.has_vector(task.content)
        # If none of its further pages has a vector, an older pixkind has indexed it.
        if is_known and (task.pages == 1 or any(map(self._store.has_vector, task.further_ids))):
            self._finish(task)
        elif not is_known and self._spaces.recognises(task.content, task.path, task.photo.stamp.mtime_ns):
            self._finish(task)  # queries find it at once; later it is encoded for the other space, as all others are
            self._loop.look_at(task.path, time.monotonic() + 2 * self._commit_s)
        elif task.content in self._encoding:
            self._encoding[task.content].twins.append(task)
        elif not (task.path in self._suspects or task.path in self._slow) and self._store.strikes(task.content):
            self._suspect(task)  # the worker died with it, and so did the daemon before it could learn more
        else:
            self._encoding[task.content] = task
            self._ready.append(task)

    def _encode(self, task: PhotoTask) -> None:
        self.counters["encodes"] += 1
        alone, is_slow = task.path in self._suspects, task.path in self._slow
        thumbnail = not task.page and self._thumbnails.wants(task.content)
        future = self._encoder.encode(
            task.photo.descriptor, alone=alone, is_patient=is_slow, thumbnail=thumbnail, page=task.page
        )
        future.add_done_callback(lambda done: self._inbox.post(partial(self._encoded, task, done)))

    def _encoded(self, task: PhotoTask, future: "Future[Encoded]") -> None:
        is_left_out = task.page > 0 and is_refused(future)  # a further page; the photo is found by the others
        if not is_left_out:
            if (outcome := self._outcome(task, future)) is None:
                self._in_worker -= 1
                self._open_queue.rest(task.photo)
                return
            if task.page:
                task.further[task.page] = outcome.vector
            else:
                task.vector, task.thumbnail = outcome.vector, outcome.thumbnail
                task.facts = replace(task.facts, look=outcome.look) if task.facts is not None else None
        task.page += 1
        if task.page == 1 and (other := self._spaces.beside(task.content)) is not None and not self._stopping:
            self._encode_beside(task, *other)
        else:
            self._go_on(task)

    def _go_on(self, task: PhotoTask) -> None:
        """Have the next page of a photo encoded, now or when photos may be opened again; after the last one, finish it."""
        if task.page < task.pages and not self._open_queue.is_closed and self._roots.is_read(task.root):
            self._encode(task)
            return
        self._in_worker -= 1
        self._open_queue.rest(task.photo)
        if task.page < task.pages:
            self._ready.appendleft(task)
        else:
            self._finish(task)

    def _encode_beside(self, task: PhotoTask, space: str, encoder: Encoder, *, alone: bool = False) -> None:
        """Have a new photo encoded for the space that answers, too; if that fails, queries find it after the switch."""
        self.counters["encodes_beside"] += not alone

        def encoded(future: "Future[Encoded]") -> None:
            if not alone and not future.cancelled() and isinstance(future.exception(), WorkerDied):
                self._encode_beside(task, space, encoder, alone=True)  # another photo may have killed the worker
                return
            with suppress(PhotoError, WorkerDied, CancelledError):
                task.beside[space] = future.result().vector
            self._go_on(task)

        future = encoder.encode(task.photo.descriptor, alone=alone)
        future.add_done_callback(lambda done: self._inbox.post(partial(encoded, done)))

    def _outcome(self, task: PhotoTask, future: "Future[_Result]") -> "_Result | None":
        """Return what the worker made of a photo; None if it failed, which is then dealt with."""
        try:
            return future.result()
        except TooSlow as error:
            if task.path in self._slow or task.path in self._suspects:
                self._finish(task, error.reason, int(time.time()) + WAIT_S)
            else:
                self._slow.update(one.path for one in (task, *task.twins))
                self._restart(task)
        except PhotoError as error:
            self._finish(task, error.reason)
        except WorkerDied as death:
            if death.blame:
                self._finish(task, death.blame, retry_s=0)  # however young: it must not kill the worker again
            elif max(self._store.strikes(task.content), self._suspects[task.path] + 1) >= STRIKES:
                reason = f"the worker died {STRIKES} times with it, for no reason that is known"
                self._finish(task, reason, int(time.time()) + WAIT_S)
            else:
                self._suspect(task)
        except CancelledError:
            pass  # the daemon stops; the photo's strike stays, which costs it a turn alone next time
        return None

    def _suspect(self, task: PhotoTask) -> None:
        self._suspects[task.path] += 1
        self._restart(task)

    def _restart(self, task: PhotoTask) -> None:
        """Put a photo back into the queue, at its place, with those that have waited for its vector."""
        if self._encoding.get(task.content) is task:
            del self._encoding[task.content]
        for one in (task, *task.twins):
            self._open_queue.release(one.photo)
            self._leave(one.path)
            self.add(one.path, one.photo.stamp)

    def _finish(self, task: PhotoTask, reason: str = "", retry_s: int | None = None) -> None:
        self._open_queue.release(task.photo)
        path, stamp = task.path, task.photo.stamp
        has_failed = bool(reason) and not task.page
        failure = failure_of(path, stamp, task.content, reason, retry_s, task.details) if has_failed else None
        self.committer.add(DonePhoto(failure or PhotoFound(path, stamp, task.content, task.details), task))

    # The commit.

    def _commit_is_due(self, *, scanning: bool) -> bool:
        if not self.committer.may_write():
            return False
        if self._ready and self._in_worker < ENCODING // 3 and not self._open_queue.is_closed:
            return True  # the next ones need their strikes
        may_open = bool(self._open_queue) and not self._open_queue.is_closed
        may_come = self._inspecting or self._in_worker or scanning or may_open
        return len(self.committer) > 0 and (not may_come or self.committer.is_late())

    def _commit(self) -> None:
        """Commit what is done, with the strikes of the next photos, and send these to be encoded."""
        acquitted = [task.content for task in self.committer.tasks() if task.content in self._encoding]
        if self._stopping:  # what the worker still has did not kill it
            acquitted = list(self._encoding)
        free = 0 if self._stopping or self._open_queue.is_closed else min(len(self._ready), ENCODING - self._in_worker)
        chosen: list[PhotoTask] = []

        def struck() -> list[bytes]:
            chosen.extend(task for task in [self._ready.popleft() for _ in range(free)] if self._reopen(task))
            return [task.content for task in chosen if not task.is_struck]

        committed = self.committer.commit(strikes=struck, acquitted=acquitted)
        if committed is None:
            self._ready.extendleft(reversed(chosen))
            for task in chosen:
                self._open_queue.rest(task.photo)
            return
        self._settle(committed)
        for task in chosen:
            task.is_struck = True
            if not task.vector:  # what the store had when it was inspected may have been forgotten since
                task.page = max(1, task.page) if self._store.has_vector(task.content) else 0
            self._in_worker += 1
            self._encode(task)

    def _reopen(self, task: PhotoTask) -> bool:
        """Open a photo that was inspected, to be encoded; if it has changed since, it starts again."""
        if (photo := self._open_queue.reopen(task.photo, task.root)) is None:
            self._restart(task)
            return False
        task.photo = photo
        return True

    def _settle(self, committed: Committed) -> None:
        """Tell the loop which photos are through; have a second look at those that have changed or cannot be seen."""
        for done in committed.done:
            if done.task is not None:
                self._encoding.pop(done.task.content, None)
                if done.task.thumbnail and done.change.path not in committed.again:
                    self._thumbnails.put(done.task.content, Size.S, done.task.thumbnail, in_passing=True)
        for path in committed.paths:
            self._leave(path)
            if path in committed.again:
                self._loop.look_at(path, time.monotonic() + self._rest_s)
                continue
            del self._suspects[path]
            self._slow.discard(path)
            self._loop.settled(path)
        for done in committed.done:
            for twin in done.task.twins if done.task is not None else ():
                self._settle_twin(twin, done.change, is_written=done.change.path not in committed.again)

    def _settle_twin(self, twin: PhotoTask, change: PhotoFound | PhotoFailed, *, is_written: bool) -> None:
        """Go on with a photo that waited for the vector of another one with the same content."""
        if self._store.has_vector(twin.content):
            self._finish(twin)
        elif isinstance(change, PhotoFailed) and is_written:
            self._open_queue.release(twin.photo)
            failure = replace(change, path=twin.path, stamp=twin.photo.stamp, details=twin.details)
            self.committer.add(DonePhoto(failure, twin))
        else:
            self._restart(twin)
