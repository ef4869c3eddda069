"""From request to reply, without sockets or threads."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import assert_never

import msgspec

import pixkin
from pixkin.wire import (
    Code,
    Doubt,
    Failed,
    Failure,
    Hello,
    Like,
    Reply,
    Report,
    Request,
    Root,
    RootState,
    Status,
    Sync,
    Welcome,
)
from pixkind.census import Census
from pixkind.ingest import Ingest
from pixkind.like import Likes, Parked, Unanswerable, not_watched
from pixkind.record import Record
from pixkind.store import Store
from pixkind.sync import MOST
from pixkind.territory import Territory

SYNC_MARGIN_MS = 200  # a sync that runs out of time says so this long before its client stops listening


@dataclass(slots=True)
class Answers:
    """Everything that an answer can come from. Any thread may ask; several at once."""

    store: Store
    territory: Territory
    census: Census
    ingest: Ingest
    likes: Likes
    about: Callable[[], Report]  # what a report says of the process itself

    def answer(self, request: Request, images: Sequence[bytes]) -> Reply | Parked:
        """Return the reply, or what it waits for. `images` are the frames of a `like` request."""
        try:
            match request:
                case Hello():
                    return Welcome(version=pixkin.__version__, pid=os.getpid())
                case Like():
                    return self.likes.like(request, images)
                case Status():
                    return self._status(request)
                case Sync():
                    return self._sync(request)
                case _:
                    assert_never(request)
        except Unanswerable as error:
            return error.failure

    def doubt(self) -> Doubt:
        """Return what an answer cannot vouch for now."""
        counts = [(self.territory.is_online(root), self.census.of(root)) for root in self.territory.roots]
        return Doubt(
            pending=self.ingest.pending,
            failed=sum(count.failed for _, count in counts),
            offline=sum(count.found for online, count in counts if not online),
            unwatched=tuple(os.fsencode(root) for root in self.territory.roots if self._is_doubtful(root)),
        )

    def _root(self, root: str) -> Root:
        known = self.territory.root(root, self.ingest.coverage.gaps().get(root, ""))
        if self.ingest.coverage.is_unscanned(root):
            return Root(known.path, RootState.SCANNING, "not all of it is known yet")
        return known

    def _is_doubtful(self, root: str) -> bool:
        return self._root(root).state in (RootState.SCANNING, RootState.DEGRADED)

    def _status(self, request: Status) -> Report:
        failures: list[tuple[Record, str]] = []
        if request.failed:
            failures = self.store.failures(MOST, lambda path: self.territory.root_of(path) is not None)
        doubt, rate = self.doubt(), self.ingest.rate()
        return msgspec.structs.replace(
            self.about(),
            doing=self.ingest.doing,
            photos=sum(self.census.of(root).found for root in self.territory.roots),
            pending=doubt.pending,
            failed=doubt.failed,
            offline=doubt.offline,
            roots=tuple(self._root(root) for root in self.territory.roots),
            store_bytes=self.store.size,
            rate=rate,
            eta_s=doubt.pending / rate if rate else 0.0,
            failures=tuple(Failed(os.fsencode(record.path), reason, record.retry_s) for record, reason in failures),
        )

    def _sync(self, request: Sync) -> Reply | Parked:
        path = os.fsdecode(request.path)
        if path:
            # The last component is not followed: what is asked about may be a link, or nothing.
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path)).rstrip("/") or "/"
            if self.territory.root_of(path) is None:
                path = os.path.realpath(path)
            if not any(self.ingest.is_seen(path, root) for root in self.territory.roots):
                raise not_watched(path, self.territory)
        future = self.ingest.sync(path, max(0, request.until_ms - SYNC_MARGIN_MS))

        def done() -> Reply:
            try:
                return future.result()
            except TimeoutError as error:
                return Failure(code=Code.EXPIRED, what=str(error), hint="pixkin status")
            except CancelledError:
                return Failure(code=Code.STOPPING, what="pixkind is stopping")

        return Parked([future], done)
