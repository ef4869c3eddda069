"""The way of one photo from being found to being searchable: opened, inspected, struck, encoded, looked at again, committed.

Runs in the ingest thread, which owns it; the worker's outcomes come back through the inbox.
"""

import logging
import time
from collections import Counter, deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar, assert_never

from pixkind.config import Config
from pixkind.encoder.messages import Encoded, Inspected
from pixkind.encoder.supervisor import Encoder, WorkerDied
from pixkind.errors import PhotoError
from pixkind.fs.interface import is_unchanged
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.stamp import Stamp
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.committer import Committer
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
from pixkind.ingest.task import Loop, PhotoTask, failure_of
from pixkind.storage.record import UNKNOWN, Facts
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch
from pixkind.watching.scan import stands

_log = logging.getLogger(__name__)

BATCH: Final = 64  # photos of one durable commit: it costs a few ms, they cost most of a second
FAST_S: Final = 0.25  # between two commits while photos come faster, for nothing is encoded, up to four times as many
COMMIT_S: Final = 1.0  # a finished photo waits no longer for its commit
INSPECTING: Final = 64  # photos in the worker to be inspected
ENCODING: Final = 32  # photos in the worker to be encoded: four of its batches, which are closed in a second or two
STRIKES: Final = 5  # deaths of the worker that nobody is blamed for, before a photo waits
WAIT_S: Final = 86400
WRITTEN_S: Final = 30.0  # how often a file that somebody writes to is tried, should its close be missed

