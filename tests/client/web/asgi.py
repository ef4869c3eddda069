"""Asks an ASGI application without a socket."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Message
from tests.webserver import Reply

PORT = 7465
HOST = f"127.0.0.1:{PORT}"
ORIGIN = f"http://{HOST}"


class SomePeer:
    """The other end of a connection, of this user or not."""

    def __init__(self, *, ours: bool) -> None:
        self._ours = ours

    async def is_ours(self) -> bool:
        """Return what was said."""
        return self._ours


def ask(
    app: ASGIApp,
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] = {},
    body: bytes = b"",
    *,
    ours: bool = True,
) -> Reply:
    """Send one request of the page itself, but for these headers; an empty one is left out."""
    path, _, query = target.partition("?")
    kind = {"content-type": "application/json", "content-length": str(len(body))} if body else {}
    own = {"host": HOST, "sec-fetch-site": "same-origin", **({} if method in ("GET", "HEAD") else {"origin": ORIGIN})}
    given = {**own, **kind, **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
        "server": ("127.0.0.1", PORT),
        "client": ("127.0.0.1", 5),
        "pixkin.peer": SomePeer(ours=ours),
    }
    return asyncio.run(_answer(app, scope, body))


async def _answer(app: ASGIApp, scope: dict[str, Any], body: bytes) -> Reply:
    sent: list[Message] = []
    parts: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()  # a browser that stays
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    begin = next(one for one in sent if one["type"] == "http.response.start")
    data = b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body")
    return Reply(begin["status"], {name.decode(): value.decode() for name, value in begin["headers"]}, data)
