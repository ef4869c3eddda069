"""Asks the daemon, in a few threads.

`Client` is synchronous and has a connection for each request (0.75 ms). It is what the command line uses: it knows a
daemon that goes away, that is another user's, and that does not answer in time. zmq.asyncio would need all of that again.
A browser has six connections to a host, so a dozen threads are enough. A request that waits for a thread when its
browser goes away is never sent: a tile that is scrolled away costs nothing.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

from pixkin.client import Client

_THREADS: Final = 12
_REPLY_S: Final = 20.0  # a browser's user has given up by then
_Answer = TypeVar("_Answer")


class ClientThreads:
    """The daemon, for coroutines."""

    def __init__(self, socket_path: str | None) -> None:
        """Keep where the daemon listens; no thread runs until something is asked."""
        self.client = Client(socket_path, reply_s=_REPLY_S)
        self._pool = ThreadPoolExecutor(_THREADS, "ask")

    async def ask(self, question: Callable[[Client], _Answer], request: Request | None = None) -> _Answer:
        """Return what a call of the client returns.

        Args:
            question: the call.
            request: whose browser waits for it, if its body is read.

        Raises:
            PixkinError: as the client does.
            ClientDisconnect: the browser has gone away.
        """
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().run_in_executor(self._pool, question, self.client)
        if request is None:
            return await answer
        gone = asyncio.ensure_future(_until_gone(request))
        either: list[asyncio.Future[Any]] = [answer, gone]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise ClientDisconnect
        finally:
            gone.cancel()
            answer.cancel()

    def close(self) -> None:
        """Forget what waits for a thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
