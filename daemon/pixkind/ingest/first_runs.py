"""Notices when a folder has been indexed for the first time, and tells it once. Main thread, but for the writes.

The first run of a root begins when pixkind starts and knows no photo of it. It ends when nothing is left to do, and photos
of the root can be found. In between, a mark in the store outlives each end of the process: a first run may take days.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from pixkin.protocol.replies import RootState
from pixkind.fs.roots import WatchedRoots
from pixkind.ingest.counts import PhotoCounts
from pixkind.ingest.inbox import Inbox
from pixkind.storage.environment import StoreFull
from pixkind.storage.store import Store

MANY: Final = 500  # photos from which on a first run takes long enough, most of a minute, to be told of
_READ: Final = (RootState.ONLINE, RootState.DEGRADED)


class FirstRuns:
    """The roots whose first run goes on."""

    def __init__(
        self, store: Store, roots: WatchedRoots, counts: PhotoCounts, inbox: Inbox, tell: Callable[[str, str], None]
    ) -> None:
        """Note which roots have no photo yet. The ingest thread must not have been started.

        Args:
            store: keeps the marks.
            roots: the watched folders.
            counts: their photos.
            inbox: takes what the ingest thread must write.
            tell: shows a summary and a body.
        """
        self._store, self._roots, self._counts, self._inbox, self._tell = store, roots, counts, inbox, tell
        with suppress(StoreFull):  # the disk is full, and nothing will be indexed
            for root in roots.paths:
                if not store.has_photos(root):
                    store.roots.begin_first_run(root)
        self._running = set(filter(store.roots.is_first_run, roots.paths))

    def look(self) -> None:
        """Tell of the first runs that have ended, if their photos are many. To be called when nothing is left to index."""
        ended = {
            root: found
            for root in self._running
            if self._roots.root(root).state in _READ and (found := self._counts.of(root).found)
        }
        self._running -= ended.keys()
        for root in ended:
            self._inbox.submit(partial(self._store.roots.end_first_run, root))
        if (found := sum(ended.values())) >= MANY:
            self._tell(f"{found:,} photos are indexed", "Point at one to find those like it.")
