"""`Client` for coroutines. Each call runs in a thread, and ends when its task is cancelled.

The methods are made of those of `Client`, whose connection knows a daemon that goes away, that is another user's, and that
does not answer in time. zmq.asyncio would need all of that again.
"""

from __future__ import annotations  # help() shows the names of types, not what they stand for

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from pixkin.client import Client
from pixkin.connection import HALT, Halt
from pixkin.query_images import Path

_IMAGES: Final = 4  # calls with images at once: the daemon refuses a fifth request with the bytes of images as `busy`
_OTHERS: Final = 32  # other calls at once; some wait for minutes

_P = ParamSpec("_P")
_Answer = TypeVar("_Answer")


def _awaited(
    method: Callable[Concatenate[Client, _P], _Answer], *, of_images: bool = False
) -> Callable[Concatenate[AsyncClient, _P], Coroutine[Any, Any, _Answer]]:
    """Return a method of `Client` as one that is awaited; `of_images`: it may send the bytes of images."""

    @wraps(method)
    async def call(client: AsyncClient, /, *args: _P.args, **kwargs: _P.kwargs) -> _Answer:
        return await client._run(partial(method, client._client, *args, **kwargs), of_images=of_images)

    return call


def _iterated(
    method: Callable[Concatenate[Client, _P], Iterator[_Answer]],
) -> Callable[Concatenate[AsyncClient, _P], AsyncIterator[_Answer]]:
    """Return a method of `Client` that yields as one for `async for`."""

    @wraps(method)
    async def call(client: AsyncClient, /, *args: _P.args, **kwargs: _P.kwargs) -> AsyncIterator[_Answer]:
        answers = method(client._client, *args, **kwargs)
        end = object()
        while (answer := await client._run(partial(next, answers, end))) is not end:
            yield answer

    return call


class AsyncClient:
    """Asks a running `pixkind`, as `Client` does: its methods have the same arguments, answers and errors, and are awaited.

    Calls run side by side, those with images four at a time. A call that is cancelled, as by `asyncio.timeout`, closes its
    connection at once; the daemon finishes what it has begun, and may be busy with it. `told` of `dupes` is called in a thread.
    """

    def __init__(self, socket_path: Path | None = None, *, reply_s: float = 30.0) -> None:
        """Remember where the daemon listens; no thread runs until something is asked. The arguments are those of `Client`."""
        self._client = Client(socket_path, reply_s=reply_s)
        self._images = ThreadPoolExecutor(_IMAGES, "pixkin-images")
        self._others = ThreadPoolExecutor(_OTHERS, "pixkin")

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads; without `async with` they end with the client."""
        for pool in (self._images, self._others):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, call: Callable[[], _Answer], *, of_images: bool = False) -> _Answer:
        """Return what a call returns in a thread. If the task is cancelled, the call ends soon, and nobody waits for that."""
        halt = Halt()

        def run() -> _Answer:
            HALT.set(halt)
            with halt:
                return call()

        pool = self._images if of_images else self._others
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, copy_context().run, run)
        except asyncio.CancelledError:
            halt.set()
            raise

    ask = _awaited(Client.ask)
    like = _awaited(Client.like, of_images=True)
    have = _awaited(Client.have, of_images=True)
    thumbnail = _awaited(Client.thumbnail, of_images=True)
    watch = _awaited(Client.watch, of_images=True)
    dupes = _iterated(Client.dupes)
    apart = _awaited(Client.apart)
    together = _awaited(Client.together)
    describe = _awaited(Client.describe)
    why = _awaited(Client.why)
    browse = _awaited(Client.browse)
    export = _iterated(Client.export)
    folders = _awaited(Client.folders)
    timeline = _awaited(Client.timeline)
    unwatch = _awaited(Client.unwatch)
    watches = _awaited(Client.watches)
    arrivals = _awaited(Client.arrivals)
    changes = _awaited(Client.changes)
    status = _awaited(Client.status)
    sync = _awaited(Client.sync)
    pause = _awaited(Client.pause)
    resume = _awaited(Client.resume)
    boost = _awaited(Client.boost)
    spaces = _awaited(Client.spaces)
    use_space = _awaited(Client.use_space)
    drop_space = _awaited(Client.drop_space)
    forget = _awaited(Client.forget)
    ignore = _awaited(Client.ignore)
    hello = _awaited(Client.hello)
