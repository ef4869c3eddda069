"""`GET /events`: what happens in the library, as server-sent events. One set of questions to the daemon serves all streams.

Nothing is asked while nobody listens. A stream that is read too slowly is ended; its browser comes again, with the number of
the last event that it has, and gets what it has missed, or else is told that everything may be new.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pixkin.client import Client
from pixkin.errors import PixkinError
from pixkin.printable import harmless
from pixkin.protocol.news import Arrived, LibraryChanged
from pixkin.web import ids, parameters
from pixkin.web.problems import Problem
from pixkin.web.similar import ratio
from pixkin.web.site import Site
from pixkin.web.status import progress_of, report_and_basis, root_of
from pixkin.web.watches import arrival_of

MOST: Final = 16  # streams
_WAITING: Final = 256  # events for one stream, and those that are remembered
_POLL_S: Final = 3.0  # a question that waits for news; the process ends only after it
_COMMENT_S: Final = 15.0
_BUSY_S: Final = 0.5  # between two looks while photos are indexed
_QUIET_S: Final = 2.0
_AWAY_S: Final = 1.0  # between two tries without a daemon
_Answer = TypeVar("_Answer")


class Happenings:
    """All streams, and the tasks that ask for what they tell."""

    def __init__(self, site: Site) -> None:
        """Begin with no stream."""
        self._site = site
        self._pool = ThreadPoolExecutor(3, "poll")
        self._streams: set[asyncio.Queue[str]] = set()
        self._task: asyncio.Task[None] | None = None
        self.epoch, self._number = secrets.token_hex(4), 0
        self._last: deque[tuple[int, str]] = deque(maxlen=_WAITING)
        self._now: dict[str, Any] = {}  # what the last `status` told
        self._is_away = True  # until it answers: only a daemon that goes away ends streams

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/api/v1/events", self._events, methods=["GET"])]

    def leave(self) -> None:
        """Say goodbye to all streams, because the server ends."""
        self.tell("bye", {})
        self._end()

    async def _events(self, request: Request) -> Response:
        parameters.query(request, parameters.Nothing)
        if len(self._streams) >= MOST:
            raise Problem(503, f"{MOST} pages listen already", "close some of them")
        told = self.stream(request.headers.get("last-event-id", ""))
        return StreamingResponse(told, headers={"Cache-Control": "no-store"}, media_type="text/event-stream")

    def stream(self, last: str) -> AsyncGenerator[str, None]:
        """Return a new stream; `last` is the number of the last event that a browser has, or empty."""
        stream: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        self._streams.add(stream)  # now, so that none is over the limit
        return self._told(stream, last)

    async def _told(self, stream: asyncio.Queue[str], last: str) -> AsyncGenerator[str, None]:
        try:
            self._task = self._task or asyncio.create_task(self._follow())
            yield "retry: 2000\n\n" + "".join(self._missed(last))
            while stream in self._streams or not stream.empty():
                try:
                    yield await asyncio.wait_for(stream.get(), _COMMENT_S)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self._streams.discard(stream)
            if not self._streams and self._task is not None:
                self._task.cancel()
                self._task, self._now = None, {}

    def _missed(self, last: str) -> list[str]:
        """Return the events after the last one that a browser has; first, how things stand."""
        now = [_written("status", self._now)] if self._now else []
        if not last:
            return now
        epoch, _, number = last.partition("-")
        first = self._last[0][0] if self._last else self._number + 1
        if epoch != self.epoch or not number.isdecimal() or not first - 1 <= int(number[:15]) <= self._number:
            return [*now, _written("generation", {"missed": True})]
        return [*now, *(text for at, text in self._last if at > int(number))]

    def tell(self, name: str, said: dict[str, Any]) -> None:
        """Tell all streams of an event."""
        self._number += 1
        text = f"id: {self.epoch}-{self._number}\n{_written(name, said)}"
        self._last.append((self._number, text))
        for stream in list(self._streams):
            try:
                stream.put_nowait(text)
            except asyncio.QueueFull:
                self._streams.discard(stream)

    def _end(self) -> None:
        """End all streams; browsers come again."""
        for stream in list(self._streams):
            self._streams.discard(stream)
            with suppress(asyncio.QueueFull):
                stream.put_nowait(": the end\n\n")

    async def _ask(self, question: Callable[[Client], _Answer]) -> _Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, question, self._site.daemon.client)

    async def _follow(self) -> None:
        """Ask and tell, again and again: the daemon may go away and come back.

        The first `status` is told when it is known from where on the rest is: nothing that happens after it is missed.
        """
        while True:
            try:
                generation, last = await self._ask(lambda client: (client.changes().generation, client.watches().last))
                async with asyncio.TaskGroup() as followers:
                    for follower in (self._status(), self._changes(generation), self._arrivals(last)):
                        followers.create_task(follower)
            except* PixkinError:
                self._now = {}  # a new stream tells nothing before a daemon answers
                if not self._is_away:
                    self._is_away = True
                    self._end()  # the page asks why
                await asyncio.sleep(_AWAY_S)

    async def _status(self) -> None:
        """Tell of the progress and of the roots, when they change."""
        roots: dict[str, Any] = {}
        while True:
            report, basis = await self._ask(report_and_basis)
            watches = await self._ask(lambda client: client.watches())
            self._is_away = False
            now = {**progress_of(report), "basis": basis, "new": sum(one.new for one in watches.watches)}
            if now != self._now:
                self._now = now
                self.tell("status", now)
            for root in map(root_of, report.roots):
                if roots.get(root["id"]) not in (None, root):
                    self.tell("root", root)
                roots[root["id"]] = root
            await asyncio.sleep(_BUSY_S if report.pending else _QUIET_S)

    async def _changes(self, generation: int) -> None:
        """Tell which photos came since this generation, and how many went."""
        while True:
            after = generation

            def wait(client: Client, after: int = after) -> LibraryChanged:
                return client.changes(after, _POLL_S)

            news = await self._ask(wait)
            if (generation := news.generation) == after:
                continue
            if news.came or news.more:
                self.tell(
                    "indexed",
                    {
                        "id": [ids.encoded(one.content) for one in news.came],
                        "ar": [ratio(one) for one in news.came],
                        "rgb": [one.colour for one in news.came],
                        "more": news.more,
                    },
                )
            if news.gone:
                self.tell("gone", {"n": news.gone})
            self.tell("generation", {"generation": generation, "missed": news.missed})

    async def _arrivals(self, last: int) -> None:
        """Tell of the matches of standing questions after this one."""
        while True:

            def wait(client: Client, after: int = last) -> Arrived:
                return client.arrivals(0, after, _POLL_S, peek=True)

            news = await self._ask(wait)
            if news.arrivals:
                names = {one.id: one.name for one in (await self._ask(lambda client: client.watches())).watches}
                for arrival in news.arrivals:
                    self.tell("match", {**arrival_of(arrival), "name": harmless(names.get(arrival.watch, ""))})
            last = max(last, news.last)


def _written(name: str, said: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {msgspec.json.encode(said).decode()}\n\n"
