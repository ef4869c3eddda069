"""One `pixkin pause`: waiting until nothing of a root is open. Used by the ingest thread alone.

And what the ingest thread owes to other threads, who ask from theirs.
"""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """Done when the drive can go."""

    root: str
    until_ms: int  # CLOCK_MONOTONIC in ms; 0: no limit
    future: "Future[None]"

    def conclude(self, now_ms: int, *, is_open: bool) -> bool:
        """Answer if nothing is open any more, or there is no time left; return whether that is so."""
        if self.future.cancelled():
            return True
        if not is_open:
            self.future.set_result(None)
        elif self.until_ms and now_ms >= self.until_ms:
            self.future.set_exception(TimeoutError(f"files in {self.root} are still open"))
        else:
            return False
        return True


class Promises:
    """Futures that are cancelled when the thread that owes them ends before they are done."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._futures: deque[Future[None]] = deque()
        self._is_over = False

    def make(self) -> "Future[None]":
        """Return a new one."""
        future: Future[None] = Future()
        with self._lock:
            while self._futures and self._futures[0].done():
                self._futures.popleft()
            self._futures.append(future)
            if self._is_over:
                future.cancel()
        return future

    def end(self) -> None:
        """Cancel them, and all that are made from now on."""
        with self._lock:
            self._is_over = True
            for future in self._futures:
                future.cancel()
