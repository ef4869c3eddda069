"""The loop of the ingest thread. It knows the order of the stages: dirty, rested, scanned, then the pipeline.

Its thread is the only one that scans local roots and the only one that writes the store. Other threads put what they want
into its inbox; nothing else is shared.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final

from pixkin.protocol.replies import Synced
from pixkin.protocol.requests import now_ms
from pixkind.config import Config
from pixkind.encoder.supervisor import Encoder
from pixkind.fs.roots import WatchedRoots
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.accepting import accept_drive
from pixkind.ingest.committer import drop_rotten_vectors
from pixkind.ingest.counts import FailedPhotos, PhotoCounts
from pixkind.ingest.dirty import DirtyPaths, other_names
from pixkind.ingest.inbox import DirtyPath, Inbox, LostEvents, Message, RottenVectors
from pixkind.ingest.pipeline import Pipeline
from pixkind.ingest.purge import Purge
from pixkind.ingest.task import Pace
from pixkind.ingest.throttle import Throttle, clock
from pixkind.ingest.waiting import WaitingPlaces
from pixkind.ingest.wipe import Wipe
from pixkind.storage.store import Store
from pixkind.storage.thumbnails import ThumbnailCache
from pixkind.storage.write_batch import CommitDelta, PhotoFound
from pixkind.system.threads import ServiceThread
from pixkind.watching.coverage import Coverage
from pixkind.watching.root_monitor import RootMonitor
from pixkind.watching.scan import Changed, FolderDone, Gone, Moved, Scan, Step, TooYoung, Unreadable
from pixkind.watching.scan_queue import ScanQueue
from pixkind.watching.sync import MOST, PauseRequest, SyncRequest, Syncs

_log = logging.getLogger(__name__)

PAUSE_S: Final = 0.1  # how often a pause checks whether queries have closed the photos that they had open


class IngestLoop:
    """The loop, and what it reports of itself."""

    def __init__(
        self,
        config: Config,
        store: Store,
        spaces: OpenSpaces,
        encoder: Encoder,
        roots: WatchedRoots,
        counts: PhotoCounts,
        purge: Purge,
        *,
        failed: FailedPhotos,
        inbox: Inbox,
        coverage: Coverage,
        throttle: Throttle,
        is_asked_about: Callable[[str], bool],
        pace: Pace,
        thumbnails: ThumbnailCache,
    ) -> None:
        """Prepare; nothing is touched before `start`.

        Args:
            config: the settings of this run.
            store: is written by the thread of this loop alone.
            spaces: the one that is filled and the one that answers.
            encoder: of the space that is filled.
            roots: the watched folders.
            counts: is told when the store has changed.
            purge: forgets photos that have been gone for too long.
            failed: the photos that failed.
            inbox: what other threads ask of the loop.
            coverage: how much of the roots is seen.
            throttle: whether photos may be sent to the worker now.
            is_asked_about: whether a query has a photo of a root open.
            pace: how long a finished photo waits for its commit, and how much memory copies take.
            thumbnails: those that are kept.
        """
        self._rules = config.rules
        self._store = store
        self._spaces = spaces
        self._counts = counts
        self._roots = roots
        self._purge = purge
        self._thread = ServiceThread("ingest", self._run)
        self._inbox = inbox
        self._commit_s = pace.commit_s
        self._stopping = False
        self.coverage = coverage
        self.throttle = throttle
        self._is_asked_about = is_asked_about
        self.wipe = Wipe(store, spaces, purge, inbox, self.changed, thumbnails)
        self._dirty = DirtyPaths(config.rules, roots, config.index.rest_s)
        self._syncs = Syncs()
        self.has_ended = False  # nothing is written to the store any more
        parts = (config, store, encoder, roots, purge, spaces, thumbnails)
        self._pipeline = Pipeline(*parts, inbox=inbox, loop=self, pace=pace)
        self.note_look = self._pipeline.committer.note_look
        rest_ns = int(config.index.rest_s * 1e9)
        reach = (roots.root_of, roots.is_second_name, roots.exclusions)
        scan = Scan(store, self._rules, roots.file_system, time.time_ns, rest_ns, *reach)
        self.nothing_at = scan.nothing_at
        has_room = self._pipeline.committer.has_room
        self._scanning = ScanQueue(scan, self.coverage, take=self._take, ended=self._scanned, has_room=has_room)
        self.waiting_places = WaitingPlaces(inbox, self._dirty, self._pipeline, self._scanning, throttle)
        every_s, rescan = config.index.rescan_s, self._scanning.rescan
        self._root_monitor = RootMonitor(roots, self.coverage, every_s, post=inbox.post, scan=rescan)
        self._failures = partial(failed.named, store)
        self._pauses: list[PauseRequest] = []

    # A service.

    def start(self) -> None:
        """Start the thread; its first turn scans every root."""
        for record, _ in self._store.failures(MOST):
            if record.retry_s:
                self._dirty.try_again(record.path, time.monotonic() + max(0.0, record.retry_s + 1 - time.time()))
        self._thread.start()

    def stop(self) -> None:
        """Finish what was encoded, commit it, and end the thread."""
        self._stopping = True
        self._inbox.wake()
        self._thread.join(4)
        self._inbox.end()  # the thread may hang on a drive, and cannot do that itself
        self._roots.close()  # a thread that still waits for a share gets no answer

    def failure(self) -> BaseException | None:
        """Return what the thread died of."""
        return self._thread.failure

    def beat(self) -> int:
        """Return how often the loop has turned."""
        return self._thread.beats

    def recheck(self) -> None:
        """Check every root: a drive may have come or gone."""
        for root in self._roots.paths:
            self._inbox.post(partial(self._root_monitor.check, root))

    def refresh(self) -> "list[Future[bool]]":
        """Check the roots whose state no event reports; return a future for each, done when its state is up to date."""
        roots = filter(self._roots.is_remote, self._roots.paths)
        return [self._inbox.submit(partial(self._root_monitor.check, root)) for root in roots]

    def pause(self, root: str, until_ms: int) -> "Future[None]":
        """Stop reading a root, and return a future that is done when its drive can be unmounted: nothing is open there.

        The future gets a TimeoutError if that is not so when CLOCK_MONOTONIC says `until_ms` (0: no limit).
        """
        pause = PauseRequest(root, until_ms, self._inbox.keep(Future()))
        self._inbox.post(partial(self._pause, pause))
        return pause.future

    def resume(self, root: str) -> None:
        """Undo `pause`."""
        self._inbox.post(partial(self._resume, root))

    def accept(self, root: str, *, even_empty: bool) -> "Future[None]":
        """Accept the drive that is mounted at a root as the root's own, unless that would hide all photos of the root.

        The future gets a RequestError if the folder has no photo although the index has some, except with `even_empty`.
        """
        steps = accept_drive(root, self._roots, self._root_monitor, self._counts, even_empty=even_empty)
        return self._inbox.submit_steps(steps)

    def sync(self, path: str, until_ms: int) -> "Future[Synced]":
        """Scan `path`, and return a future that is done when every photo there is indexed or has failed.

        Args:
            path: in a root; empty: every root.
            until_ms: when the future gets a TimeoutError, as CLOCK_MONOTONIC says; 0: never.
        """
        sync = SyncRequest(path, until_ms, self._inbox.keep(Future()))
        self._inbox.post(partial(self._begin_sync, sync))
        return sync.future

    def wake(self) -> None:
        """Have the loop turn once, now: the throttle has changed."""
        self._inbox.wake()

    # What it is doing, for status. Other threads read it: sums of whole numbers, maybe one turn old.

    @property
    def pending(self) -> int:
        """How many photos are known to exist and wait for their outcome; most are not searchable yet."""
        return len(self._pipeline) + self._dirty.photos

    @property
    def reread(self) -> int:
        """How many of these can be found as they are: an older pixkind indexed them, and their details are read now."""
        return self._pipeline.reread

    @property
    def doing(self) -> str:
        """What the loop is doing, for people: the first of these that is true."""
        if self._pipeline.committer.full:
            return f"waiting for room: {self._pipeline.committer.full}"
        if why := self.throttle.why(clock()):
            return why
        if self.wipe.is_busy:
            return "wiping what was forgotten"
        if self._scanning or not self.coverage.is_complete:
            return "scanning"
        if len(self._pipeline):
            return "indexing"
        return "waiting for files to rest" if len(self._dirty) else "idle"

    def rate(self) -> float:
        """Return how many photos a second the last commits wrote; 0 while no photo is on its way."""
        return self._pipeline.committer.throughput.per_s(time.monotonic()) if len(self._pipeline) else 0.0

    def counters(self) -> dict[str, int]:
        """Return what was counted since the start."""
        return {**self._pipeline.counters, "rescans": self._scanning.rescans}

    # The loop.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._thread.beat()
                self._turn()
                self._inbox.wait(self._timeout())
            self._pipeline.finish()
        finally:
            self.wipe.close()
            self.has_ended = True
            self._inbox.end()

    def _turn(self) -> None:
        for message in self._inbox.take():
            self._do(message)
        now = time.monotonic()
        if not self.wipe.holds:
            self._purge.tick_if_due(now, int(time.time()))
        self._root_monitor.turn(now)
        for path in self._dirty.take_due(now):
            self._look_at(path)
        is_scanning = bool(self._scanning) and not self.wipe.holds
        if is_scanning:
            self._scanning.advance()
        is_throttled = self.throttle.is_throttled(clock(), is_busy=len(self._pipeline) > 0)
        self._pipeline.advance(scanning=is_scanning, is_throttled=is_throttled or self.wipe.holds)
        full = self._pipeline.committer.full
        self.wipe.turn(now, int(time.time()), is_still=self._pipeline.is_still, full=full)
        is_still = not (len(self._pipeline) or len(self._dirty))
        if is_still and not self._scanning:
            self._counts.tell()
        is_busy = bool(len(self._pipeline) or self._scanning)
        self._spaces.turn(now, is_busy=is_busy, is_still=is_still)
        self._pauses = [one for one in self._pauses if not one.conclude(now_ms(), is_open=self._is_open(one.root))]
        if is_throttled and self._pipeline.is_still:
            self._syncs.leave_held(self._pipeline.__contains__, self.throttle.why(clock()))
        self._syncs.conclude(now_ms(), self._failures)

    def _do(self, message: Message) -> None:
        match message:
            case DirtyPath():
                self._dirty.add(message.path, time.monotonic())
            case LostEvents():
                self._root_monitor.check(message.root, due=True)
            case RottenVectors():
                drop_rotten_vectors(message.store, self, message.contents)
            case _:
                message()

    def _timeout(self) -> float:
        """Return for how long nothing needs to be done if no message comes, in s."""
        if (self._scanning and not self.wipe.holds) or not self._inbox.is_empty:
            return 0.0
        now = time.monotonic()
        due = [now + ServiceThread.BEAT_S, self._root_monitor.deadline()]
        due += [] if self.wipe.holds else [self._purge.deadline]
        due += [at for at in (*self._dirty.deadlines(), self._pipeline.next_deadline()) if at is not None]
        due += [now + PAUSE_S] if self._pauses else []
        due += [now + self.wipe.wait_s]
        due += [now + wait_s] if (wait_s := self.throttle.wait_s(clock())) is not None else []
        limits = [*self._syncs.limits(), *(pause.until_ms for pause in self._pauses)]
        due += [now + max(0, until_ms - now_ms()) / 1000 for until_ms in limits if until_ms]
        return max(0.0, min(due) - now)

    # Roots and scans.

    def _pause(self, pause: PauseRequest) -> None:
        self._roots.pause(pause.root)
        self._scanning.drop(lambda top: self._roots.root_of(top) == pause.root, self._roots.root(pause.root))
        self._syncs.leave_root(self._roots.root(pause.root), pause.root)
        self._pauses.append(pause)

    def _resume(self, root: str) -> None:
        self._roots.resume(root)
        self._root_monitor.check(root, due=True)

    def _is_open(self, root: str) -> bool:
        return self._pipeline.is_open(root) or self.coverage.is_following(root) or self._is_asked_about(root)

    def _begin_sync(self, sync: SyncRequest) -> None:
        self._syncs.add(sync)
        for root in self._roots.paths:
            if sync.top and self._roots.left_out(sync.top, root):
                continue
            if self._root_monitor.check(root) and self._roots.is_read(root):  # its drive may have come back just now
                self._scanning.begin(sync.top or root, sync)
            else:
                sync.leave_root(self._roots.root(root))

    def _look_at(self, path: str) -> None:
        """Scan a dirty path, unless the rules leave it out."""
        root = self._roots.root_of(path)
        if root is None:
            return
        if not self._roots.is_read(root):
            self._syncs.leave_root(self._roots.root(root), path)
            self._dirty.hold(path, root)
        elif path == root:
            self._root_monitor.check(root)
        elif self._roots.left_out(path, root):
            self.settled(path)  # no sync may wait for it any more
        else:
            self._scanning.begin(path, None)

    def _scanned(self, top: str) -> None:
        if top in self._roots.paths and not self.coverage.has_unreadable(top):
            self._purge.scanned(top, int(time.time()))
            self._counts.scanned(top)
        if top not in self._pipeline and top not in self._dirty:
            self.settled(top)  # it went away, or is as the store says again, before it could be opened

    def _take(self, step: Step, sync: SyncRequest | None) -> None:
        if sync is not None and isinstance(step, (Changed, Moved, TooYoung, Gone)):
            sync.wait_for(step.path)
        match step:
            case Changed():
                self._add(step)
            case Moved():
                details = self._store.details_of(step.content, step.stamp)
                self._pipeline.recognise(PhotoFound(step.path, step.stamp, step.content, details))
                # It is found now. It is read later if only the space that answers has its vector, or its details are not known.
                if details is None or not self._store.has_vector(step.content):
                    self.look_at(step.path, time.monotonic() + 2 * self._commit_s)
            case TooYoung():
                self._dirty.look_at(step.path, time.monotonic() + step.rest_ns / 1e9)
            case Gone():
                self._pipeline.lose(step.path)
            case Unreadable():
                self._miss(step, sync)
            case FolderDone():
                self.coverage.add_links(step.path, step.links)
                if sync is not None:
                    sync.photos += step.photos
                    sync.links += step.links

    def _add(self, step: Changed) -> None:
        """Give a photo to the pipeline, and look at its other names, if it has some."""
        if step.path not in self._pipeline:
            for path in other_names(self._store, step.path, step.stamp):
                self.look_at(path, time.monotonic())
        self._pipeline.add(step.path, step.stamp)

    def _miss(self, step: Unreadable, sync: SyncRequest | None) -> None:
        _log.warning("cannot read %s: %s; what is known of it is kept", step.path, step.reason)
        if (root := self._roots.root_of(step.path)) is None:
            return
        self.coverage.add_unreadable(root, step.path, step.reason)
        known = self._roots.root(root, self.coverage.gaps()[root])
        if sync is not None:
            sync.leave_root(known)
        self._syncs.leave_root(known, step.path)
        if step.path == root:
            self._root_monitor.check(root)

    # For the pipeline (task.Loop).

    def changed(self, delta: CommitDelta) -> None:
        """Note that the store has changed."""
        self._spaces.apply(delta)
        self._counts.changed()

    def look_at(self, path: str, due: float) -> None:
        """Look at `path` again when the monotonic clock says `due`."""
        self._dirty.look_at(path, due)

    def try_again(self, path: str, due: float) -> None:
        """Look at `path`, which failed, again when the monotonic clock says `due`."""
        self._dirty.try_again(path, due)

    def settled(self, path: str) -> None:
        """Note that the photo at `path` is indexed or has failed, durably."""
        self._syncs.settle(path)

    def left_open(self, path: str) -> None:
        """Note that the photo at `path` is neither, since another process writes to it."""
        self._syncs.leave(path)
