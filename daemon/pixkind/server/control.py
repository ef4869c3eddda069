"""Answers `sync`, `pause`, `resume` and `boost`: the requests that tell indexing what to do.

Knows no socket. Any thread may call; the ingest thread does the work.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import msgspec

from pixkin.protocol.replies import Code, Reply, Roots, Synced
from pixkin.protocol.requests import Boost, Pause, Resume, Sync
from pixkind.fs.roots import WatchedRoots
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.throttle import clock
from pixkind.search.errors import RequestError, not_watched, watched_folders
from pixkind.server.deferred import Deferred, reply_when
from pixkind.server.status import StatusHandler, with_hint
from pixkind.watching.scan import MISSING

SYNC_MARGIN_MS = 200  # a sync or pause that runs out of time says so this long before its client stops listening


@dataclass(slots=True)
class ControlHandler:
    """Answers the requests that steer indexing."""

    roots: WatchedRoots
    ingest: IngestLoop
    status_handler: StatusHandler

    def answer(self, request: Sync | Pause | Resume | Boost) -> Reply | Deferred:
        """Return the reply, or what it waits for.

        Raises:
            RequestError: the path lies in no root, or names none where only a root will do.
        """
        if isinstance(request, Sync):
            return self._sync(request)
        throttle = self.ingest.throttle
        if isinstance(request, Boost):
            throttle.boost(clock(), request.for_s)
        elif isinstance(request, Pause):
            if request.root:
                return self._pause(self._named(request.root), _deadline_ms(request))
            throttle.pause(clock(), request.for_s)
        else:
            roots = self._named(request.root)
            for root in roots:
                self.ingest.resume(root)
            if request.root:
                return self._roots(roots)
            throttle.resume()
        self.ingest.wake()
        return Roots(doing=self.status_handler.doing())

    def _sync(self, request: Sync) -> Deferred:
        path = os.fsdecode(request.path)
        if request.accept_drive:
            (root,) = self._named(request.path)
            accepted = self.ingest.accept(root, even_empty=request.accept_empty)

            def sync() -> Deferred:
                accepted.result()
                return self._synced(root, request)

            return reply_when([accepted], sync)
        if path:
            path = self.roots.find_watched(path)
            if (above := self.roots.root_of(path)) is None:
                raise not_watched(path, self.roots)
            if why := self.roots.left_out(path, above):
                raise RequestError(Code.UNKNOWN_FOLDER, why, path)
        return self._synced(path, request)

    def _synced(self, path: str, request: Sync) -> Deferred:
        future = self.ingest.sync(path, _deadline_ms(request))

        def reply() -> Synced:
            synced = future.result()
            if path and not synced.roots and (why := self.ingest.nothing_at(path)):
                raise RequestError(Code.UNREADABLE if why == MISSING else Code.REFUSED, why, path)
            return _with_hints(synced)

        return _reply_in_time([future], reply)

    def _pause(self, roots: Sequence[str], until_ms: int) -> Deferred:
        futures = [self.ingest.pause(root, until_ms) for root in roots]
        return _reply_in_time(futures, lambda: self._roots(roots))

    def _named(self, path: bytes) -> tuple[str, ...]:
        """Return the root that a path names; all roots if it is empty.

        Raises:
            RequestError: it is no root.
        """
        if not path:
            return self.roots.paths
        name = os.path.normpath(os.fsdecode(path))
        root = name if name in self.roots.paths else self.roots.find(name)[0]
        if root in self.roots.paths:
            return (root,)
        raise RequestError(Code.UNKNOWN_FOLDER, "not one of the watched folders", name, watched_folders(self.roots))

    def _roots(self, roots: Sequence[str]) -> Roots:
        return Roots(roots=tuple(map(self.status_handler.root, roots)))


def _deadline_ms(request: Sync | Pause) -> int:
    """Return the `until_ms` at which the client is still there to be told that it was too late."""
    return max(0, request.until_ms - SYNC_MARGIN_MS)


def _reply_in_time(futures: "Sequence[Future[Any]]", reply: Callable[[], Reply]) -> Deferred:
    """Wait for the ingest thread, and reply, or tell that the deadline has passed."""

    def done() -> Reply:
        try:
            for future in futures:
                future.result()
        except TimeoutError as error:
            raise RequestError(Code.EXPIRED, str(error), hint="pixkin status") from error
        return reply()

    return reply_when(futures, done)


def _with_hints(synced: Synced) -> Synced:
    return msgspec.structs.replace(synced, roots=tuple(map(with_hint, synced.roots)))
