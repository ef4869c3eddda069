"""Writes finished photos into the store, after a last look at their files.

Ingest thread only; other threads read `full` and `throughput`.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pixkind.encoder.messages import Look
from pixkind.fs.interface import is_unchanged
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.rules import PhotoRules
from pixkind.fs.spelling import Spelling
from pixkind.ingest.task import Loop, Pace, PhotoTask
from pixkind.storage.environment import StoreFull
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch
from pixkind.watching.scan import may_exist

_log = logging.getLogger(__name__)

BATCH: Final = 64  # photos of one durable commit: it costs a few ms, they cost most of a second
FAST_S: Final = 0.25  # between two commits while photos that need no encoding come in, up to four batches at a time
FULL_S: Final = 10.0  # how often a commit is tried while there is no room for it


@dataclass(frozen=True, slots=True)
class DonePhoto:
    """A photo that is found or has failed, and waits for its commit."""

    change: PhotoFound | PhotoFailed
    task: PhotoTask | None = None  # None: it was not opened


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of the photos of one commit."""

    done: list[DonePhoto]
    paths: tuple[str, ...]  # of these, and of those that were missing
    again: set[str]  # the paths among them of which nothing was written: they must be looked at again


class Committer:
    """The photos of one pipeline that wait for their commit."""

    def __init__(
        self, rules: PhotoRules, store: Store, roots: WatchedRoots, loop: Loop, counters: Counter[str], pace: Pace
    ) -> None:
        """Begin with none. The counter `commits` counts the commits."""
        self._rules = rules
        self._store = store
        self._roots = roots
        self._loop = loop
        self._counters = counters
        self._pace = pace
        self._done: list[DonePhoto] = []
        self._lost: dict[str, PhotoGone] = {}
        self._looks: dict[bytes, Look] = {}
        self._since = 0.0  # monotonic: when the first of these came
        self.full = ""  # why nothing can be stored now
        self._full_until = 0.0  # monotonic
        self.throughput = Throughput()

    def __len__(self) -> int:
        return len(self._done) + len(self._lost) + len(self._looks)

    def add(self, done: DonePhoto) -> None:
        """Add a photo that is found or has failed."""
        self._since = self._since if len(self) else time.monotonic()
        self._done.append(done)

    def lose(self, gone: PhotoGone) -> None:
        """Add a path at which no photo stands any more."""
        self._since = self._since if len(self) else time.monotonic()
        self._lost[gone.path] = gone

    def note_look(self, content: bytes, look: Look) -> None:
        """Note how a content looks that was indexed before that was stored."""
        self._since = self._since if len(self) else time.monotonic()
        self._looks[content] = look

    def is_lost(self, path: str) -> bool:
        """Return whether the photo at `path` is gone, which is not committed yet."""
        return path in self._lost

    def tasks(self) -> Iterator[PhotoTask]:
        """Yield the photos that were opened and wait for their commit."""
        return (done.task for done in self._done if done.task is not None)

    def has_room(self) -> bool:
        """Return whether more may come before a commit: LMDB keeps the memory of its largest transaction for ever."""
        return len(self) < 4 * BATCH or bool(self.full)

    def may_write(self) -> bool:
        """Return whether a commit may be tried now: the store is not full, or was found full long enough ago."""
        return time.monotonic() >= self._full_until

    def is_late(self) -> bool:
        """Return whether the photos have waited long enough, though more may come."""
        wait_s = FAST_S if len(self) >= BATCH else self._pace.commit_s
        return time.monotonic() >= self._since + wait_s or not self.has_room()

    def deadline(self) -> float | None:
        """Return when, on the monotonic clock, the next commit is due at the latest; None: nothing waits for one."""
        return max(self._since + self._pace.commit_s, self._full_until) if len(self) or self.full else None

    def commit(self, *, strikes: Callable[[], list[bytes]], acquitted: list[bytes]) -> Committed | None:
        """Look again at all that is done, and write it in one transaction.

        Args:
            strikes: opens the photos that are sent to the worker next, and returns their contents. Called after the roots
                were checked. Each content gets a strike, which is on the disk before the photo is sent.
            acquitted: contents that came back from the worker; they lose their strike.

        Returns:
            What became of the photos; None if there is no room: then all is as it was, and a later commit tries again.
        """
        lost = self._lost
        paths = (*lost, *(done.change.path for done in self._done))
        online = self._confirmed(paths)
        spelling = Spelling(self._roots.file_system)
        again = {path for path in lost if not self._is_gone(path, online, spelling)}
        batch = WriteBatch(photos=[gone for path, gone in lost.items() if path not in again], acquitted=acquitted)
        batch.looks = dict(self._looks)
        for done in self._done:
            change, task = done.change, done.task
            root = self._roots.root_of(change.path)
            if (
                root is None
                or root not in online
                or self._roots.is_second_name(change.path)  # it was mounted just now
                or self._roots.exclusions.rule_of(change.path, is_folder=False) is not None
                or not _is_still(done, root, spelling)
            ):
                again.add(change.path)
                continue
            batch.photos.append(change)
            if task is not None and isinstance(change, PhotoFound) and task.facts is not None:
                batch.contents[task.content] = task.facts
                batch.take(task.content, task.vector, task.beside)
                batch.take_pages(task.content, task.pages, task.further)
        batch.strikes = strikes()
        if batch and not self._write(batch):
            return None
        committed = Committed(self._done, paths, again)
        self._done, self._lost, self._looks = [], {}, {}
        return committed

    def _confirmed(self, paths: Sequence[str]) -> set[str | None]:
        """Return those roots of `paths` whose drive is there right now; of any other root nothing is believed."""
        roots = {root for path in paths if (root := self._roots.root_of(path)) is not None}
        online = {root for root in roots if self._roots.is_online(root) and self._roots.check(root)}
        if online != roots:
            self._loop.recheck()
        return {*online}

    def _is_gone(self, path: str, online: set[str | None], spelling: Spelling) -> bool:
        root = self._roots.root_of(path)
        if root is None or root not in online:
            return False
        if self._roots.is_second_name(path):
            return True  # the file is there, and is indexed under its first name
        return not may_exist(spelling, self._rules, self._roots.exclusions, root, path)

    def _write(self, batch: WriteBatch) -> bool:
        """Write a batch, and tell the loop; return False if there is no room."""
        try:
            delta = self._store.commit(batch)
        except StoreFull as error:
            if not self.full:
                text = "nothing can be stored: %s; queries still work, and pixkind tries again every %.0f s"
                _log.error(text, error, FULL_S)
            self.full, self._full_until = str(error), time.monotonic() + FULL_S
            return False
        self.full, self._full_until = "", 0.0
        self._loop.changed(delta)
        self._counters["commits"] += 1
        now = time.monotonic()
        self.throughput.note(now, len(batch.photos))
        for change in batch.photos:
            if isinstance(change, PhotoFailed):
                _log.debug("failed %s: %s", change.path, change.reason)
                if change.retry_s:
                    self._loop.try_again(change.path, now + max(0.0, change.retry_s + 1 - time.time()))
        return True


