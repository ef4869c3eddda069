"""Groups of duplicates: what differs, what is proposed and why, and what the user decides. Nothing here moves a file."""

import asyncio
import hashlib
import os
import time
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin.client import Client
from pixkin.protocol.pictures import Description, File
from pixkin.protocol.replies import Band, Group, Photo
from pixkin.protocol.requests import SAME_SHOT
from pixkin.web import ids, parameters
from pixkin.web.duplicate_search import DuplicateSearch, DuplicateSearches, file_id, member, saving
from pixkin.web.group_decisions import GroupDecision
from pixkin.web.photos import path_of
from pixkin.web.problems import Problem
from pixkin.web.proposals import Seen, differing, proposal
from pixkin.web.similar import FolderId, Id, ratio
from pixkin.web.site import Site, json

_SIMILAR: Final = 0.75  # the lowest score of a pair in a group of photos that are only similar
_LISTED: Final = 12  # members of a group in the list
_SHOWN: Final = 200  # members of one group
_MOST_APART: Final = 12  # members: each pair is remembered
_WAIT_S: Final = 1.5  # for a search to end, before what it has found is told
_FIND_S: Final = 20.0  # for a search that was forgotten, because a link names a group of it
_NAMES: Final = {Band.IDENTICAL: "identical", Band.SAME_SHOT: "same_shot", Band.SIMILAR: "similar"}


class DupesParameters(Struct, frozen=True):
    """Which groups."""

    band: Literal["identical", "same_shot", "similar"] | None = None
    within: FolderId | None = msgspec.field(default=None, name="in")
    cursor: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    n: Annotated[int, Meta(ge=1, le=200)] = 50


class DecisionBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `PUT /dupes/ID/decision` says."""

    keep: Annotated[list[Id], Meta(max_length=1000)] = []
    aside: Annotated[list[Id], Meta(max_length=1000)] = []
    apart: bool = False
    later: bool = False


class Duplicates:
    """The groups and the decisions about them."""

    def __init__(self, site: Site) -> None:
        """Keep what is shared; nothing is searched yet."""
        self._site = site
        self.searches = DuplicateSearches(site.daemon)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/v1/dupes", self._list, methods=["GET"]),
            Route("/api/v1/dupes/{group}", self._show, methods=["GET"]),
            Route("/api/v1/dupes/{group}/decision", self._decide, methods=["PUT"]),
        ]

    async def _list(self, request: Request) -> Response:
        given = parameters.query(request, DupesParameters)
        folder = b""
        if (within := given.within) is not None:
            folder = await self._site.daemon.ask(lambda client: self._site.folders.path(client, within), request)
        search = await self.searches.search(folder, _SIMILAR if given.band == "similar" else SAME_SHOT)
        await self.searches.settled(search, _WAIT_S)
        band = next((band for band, name in _NAMES.items() if name == given.band), None)
        groups = search.groups(band)
        some = groups[given.cursor : given.cursor + given.n]
        seen = await self._seen([photo for _, group in some for photo in group.photos[:_LISTED]])
        decisions = await asyncio.to_thread(self._site.decisions.all)
        end = given.cursor + len(some)
        return json(
            {
                "done": bool(search.done_s),
                "compared": search.compared,
                "pictures": search.pictures,
                "total": len(groups),
                "saving": sum(saving(group) for _, group in groups),
                "next": end if end < len(groups) else None,
                "left_out": search.left_out,
                "groups": [
                    {
                        **_head(id_, group),
                        "members": [_member(seen[photo.path]) for photo in group.photos[:_LISTED]],
                        "more": group.more + max(0, len(group.photos) - _LISTED),
                        "decision": _decided(decisions.get(id_)),
                    }
                    for id_, group in some
                ],
            }
        )

    async def _show(self, request: Request) -> Response:
        parameters.query(request, parameters.Nothing)
        id_ = request.path_params["group"]
        parameters.content(id_)
        _, group = await self.found(id_)
        return await self._group(id_, group)

    async def _decide(self, request: Request) -> Response:
        id_ = request.path_params["group"]
        parameters.content(id_)
        given = await parameters.body(request, DecisionBody)
        _, group = await self.found(id_)
        await self.check_match(request, id_, group)
        keep, aside = (_paths(group, names) for names in (given.keep, given.aside))
        if set(keep) & set(aside):
            raise Problem(422, "a file is kept, and set aside")
        if aside and not keep:
            raise Problem(422, "a file may be set aside only if another one is kept")
        before = await asyncio.to_thread(self._site.decisions.of, id_)
        if given.apart != bool(before and before.apart):
            await self._site.daemon.ask(lambda client: _separate(client, group, apart=given.apart))
            self.searches.outdate()
        decision = GroupDecision(id_, int(time.time()), keep, aside, given.apart, given.later)
        await asyncio.to_thread(self._site.decisions.write, decision)
        return await self._group(id_, group)

    async def found(self, id_: str) -> tuple[DuplicateSearch, Group]:
        """Return a group and the search that found it.

        Raises:
            Problem: 404: there is no such group any more.
            PixkinError: the search failed.
        """
        for score in (SAME_SHOT, _SIMILAR):
            if (found := self.searches.found(id_)) is not None:
                return found
            await self.searches.settled(await self.searches.search(b"", score), _FIND_S)
        if (found := self.searches.found(id_)) is not None:
            return found
        raise Problem(404, "there is no such group any more: its photos have changed, or are no duplicates")

    async def check_match(self, request: Request, id_: str, group: Group) -> None:
        """Return if the group is as the page has seen it.

        Raises:
            Problem: 412: it is not.
        """
        wanted = request.headers.get("if-match")
        decision = await asyncio.to_thread(self._site.decisions.of, id_)
        if wanted is not None and wanted not in ("*", _tag(group, decision)):
            raise Problem(412, "this group has changed since it was shown", "look at it again")

    async def _group(self, id_: str, group: Group) -> Response:
        photos = group.photos[:_SHOWN]
        seen = list((await self._seen(photos)).values())
        proposed = proposal(group.band, photos, await self._site.readable.reason_not(os.fsdecode(photos[0].path)))
        decision = await asyncio.to_thread(self._site.decisions.of, id_)
        return json(
            {
                **_head(id_, group),
                "members": list(map(_member, seen)),
                "more": group.more + len(group.photos) - len(photos),
                "differing": differing(seen),
                "proposal": proposed._asdict(),
                "decision": _decided(decision),
                "may_trash": self._site.settings.allow_trash,
            },
            ETag=_tag(group, decision),
        )

    async def _seen(self, photos: Sequence[Photo]) -> dict[bytes, Seen]:
        """Return the photos, by path, with what is known of their files."""
        contents = list(dict.fromkeys(photo.content for photo in photos))
        known: dict[bytes, Description] = {}
        for start in range(0, len(contents), 500):
            some = contents[start : start + 500]
            reply = await self._site.daemon.ask(lambda client, some=some: client.describe(*some))  # type: ignore[misc]
            known |= {one.picture.content: one for one in reply.descriptions}
        files = {file.path: file for one in known.values() for file in one.files}
        pictures = {content: one.picture for content, one in known.items()}
        return {
            photo.path: Seen(photo, files.get(photo.path, File(photo.path)), pictures.get(photo.content))
            for photo in photos
        }


def _head(id_: str, group: Group) -> dict[str, Any]:
    return {"id": id_, "band": _NAMES[group.band], "score": round(group.score, 4), "saving": saving(group)}


def _member(seen: Seen) -> dict[str, Any]:
    photo = seen.photo
    return {
        "file": file_id(photo.path),
        "id": ids.encoded(photo.content),
        **path_of(photo.path),
        "w": photo.width,
        "h": photo.height,
        "size": photo.size,
        "offline": photo.offline,
        "spare": photo.spare,
        "notes": list(photo.notes),
        "ar": ratio(seen.picture) if seen.picture else ratio(photo),
        "rgb": seen.picture.colour if seen.picture else -1,
        "taken_s": seen.file.taken_s,
        "camera": seen.file.camera,
    }


def _decided(decision: GroupDecision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    keep, aside = ([file_id(os.fsencode(path)) for path in paths] for paths in (decision.keep, decision.aside))
    return {"keep": keep, "aside": aside, "apart": decision.apart, "later": decision.later, "at_s": decision.at}


def _tag(group: Group, decision: GroupDecision | None) -> str:
    """Return the ETag of a group: it changes with its files and with the decision."""
    state = repr((group, decision)).encode("utf-8", "backslashreplace")  # of paths that are no UTF-8
    return f'"{hashlib.blake2b(state, digest_size=12).hexdigest()}"'


def _paths(group: Group, names: Sequence[str]) -> tuple[str, ...]:
    photos = [member(group, name) for name in names]
    if None in photos:
        raise Problem(422, "a file is not in this group")
    return tuple(os.fsdecode(photo.path) for photo in photos if photo is not None)


def _separate(client: Client, group: Group, *, apart: bool) -> None:
    """Tell the daemon of each two photos of a group whether they are duplicates."""
    firsts = list({photo.content: photo.path for photo in reversed(group.photos)}.values())
    if group.more or len(firsts) > _MOST_APART:
        raise Problem(422, f"only groups of at most {_MOST_APART} pictures can be told apart here")
    for at, one in enumerate(firsts):
        for other in firsts[at + 1 :]:
            (client.apart if apart else client.together)(os.fsdecode(one), os.fsdecode(other))
