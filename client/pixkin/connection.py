"""A connection to the daemon. It carries frames and knows nothing of messages."""

import os
import socket
import struct
import threading
from contextvars import ContextVar
from typing import Final

import zmq

from pixkin.errors import DaemonBusy, PixkinError
from pixkin.listening import check_listening, check_peer
from pixkin.protocol import requests

_BROKEN: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_HINT: Final = "try again, or see `pixkin status`"
_EVENT: Final = struct.Struct("=Hi")  # the first frame of zmq_socket_monitor(3): the event and, here, the descriptor


class Halted(Exception):
    """Nobody waits for the reply any more."""


class Halt:
    """Ends the waiting of one thread, when another thread says so. The thread connects within its context."""

    def __init__(self) -> None:
        self.descriptor = -1  # none outside of the context: thousands of calls may wait for a thread
        self._is_set = False
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.descriptor = os.eventfd(int(self._is_set))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            os.close(self.descriptor)
            self.descriptor = -1

    def set(self) -> None:
        """End it, also if it has not begun."""
        with self._lock:
            self._is_set = True
            if self.descriptor >= 0:
                os.eventfd_write(self.descriptor, 1)


HALT: Final[ContextVar[Halt | None]] = ContextVar("HALT", default=None)  # of the connections that a thread opens


class Link:
    """A connection with a deadline, which notices when the daemon goes away. It ends with `HALT`."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str, until_ms: int) -> None:
        """Connect to the socket at `path`; `until_ms`: when to give up, in ms of `requests.now_ms`; 0: never."""
        self._path = path
        self._until_ms = until_ms
        self._halt = HALT.get()
        self._dealer = context.socket(zmq.DEALER)
        # Not `immediate`: with it libzmq drops received messages when the connection ends.
        # Half of the last replies of a stopping daemon were lost so.
        self._dealer.linger = 0
        self._monitor = self._dealer.get_monitor_socket(zmq.EVENT_CONNECTED | _BROKEN)
        address = b"ipc://" + os.fsencode(path)
        self._dealer.connect(address)  # type: ignore[arg-type]  # it takes bytes too; a path need not be UTF-8

    def send(self, frames: list[bytes]) -> None:
        """Queue the request, once this user's daemon is at the other end. Only `receive` tells whether it took the request.

        ZeroMQ makes a new connection 100 ms after one has ended, at the earliest. `receive` gives up before that.

        Raises:
            DaemonAbsent: the daemon went away, or another user's process is at the other end.
            DaemonBusy: the deadline passed, or the connection broke while a daemon is there.
            Halted: nobody waits any more.
        """
        if not self._is_ready(self._monitor):
            raise self._late()
        event, descriptor = _EVENT.unpack(self._monitor.recv_multipart()[0])
        if event != zmq.EVENT_CONNECTED:
            raise self._broken()
        try:
            with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                check_peer(connection, self._path)
        except OSError as error:  # ZeroMQ has closed it by now
            raise self._broken() from error
        self._dealer.send_multipart(frames, copy=False)

    def receive(self) -> list[bytes]:
        """Return the frames of the next reply.

        Raises:
            DaemonAbsent: the daemon went away.
            DaemonBusy: the deadline passed, or the connection broke while a daemon is there.
            Halted: nobody waits any more.
        """
        is_ready = self._is_ready(self._dealer, self._monitor)
        if self._dealer.poll(0):  # checked again: a last reply may arrive while the connection breaks
            return self._dealer.recv_multipart()
        raise self._broken() if is_ready else self._late()

    def _is_ready(self, *sockets: "zmq.Socket[bytes]") -> bool:
        """Wait until one of the sockets can be read; return whether that is so before the deadline."""
        poller = zmq.Poller()
        for one in (*sockets, *([self._halt.descriptor] if self._halt else [])):
            poller.register(one, zmq.POLLIN)
        ready = [one for one, _ in poller.poll(self._left_ms())]
        if self._halt and self._halt.descriptor in ready:
            raise Halted
        return bool(ready)

    def _left_ms(self) -> int | None:
        return max(0, self._until_ms - requests.now_ms()) if self._until_ms else None

    def _broken(self) -> PixkinError:
        """Return what a broken connection means; raise it if no daemon is there."""
        check_listening(self._path)
        return DaemonBusy("the daemon closed the connection before it answered", _HINT)

    def _late(self) -> PixkinError:
        return DaemonBusy(f"the daemon on {self._path} did not answer in time", _HINT)
