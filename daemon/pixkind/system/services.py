"""Services are started in order, watched, and stopped in the reverse order."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pixkind.system import sd_notify
from pixkind.system.threads import NOTICE, RELOAD, STOP


class Service(Protocol):
    """A part with a life of its own."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """End, within a few seconds."""

    def failure(self) -> BaseException | None:
        """Return what it died of; None while it lives."""

    def beat(self) -> int | None:
        """Return a number that changes at least every ServiceThread.BEAT_S while its loop turns; None: it has no loop."""


def run(services: Sequence[Service], *, wait: Callable[[], float | None], reload: Callable[[], bool]) -> bool:
    """Start the services in order, wait for a signal, and stop them in the reverse order.

    Args:
        services: in the order in which they may rely on each other.
        wait: called between two looks; returns how long to wait for a signal, in s; None: stop.
        reload: called at SIGHUP; returns whether to stop and begin anew.

    Returns:
        Whether to begin anew.

    Raises:
        BaseException: whatever a service died of, so that systemd sees a failure and starts the daemon again.
    """
    started: list[Service] = []
    again = False
    beats: dict[int, int] = {}
    try:
        for service in services:
            service.start()
            started.append(service)
        while (patience_s := wait()) is not None:
            got = signal.sigtimedwait(STOP | RELOAD | {NOTICE}, patience_s)
            for service in started:
                if (error := service.failure()) is not None:
                    raise error
            now = {id(service): beat for service in started if (beat := service.beat()) is not None}
            if all(now[which] != beats.get(which) for which in now):
                sd_notify.alive()
                beats = now
            if got is not None and got.si_signo in STOP:
                return False
            if got is not None and got.si_signo in RELOAD and reload():
                again = True
                return True
        return False
    finally:
        if again:  # to systemd a stop that was announced is the end, whatever the process execs afterwards
            sd_notify.reloading(time.monotonic_ns())
        else:
            sd_notify.stopping()
        for service in reversed(started):  # no new work, finish the batch, answer to the end
            service.stop()
