"""Standing questions: which new photos are like these? The daemon keeps them, and what arrived."""

from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.printable import harmless, shown
from pixkin.protocol import requests
from pixkin.protocol.news import Arrival, Arrived, Watches, WatchState
from pixkin.reply_errors import expect
from pixkin.web import ids, parameters
from pixkin.web.problems import Problem
from pixkin.web.similar import Question, images_of, ratio
from pixkin.web.site import Site, json, nothing

_Number = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]  # what a browser's numbers hold exactly


class WatchBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /watches` says."""

    question: Annotated[str, Meta(max_length=2000)]
    min: Annotated[float, Meta(ge=-1, le=1)] | None = None
    name: Annotated[str, Meta(max_length=100)] = ""


class ArrivalParameters(Struct, frozen=True):
    """Which arrivals."""

    after: _Number = 0


class WatchPath(Struct, frozen=True):
    """Which question a path names."""

    watch: _Number


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/v1/watches", partial(_list, site), methods=["GET"]),
        Route("/api/v1/watches", partial(_begin, site), methods=["POST"]),
        Route("/api/v1/watches/{watch}", partial(_end, site), methods=["DELETE"]),
        Route("/api/v1/watches/{watch}/arrivals", partial(_arrivals, site), methods=["GET"]),
    ]


def arrival_of(arrival: Arrival) -> dict[str, Any]:
    """Return one photo that came."""
    return {
        "seq": arrival.seq,
        "watch": arrival.watch,
        "photo": ids.encoded(arrival.picture.content),
        "path": shown(arrival.path),
        "score": round(arrival.score, 4),
        "at_s": arrival.at_s,
        "ar": ratio(arrival.picture),
        "rgb": arrival.picture.colour,
    }


async def _list(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    return json(_listed(await site.daemon.ask(lambda client: client.watches(), request)))


async def _begin(site: Site, request: Request) -> Response:
    given = await parameters.body(request, WatchBody)
    question = parameters.converted(parse_qsl(given.question, keep_blank_values=True), Question)
    if question.crop:
        raise Problem(422, "a standing question takes whole photos, without a crop")

    def asked(client: Client) -> Watches:
        images, frames = images_of(question, site)
        wanted = requests.Watch(images=images, name=given.name, min_score=given.min)
        return expect(Watches, client.ask(wanted, frames))

    return json(_listed(await site.daemon.ask(asked)), 201)


async def _end(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    watch = parameters.converted(list(request.path_params.items()), WatchPath).watch
    if all(one.id != watch for one in (await site.daemon.ask(lambda client: client.watches())).watches):
        raise Problem(404, "there is no such standing question")
    await site.daemon.ask(lambda client: client.unwatch(watch))
    return nothing()


async def _arrivals(site: Site, request: Request) -> Response:
    given = parameters.query(request, ArrivalParameters)
    watch = parameters.converted(list(request.path_params.items()), WatchPath).watch

    def asked(client: Client) -> Arrived:
        """Return what has come; nothing is waited for, because something has come, or the daemon says so at once."""
        state = client.watches()
        last = max((one.last for one in state.watches if watch in (0, one.id)), default=0)
        if watch and all(one.id != watch for one in state.watches):
            raise Problem(404, "there is no such standing question")
        if last <= given.after:
            return Arrived(last=given.after)
        # Whoever names the last one that he has seen, has seen it.
        return client.arrivals(watch, given.after, peek=not given.after)

    found = await site.daemon.ask(asked, request)
    return json({"arrivals": list(map(arrival_of, found.arrivals)), "last": found.last})


def _listed(found: Watches) -> dict[str, Any]:
    return {"watches": list(map(_watch, found.watches))}


def _watch(state: WatchState) -> dict[str, Any]:
    return {
        "id": state.id,
        "name": harmless(state.name),
        "photos": [ids.encoded(one.content) for one in state.images],
        "weights": [one.weight for one in state.images],
        "min": state.min_score,
        "band": str(state.min_band),
        "new": state.new,
        "last": state.last,
        "began_s": state.began_s,
        "why": harmless(state.why),
    }
