"""Notifies systemd of the state of this process, over the socket that it names in the environment.

Without systemd every function does nothing. Nothing here starts a thread or reads a clock.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from typing import Final

START_S: Final = 120.0  # time for the rest of the start after each notification; the unit's TimeoutStartSec
_SEND_S: Final = 1.0  # a service manager that hangs must not block the main loop for longer


def ready() -> None:
    """Notify systemd that queries are answered from now on."""
    _send("READY=1")


def status(text: str) -> None:
    """Show `text`, one line, in `systemctl --user status pixkind`."""
    _send(f"STATUS={' '.join(text.split())}")  # a line break would begin another assignment


def alive() -> None:
    """Feed the watchdog. Only the main loop calls it, and only while every other loop advances."""
    _send("WATCHDOG=1")


def patience(seconds: float) -> None:
    """Extend the time for the start to `seconds` from now. Call it repeatedly until the start is done.

    After an exec it is the watchdog that would kill the process, so this feeds the watchdog too.
    """
    _send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}\nWATCHDOG=1")


def stopping() -> None:
    """Notify systemd that the stop has begun."""
    _send("STOPPING=1")


def reloading(now_ns: int) -> None:
    """Notify systemd that a reload has begun; `ready` ends it.

    Args:
        now_ns: CLOCK_MONOTONIC, in ns.
    """
    _send(f"RELOADING=1\nMONOTONIC_USEC={now_ns // 1000}")


def _send(assignments: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(_SEND_S)
            sock.sendto(assignments.encode("utf-8", "backslashreplace"), address)
    except OSError:
        return  # systemd is gone, or no descriptor is left; that must not stop a daemon that works