def _is_still(done: DonePhoto, root: str, spelling: Spelling) -> bool:
    """Return whether a file is as it was scanned or opened, and its folder lists it under this name.

    A photo that could not even be opened is not looked at again.
    """
    path = done.change.path
    if done.task is None and isinstance(done.change, PhotoFailed):
        return True
    stamp = done.change.stamp if done.task is None else done.task.photo.stamp
    try:
        return is_unchanged(spelling.file_system(path), path, stamp) and spelling.is_exact(path, root)
    except OSError:  # the folder cannot be listed
        return False


def drop_rotten_vectors(store: Store, loop: Loop, contents: Sequence[bytes]) -> None:
    """Drop the stored vectors of these contents, and have their photos looked at: they are read and encoded again."""
    with suppress(StoreFull):  # the next reader reports them again
        loop.changed(store.drop_vectors(contents))
    for record in (record for content in contents for record in store.photos_of(content)):
        _log.error("what is stored of %s is wrong; the photo is read again", record.path)
        loop.look_at(record.path, time.monotonic())


FEW: Final = 16  # fewer photos give no rate: it would be a guess
RECENT_S: Final = 30.0


class Throughput:
    """Photos a second over the last commits."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._commits: deque[tuple[float, int]] = deque(maxlen=64)

    def note(self, now: float, photos: int) -> None:
        """Note a commit of so many photos, at a monotonic time."""
        self._commits.append((now, photos))

    def per_s(self, now: float) -> float:
        """Return how many photos a second were written in the last 30 s; 0: too few to tell."""
        recent = [(when, photos) for when, photos in list(self._commits) if when > now - RECENT_S]
        written = sum(photos for _, photos in recent[1:])
        return written / max(recent[-1][0] - recent[0][0], 1e-3) if written >= FEW else 0.0
