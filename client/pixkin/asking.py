"""Sends a request to the daemon and returns its reply: what all parts of `Client` need.

Every request has a connection of its own (0.75 ms, measured on two cores at 2.4 GHz), so a `Client` holds nothing open.
Threads may share it, the daemon may restart between two requests, and a late reply cannot be taken for another one.
"""

from __future__ import annotations  # help() shows the names of types, not what they stand for

import itertools
import os
import signal
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
import zmq

from pixkin import locations
from pixkin.connection import Link
from pixkin.errors import UsageError
from pixkin.listening import check_listening
from pixkin.protocol import framing, requests
from pixkin.protocol.replies import Code, Failure, Reply
from pixkin.protocol.requests import Like, Request, Watch
from pixkin.query_images import Path, by_bytes, is_by_path
from pixkin.reply_errors import error_of, unpacked


class Asking:
    """Asks a running `pixkind` over its socket."""

    def __init__(self, socket_path: Path | None = None, *, reply_s: float = 30.0) -> None:
        """Remember where the daemon listens; nothing is opened yet.

        Args:
            socket_path: the daemon's socket; None: the default one.
            reply_s: seconds until a request without a reply ends in `DaemonBusy`.
        """
        self._socket_path = locations.socket_file() if socket_path is None else os.fspath(socket_path)
        self._reply_s = reply_s
        self._ids = itertools.count(1)  # the daemon answers with id 0 if it could not read the id

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no connection outlives its request."""

    def ask(self, request: Request, images: Sequence[bytes] = ()) -> Reply:
        """Send a request and return its reply, never a `Failure`. `id` and `until_ms` are filled in here.

        Raises:
            UsageError: the request breaks a rule of the protocol (exit status 2).
            InputUnreadable: an image or folder that it names cannot be used (66).
            DaemonAbsent: nothing listens on the socket (69).
            Refused: the daemon refuses the request, or its reply cannot be understood (70).
            DaemonBusy: the daemon did not answer within `reply_s`, or is not ready to (75).
            VersionsDiffer: the daemon speaks another version of the protocol (76).
        """
        reply = self._exchange(request, images, self._until(self._reply_s))
        if isinstance(reply, Failure):
            raise error_of(reply)
        return reply

    def _ask_with_images(self, request: Like | Watch, frames: list[bytes]) -> Reply:
        """Send a question about images; those that the daemon cannot open are sent again, as bytes."""
        until_ms = self._until(self._reply_s)
        reply = self._exchange(request, frames, until_ms)
        while isinstance(reply, Failure) and reply.code is Code.UNREADABLE and is_by_path(request, reply):
            request = by_bytes(request, reply, frames)
            reply = self._exchange(request, frames, until_ms)
        return reply

    def _until(self, wait_s: float | None) -> int:
        """Return the deadline in ms of `requests.now_ms`; 0: none."""
        return 0 if wait_s is None else requests.now_ms() + max(1, round(wait_s * 1000))

    def _exchange(self, request: Request, images: Sequence[bytes], until_ms: int) -> Reply:
        request = msgspec.structs.replace(request, id=next(self._ids), until_ms=until_ms)
        frames = framing.pack(request, images)
        try:
            framing.unpack_request(frames)  # the daemon would refuse it for the same reason, only later
        except framing.ProtocolError as error:
            raise UsageError(f"invalid request: {error}") from error
        check_listening(self._socket_path)
        context = zmq.Context()
        try:
            # An interrupt after a socket is made, but before ZeroMQ has noted it, would leave the socket open.
            # `destroy` would then wait for it for ever.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                link = Link(context, self._socket_path, until_ms)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            link.send(frames)
            while True:
                reply = unpacked(link.receive())
                # id 0: the daemon could not read the request. Replies with other ids belong to no request and are dropped.
                if reply.id == request.id or (reply.id == 0 and isinstance(reply, Failure)):
                    return reply
        finally:
            context.destroy(linger=0)  # never wait for a daemon that does not read its queue
