"""Threads that report their death and can be checked for life."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Final

NOTICE: Final = signal.SIGUSR1  # wakes the main thread, which has it blocked and waits for it (services.run)
STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT})
RELOAD: Final = frozenset({signal.SIGHUP})


class ServiceThread:
    """Runs `body` in a thread and keeps the error that ends it for `services.run`, which then ends the process.

    `body` calls `beat` in each turn of its loop, at least every `BEAT_S`. So a hung loop differs from an idle one.
    """

    BEAT_S = 20.0  # far below the unit's WatchdogSec, with far fewer wake-ups than two a second

    def __init__(self, name: str, body: Callable[[], None]) -> None:
        """Prepare the thread; the log and `ps -L` show its `name`."""
        self.failure: BaseException | None = None
        self.beats = 0
        self._body = body
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def beat(self) -> None:
        """Note that the loop has made a turn."""
        self.beats += 1

    def join(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` for the end of the thread and return whether it has ended; a mount can hang for ever."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as error:  # noqa: BLE001  # the outermost frame; services.run raises it in the main thread
            self.failure = error
            os.kill(os.getpid(), NOTICE)
