"""What other threads ask of the ingest thread.

Any thread may put something in. The ingest thread takes it out, in the same order, once a turn of its loop.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from pixkind.search.errors import RequestError
from pixkind.storage.environment import StoreFull
from pixkind.storage.store import Store
from pixkind.system.futures import complete, fail

_Result = TypeVar("_Result")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DirtyPath:
    """Something happened at `path`: look at it once it has rested."""

    path: str


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Events of a root may have been lost, or the root went away: check whether it is there, and scan all of it."""

    root: str


@dataclass(frozen=True, slots=True)
class RottenVectors:
    """The stored vectors of these contents fail their checksum: drop them, and encode their photos again."""

    store: Store
    contents: Sequence[bytes]


Message = DirtyPath | LostEvents | RottenVectors | Callable[[], object]


class Inbox:
    """The queue into the ingest thread, and the futures that this thread has yet to complete."""

    def __init__(self) -> None:
        """Begin empty."""
        self._messages: deque[Message] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()  # guards all below
        self._futures: list[Future[Any]] = []
        self._has_ended = False

    # Any thread.

    def post(self, action: Callable[[], object]) -> None:
        """Have `action` called in the ingest thread."""
        self._put(action)

    def dirty(self, path: str) -> None:
        """Report that something happened at `path`."""
        self._put(DirtyPath(path))

    def rescan(self, root: str, why: str) -> None:
        """Report that events of a root may have been lost, or that it went away."""
        _log.info("rescan root=%s why=%s", root, why)
        self._put(LostEvents(root))

    def rotten(self, store: Store, contents: Sequence[bytes]) -> None:
        """Report stored vectors that fail their checksum."""
        self._put(RottenVectors(store, contents))

    def wake(self) -> None:
        """Have the loop turn once, now."""
        self._wake.set()

    def submit(self, fn: Callable[[], _Result]) -> "Future[_Result]":
        """Have `fn` called in the ingest thread, and return a future of its result.

        The future gets a RequestError or StoreFull that `fn` raises. Any other error ends the daemon, as everywhere.
        """
        future: Future[_Result] = self.keep(Future())

        def call() -> None:
            try:
                result = fn()
            except (RequestError, StoreFull) as error:
                fail(future, error)
            else:
                complete(future, result)

        self.post(call)
        return future

    def submit_steps(self, steps: Iterator[None]) -> "Future[None]":
        """Have an iterator run to its end in the ingest thread, one step a turn of the loop. Errors are those of `submit`."""
        future: Future[None] = self.keep(Future())

        def step() -> None:
            try:
                next(steps)
            except StopIteration:
                complete(future, None)
            except (RequestError, StoreFull) as error:
                fail(future, error)
            else:
                self.post(step)

        self.post(step)
        return future

    def keep(self, future: "Future[_Result]") -> "Future[_Result]":
        """Return `future`, which the ingest thread will complete; it is cancelled if the loop ends before that."""
        with self._lock:
            self._futures = [one for one in self._futures if not one.done()] + [future]
            if self._has_ended:
                future.cancel()
        return future

    # The ingest thread.

    @property
    def is_empty(self) -> bool:
        """Whether no message waits."""
        return not self._messages

    def wait(self, timeout_s: float) -> None:
        """Return when a message has come, or the time is over."""
        self._wake.wait(timeout_s)
        self._wake.clear()

    def take(self) -> Iterator[Message]:
        """Yield the messages that are there now; what one of them posts comes out in the next turn."""
        for _ in range(len(self._messages)):
            yield self._messages.popleft()

    def end(self) -> None:
        """Cancel every future that is not done, and every one that comes from now on."""
        with self._lock:
            self._has_ended = True
            for future in self._futures:
                future.cancel()

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        self._wake.set()
