"""From request to reply, without sockets or threads."""

import os
import shlex
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, assert_never

import msgspec

import pixkin
from pixkin.protocol.replies import Code, Doubt, Failure, Format, Reply, Report, Root, Roots, RootState, Synced, Welcome
from pixkin.protocol.requests import (
    Apart,
    Boost,
    DropSpace,
    Dupes,
    Have,
    Hello,
    Like,
    ListSpaces,
    Pause,
    Request,
    Resume,
    Status,
    Sync,
    UseSpace,
)
from pixkind.config import Config
from pixkind.encoder.formats import FORMATS
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.rules import NOT_WALKED
from pixkind.ingest.counts import PhotoCounts, failures
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.throttle import clock
from pixkind.search.errors import RequestError, not_watched
from pixkind.server.deferred import Deferred
from pixkind.server.dupes import DupesHandler
from pixkind.server.have import HaveHandler
from pixkind.server.like import LikeHandler
from pixkind.server.spaces import SpaceHandler
from pixkind.storage.store import Store

SYNC_MARGIN_MS = 200  # a sync or pause that runs out of time says so this long before its client stops listening


@dataclass(slots=True)
class Dispatcher:
    """Everything that an answer can come from. Any thread may ask; several at once."""

    store: Store
    roots: WatchedRoots
    counts: PhotoCounts
    ingest: IngestLoop
    like_handler: LikeHandler
    have_handler: HaveHandler
    dupes_handler: DupesHandler
    space_handler: SpaceHandler
    config: Config
    about: Callable[[], Report]  # what a report says of the process itself

    def answer(self, request: Request, images: Sequence[bytes]) -> Reply | Deferred:
        """Return the reply, or what it waits for. `images` are the frames behind it."""
        try:
            return self._answer(request, images)
        except RequestError as error:
            return error.failure

    def _answer(self, request: Request, images: Sequence[bytes]) -> Reply | Deferred:  # noqa: PLR0911  one for each request
        match request:
            case Hello():
                suffixes = tuple(sorted(self.config.index.suffixes))
                skipped = tuple(sorted(NOT_WALKED))
                return Welcome(version=pixkin.__version__, pid=os.getpid(), suffixes=suffixes, skipped=skipped)
            case Like():
                return self.like_handler.like(request, images)
            case Have():
                return self.have_handler.have(request, images)
            case Status():
                # What may hang is looked at by others; they are done soon, one way or the other.
                checks = self.ingest.refresh()
                return Deferred(checks, lambda: self._status(request)) if checks else self._status(request)
            case Sync():
                return self._sync(request)
            case Pause() | Resume() | Boost():
                return self._turn(request)
            case Dupes() | Apart():
                return self.dupes_handler.answer(request)
            case ListSpaces() | UseSpace() | DropSpace():
                return self.space_handler.answer(request)
            case _:
                assert_never(request)

    def doubt(self) -> Doubt:
        """Return what an answer cannot vouch for now."""
        counts = [(self.roots.is_online(root), self.counts.of(root)) for root in self.roots.paths]
        missed, found = self.space_handler.spaces.gaps()  # most of what waits to be encoded anew is found
        return Doubt(
            pending=max(0, self.ingest.pending - found) + missed,
            failed=sum(count.failed for _, count in counts),
            offline=sum(count.found for online, count in counts if not online),
            unwatched=tuple(os.fsencode(root) for root in self.roots.paths if self._is_doubtful(root)),
        )

    def _root(self, root: str) -> Root:
        known = self.roots.root(root, self.ingest.coverage.gaps().get(root, ""))
        if known.state in (RootState.ONLINE, RootState.DEGRADED) and self.ingest.coverage.is_unscanned(root):
            return Root(known.path, RootState.SCANNING, "not all of it is known yet")
        if known.state is RootState.ONLINE:
            return Root(known.path, known.state, self.counts.of(root).note)
        return _with_hint(known)

    def _is_doubtful(self, root: str) -> bool:
        return self._root(root).state in (RootState.SCANNING, RootState.DEGRADED, RootState.PAUSED)

    def _named(self, path: bytes) -> tuple[str, ...]:
        """Return the root that a path names; all, if it is empty.

        Raises:
            Unanswerable: it is no root.
        """
        if not path:
            return self.roots.paths
        name = os.path.normpath(os.fsdecode(path))
        root = name if name in self.roots.paths else self.roots.find(name)[0]
        if root in self.roots.paths:
            return (root,)
        watched = f"watched are {', '.join(self.roots.paths)}"
        raise RequestError(Code.UNKNOWN_FOLDER, "not one of the watched folders", name, watched)

    def _status(self, request: Status) -> Report:
        doubt, pending, rate = self.doubt(), self.ingest.pending, self.ingest.rate()
        return msgspec.structs.replace(
            self.about(),
            doing=self._doing(),
            photos=sum(self.counts.of(root).found for root in self.roots.paths),
            pending=pending,
            failed=doubt.failed,
            offline=doubt.offline,
            roots=tuple(self._root(root) for root in self.roots.paths),
            store_bytes=self.store.size,
            rate=rate,
            eta_s=pending / rate if rate else 0.0,
            failures=failures(self.like_handler.store, self.roots) if request.failed else (),
            formats=_formats() if request.formats else (),
        )

    def _sync(self, request: Sync) -> Reply | Deferred:
        path = os.fsdecode(request.path)
        if request.accept_drive:
            (path,) = self._named(request.path)
            self.ingest.accept(path)
        elif path:
            # The last component is not followed: what is asked about may be a link, or nothing.
            path = os.path.join(self.roots.find(os.path.dirname(path))[0], os.path.basename(path)).rstrip("/") or "/"
            if self.roots.root_of(path) is None:
                path = self.roots.find(path)[0]
            if not any(self.ingest.is_seen(path, root) for root in self.roots.paths):
                raise not_watched(path, self.roots)
        future = self.ingest.sync(path, _in_time(request))
        return _parked([future], lambda: _with_hints(future.result()))

    def _turn(self, request: Pause | Resume | Boost) -> Reply | Deferred:
        """Have something, or everything, not be indexed, or be indexed again."""
        throttle = self.ingest.throttle
        if isinstance(request, Boost):
            throttle.boost(clock(), request.for_s)
        elif isinstance(request, Pause):
            if request.root:
                return self._pause(self._named(request.root), _in_time(request))
            throttle.pause(clock(), request.for_s)
        else:
            roots = self._named(request.root)
            for root in roots:
                self.ingest.resume(root)
            if request.root:
                return self._roots(roots)
            throttle.resume()
        self.ingest.wake()
        return Roots(doing=self._doing())

    def _pause(self, roots: Sequence[str], until_ms: int) -> Deferred:
        futures = [self.ingest.pause(root, until_ms) for root in roots]
        return _parked(futures, lambda: self._roots(roots))

    def _doing(self) -> str:
        return ", ".join(filter(None, (self.ingest.doing, self.ingest.throttle.boosted(clock()))))

    def _roots(self, roots: Sequence[str]) -> Roots:
        return Roots(roots=tuple(map(self._root, roots)))


