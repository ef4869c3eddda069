"""`/t/ID/SIZE.jpg`: pictures as the confined worker has made them anew. Originals are never sent."""

from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.errors import DaemonBusy, InputUnreadable, Refused
from pixkin.protocol.requests import Size
from pixkin.web import parameters
from pixkin.web.problems import Problem
from pixkin.web.site import Site

_KEPT: Final = "private, max-age=31536000, immutable"  # its address is its content


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    return [Route("/t/{id}/{size}.jpg", partial(_thumbnail, site), methods=["GET"])]


async def _thumbnail(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    text, size = request.path_params["id"], request.path_params["size"]
    content = parameters.content(text)
    if size not in set(Size):
        raise Problem(404, f"there is no size {size!r}: S, M, L and X")
    headers = {"ETag": f'"{text}-{size}"', "Cache-Control": _KEPT}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    data = await site.daemon.ask(partial(_made, site, content, Size(size)), request)
    return Response(data, headers=headers, media_type="image/jpeg")


def _made(site: Site, content: bytes, size: Size, client: Client) -> bytes:
    """Return the JPEG of a picture of the library, or of one that was pasted; the latter is kept in one size.

    Raises:
        Problem: it cannot be had, and why.
    """
    try:
        return client.thumbnail(content=content, size=size).data
    except DaemonBusy as error:
        raise Problem(504, error.what, error.hint, daemon="busy") from error
    except (InputUnreadable, Refused) as error:
        if (kept := site.pasted.data(content)) is not None:
            return kept
        files = client.describe(content).descriptions[0].files
        if files and all(file.offline for file in files):
            raise Problem(409, "its drive is not connected, and it is not in the cache", daemon="offline") from error
        raise Problem(404, error.what, error.hint, daemon="unreadable") from error
