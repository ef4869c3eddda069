"""Puts the application together: routes, what errors become, and the guard around it."""

from collections.abc import Collection
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.errors import PixkinError
from pixkin.web import library, photos, similar, status, thumbnails, watches
from pixkin.web.dupes import Duplicates
from pixkin.web.events import Happenings
from pixkin.web.guard import Check, Guard
from pixkin.web.plans import Plans
from pixkin.web.problems import Problem
from pixkin.web.queries import Uploads
from pixkin.web.shell import Shell
from pixkin.web.signing_in import routes as session_routes
from pixkin.web.site import Site

_GONE: Final = 499  # as nginx has it


def routes(site: Site, happenings: Happenings) -> list[Route]:
    """Return all routes."""
    duplicates = Duplicates(site)
    return [
        *Shell().routes(),
        *session_routes(site),
        *status.routes(site),
        *similar.routes(site),
        *photos.routes(site),
        *library.routes(site),
        *thumbnails.routes(site),
        *watches.routes(site),
        *Uploads(site).routes(),
        *happenings.routes(),
        *Plans(site, duplicates).routes(),
        *duplicates.routes(),
    ]


def application(
    site: Site,
    happenings: Happenings,
    *,
    port: int,
    allowed: Collection[str] = (),
    checks: Collection[Check] = tuple(Check),
) -> Guard:
    """Return the guarded application.

    Args:
        site: what the answers share.
        happenings: what is told of it.
        port: at which it is served.
        allowed: further hosts, with their ports, under which it may be reached.
        checks: of the guard; all, but in tests.
    """
    found = routes(site, happenings)
    kinds = (Problem, PixkinError, HTTPException, ClientDisconnect, Exception)
    app = Starlette(routes=found, exception_handlers=dict.fromkeys(kinds, _answered))
    app.router.redirect_slashes = False
    return Guard(app, routes=found, port=port, sessions=site.sessions, allowed=allowed, checks=checks)


async def _answered(_: Request, error: Exception) -> Response:
    """Return the answer that an error becomes; uvicorn logs those that are bugs."""
    match error:
        case Problem():
            return error.response()
        case PixkinError():
            return Problem.of(error).response()
        case HTTPException():
            return Problem(error.status_code, "there is nothing here").response()
        case ClientDisconnect():
            return Response(status_code=_GONE)  # nobody reads it
        case _:
            return Problem(500, "this is a bug in pixkin", "the log of `pixkin web` says more").response()