def _formats() -> tuple[Format, ...]:
    """Return what reads each format, or would."""
    rows = [(one, one.version()) for one in FORMATS]
    return tuple(
        Format(
            one.name,
            decoder=f"{one.package} {version}".rstrip(),
            live=bool(version),
            hint="" if version else one.install,
            licence=one.licence,
        )
        for one, version in rows
    )


def _in_time(request: Sync | Pause) -> int:
    """Return the `until_ms` at which the client is still there to be told that it was too late."""
    return max(0, request.until_ms - SYNC_MARGIN_MS)


def _parked(futures: "Sequence[Future[Any]]", reply: Callable[[], Reply]) -> Deferred:
    """Wait for the ingest thread; give the reply, or say why there is none."""

    def done() -> Reply:
        try:
            for future in futures:
                future.result()
            return reply()
        except TimeoutError as error:
            return Failure(code=Code.EXPIRED, what=str(error), hint="pixkin status")
        except CancelledError:
            return Failure(code=Code.STOPPING, what="pixkind is stopping")

    return Deferred(futures, done)


def _with_hints(synced: Synced) -> Synced:
    return msgspec.structs.replace(synced, roots=tuple(map(_with_hint, synced.roots)))


def _with_hint(root: Root) -> Root:
    """Return the root with the command that ends its state, if there is one."""
    name = shlex.quote(os.fsdecode(root.path))
    if root.state is RootState.PAUSED:
        return msgspec.structs.replace(root, hint=f"when it may be read again: pixkin resume {name}")
    if root.state is RootState.OFFLINE and root.reason.startswith("another drive"):  # identity.mismatch
        hint = f"if this drive takes the place of the other: pixkin sync {name} --accept-drive"
        return msgspec.structs.replace(root, hint=hint)
    return root
