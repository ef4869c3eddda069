"""The library itself: its photos by date, its folders, its months."""

import os
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.printable import shown
from pixkin.protocol.replies import Folder, FolderList, Library, Months
from pixkin.web import folder_ids, ids, parameters
from pixkin.web.problems import Problem
from pixkin.web.similar import OFFLINE, Date, FolderId, ratio, span
from pixkin.web.site import Site, json
from pixkin.web.status import basis_of, doubt_of


class LibraryParameters(Struct, frozen=True):
    """What narrows the library."""

    within: FolderId | None = msgspec.field(default=None, name="in")
    since: Date | None = msgspec.field(default=None, name="from")
    to: Date | None = None
    after: Annotated[str, Meta(pattern="^([a-z2-7]{38}[aiqy])?$")] = ""
    n: Annotated[int, Meta(ge=1, le=10_000)] = 200


class FolderParameters(Struct, frozen=True):
    """Which folders."""

    parent: FolderId | None = None


class TimelineParameters(Struct, frozen=True):
    """Of which folder."""

    within: FolderId | None = msgspec.field(default=None, name="in")


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/v1/library", partial(_library, site), methods=["GET"]),
        Route("/api/v1/folders", partial(_folders, site), methods=["GET"]),
        Route("/api/v1/timeline", partial(_timeline, site), methods=["GET"]),
    ]


async def _library(site: Site, request: Request) -> Response:
    given = parameters.query(request, LibraryParameters)
    since, before = span(given.since, given.to)
    try:
        after = ids.unpadded(given.after)
    except ValueError as error:
        raise Problem(422, f"after: {error}") from error

    def asked(client: Client) -> tuple[str, Library]:
        under = _path(site, client, given.within)
        # Not by the status: for that the daemon looks at network drives, which may take seconds.
        basis = basis_of(client.changes().generation, client.folders().folders)
        return basis, client.browse(under, taken_since_s=since, taken_before_s=before, after=after, n=given.n)

    basis, found = await site.daemon.ask(asked, request)
    return json(
        {
            "basis": basis,
            "total": found.total,
            "next": ids.encoded(found.next) or None,
            "doubt": doubt_of(found.doubt),
            "photos": {
                "id": [ids.encoded(one.content) for one in found.pictures],
                "ar": [ratio(one) for one in found.pictures],
                "rgb": [one.colour for one in found.pictures],
                "flags": [OFFLINE if one else 0 for one in found.offline],
                "taken": [one.taken_s for one in found.pictures],
            },
        }
    )


async def _folders(site: Site, request: Request) -> Response:
    given = parameters.query(request, FolderParameters)

    def asked(client: Client) -> FolderList:
        return client.folders(_path(site, client, given.parent))

    found = await site.daemon.ask(asked, request)
    return json({"folders": [_folder(one, given.parent) for one in found.folders]})


async def _timeline(site: Site, request: Request) -> Response:
    given = parameters.query(request, TimelineParameters)

    def asked(client: Client) -> Months:
        return client.timeline(_path(site, client, given.within))

    found = await site.daemon.ask(asked, request)
    return json({"months": [{"month": f"{one.year:04}-{one.month:02}", "n": one.photos} for one in found.months]})


def _path(site: Site, client: Client, id_: str | None) -> str | None:
    return None if id_ is None else os.fsdecode(site.folders.path(client, id_))


def _folder(folder: Folder, parent: str | None) -> dict[str, Any]:
    """Return a folder; roots have the names of their last parts, but their whole paths in their ids."""
    return {
        "id": folder_ids.below(parent, folder.path),
        "name": shown(os.path.basename(folder.path) or folder.path),
        "path": shown(folder.path),
        "count": folder.photos,
        "failed": folder.failed,
        "more": folder.folders,
        "state": str(folder.state),
    }
