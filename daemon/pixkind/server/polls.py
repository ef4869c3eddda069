"""Requests that wait for news: each becomes a `Deferred` that goes on when there is some, or when its time is up.

A client that waits takes a descriptor and some hundred bytes, and no thread. If it has gone, that is noticed after a minute at
the latest. At most `MOST` requests wait; the next one sends the oldest away. So clients that ask and never read, or never
stop to ask, neither use up what the daemon has, nor keep others from waiting. Any thread may call.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from pixkin.protocol.replies import Reply
from pixkin.protocol.requests import now_ms
from pixkind.ingest.inbox import Inbox
from pixkind.server.control import SYNC_MARGIN_MS
from pixkind.server.deferred import Deferred, reply_when
from pixkind.system.futures import complete

MOST: Final = 64  # requests that wait
LONGEST_MS: Final = 60_000


class Polls:
    """The requests that wait for news."""

    def __init__(self, inbox: Inbox) -> None:
        """Begin with none; when the ingest thread ends, all are told so."""
        self._inbox = inbox
        self._lock = threading.Lock()
        self._waiting: dict[Future[None], Callable[[], bool]] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, is_news: Callable[[], bool], until_ms: int, reply: Callable[[], Reply]) -> Reply | Deferred:
        """Return the reply if there is news, or else a request that waits for it.

        Args:
            is_news: whether there is some.
            until_ms: of the request.
            reply: returns the reply, with news or without.
        """
        if is_news():
            return reply()
        future: Future[None] = self._inbox.keep(Future())
        with self._lock:
            self._waiting[future] = is_news
            oldest = next(iter(self._waiting)) if len(self._waiting) > MOST else None
        if oldest is not None:
            self._end(oldest)
        self.tell()  # it may have come just now

        def resume() -> Reply:
            self._end(future)
            future.result()
            return reply()

        latest_ms = now_ms() + LONGEST_MS
        until_ms = min(until_ms - SYNC_MARGIN_MS, latest_ms) if until_ms else latest_ms
        return reply_when([future], resume, lambda: self._end(future), until_ms)

    def tell(self) -> None:
        """Let all go on for whom there is news."""
        with self._lock:
            due = [future for future, is_news in self._waiting.items() if is_news()]
        for future in due:
            self._end(future)

    def _end(self, future: "Future[None]") -> None:
        with self._lock:
            was_waiting = self._waiting.pop(future, None) is not None
        if was_waiting:
            complete(future, None)
