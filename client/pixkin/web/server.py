"""Serves the page until a signal comes, or, where systemd started it, until nobody has asked for ten minutes."""

import logging
import os
import socket
import time
from collections.abc import Collection
from typing import Final

import uvicorn
from starlette.types import Receive, Scope, Send

from pixkin import locations
from pixkin.web.app import application
from pixkin.web.binding import LOOPBACK, reaching
from pixkin.web.connections import PeerConnection
from pixkin.web.events import Happenings
from pixkin.web.group_decisions import GroupDecisions
from pixkin.web.guard import Guard
from pixkin.web.pasted import PastedPhotos
from pixkin.web.peers import can_look, listener
from pixkin.web.session import Sessions, SigningKey
from pixkin.web.settings import web_settings
from pixkin.web.site import Site
from pixkin.web.threads import ClientThreads

IDLE_S: Final = 600.0
_LOOK_S: Final = 5  # how often it looks whether it is idle
_ASK_S: Final = 5.0  # for another `pixkin web` to answer
_HEADER_BYTES: Final = 8192
_GO_S: Final = 2  # for answers that are being sent when it ends
_log: Final = logging.getLogger(__name__)


def sessions_at(port: int) -> Sessions:
    """Return who is let in at a port; the key is this user's."""
    return Sessions(SigningKey(os.path.join(locations.state_folder(), "web.key")), port)


def serve(
    sock: socket.socket,
    *,
    socket_path: str | None = None,
    allowed: Collection[str] = (),
    idle_s: float | None = None,
) -> None:
    """Serve the page at a listening socket; return when it is to end.

    Args:
        sock: it listens at 127.0.0.1.
        socket_path: the daemon's socket; None: the default one.
        allowed: further hosts, with their ports, under which the page may be reached.
        idle_s: leave if there was no request for so long; None: never.
    """
    address = sock.getsockname()
    knows_peers = can_look(address)
    if not knows_peers:
        _log.warning("the kernel does not tell whose connections these are: only the session keeps others out")
    # It warns of each request that is none: whoever is refused shall not fill the log.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    daemon = ClientThreads(socket_path)
    settings = web_settings()
    site = Site(
        daemon,
        sessions_at(address[1]),
        PastedPhotos(os.path.join(locations.cache_folder(), "queries"), days=settings.keep_pasted_days),
        GroupDecisions(os.path.join(locations.data_folder(), "web-decisions.jsonl")),
        settings,
        knows_peers=knows_peers,
    )
    happenings = Happenings(site)
    watched = Busy(application(site, happenings, port=address[1], allowed=allowed))
    config = uvicorn.Config(
        watched,
        http=PeerConnection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        timeout_graceful_shutdown=_GO_S,
    )
    server = PageServer(config, happenings)
    if idle_s is not None:

        async def leave() -> None:
            server.should_exit |= watched.is_idle(idle_s)

        config.callback_notify, config.timeout_notify = leave, _LOOK_S
    try:
        server.run(sockets=[sock])
    finally:
        daemon.close()


class PageServer(uvicorn.Server):
    """Ends streams before it waits for the answers that are being sent."""

    def __init__(self, config: uvicorn.Config, happenings: Happenings) -> None:
        """Keep what tells of happenings."""
        super().__init__(config)
        self._happenings = happenings

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye, then end."""
        self._happenings.leave()
        await super().shutdown(sockets)


class Busy:
    """Notes when the last request ended."""

    def __init__(self, app: Guard) -> None:
        """Keep the application."""
        self._app = app
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            await self._app(scope, receive, send)
        finally:
            self._last = time.monotonic()

    def is_idle(self, for_s: float) -> bool:
        """Return whether no request is open, and none has been for so long."""
        return not self._app.open and time.monotonic() - self._last >= for_s


def is_served(port: int) -> bool:
    """Return whether a process of this user serves the page at a port."""
    if listener((LOOPBACK, port)) not in (os.geteuid(), None):
        return False
    try:
        with reaching(port) as sock:
            sock.settimeout(_ASK_S)
            sock.sendall(
                b"HEAD /api/v1/openapi.json HTTP/1.1\r\nHost: %b:%d\r\nConnection: close\r\n\r\n"
                % (LOOPBACK.encode(), port)
            )
            return sock.recv(12).endswith(b" 200")
    except OSError:
        return False
