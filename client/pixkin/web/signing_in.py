"""A ticket becomes a cookie; and the end of all sessions."""

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.web import parameters
from pixkin.web.problems import Problem
from pixkin.web.session import SESSION_S
from pixkin.web.site import Site, nothing


class TicketBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /session` says."""

    ticket: Annotated[str, Meta(max_length=200)]


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    path = "/api/v1/session"
    return [
        Route(path, partial(_begin, site), methods=["POST"]),
        Route(path, partial(_end, site), methods=["DELETE"]),
    ]


async def _begin(site: Site, request: Request) -> Response:
    given = await parameters.body(request, TicketBody)
    if not site.sessions.redeem(given.ticket):
        raise Problem(401, "this ticket has been used, or is older than a minute", "run `pixkin web` again")
    response = nothing()
    response.set_cookie(
        site.sessions.cookie,
        site.sessions.cookie_value(),
        max_age=SESSION_S,
        path="/",
        httponly=True,
        samesite="strict",
    )
    return response


async def _end(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    site.sessions.end_all()
    return nothing(Clear_Site_Data='"cache", "cookies"')
