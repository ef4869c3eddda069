"""Lets a few of many requests go on at once, in their order. The others wait without a thread, a file or memory of theirs."""

import threading
from collections import deque
from concurrent.futures import Future


class Turns:
    """The turns of all requests of a kind. Any thread may call."""

    def __init__(self, count: int) -> None:
        """Let `count` requests go on at once."""
        self._lock = threading.Lock()  # guards the next two, but for reading
        self._free = count
        self.waiting: deque[Future[None]] = deque()

    def take(self) -> "Future[None]":
        """Return a future that is done when it is the caller's turn, which lasts until `give`."""
        turn: Future[None] = Future()
        with self._lock:
            if not self._free:
                self.waiting.append(turn)
                return turn
            self._free -= 1
        turn.set_result(None)
        return turn

    def give(self) -> None:
        """End a turn."""
        with self._lock:
            if not self.waiting:
                self._free += 1
                return
            turn = self.waiting.popleft()
        turn.set_result(None)
