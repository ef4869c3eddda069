"""`GET /similar`: the photos most like those of a question, as columns: 10,000 rows would be twice as long."""

import asyncio
import hashlib
import math
import time
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.errors import InputUnreadable, Refused
from pixkin.periods import period
from pixkin.protocol import requests
from pixkin.protocol.pictures import Picture
from pixkin.protocol.replies import Match, Matches, Photo, Relation
from pixkin.protocol.requests import Image, Like, Region
from pixkin.reply_errors import expect
from pixkin.web import folder_ids, ids, parameters
from pixkin.web.problems import Problem
from pixkin.web.site import Site, json
from pixkin.web.status import doubt_of, report_and_basis

Id = Annotated[str, Meta(pattern=ids.PATTERN)]
FolderId = Annotated[str, Meta(pattern=folder_ids.PATTERN)]
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}(-[0-9]{1,2}){0,2}$")]
_Signed = Annotated[str, Meta(pattern=r"^[a-z2-7]{25}[aeimquy4]:[0-9]{1,4}(\.[0-9]{1,6})?$")]
_Cropped = Annotated[str, Meta(pattern=r"^[a-z2-7]{25}[aeimquy4]:([01](\.[0-9]{1,6})?,){3}[01](\.[0-9]{1,6})?$")]
_MOST: Final = requests.MAX_FRAMES - requests.MIN_FRAMES  # images of a question
_ROUNDING: Final = 1e-6  # of sums of shares, as in the protocol
_BINS: Final = 32
_DEFAULT_RATIO: Final = 4 / 3  # of a picture whose size is not known
# The words of the page for the daemon's bands.
_BANDS: Final = {
    Relation.SAME_PHOTO: "closest",
    Relation.SAME_SHOT: "closest",
    Relation.ALIKE: "alike",
}
OFFLINE, DAMAGED, COPIES, VERSIONS, BURST = 1, 2, 4, 8, 16


class Question(Struct, frozen=True):
    """The parameters: what is asked for, and what narrows it."""

    q: Annotated[list[Id], Meta(max_length=_MOST)] = []
    minus: Annotated[list[Id], Meta(max_length=_MOST)] = msgspec.field(default=[], name="not")
    w: Annotated[list[_Signed], Meta(max_length=_MOST)] = []
    crop: Annotated[list[_Cropped], Meta(max_length=_MOST)] = []
    min: Annotated[float, Meta(ge=-1, le=1)] | None = None
    within: Annotated[list[FolderId], Meta(max_length=_MOST)] = msgspec.field(default=[], name="in")
    since: Date | None = msgspec.field(default=None, name="from")
    to: Date | None = None
    online: bool = False
    sort: Literal["like", "date"] = "like"
    n: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    generation: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] | None = None


def routes(site: Site) -> list[Route]:
    """Return the routes."""
    return [Route("/api/v1/similar", partial(_similar, site), methods=["GET"])]


async def _similar(site: Site, request: Request) -> Response:
    question = parameters.query(request, Question)
    dates = span(question.since, question.to)
    images, frames = await asyncio.to_thread(images_of, question, site)
    report, basis = await site.daemon.ask(report_and_basis, request)
    counts = (report.pid, report.photos, report.pending, report.failed)
    tag = f'"{hashlib.blake2b(repr((question, basis, counts)).encode(), digest_size=12).hexdigest()}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-store"})
    began = time.perf_counter()
    try:
        reply = await site.daemon.ask(partial(_asked, site, question, dates, images, frames), request)
    except (Refused, InputUnreadable) as error:
        await _check_known(site, images)
        raise Problem(422, error.what, error.hint, daemon="refused") from error
    took_ms = (time.perf_counter() - began) * 1000
    made_of = {"took_ms": round(took_ms, 1), "searched": report.photos, "basis": basis}
    return json({**made_of, **answer(reply, question)}, ETag=tag)


async def _check_known(site: Site, images: tuple[Image, ...]) -> None:
    """Return if the library has all photos of a question.

    Raises:
        Problem: 404: it lacks one. Most likely it was pasted, and that is long ago.
    """
    contents = [image.content for image in images if image.content]
    for found in (await site.daemon.ask(lambda client: client.describe(*contents))).descriptions if contents else ():
        if not found.files:
            raise Problem(
                404,
                "a photo of the question is gone from the library, or was pasted and is no longer kept",
                "paste it again",
            )


def images_of(question: Question, site: Site) -> tuple[tuple[Image, ...], list[bytes]]:
    """Return the images of a question, and the bytes of those that are not in the library.

    Raises:
        Problem: 422: the question has no image, or too many, or contradicts itself; 404: a pasted photo is not kept.
    """
    if not question.q:
        raise Problem(422, "a question needs at least one photo: q=ID")
    if len(question.q) + len(question.minus) > _MOST:
        raise Problem(422, f"a question has at most {_MOST} photos")
    weights = {id_: float(weight) for id_, _, weight in (one.partition(":") for one in question.w)}
    crops = {id_: tuple(map(float, crop.split(","))) for id_, _, crop in (one.partition(":") for one in question.crop)}
    if strangers := (weights.keys() | crops.keys()) - {*question.q, *question.minus}:
        raise Problem(422, f"a weight or crop is of a photo that is not in the question: {min(strangers)}")
    images: list[Image] = []
    frames: list[bytes] = []
    for sign, some in ((1, question.q), (-1, question.minus)):
        for id_ in some:
            weight = weights.get(id_, 1.0)
            region = _region(crops[id_]) if id_ in crops else None
            if not 0 < weight <= 1000 or (region is not None and not _is_part(region)):
                raise Problem(422, f"the weight or the crop of {id_} is empty or too large")
            images.append(msgspec.structs.replace(_image(id_, frames, site), weight=sign * weight, region=region))
    return tuple(images), frames


