"""Answers `ignore`. The ingest thread notes it; any thread may call."""

import os
from dataclasses import dataclass
from functools import partial

from pixkin.mounts import lies_in
from pixkin.protocol.replies import Code, Ignored, Reply
from pixkin.protocol.requests import Ignore
from pixkind.fs.roots import WatchedRoots
from pixkind.index.spaces import OpenSpaces
from pixkind.ingest.counts import FailedPhotos, PhotoCounts
from pixkind.ingest.inbox import Inbox
from pixkind.search.errors import RequestError
from pixkind.server.deferred import Deferred, reply_when
from pixkind.storage.environment import StoreFull


@dataclass(slots=True)
class IgnoreHandler:
    """Notes of which photos that failed users want to hear no more."""

    roots: WatchedRoots
    spaces: OpenSpaces
    failed: FailedPhotos
    counts: PhotoCounts
    inbox: Inbox  # of the ingest thread

    def answer(self, request: Ignore) -> Deferred:
        """Return how many photos are meant, when that is noted."""
        note = self._undo if request.undo else self._ignore
        paths = [self.roots.find_watched(os.fsdecode(path)) for path in request.paths]
        future = self.inbox.submit(lambda: [note(path) for path in paths])

        def done() -> Reply:
            try:
                counts = future.result()
            except StoreFull as error:
                raise RequestError(Code.BUSY, f"this cannot be noted: {error}") from error
            missing = tuple(path for path, count in zip(request.paths, counts, strict=True) if count is None)
            return Ignored(photos=sum(count or 0 for count in counts), missing=missing)

        return reply_when([future], done)

    def _ignore(self, path: str) -> int | None:
        """Ignore what failed at and below a path, and return how many photos that are; None: none has failed there."""
        store = self.spaces.answering.store
        new = self.failed.found(store, path)
        self.failed.ignored.add(record for record, _ in new)
        self.counts.changed()
        return len(new) or (0 if self.failed.found(store, path, is_ignored=True, most=1) else None)

    def _undo(self, path: str) -> int | None:
        """Tell again of what is ignored at and below a path, and return how many photos that are; None: none is."""
        count = self.failed.ignored.remove(partial(lies_in, folder=path))
        self.counts.changed()
        return count or None
