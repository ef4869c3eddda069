"""Answers `ignore`. The ingest thread notes it; any thread may call."""

import os
from collections.abc import Mapping, Sequence
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
        future = self.inbox.submit(partial(note, paths))

        def done() -> Reply:
            try:
                photos, known = future.result()
            except StoreFull as error:
                raise RequestError(Code.BUSY, f"this cannot be noted: {error}") from error
            missing = tuple(one for one, path in zip(request.paths, paths, strict=True) if not _below(path, known))
            return Ignored(photos=photos, missing=missing)

        return reply_when([future], done)

    def _ignore(self, paths: Sequence[str]) -> tuple[int, Mapping[str, object]]:
        """Ignore what failed at and below these paths; return how many photos that are, and all that have failed, by path."""
        store = self.spaces.answering.store
        new = {record.path: record for record, _ in self.failed.found(store)}
        known = {record.path: record for record, _ in self.failed.found(store, is_ignored=True)}
        meant = {path for top in paths for path in _below(top, new)}
        self.failed.ignored.add(new[path] for path in meant)
        self.counts.changed()
        return len(meant), new | known

    def _undo(self, paths: Sequence[str]) -> tuple[int, Mapping[str, object]]:
        """Tell again of what is ignored at and below these paths; return how many photos that are, and all that were ignored."""
        before = dict.fromkeys(self.failed.ignored.paths)
        meant = {path for top in paths for path in _below(top, before)}
        self.failed.ignored.remove(meant.__contains__)
        self.counts.changed()
        return len(meant), before


def _below(top: str, photos: Mapping[str, object]) -> list[str]:
    """Return the paths of those photos that are, or lie below, a path: mostly it is that of a photo."""
    return [top] if top in photos else [path for path in photos if lies_in(path, top)]
