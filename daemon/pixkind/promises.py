"""What a thread owes to others, who ask from theirs."""

import threading
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Promises:
    """Futures that are cancelled when the thread that owes them ends before they are done."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._futures: list[Future[Any]] = []
        self._is_over = False

    def keep(self, future: "Future[_Result]") -> "Future[_Result]":
        """Take in a future, and return it."""
        with self._lock:
            self._futures = [one for one in self._futures if not one.done()] + [future]
            if self._is_over:
                future.cancel()
        return future

    def end(self) -> None:
        """Cancel all that are not done, and all that come from now on."""
        with self._lock:
            self._is_over = True
            for future in self._futures:
                future.cancel()
