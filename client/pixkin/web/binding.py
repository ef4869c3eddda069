"""The one place of pixkin that makes network sockets: they are bound and connected to 127.0.0.1, and nowhere else."""

import errno
import os
import socket
from typing import Final

from pixkin.errors import InputUnreadable, PixkinError, Refused, UsageError

LOOPBACK: Final = "127.0.0.1"
PORT: Final = 7465
_FIRST: Final = 3  # the first descriptor that systemd passes. Source: sd_listen_fds(3)
_BACKLOG: Final = 64


class PortTaken(PixkinError):
    """Another process listens at the port."""

    status = Refused.status


def bound(port: int) -> socket.socket:
    """Return a socket that listens at a port of 127.0.0.1.

    Raises:
        PortTaken: another process does.
        InputUnreadable: it cannot be made.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # a port that waits after its last connection is free
        sock.bind((LOOPBACK, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"another program listens at port {port}", "choose another one: --port") from error
        raise InputUnreadable(f"{LOOPBACK}:{port}: {(error.strerror or 'it failed').lower()}") from error
    return sock


def reaching(port: int) -> socket.socket:
    """Return a socket that is connected to a port of this machine.

    Raises:
        OSError: nobody listens there.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.connect((LOOPBACK, port))
    except OSError:
        sock.close()
        raise
    return sock


def inherited() -> socket.socket | None:
    """Return the socket that systemd passes; None: it passes none.

    Raises:
        UsageError: it is not one that listens at 127.0.0.1.
    """
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return None
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if count != "1":
        raise UsageError(f"systemd passes {count} sockets instead of 1")
    sock = socket.socket(fileno=_FIRST)
    os.set_inheritable(_FIRST, False)
    check_loopback(sock)
    return sock


def check_loopback(sock: socket.socket) -> None:
    """Return if a socket listens at 127.0.0.1.

    Raises:
        UsageError: it does not, so others than this machine's processes could reach it.
    """
    if sock.family != socket.AF_INET or sock.getsockname()[0] != LOOPBACK:
        raise UsageError(
            f"the page is served at {LOOPBACK} alone, not at {sock.getsockname()}",
            f"from another machine, use a tunnel: ssh -L {PORT}:{LOOPBACK}:{PORT} THIS-MACHINE",
        )
