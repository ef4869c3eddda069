"""What the daemon does, its folders and failures; pausing and going on."""

import hashlib
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin import __version__, locations
from pixkin.client import Client
from pixkin.printable import harmless, shown
from pixkin.protocol.replies import Doubt, Failed, Folder, Report, Root
from pixkin.web import folder_ids, parameters
from pixkin.web.site import Site, json, nothing


class PauseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `POST /pause` says."""

    for_s: Annotated[int, Meta(ge=0, le=365 * 86400)] = 0  # 0: until `resume`


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    return [
        Route("/api/v1/status", partial(_status, site), methods=["GET"]),
        Route("/api/v1/pause", partial(_pause, site), methods=["POST"]),
        Route("/api/v1/resume", partial(_resume, site), methods=["POST"]),
    ]


def doubt_of(doubt: Doubt) -> dict[str, Any]:
    """Return what an answer may miss."""
    return {
        "pending": doubt.pending,
        "failed": doubt.failed,
        "offline": doubt.offline,
        "unwatched": [shown(path) for path in doubt.unwatched],
    }


def progress_of(report: Report) -> dict[str, Any]:
    """Return the part of the status that changes while photos are indexed."""
    return {
        "counts": {
            "indexed": report.photos,
            "waiting": report.pending,
            "failed": report.failed,
            "offline": report.offline,
        },
        "doing": harmless(report.doing),
        "paused_by": _paused_by(report.doing),
        "rate": round(report.rate, 1),
        "eta_s": round(report.eta_s),
    }


def report_and_basis(client: Client) -> tuple[Report, str]:
    """Return the report, and what answers depend on as one word: if it is another one now, an answer of before may be old."""
    report = client.status()
    return report, basis_of(client.changes().generation, report.roots)


def basis_of(generation: int, roots: Iterable[Root | Folder]) -> str:
    """Return what answers depend on as one word. `roots`: all of them."""
    states = [(root.path, str(root.state)) for root in roots]
    return hashlib.blake2b(repr((generation, states)).encode(), digest_size=12).hexdigest()


def root_of(root: Root) -> dict[str, Any]:
    """Return a watched folder."""
    return {
        "id": folder_ids.below(None, root.path),
        "path": shown(root.path),
        "state": str(root.state),
        "reason": harmless(root.reason),
        "hint": harmless(root.hint),
        "links": root.links,
    }


async def _status(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    report, generation, new = await site.daemon.ask(_asked)
    return json(
        {
            **progress_of(report),
            "generation": generation,
            "basis": basis_of(generation, report.roots),
            "new": new,
            "daemon": {"version": report.version, "pid": report.pid, "uptime_s": round(report.uptime_s)},
            "web": {
                "version": __version__,
                "knows_peers": site.knows_peers,
                "allow_trash": site.settings.allow_trash,
            },
            "roots": [root_of(root) for root in report.roots],
            "encoder": report.encoder,
            "store_bytes": report.store_bytes,
            "chance": report.chance and {"median": report.chance.median, "best": report.chance.best},
            "formats": [
                {"name": one.name, "decoder": one.decoder, "live": one.live, "why": "" if one.live else one.hint}
                for one in report.formats
            ],
            "failures": [_failure(one) for one in report.failures if not one.ignored],
            "sandbox": {"missing": [] if report.sandbox is None else list(map(harmless, report.sandbox.missing))},
            "config": harmless(locations.config_file()),
        }
    )


def _asked(client: Client) -> tuple[Report, int, int]:
    """Return the report, the generation of the library, and the number of arrivals that nobody has looked at."""
    report = client.status(failed=True, formats=True)
    return report, client.changes().generation, sum(one.new for one in client.watches().watches)


async def _pause(site: Site, request: Request) -> Response:
    given = await parameters.body(request, PauseBody)
    await site.daemon.ask(lambda client: client.pause(for_s=given.for_s))
    return nothing()


async def _resume(site: Site, request: Request) -> Response:
    parameters.query(request, parameters.Nothing)
    await site.daemon.ask(lambda client: client.resume())
    return nothing()


def _failure(failed: Failed) -> dict[str, Any]:
    return {"path": shown(failed.path), "reason": harmless(failed.reason), "retry_at": failed.retry_at}


def _paused_by(doing: str) -> str:
    """Return who holds indexing: `you`, `battery` or `pressure`; empty: nobody does.

    The daemon says it in a sentence, which the page shows as well.
    """
    if "paused by pixkin pause" in doing:
        return "you"
    if "paused: on battery" in doing:
        return "battery"
    return "pressure" if "paused: " in doing else ""
