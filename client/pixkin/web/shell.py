"""The page's own files: HTML, CSS, scripts and pictures of the package. They hold no data.

All are read once, at the start, so a path of a request is a key of a dictionary, and no file name.
"""

import hashlib
import mimetypes
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PAGES: Final = ("/", "/like", "/dupes", "/dupes/{group}", "/library", "/watches", "/status")
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    data: bytes
    kind: str
    tag: str

    def response(self, request: Request) -> Response:
        """Return it, or nothing if the browser has it."""
        headers = {"ETag": self.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.data, headers=headers, media_type=self.kind)


class Shell:
    """All files of the page."""

    def __init__(self) -> None:
        """Read them."""
        top = Path(str(resources.files("pixkin.web") / "static"))
        found = [Path(folder, name) for folder, _, names in os.walk(top) for name in names]
        self._assets = {path.relative_to(top).as_posix(): _asset(path) for path in found}
        self._contract = _asset(top.parent / "openapi.json")

    def routes(self) -> list[Route]:
        """Return the routes of the pages, of their files, and of the description of the API."""
        pages = [Route(path, self._page, methods=["GET"]) for path in _PAGES]
        contract = Route("/api/v1/openapi.json", self._described, methods=["GET"])
        return [*pages, Route("/static/{path:path}", self._file, methods=["GET"]), contract]

    async def _page(self, request: Request) -> Response:
        return self._assets["index.html"].response(request)

    async def _file(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["path"])
        return Response(status_code=404) if asset is None else asset.response(request)

    async def _described(self, request: Request) -> Response:
        return self._contract.response(request)


def _asset(path: Path) -> Asset:
    data = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
