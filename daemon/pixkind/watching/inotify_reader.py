"""watchdog's inotify reader, extended: the only module that uses watchdog's private API.

It owns the inotify descriptor and its thread, parses events and dispatches them by watch. `inotify` handles the events.
"""

import ctypes
import os
import select

from watchdog.observers import inotify_c
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback, WatchDescriptor


class InotifyReader(InotifyFD):
    """watchdog's reader thread, which also keeps the error that ended it, answers `beat`, and counts overflows."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "watch"
        self.failure: BaseException | None = None
        self._beats = 0
        self.overflows = 0
        self._nudge = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for descriptor in (self._inotify_fd, self._kill_r, self._nudge):
            self._poll.register(descriptor, select.POLLIN)

    def beat(self) -> int:
        """Return how often the thread has answered, and wake it to answer again."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._nudge, 1)
        return self._beats

    def run(self) -> None:
        """Read and dispatch until stopped."""
        try:
            super().run()
        except BaseException as error:  # noqa: BLE001 - the thread's outermost frame; `InotifyWatcher.failure` returns it
            self.failure = error

    def handle_event(self, event: InotifyEvent) -> None:
        """Dispatch one event; watchdog reports an overflow to the watches of every root."""
        self.overflows += event.is_queue_overflow
        super().handle_event(event)

    def _check_inotify_fd(self) -> bool:
        woken = {descriptor for descriptor, _ in self._poll.poll()}
        if self._nudge in woken:
            os.eventfd_read(self._nudge)
            self._beats += 1
        return self._inotify_fd in woken

    def _close_resources(self) -> None:
        super()._close_resources()
        os.close(self._nudge)

    def _add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        # watchdog's method takes EACCES for a success with the descriptor -1, and warns about every existing watch.
        wd = inotify_c.inotify_add_watch(self._inotify_fd, path, mask)
        if wd == -1:
            raise OSError(code := ctypes.get_errno(), os.strerror(code))
        self._watch_for_wd.setdefault(wd, inotify_c.Watch(wd, mask, path)).callbacks[id_] = callback
        return wd
