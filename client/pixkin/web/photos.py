"""One photo, or the captions of many: its files, dates, camera; and the file manager."""

import asyncio
import os
import shutil
import subprocess
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.printable import b64, harmless, shown
from pixkin.protocol.pictures import Description, File
from pixkin.web import parameters
from pixkin.web.problems import Problem
from pixkin.web.similar import Id, ratio
from pixkin.web.site import Site, json, nothing

_REVEAL_S: Final = 5.0  # for a file manager to answer
_MANAGER: Final = "org.freedesktop.FileManager1"


class IdsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /photos/resolve` says."""

    ids: Annotated[list[Id], Meta(min_length=1, max_length=500)]


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/v1/photos/resolve", partial(_resolve, site), methods=["POST"]),
        Route("/api/v1/photos/{id}", partial(_photo, site), methods=["GET"]),
        Route("/api/v1/photos/{id}/reveal", partial(_reveal, site), methods=["POST"]),
    ]


def path_of(path: bytes) -> dict[str, Any]:
    """Return how a path is shown; and itself, if it cannot be shown as it is."""
    folder, name = os.path.split(path)
    said = {"path": shown(path), "name": shown(name), "folder": shown(folder)}
    return said if said["path"].encode() == path else {**said, "path_b64": b64(path)}


def file_of(file: File) -> dict[str, Any]:
    """Return one file of a picture."""
    return {
        **path_of(file.path),
        "size": file.size,
        "mtime_s": file.mtime_ns // 10**9,
        "offline": file.offline,
        "taken_s": file.taken_s,
        "camera": harmless(file.camera),
        "damaged": file.damaged,
    }


async def _photo(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    text = request.path_params["id"]
    content = parameters.content(text)
    (found,) = (await site.daemon.ask(lambda client: client.describe(content), request)).descriptions
    pasted_s = None if found.files else await asyncio.to_thread(site.pasted.kept_s, content)
    if not found.files and pasted_s is None and not found.picture.width:
        raise Problem(404, "there is no photo of this id, neither in the library nor pasted")
    return json({"id": text, **_described(found), "state": _state(found, pasted_s), "pasted_s": int(pasted_s or 0)})


async def _resolve(site: Site, request: Request) -> Response:
    given = await parameters.body(request, IdsBody)
    contents = list(map(parameters.content, given.ids))
    found = (await site.daemon.ask(lambda client: client.describe(*contents), request)).descriptions
    return json({"photos": [_caption(id_, one) for id_, one in zip(given.ids, found, strict=True)]})


async def _reveal(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    content = parameters.content(request.path_params["id"])
    await site.daemon.ask(partial(_shown_in_manager, content), request)
    return nothing()


def _described(found: Description) -> dict[str, Any]:
    return {
        "why": harmless(found.why),
        "w": found.picture.width,
        "h": found.picture.height,
        "ar": ratio(found.picture),
        "rgb": found.picture.colour,
        "taken_s": found.picture.taken_s,
        "by_name": found.picture.by_name,
        "camera": harmless(found.camera),
        "pages": found.pages,
        "files": list(map(file_of, found.files)),
    }


def _state(found: Description, pasted_s: float | None) -> str:
    if not found.files:
        return "gone" if pasted_s is None else "pasted"
    return "offline" if all(file.offline for file in found.files) else "here"


def _caption(id_: str, found: Description) -> dict[str, Any]:
    first = path_of(found.files[0].path) if found.files else {"path": "", "name": "", "folder": ""}
    return {
        "id": id_,
        **first,
        "taken_s": found.picture.taken_s,
        "copies": len(found.files),
        "offline": bool(found.files) and all(file.offline for file in found.files),
        "gone": not found.files,
        "w": found.picture.width,
        "h": found.picture.height,
    }


def _shown_in_manager(content: bytes, client: Client) -> None:
    """Ask the file manager of the desktop to show a photo.

    Raises:
        Problem: 404: no file of it is here; 501: there is no file manager that can be asked.
    """
    files = [file for file in client.describe(content).descriptions[0].files if not file.offline]
    if not files:
        raise Problem(404, "no file of this photo is on a connected drive")
    if (program := shutil.which("gdbus")) is None:
        raise Problem(501, "this machine has no gdbus, by which a file manager is asked", "copy the path instead")
    uris = "['file://" + quote(files[0].path).replace("'", "%27") + "']"
    to = ("--dest", _MANAGER, "--object-path", "/org/freedesktop/FileManager1", "--method", f"{_MANAGER}.ShowItems")
    try:
        done = subprocess.run(
            [program, "call", "--session", *to, uris, ""], capture_output=True, timeout=_REVEAL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Problem(504, "the file manager does not answer", "copy the path instead") from error
    if done.returncode:
        raise Problem(501, "no file manager of this session can be asked", "copy the path instead")