def _is_part(region: Region) -> bool:
    return region.width > 0 < region.height and max(region.x + region.width, region.y + region.height) <= 1 + _ROUNDING


def _region(shares: tuple[float, ...]) -> Region:
    x, y, width, height = shares
    return Region(x, y, width, height)


def _image(id_: str, frames: list[bytes], site: Site) -> Image:
    """Return a photo of the library, or a pasted one, whose bytes are appended to `frames`."""
    content = parameters.content(id_)
    if (data := site.pasted.data(content)) is None:
        return Image(content=content)
    frames.append(data)
    return Image(frame=len(frames) + 1)


def span(since: str | None, to: str | None) -> tuple[int | None, int | None]:
    """Return two dates as s since the epoch: the begin of the first, the end of the last.

    Raises:
        Problem: 422: one of them is no day of the calendar.
    """
    try:
        return period(since)[0] if since else None, period(to)[1] if to else None
    except ValueError as error:
        raise Problem(422, str(error)) from error


def _asked(
    site: Site,
    question: Question,
    dates: tuple[int | None, int | None],
    images: tuple[Image, ...],
    frames: list[bytes],
    client: Client,
) -> Matches:
    """Ask the daemon, once for each folder, and put the answers together."""
    folders = [site.folders.path(client, one) for one in question.within] or [b""]
    replies = []
    for folder in folders:
        request = Like(
            images=images,
            limit=question.n,
            under=folder,
            taken_since_s=dates[0],
            taken_before_s=dates[1],
            online=question.online,
            pictures=True,
        )
        replies.append(expect(Matches, client.ask(request, frames)))
    matches = sorted((one for reply in replies for one in reply.matches), key=lambda match: -match.score)
    found = {match.picture.content if match.picture else match.path: match for match in reversed(matches)}
    kept = sorted(found.values(), key=lambda match: -match.score)[: question.n]
    return msgspec.structs.replace(replies[0], matches=tuple(kept))


def answer(reply: Matches, question: Question) -> dict[str, Any]:
    """Return the answer of the page for one of the daemon."""
    matches = list(reply.matches)
    line = question.min if question.min is not None else (reply.chance if reply.chance is not None else -1.0)
    scores = [match.score for match in matches]
    bands = _bands(matches, line)
    if question.sort == "date":
        matches = sorted((one for one in matches if one.score >= line), key=lambda match: -picture(match).taken_s)
        bands = []
    return {
        "doubt": doubt_of(reply.doubt),
        "chance": reply.chance,
        "line": line,
        "histogram": _histogram(scores),
        "bands": bands,
        "cut": sum(score >= line for score in scores),
        "n": len(matches),
        "emptied_by": list(reply.emptied_by),
        "photos": columns(matches),
    }


def columns(matches: list[Match]) -> dict[str, list[Any]]:
    """Return the matches as columns."""
    pictures = [picture(match) for match in matches]
    return {
        "id": [ids.encoded(one.content) for one in pictures],
        "score": [round(match.score, 4) for match in matches],
        "ar": [ratio(one) for one in pictures],
        "rgb": [one.colour for one in pictures],
        "flags": [_flags(match) for match in matches],
        "more": [len(match.copies) + len(match.versions) + len(match.burst) for match in matches],
        "taken": [one.taken_s for one in pictures],
    }


def picture(match: Match) -> Picture:
    """Return the picture of a match; an older daemon says none."""
    return match.picture or Picture(b"")


def ratio(one: Picture | Photo) -> float:
    """Return width to height of a picture as it is shown."""
    return round(one.width / one.height, 4) if one.width and one.height else round(_DEFAULT_RATIO, 4)


def _flags(match: Match) -> int:
    flags = ((match.offline, OFFLINE), (match.damaged, DAMAGED), (match.copies, COPIES))
    return sum(bit for is_so, bit in (*flags, (match.versions, VERSIONS), (match.frames, BURST)) if is_so)


def _bands(matches: list[Match], line: float) -> list[dict[str, Any]]:
    """Return the bands that are not empty, in their order: each is a run of matches, because they are sorted by score."""
    bands: list[dict[str, Any]] = []
    for at, match in enumerate(matches):
        name = "short" if match.score < line else _BANDS.get(match.band, "further")
        if not bands or bands[-1]["name"] != name:
            bands.append({"name": name, "from": at, "n": 0})
        bands[-1]["n"] += 1
    return bands


def _histogram(scores: list[float]) -> dict[str, Any]:
    """Return how many photos score how much: 32 equal parts from the lowest score to the highest."""
    low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
    step = (high - low) / _BINS or 1.0
    bins = [0] * _BINS
    for score in scores:
        bins[min(_BINS - 1, math.floor((score - low) / step))] += 1
    return {"bins": bins, "lo": round(low, 4), "hi": round(high, 4)}
