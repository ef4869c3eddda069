"""A connection to the daemon. It carries frames and knows nothing of messages."""

import os
from typing import Final

import zmq

from pixkin.errors import DaemonBusy
from pixkin.listening import check_listening
from pixkin.protocol import requests

_BROKEN: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Link:
    """A connection with a deadline, which notices when the daemon goes away."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str, until_ms: int) -> None:
        """Connect to the socket at `path`; `until_ms`: when to give up, in ms of `requests.now_ms`; 0: never."""
        self._path = path
        self._until_ms = until_ms
        self._dealer = context.socket(zmq.DEALER)
        # Not `immediate`: with it libzmq drops received messages when the connection ends.
        # Half of the last replies of a stopping daemon were lost so.
        self._dealer.linger = 0
        self._monitor = self._dealer.get_monitor_socket(_BROKEN)
        address = b"ipc://" + os.fsencode(path)
        self._dealer.connect(address)  # type: ignore[arg-type]  # it takes bytes too; a path need not be UTF-8

    def send(self, frames: list[bytes]) -> None:
        """Queue the request. Only `receive` tells whether the daemon took it."""
        self._dealer.send_multipart(frames, copy=False)

    def receive(self) -> list[bytes]:
        """Return the frames of the next reply.

        Raises:
            DaemonAbsent: the daemon went away.
            DaemonBusy: the deadline passed, or the connection broke while a daemon is there.
        """
        poller = zmq.Poller()
        poller.register(self._dealer, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        ready = poller.poll(max(0, self._until_ms - requests.now_ms()) if self._until_ms else None)
        if self._dealer.poll(0):  # checked again: a last reply may arrive while the connection breaks
            return self._dealer.recv_multipart()
        if ready:
            check_listening(self._path)
            raise DaemonBusy("the daemon closed the connection before it answered", "try again, or see `pixkin status`")
        raise DaemonBusy(f"the daemon on {self._path} did not answer in time", "try again, or see `pixkin status`")