_Result = TypeVar("_Result", Inspected, Encoded)
_Done = list[tuple[PhotoTask | None, PhotoFound | PhotoFailed]]  # None: it was not opened


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
        *,
        inbox: Inbox,
        loop: Loop,
    ) -> None:
        """Begin empty."""
        self._config, self._store = config, store
        self._spaces = spaces
        self._encoder = encoder
        self._roots = roots
        self._purge = purge
        self._inbox = inbox
        self._loop = loop
        self._open_queue = OpenQueue(config, roots, inbox)
        self._active: set[str] = set()  # in the intake or on a visit
        self._suspects: Counter[str] = Counter()  # how often the worker died with them in it: they go alone
        self._inspecting = self._in_worker = 0
        self._ready: deque[PhotoTask] = deque()  # inspected, to be encoded
        self._encoding: dict[bytes, PhotoTask] = {}  # by content: from being ready to being committed
        self._done: _Done = []
        self._lost: dict[str, PhotoGone] = {}
        self._done_since, self._stopping = 0.0, False
        self.counters: Counter[str] = Counter(encodes=0, inspects=0, commits=0)
        self.commits = Committer(store, loop, self.counters)

    def __len__(self) -> int:
        return len(self._active)

    def __contains__(self, path: str) -> bool:
        return path in self._active or path in self._lost

    def add(self, path: str, stamp: Stamp) -> None:
        """Take in a photo that is new or has changed; the newest mtime goes first."""
        if path not in self._active:
            self._active.add(path)
            is_found = self._spaces.is_found(path, stamp.mtime_ns)
            self._open_queue.add(path, stamp, self._suspects[path], is_found=is_found)

    def recognise(self, found: PhotoFound) -> None:
        """Take in a photo whose content is known, though it is new at its path: nothing of it is read."""
        if found.path not in self._active:
            self._active.add(found.path)
            self._mark_done()
            self._done.append((None, found))

    def lose(self, path: str) -> None:
        """Take in that no photo stands at `path` any more."""
        self._mark_done()
        self._lost[path] = PhotoGone(path, self._purge.clock_s(self._roots.root_of(path) or "", int(time.time())))

    def has_room(self) -> bool:
        """Return whether more may come before a commit: LMDB keeps the memory of its largest transaction for ever."""
        return len(self._done) + len(self._lost) < 4 * BATCH or bool(self.commits.full)

    def advance(self, *, scanning: bool, held: bool = False) -> None:
        """Do what can be done now. `scanning`: more may come, so that a commit can wait for it; `held`: send no photo."""
        self._open_queue.close_if_due(self._store.folder, is_busy=len(self) > 0, is_throttled=held)
        for outcome in self._open_queue.advance(self._may_inspect):
            self._take(outcome)
        if self._commit_is_due(scanning=scanning):
            self._commit()
        if self._may_purge and not scanning and (delta := self._purge.turn()) is not None:
            self._loop.changed(delta)

    def next_deadline(self) -> float | None:
        """Return when, on the monotonic clock, `advance` has something to do though nothing has come."""
        due = (
            [max(self._done_since + COMMIT_S, self.commits.full_until)]
            if self._done or self._lost or self.commits.full
            else []
        )
        due += [over] if (over := self._open_queue.deadline()) is not None else []
        due += [0.0] if self._may_purge else []
        return min(due, default=None)

    @property
    def is_still(self) -> bool:
        """Whether the worker has no photo, and none waits for its commit."""
        return not (self._lost or self._done or self._inspecting or self._in_worker)

    @property
    def _may_purge(self) -> bool:
        """Whether something is to be forgotten, and no photo is on its way that may rely on it."""
        return bool(self._purge) and self.is_still and not (self._active or self.commits.full)

    def finish(self) -> None:
        """Commit what is done; send nothing more to the worker."""
        self._stopping = True
        self._commit()

    def is_open(self, root: str) -> bool:
        """Return whether a photo of a root is open."""
        return self._open_queue.is_open(root)

    def _may_inspect(self) -> bool:
        return self._inspecting < INSPECTING and len(self._ready) < BATCH and not self.commits.full

    def _take(self, outcome: OpenOutcome) -> None:
        match outcome:
            case Opened():
                self._inspect(PhotoTask(outcome.photo, outcome.root))
            case NothingThere():
                self._active.discard(outcome.path)
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
                self._mark_done()
                failure = failure_of(outcome.path, outcome.stamp, UNKNOWN, outcome.reason, outcome.retry_s)
                self._done.append((None, failure))
            case _:
                assert_never(outcome)

    def _put_back(self, path: str, wait_s: float = 0.0) -> None:
        """Have a photo looked at again later."""
        self._active.discard(path)
        self._loop.look_at(path, time.monotonic() + wait_s)

    def _inspect(self, task: PhotoTask) -> None:
        self._inspecting += 1
        self.counters["inspects"] += 1
        future = self._encoder.inspect(task.photo.descriptor, alone=task.path in self._suspects)
        future.add_done_callback(lambda done: self._inbox.post(partial(self._inspected, task, done)))

    def _inspected(self, task: PhotoTask, future: "Future[Inspected]") -> None:
        self._inspecting -= 1
        self._open_queue.rest(task.photo)  # until it is its turn to be encoded
        if (outcome := self._outcome(task, future)) is None:
            return
        task.content = outcome.content
        task.facts = Facts(outcome.width, outcome.height, outcome.taken_s, outcome.camera)
        if self._store.has_vector(task.content):
            self._finish(task)
        elif self._spaces.recognises(task.content, task.path, task.photo.stamp.mtime_ns):
            self._finish(task)  # what answers finds it at once; then it is encoded anew, as the others
            self._loop.look_at(task.path, time.monotonic() + 2 * COMMIT_S)
        elif task.content in self._encoding:
            self._encoding[task.content].twins.append(task)
        elif task.path not in self._suspects and self._store.strikes(task.content):
            self._suspect(task)  # the worker died with it, and so did the daemon before it could learn more
        else:
            self._encoding[task.content] = task
            self._ready.append(task)

    def _encode(self, task: PhotoTask) -> None:
        self._in_worker += 1
        self.counters["encodes"] += 1
        future = self._encoder.encode(task.photo.descriptor, alone=task.path in self._suspects)
        future.add_done_callback(lambda done: self._inbox.post(partial(self._encoded, task, done)))

    def _encoded(self, task: PhotoTask, future: "Future[Encoded]") -> None:
        if (outcome := self._outcome(task, future)) is not None:
            task.vector = outcome.vector
            if (other := self._spaces.beside(task.content)) is not None and not self._stopping:
                self._encode_beside(task, *other)
                return
        self._in_worker -= 1
        self._open_queue.rest(task.photo)
        if outcome is not None:
            self._finish(task)

    def _encode_beside(self, task: PhotoTask, space: str, encoder: Encoder, *, alone: bool = False) -> None:
        """Have a photo that is new encoded for the space that answers, too; if that is no good, it waits for the other."""
        self.counters["encodes_beside"] += not alone

        def encoded(future: "Future[Encoded]") -> None:
            if not alone and not future.cancelled() and isinstance(future.exception(), WorkerDied):
                self._encode_beside(task, space, encoder, alone=True)  # it may have died of another
                return
            self._in_worker -= 1
            self._open_queue.rest(task.photo)
            with suppress(PhotoError, WorkerDied, CancelledError):
                task.beside[space] = future.result().vector
            self._finish(task)

        future = encoder.encode(task.photo.descriptor, alone=alone)
        future.add_done_callback(lambda done: self._inbox.post(partial(encoded, done)))

    def _outcome(self, task: PhotoTask, future: "Future[_Result]") -> "_Result | None":
        """Return what the worker made of a photo; None if that was no good, which is then dealt with."""
        try:
            return future.result()
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
            pass  # the daemon stops; its strike stays, which costs it a turn alone next time
        return None

    def _suspect(self, task: PhotoTask) -> None:
        self._suspects[task.path] += 1
        self._again(task)

    def _again(self, task: PhotoTask) -> None:
        """Begin anew with a photo, at its place in the queue, and with those that have waited for its vector."""
        if self._encoding.get(task.content) is task:
            del self._encoding[task.content]
        for one in (task, *task.twins):
            self._open_queue.release(one.photo)
            self._active.discard(one.path)
            self.add(one.path, one.photo.stamp)

    def _finish(self, task: PhotoTask, reason: str = "", retry_s: int | None = None) -> None:
        self._mark_done()
        self._open_queue.release(task.photo)
        path, stamp = task.path, task.photo.stamp
        failure = failure_of(path, stamp, task.content, reason, retry_s) if reason else None
        self._done.append((task, failure or PhotoFound(path, stamp, task.content)))

    def _mark_done(self) -> None:
        if not self._done and not self._lost:
            self._done_since = time.monotonic()

    # The commit.

    def _commit_is_due(self, *, scanning: bool) -> bool:
        if (now := time.monotonic()) < self.commits.full_until:
            return False
        if self._ready and self._in_worker < ENCODING // 3 and not self._open_queue.is_closed:
            return True  # the next ones need their strikes
        waiting = len(self._done) + len(self._lost)
        more = self._inspecting or self._in_worker or scanning or (self._open_queue and not self._open_queue.is_closed)
        is_late = now >= self._done_since + (FAST_S if waiting >= BATCH else COMMIT_S) or not self.has_room()
        return waiting > 0 and (not more or is_late)

    def _commit(self) -> None:
        """Look again at what is done, write it in one transaction, and send the next photos to be encoded."""
        done, self._done = self._done, []
        lost, self._lost = self._lost, {}
        online = self._confirmed({*lost, *(change.path for _, change in done)})
        again = {
            path
            for path in lost
            if (root := self._roots.root_of(path)) is None
            or root not in online
            or stands(self._roots.file_system(path), self._config, root, path)
        }
        batch = WriteBatch(photos=[loss for path, loss in lost.items() if path not in again])
        for task, change in done:
            is_there, file_system = self._roots.root_of(change.path) in online, self._roots.file_system(change.path)
            if not is_there or (task is not None and not is_unchanged(file_system, task.photo)):
                again.add(change.path)
                continue
            batch.photos.append(change)
            if task is not None and isinstance(change, PhotoFound) and task.facts is not None:
                batch.contents[task.content] = task.facts
                batch.take(task.content, task.vector, task.beside)
        batch.acquitted = [task.content for task, _ in done if task is not None and task.content in self._encoding]
        if self._stopping:  # what the worker still has did not kill it
            batch.acquitted = list(self._encoding)
        free = 0 if self._stopping or self._open_queue.is_closed else min(len(self._ready), ENCODING - self._in_worker)
        chosen = [task for task in [self._ready.popleft() for _ in range(free)] if self._reopen(task)]
        batch.strikes = [task.content for task in chosen]
        if batch and not self.commits.write(batch):
            self._done, self._lost = done, lost
            self._ready.extendleft(reversed(chosen))
            for task in chosen:
                self._open_queue.rest(task.photo)
            return
        self._settle(done, again, lost)
        for task in chosen:
            self._encode(task)

    def _reopen(self, task: PhotoTask) -> bool:
        """Open a photo that was inspected, to be encoded; if it has changed since, it begins anew."""
        if (photo := self._open_queue.reopen(task.photo, task.root)) is None:
            self._again(task)
            return False
        task.photo = photo
        return True

    def _confirmed(self, paths: set[str]) -> set[str | None]:
        """Return those roots of `paths` whose drive is there right now: of all others nothing is believed."""
        roots = {root for path in paths if (root := self._roots.root_of(path)) is not None}
        online = {root for root in roots if self._roots.is_online(root) and self._roots.check(root)}
        if online != roots:
            self._loop.recheck()
        return {*online}

    def _settle(self, done: _Done, again: set[str], lost: dict[str, PhotoGone]) -> None:
        """Tell the syncs what has its outcome; begin anew with what changed meanwhile, or stands where nobody can see it."""
        for one in (task for task, _ in done if task is not None):
            self._encoding.pop(one.content, None)
        for path in (*lost, *(change.path for _, change in done)):
            self._active.discard(path)
            if path in again:
                self._loop.look_at(path, time.monotonic() + self._config.index.rest_s)
                continue
            del self._suspects[path]
            self._loop.settled(path)
        for task, change in done:
            for twin in task.twins if task is not None else ():
                if self._store.has_vector(twin.content):
                    self._finish(twin)
                elif isinstance(change, PhotoFailed) and change.path not in again:
                    self._mark_done()
                    self._open_queue.release(twin.photo)
                    self._done.append((twin, replace(change, path=twin.path, stamp=twin.photo.stamp)))
                else:
                    self._again(twin)
