"""What was set aside, as a file to act on; moved to the trash, if the user allows that; and brought back.

A file goes into the plan only if one of its group that is kept was read just now. To the trash go exact copies alone, by the
rules of `pixkin.trash`: each is compared with the one that stays.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixkin import locations
from pixkin.printable import harmless, shown
from pixkin.protocol.replies import Group
from pixkin.trash.destinations import Trash
from pixkin.trash.moving import bring_back_last, move_all, tidy
from pixkin.trash.offers import Offer, Wishes
from pixkin.web import parameters
from pixkin.web.dupes import Duplicates
from pixkin.web.group_decisions import GroupDecision
from pixkin.web.photos import path_of
from pixkin.web.problems import Problem
from pixkin.web.site import Site, json

_Done = TypeVar("_Done")


class PlanParameters(Struct, frozen=True):
    """In which form."""

    format: Literal["paths", "nul", "json", "sh"] = "paths"


class Step(NamedTuple):
    """A file that may go, and one that stays."""

    aside: bytes
    kept: bytes


class Plans:
    """Acts on decisions."""

    def __init__(self, site: Site, duplicates: Duplicates) -> None:
        """Keep what is shared."""
        self._site, self._duplicates = site, duplicates
        self._pool = ThreadPoolExecutor(1, "move")  # one run at a time; it goes on if the browser goes away

    def routes(self) -> list[Route]:
        """Return the routes; they must come before those of single groups."""
        return [
            Route("/api/v1/dupes/plan", self._plan, methods=["GET"]),
            Route("/api/v1/dupes/undo", self._undo, methods=["POST"]),
            Route("/api/v1/dupes/{group}/trash", self._trash, methods=["POST"]),
        ]

    async def _plan(self, request: Request) -> Response:
        given = parameters.query(request, PlanParameters)
        steps: list[Step] = []
        left_out: list[str] = []
        for decision in (await asyncio.to_thread(self._site.decisions.all)).values():
            if not decision.aside:
                continue
            if (kept := await self._readable(decision)) is None:
                left_out.append(f"{_shown(decision.keep[0])}, which is to be kept, cannot be read now")
                continue
            there = await asyncio.to_thread(
                lambda paths: [one for one in paths if os.path.lexists(one)], decision.aside
            )
            steps += [Step(os.fsencode(path), os.fsencode(kept)) for path in there]
        data, kind = _FORMS[given.format](steps, left_out)
        suffix = {"paths": "txt", "nul": "bin"}.get(given.format, given.format)
        named = {"Content-Disposition": f'attachment; filename="pixkin-plan.{suffix}"', "Cache-Control": "no-store"}
        return Response(data, headers=named, media_type=kind)

    async def _readable(self, decision: GroupDecision) -> str | None:
        """Return a file of those that are kept which was read just now; None: there is none, so nothing may go."""
        for path in decision.keep:
            if not await self._site.readable.reason_not(path):
                return path
        return None

    async def _trash(self, request: Request) -> Response:
        parameters.query(request, parameters.Nothing)
        id_ = request.path_params["group"]
        parameters.content(id_)
        if not self._site.settings.allow_trash:
            raise Problem(
                403,
                "the page may move nothing to the trash",
                f"allow_trash = true in [web] of {locations.config_file()} allows it; or use the plan",
            )
        search, group = await self._duplicates.found(id_)
        await self._duplicates.check_match(request, id_, group)
        decision = await asyncio.to_thread(self._site.decisions.of, id_)
        if decision is None or not decision.aside:
            raise Problem(409, "no file of this group was set aside")
        gone, stays = await self._run(lambda: _moved(group, decision, search.asked_ns))
        self._duplicates.searches.outdate()
        return json({"moved": list(map(_shown, gone)), "stays": stays})

    async def _undo(self, request: Request) -> Response:
        parameters.query(request, parameters.Nothing)
        found = await self._run(lambda: bring_back_last(locations.trash_journal()))
        if found is None:
            raise Problem(404, "there is nothing to bring back")
        self._duplicates.searches.outdate()
        missing = [f"{_shown(moved.path)}: {harmless(reason)}" for moved, reason in found.missing]
        return json({"back": len(found.run.moved) - len(missing), "missing": missing})

    async def _run(self, move: Callable[[], _Done]) -> _Done:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._pool, move))


def _moved(group: Group, decision: GroupDecision, asked_ns: int) -> tuple[list[str], list[dict[str, str]]]:
    """Move what was set aside; return the paths that went, and why others stay."""
    wishes = Wishes()
    offers = [one for one in wishes.offers(group) if one.path in decision.aside and one.kept not in decision.aside]
    reasons = dict(line.partition(": ")[::2] for line in wishes.left_out)
    gone: list[str] = []

    def told(moved: list[Offer], failed: list[str]) -> None:
        gone.extend(one.path for one in moved)
        reasons.update(line.partition(": ")[::2] for line in failed)

    if offers:
        tidy(locations.trash_journal())
        move_all(locations.trash_journal(), offers, Trash(locations.trash_folder()), asked_ns, told)
    unsure = "it is no exact copy of the file that stays, or that one was set aside too"
    stays = [
        {"path": _shown(path), "why": harmless(reasons.get(path, unsure))}
        for path in decision.aside
        if path not in gone
    ]
    return gone, stays


def _shown(path: str) -> str:
    return shown(os.fsencode(path))


def _as_paths(steps: list[Step], _: list[str]) -> tuple[bytes, str]:
    """Return a path on each line; one with a line break is left out, because no program could tell it from two."""
    return b"".join(step.aside + b"\n" for step in steps if b"\n" not in step.aside), "text/plain"


def _as_nul(steps: list[Step], _: list[str]) -> tuple[bytes, str]:
    return b"".join(step.aside + b"\0" for step in steps), "application/octet-stream"


def _as_json(steps: list[Step], left_out: list[str]) -> tuple[bytes, str]:
    listed = [{"aside": path_of(step.aside), "kept": path_of(step.kept)} for step in steps]
    return msgspec.json.encode({"steps": listed, "left_out": left_out}), "application/json"


def _as_script(steps: list[Step], left_out: list[str]) -> tuple[bytes, str]:
    """Return a script that looks once more, for each file, whether the one that stays is there."""
    head = b"#!/bin/sh\n# What was set aside on the page of pixkin. Nothing is deleted: `gio trash --restore` brings files back.\n"
    lines = (b"[ -r %b ] && gio trash -- %b\n" % (_quoted(step.kept), _quoted(step.aside)) for step in steps)
    remarks = (f"# left out: {line}\n".encode() for line in left_out)
    return head + b"".join((*remarks, *lines)), "text/x-shellscript"


def _quoted(path: bytes) -> bytes:
    return b"'" + path.replace(b"'", b"'\\''") + b"'"


_FORMS: Final[dict[str, Callable[[list[Step], list[str]], tuple[bytes, str]]]] = {
    "paths": _as_paths,
    "nul": _as_nul,
    "json": _as_json,
    "sh": _as_script,
}
