"""Refuses whoever is not this user's own page, before any of our code sees the request.

One ASGI middleware around the application. The checks come in this order, and each is alone enough for one attacker:

| check | refuses | by |
| --- | --- | --- |
| the address (`binding`) | other machines | the socket listens at 127.0.0.1 alone |
| `HOST` | a page whose host name is made to mean 127.0.0.1 (rebinding) | 421 |
| `PEER` | a process of another user, even with a stolen cookie | 403 |
| `FETCH` | other web sites, and pages of other local ports: to them, `SameSite` is no fence | 403 |
| `ORIGIN` | forms and scripts of others that would change something | 403 |
| `SESSION` | whoever did not get a ticket from `pixkin web` | 401 |

A method that a path does not have is refused before all of them (405), so TRACE and its kin reach nothing.
The shell, which is HTML, CSS and scripts without any data, needs no session.
"""

from collections.abc import Collection, Sequence
from enum import Enum, auto
from typing import Final

from starlette.datastructures import Headers
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixkin.errors import PixkinError
from pixkin.web.peers import Peer
from pixkin.web.problems import Problem
from pixkin.web.session import Sessions

MOST_OPEN: Final = 64  # requests at once; a browser has six connections to a host
MOST_HEADER: Final = 8192  # bytes; uvicorn bounds what is incomplete
_SAFE: Final = frozenset({"GET", "HEAD"})
_TYPES: Final = ("application/json", "application/octet-stream", "image/")
_API: Final = ("/api/", "/t/")
_OPEN: Final = frozenset(
    {("POST", "/api/v1/session"), ("GET", "/api/v1/openapi.json"), ("HEAD", "/api/v1/openapi.json")}
)
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), browsing-topics=()",
}
HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


class Check(Enum):
    """What the guard looks at; a test leaves one out to see that it alone refuses."""

    HOST = auto()
    PEER = auto()
    FETCH = auto()
    ORIGIN = auto()
    SESSION = auto()


class Guard:
    """Asks all checks about a request, and adds the headers to every answer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Sequence[Route],
        port: int,
        sessions: Sessions,
        allowed: Collection[str] = (),
        checks: Collection[Check] = tuple(Check),
    ) -> None:
        """Keep what is allowed.

        Args:
            app: what is guarded.
            routes: what it has.
            port: at which it listens.
            sessions: who has a session.
            allowed: further hosts, with their ports, under which a user reaches it.
            checks: all, but in tests.
        """
        self._app, self.routes, self._sessions, self._checks = app, routes, sessions, frozenset(checks)
        own = (f"127.0.0.1:{port}", f"localhost:{port}")
        # Behind a name of the user's own may be a server that speaks TLS.
        self._origins = {
            host: {f"{scheme}://{host}" for scheme in (("http",) if host in own else ("http", "https"))}
            for host in (*own, *allowed)
        }
        self._port = port
        self.open = 0  # requests that are being answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        self.open += 1
        try:
            if self.open > MOST_OPEN:
                raise Problem(503, "too many requests are open", "close some of the tabs")
            await self._check(scope)
        except Problem as problem:
            await problem.response()(scope, receive, send_with_headers)
        except PixkinError as error:  # of the key
            await Problem(500, error.what, error.hint).response()(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)
        finally:
            self.open -= 1

    async def _check(self, scope: Scope) -> None:
        headers, method = Headers(scope=scope), scope["method"]
        if sum(len(name) + len(value) for name, value in headers.raw) > MOST_HEADER:
            raise Problem(431, f"the header has more than {MOST_HEADER} bytes")
        self._check_method(scope, headers)
        origins = self._check_host(headers)
        peer: Peer | None = scope.get("pixkin.peer")
        if Check.PEER in self._checks and peer is not None and not await peer.is_ours():
            raise Problem(403, "this page belongs to another user of this machine")
        is_data = scope["path"].startswith(_API)
        self._check_fetch(headers, method, origins, is_shell=not is_data)
        if method not in _SAFE:
            if Check.ORIGIN in self._checks and not _is_one_of(headers, "origin", origins):
                raise Problem(403, "this request comes from another page")
            _check_type(headers)
        if is_data and (method, scope["path"]) not in _OPEN and Check.SESSION in self._checks:
            self._check_session(headers)

    def _check_method(self, scope: Scope, headers: Headers) -> None:
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            raise Problem(403, "no other page may ask")
        # The first route that has the path: `/photos/resolve` is not `/photos/{id}`.
        path = next((route.path for route in self.routes if route.matches(scope)[0] is not Match.NONE), None)
        methods = {one for route in self.routes if route.path == path for one in route.methods or ()}
        if scope["method"] not in (methods if path is not None else {*_SAFE, "POST", "PUT", "DELETE"}):
            raise Problem(405, f"{scope['method']} is no method here", Allow=", ".join(sorted(methods or _SAFE)))

    def _check_host(self, headers: Headers) -> set[str]:
        """Return the origins that the page has under this host."""
        host = headers.get("host", "")
        if Check.HOST in self._checks and (host not in self._origins or len(headers.getlist("host")) > 1):
            raise Problem(
                421,
                "the page is not served under this name",
                f"open http://127.0.0.1:{self._port}/, or start `pixkin web --allow-host NAME:PORT`",
            )
        return self._origins.get(host, set())

    def _check_fetch(self, headers: Headers, method: str, origins: set[str], *, is_shell: bool) -> None:
        if Check.FETCH not in self._checks:
            return
        if not (sites := headers.getlist("sec-fetch-site")):
            # An old browser, or no browser. What changes nothing is left to the session.
            if method in _SAFE or _is_one_of(headers, "origin", origins):
                return
        elif sites == ["same-origin"] or (sites == ["none"] and is_shell and method in _SAFE):
            return
        raise Problem(403, "another page has asked for this", "open the page by its address, not by a link")

    def _check_session(self, headers: Headers) -> None:
        for cookies in headers.getlist("cookie"):
            for cookie in cookies.split(";"):
                name, _, value = cookie.strip().partition("=")
                if name == self._sessions.cookie and self._sessions.admits(value):
                    return
        raise Problem(401, "this browser has no session", "run `pixkin web` in a terminal to open this page")


def _is_one_of(headers: Headers, name: str, values: Collection[str]) -> bool:
    given = headers.getlist(name)
    return len(given) == 1 and given[0] in values


def _check_type(headers: Headers) -> None:
    """Refuse the types of forms, which a page may send to others without being asked."""
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if has_body and not headers.get("content-type", "").lower().startswith(_TYPES):
        raise Problem(415, "a body is JSON, or an image as application/octet-stream or image/*")
