"""Connections of browsers: each knows its peer, has a time for its headers, and there are not too many of them."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pixkin.web.peers import Peer

HEADER_S: Final = 10.0  # for a whole header, from its first byte or from the beginning of the connection on
_MOST: Final = 256  # connections; a browser has six to a host


class PeerConnection(H11Protocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Remember who is at the other end."""
        super().connection_made(transport)
        client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if len(self.connections) > _MOST or not client:
            transport.abort()
            return
        self.app = _WithPeer(self.app, Peer(client[:2], server[:2]))
        self._expect_header()

    def data_received(self, data: bytes) -> None:
        """Begin the time of a header with its first byte, and end it with its last one."""
        super().data_received(data)
        is_answering = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # it begins as None
        (self._stop_waiting if is_answering else self._expect_header)()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_header(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _WithPeer:
    """Tells the application who is at the other end of a connection."""

    def __init__(self, app: ASGIApp, peer: Peer) -> None:
        self._app, self._peer = app, peer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "pixkin.peer": self._peer}, receive, send)
