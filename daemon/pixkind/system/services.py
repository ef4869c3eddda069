"""Starts services in order, watches them, and stops them in the reverse order."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from pixkind.system import sd_notify
from pixkind.system.threads import NOTICE, RELOAD, STOP


class Service(Protocol):
    """A part of the daemon with a life of its own."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self) -> None:
        """End, within a few seconds."""

    def failure(self) -> BaseException | None:
        """Return the error that ended it; None: it is alive."""

    def beat(self) -> int | None:
        """Return a number that changes at least every ServiceThread.BEAT_S while its loop runs; None: it has no loop."""


def run(services: Sequence[Service], *, wait: Callable[[], float | None], reload: Callable[[], bool]) -> bool:
    """Start the services in order, wait for a signal, and stop them in the reverse order.

    Args:
        services: each may rely on the ones before it.
        wait: called before each wait for a signal; returns how long to wait, in s; None: stop.
        reload: called at SIGHUP; returns whether to stop and restart.

    Returns:
        Whether to restart.

    Raises:
        BaseException: the error that ended a service, so that systemd sees a failure and starts the daemon again.
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
        if again:  # systemd takes an announced stop for the end, whatever the process execs afterwards
            sd_notify.reloading(time.monotonic_ns())
        else:
            sd_notify.stopping()
        for service in reversed(started):  # accept no new work, finish the batch, and answer queries until the end
            service.stop()
