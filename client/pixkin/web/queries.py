"""Photos that the browser has: they are uploaded, get an id, and are kept for a while (`pasted`)."""

import asyncio
import base64
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.errors import InputUnreadable, PixkinError, Refused
from pixkin.protocol.requests import MAX_IMAGES, Size
from pixkin.web import ids, parameters
from pixkin.web.photos import file_of
from pixkin.web.problems import Problem
from pixkin.web.site import Site, json, nothing

_MOST: Final = 4  # uploads that are held in memory at once
_CHUNK_S: Final = 20.0  # between two parts of an upload
_WARM_S: Final = 30.0  # the encoder stays awake longer than that
# A picture of 16 x 16 pixels, which the encoder must be awake for.
_SMALL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAHUlEQVR42mNgEFAwcAhIKGiYsGDDgQsPPjCMbAEAcLJ4AXkQ53sAAAAASUVORK5CYII="
)


class Uploads:
    """Takes photos, a few at a time."""

    def __init__(self, site: Site) -> None:
        """Begin with none."""
        self._site = site
        self._held = 0
        self._warmed = -_WARM_S

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/v1/queries", self._take, methods=["POST"]),
            Route("/api/v1/queries/{id}", self._forget, methods=["DELETE"]),
            Route("/api/v1/warm", self._warm, methods=["POST"]),
        ]

    async def _take(self, request: Request) -> Response:
        parameters.query(request, parameters.Nothing)
        if request.headers.get("content-type", "").startswith("application/json"):
            raise Problem(415, "a photo comes as image/* or application/octet-stream")
        if self._held >= _MOST:
            raise Problem(503, "other photos are being taken at this moment", "try again", Retry_After="1")
        self._held += 1
        try:
            data = await _received(request)
            return json(await self._site.daemon.ask(partial(_asked, self._site, data)), 201)
        finally:
            self._held -= 1

    async def _forget(self, request: Request) -> Response:
        parameters.query(request, parameters.Nothing)
        content = parameters.content(request.path_params["id"])
        if not await asyncio.to_thread(self._site.pasted.forget, content):
            raise Problem(404, "this photo is not kept")
        return nothing()

    async def _warm(self, request: Request) -> Response:
        """Answer at once: the encoder needs seconds."""
        parameters.query(request, parameters.Nothing)
        if time.monotonic() - self._warmed >= _WARM_S:
            self._warmed = time.monotonic()
            self._waking = asyncio.ensure_future(self._site.daemon.ask(_wake))
        return nothing(202)


async def _received(request: Request) -> bytes:
    """Return the body.

    Raises:
        Problem: 413: it is too large; 422: it is empty; 408: it does not go on.
    """
    if int(request.headers.get("content-length", "0")) > MAX_IMAGES:
        raise _too_large()
    parts: list[bytes] = []
    stream = aiter(request.stream())
    size = 0
    with suppress(StopAsyncIteration):
        while True:
            try:
                part = await asyncio.wait_for(anext(stream), _CHUNK_S)
            except TimeoutError as error:
                raise Problem(408, "the photo does not arrive") from error
            if (size := size + len(part)) > MAX_IMAGES:
                raise _too_large()
            parts.append(part)
    if not size:
        raise Problem(422, "the photo has no bytes", daemon="unreadable")
    return b"".join(parts)


def _too_large() -> Problem:
    return Problem(413, f"the photo is larger than {MAX_IMAGES >> 20} MB", Connection="close")


def _asked(site: Site, data: bytes, client: Client) -> dict[str, Any]:
    """Return the id of a photo, and keep it unless the library has it."""
    try:
        thumb = client.thumbnail(data, size=Size.L)
    except (Refused, InputUnreadable) as error:
        raise Problem(422, error.what, error.hint, daemon="unreadable") from error
    files = client.describe(thumb.content).descriptions[0].files
    if not files:
        site.pasted.keep(thumb.content, thumb.data)
    return {"id": ids.encoded(thumb.content), "known": list(map(file_of, files)), "w": thumb.width, "h": thumb.height}


def _wake(client: Client) -> None:
    with suppress(PixkinError):  # it will be said when a photo comes
        client.like(_SMALL, n=1)
