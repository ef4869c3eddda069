"""What systemd is told about this process, over the socket that it names in the environment.

Without systemd every function does nothing. Nothing here starts a thread or reads a clock.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from typing import Final

START_S: Final = 120.0  # what the rest of a start may take after a sign of life: the unit's TimeoutStartSec
_PATIENCE_S: Final = 1.0  # a service manager that stands still must not hold the main loop up


def ready() -> None:
    """Say that queries are answered from now on."""
    _send("READY=1")


def status(text: str) -> None:
    """Show `text`, one line, in `systemctl --user status pixkind`."""
    _send(f"STATUS={' '.join(text.split())}")  # a line break would begin another assignment


def alive() -> None:
    """Beat the watchdog. To be called by the main loop, and only while every other thread advances."""
    _send("WATCHDOG=1")


def patience(seconds: float) -> None:
    """Say that the start goes on, and may take `seconds` from now. To be called again and again until it is through.

    After an exec it is the watchdog that would end the process, so that is told, too.
    """
    _send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}\nWATCHDOG=1")


def stopping() -> None:
    """Say that the stop has begun."""
    _send("STOPPING=1")


def reloading(now_ns: int) -> None:
    """Say that the configuration is being read again; `ready` says that it is done.

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
            sock.settimeout(_PATIENCE_S)
            sock.sendto(assignments.encode("utf-8", "backslashreplace"), address)
    except OSError:
        return  # nobody listens any more, or no descriptor is left: a daemon that works is worth more than a notice
