"""Wipes the traces of photos that were forgotten, so that no file of pixkind has their names, hashes or vectors any more.

What is deleted is no longer found, but its bytes stay for a while: in unused parts of the store's file, in the codes of the
index and its snapshot, and in a damaged store that was moved aside. These steps wipe them:

1. The photos that users ask to forget are forgotten, with their names in `decisions.jsonl` and all that standing questions
   hold of them (`matching`).
2. The index makes new codes and a new snapshot (`index/vector_index`), and the journal forgets what they do not need.
3. Thumbnails of contents that no photo has any more are deleted.
4. Damaged stores that were moved aside are deleted, since nothing in them can be wiped.
5. The file of the store is replaced by one that holds only what is there (`storage/environment`).

When a user asks to forget photos, this is done at once. After a purge it is done within a week: for a million photos it
reads and writes some gigabytes. The store remembers that there are traces, so a kill delays this until the next start.
Queries are answered all the time. Indexing rests during the steps 1 and 5. If the disk has no room for a copy of the
store, the wiping is tried again every hour.

Ingest thread only, but for `forget`. Time is an argument.
"""

import glob
import logging
import math
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.purge import DAY_S, TICK_S, Forgetting, Purge
from pixkind.storage.contents import DUE, UNDATED
from pixkind.storage.environment import StoreFull, sync
from pixkind.storage.store import Store
from pixkind.storage.thumbnails import ThumbnailCache
from pixkind.storage.write_batch import CommitDelta
from pixkind.system.futures import complete, fail

_log = logging.getLogger(__name__)

LEFT_S: Final = 7 * DAY_S  # for how long the traces of a purge may be left
PAUSE_S: Final = 0.002  # between two steps: other threads get the interpreter
LOOK_S: Final = 0.05  # between two looks whether the index is through


class Wipe:
    """What is to be forgotten and wiped."""

    def __init__(
        self,
        store: Store,
        spaces: OpenSpaces,
        purge: Purge,
        inbox: Inbox,
        changed: Callable[[CommitDelta], None],
        thumbnails: ThumbnailCache,
    ) -> None:
        """Begin with what the store has noted; `changed` is told what was forgotten."""
        self._store = store
        self._spaces = spaces
        self._purge = purge
        self._inbox = inbox
        self._changed = changed
        self._thumbnails = thumbnails
        self._asked: list[tuple[Forgetting, Future[None]]] = []
        self._steps: Generator[None, None, None] | None = None
        self._look_at = 0.0  # monotonic: when to look whether something is due
        self._why = ""  # why nothing could be wiped, as was last logged
        self.wait_s = math.inf  # until the next `turn`
        self.holds = False  # whether nothing else may be written, and no photo be sent to the worker

    @property
    def is_busy(self) -> bool:
        """Whether `turn` has something to do at once."""
        return self._steps is not None

    def forget(self, asked: Forgetting) -> "Future[None]":
        """Return a future that is done when photos are forgotten, and wiped or `traces` says why not. Any thread.

        The future gets a StoreFull if they cannot be forgotten.
        """
        future: Future[None] = self._inbox.keep(Future())
        self._inbox.post(lambda: self._asked.append((asked, future)))
        return future

    def turn(self, now: float, now_s: int, *, is_still: bool, full: str) -> None:
        """Do a step, if there is one that can be done now.

        Args:
            now: monotonic.
            now_s: seconds since the epoch.
            is_still: the worker has no photo, and none waits for its commit.
            full: why nothing can be stored now; empty: it can.
        """
        if full:
            for _, future in self._asked:
                fail(future, StoreFull(full))
            self._asked = []
        if self._steps is None and (self._asked or self._is_due(now, now_s)):
            self._steps, self.holds = self._run(now_s), True
        self.wait_s = math.inf
        if self._steps is not None and (is_still or not self.holds):
            if next(self._steps, self) is self:
                self._steps = None
            self.wait_s = PAUSE_S if self.holds else LOOK_S

    def close(self) -> None:
        """Stop; what is left to do is done after the next start."""
        if self._steps is not None:
            self._steps.close()

    def _is_due(self, now: float, now_s: int) -> bool:
        if now < self._look_at:
            return False
        self._look_at = now + TICK_S
        since_s = self._store.traces.since()
        if since_s == UNDATED:
            with suppress(StoreFull):  # the next look dates it
                self._store.traces.note(now_s)
            return False
        return since_s is not None and not 0 <= now_s - since_s < LEFT_S

    def _run(self, now_s: int) -> Generator[None, None, None]:
        asked, self._asked = self._asked, []
        for one, future in asked:
            try:
                for delta in self._purge.forget(one, now_s):
                    self._changed(delta)
                    yield
            except StoreFull as error:
                fail(future, error)
        why = ""
        try:
            if self._store.traces.since() is not None:
                self._store.traces.note(DUE)
                yield from self._wipe()
        except StoreFull as error:
            why = str(error)
        if why and why != self._why:
            _log.warning("traces of photos that were forgotten are left: %s; pixkind tries again every hour", why)
        self._why = why
        self.holds = False
        for one, future in asked:
            one.traces = why
            if not future.done():
                complete(future, None)

    def _wipe(self) -> Iterator[None]:
        self.holds = False
        yield from self._thumbnails.wipe()
        self._store.check_room()
        for index in {one.index for one in (self._spaces.filling, self._spaces.answering)}:
            yield from index.wipe()
        self.holds = True
        yield  # until the worker has no photo
        for damaged in glob.glob(f"{glob.escape(self._store.folder)}.damaged-*"):
            shutil.rmtree(damaged, ignore_errors=True)
        sync(os.path.dirname(self._store.folder))
        yield from self._store.wipe()
        _log.info("wiped what was left of photos that were forgotten")
