"""Watches in a thread for changes of what is mounted. The module knows no roots or photos."""

import os
import select
import threading
from collections.abc import Callable

from pixkin.mounts import MOUNTINFO


class MountWatch:
    """Calls back when something was mounted, unmounted or moved.

    inotify reports neither a mount over a watched folder nor an `umount -l` while a file is open.
    The thread sleeps until the kernel, `beat` or `stop` wakes it; there is no timer.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """Keep the callback. The thread calls `changed`, which must be quick."""
        self._changed = changed
        self._thread = threading.Thread(target=self._run, name="mounts", daemon=True)
        self._failure: BaseException | None = None
        self._beats = 0
        self._stopping = False

    def start(self) -> None:
        """Begin to report every change; several changes at once may cause one call."""
        self._mountinfo = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        self._nudge = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. Call it once, after `start`."""
        self._stopping = True
        os.eventfd_write(self._nudge, 1)
        self._thread.join()
        os.close(self._mountinfo)
        os.close(self._nudge)

    def failure(self) -> BaseException | None:
        """Return the error that ended the thread; None: it is alive."""
        return self._failure

    def beat(self) -> int:
        """Return how often the thread has answered, and ask it to answer again."""
        os.eventfd_write(self._nudge, 1)
        return self._beats

    def _run(self) -> None:
        try:
            self._wait()
        except BaseException as error:  # noqa: BLE001 - the thread's outermost frame; `failure` returns it
            self._failure = error

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._mountinfo, select.POLLPRI)  # mountinfo is always readable: POLLIN would never sleep
        poll.register(self._nudge, select.POLLIN)
        while not self._stopping:
            woken = {descriptor for descriptor, _ in poll.poll()}
            if self._nudge in woken:
                os.eventfd_read(self._nudge)
                self._beats += 1
            if self._mountinfo in woken:
                self._changed()
