"""The client for coroutines: it is `Client`, awaited; its calls run side by side, and end when they are cancelled."""

import asyncio
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from tests.client.test_client import FOUND, record, welcome
from tests.waiting import wait_for

from pixkin import Client
from pixkin.asynchronous import AsyncClient
from pixkin.errors import DaemonAbsent, UsageError
from pixkin.protocol import framing, replies, requests

Serve = Callable[..., str]
PUBLIC = [name for name in dir(Client) if not name.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_method_has_its_like(name: str) -> None:
    """It has the same arguments, defaults and docstring; what yields is for `async for`."""
    method, twin = getattr(Client, name), getattr(AsyncClient, name)

    assert inspect.signature(twin) == inspect.signature(method)
    assert inspect.getdoc(twin) == inspect.getdoc(method)
    assert inspect.isasyncgenfunction(twin) == inspect.isgeneratorfunction(method)
    assert inspect.iscoroutinefunction(twin) != inspect.isgeneratorfunction(method)


def test_there_is_no_method_of_its_own() -> None:
    """What one can do, the other can, too."""
    assert [name for name in dir(AsyncClient) if not name.startswith("_")] == PUBLIC


def test_answers_and_errors_are_those_of_client(serve: Serve, folder: str) -> None:
    """Arguments arrive, answers and exceptions come back."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    path = serve(record(log, replies.Matches(matches=(FOUND,))))

    async def main() -> tuple[replies.Match, ...]:
        async with AsyncClient(path) as client:
            return (await client.like(b"image", n=3)).matches

    assert asyncio.run(main()) == (FOUND,)
    assert isinstance(log[0][0], requests.Like)
    assert (log[0][0].limit, log[0][1]) == (3, [b"image"])
    with pytest.raises(DaemonAbsent):
        asyncio.run(AsyncClient(f"{folder}/none.sock").hello())
    with pytest.raises(UsageError):
        asyncio.run(AsyncClient(path).like(b"image", n=0))


def test_groups_come_one_by_one(serve: Serve) -> None:
    """`async for` yields what each reply has, and the next request is only sent when it is needed."""
    photo = replies.Photo(b"/p/a.jpg", bytes(16))
    groups = tuple(replies.Group(replies.Band.IDENTICAL, 1.0, (photo,) * number) for number in (2, 3, 4))
    log: list[tuple[requests.Request, list[bytes]]] = []
    answers = (replies.Groups(search=1, groups=groups[:2]), replies.Groups(search=1, groups=groups[2:], done=True))
    path = serve(record(log, *answers))

    async def main() -> list[tuple[int, int]]:
        return [(len(group.photos), len(log)) async for group in AsyncClient(path).dupes()]

    assert asyncio.run(main()) == [(2, 1), (3, 1), (4, 2)]


def patient(frames: list[bytes]) -> list[list[bytes]]:
    """Answer every request but `sync`."""
    return [] if isinstance(framing.unpack_request(frames)[0], requests.Sync) else welcome(frames)


def test_calls_run_side_by_side(serve: Serve) -> None:
    """Calls that wait hold up no other one, as long as there are threads."""
    path = serve(patient)

    async def main() -> int:
        client = AsyncClient(path)
        waiting = [asyncio.ensure_future(client.sync()) for _ in range(25)]
        welcomes = await asyncio.gather(*(client.hello() for _ in range(30)))
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        return len(welcomes)

    assert asyncio.run(main()) == 30


@pytest.mark.parametrize("silent", [True, False], ids=["that says nothing", "that is deaf"])
def test_a_call_that_is_cancelled_ends_at_once(serve: Serve, folder: str, *, silent: bool) -> None:
    """`sync` has no deadline, and yet the program ends: the thread does not wait for a daemon any more."""
    code = f"""
import asyncio, sys
from pixkin.asynchronous import AsyncClient

async def main():
    try:
        async with asyncio.timeout(0.2):
            await AsyncClient(sys.argv[1]).sync()
    except TimeoutError:
        print("ended")

if {not silent}:
    import socket
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
asyncio.run(main())
"""
    path = serve(lambda _: []) if silent else f"{folder}/deaf.sock"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "ended\n"


def test_calls_that_wait_for_a_thread_have_no_descriptors(serve: Serve) -> None:
    """So there may be more calls at once than a process may have files open."""
    code = """
import asyncio, resource, sys
from pixkin.asynchronous import AsyncClient

async def main():
    async with AsyncClient(sys.argv[1]) as client:
        print(len(await asyncio.gather(*(client.hello() for _ in range(2000)))))

resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, serve(welcome)], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("2000\n", "")


def descriptors() -> int:
    """Return how many files and sockets are open, here and in the daemon of the test."""
    return len(os.listdir("/proc/self/fd"))


def test_a_call_that_is_cancelled_closes_its_connection(serve: Serve) -> None:
    """Whenever that is: before it is sent, or while the daemon works. The client goes on."""
    path = serve(patient)

    async def main() -> None:
        async with AsyncClient(path) as client:
            for number in range(60):
                task = asyncio.ensure_future(client.sync())
                for _ in range(number % 20):
                    await client.hello()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            assert (await client.hello()).pid == 1

    asyncio.run(AsyncClient(path).hello())
    before = descriptors()
    asyncio.run(main())

    wait_for(lambda: descriptors() <= before)


def test_a_call_that_has_not_begun_is_never_sent(serve: Serve) -> None:
    """Four calls with images wait for the daemon; a fifth that is cancelled meanwhile does not reach it."""
    log: list[bytes] = []
    begun = threading.Semaphore(0)

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        log.append(frames[2])
        begun.release()
        return []

    path = serve(answer)

    async def main() -> None:
        client = AsyncClient(path)
        tasks = [asyncio.ensure_future(client.like(b"%d" % number)) for number in range(5)]
        for _ in range(4):
            await asyncio.to_thread(begun.acquire)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main())

    assert sorted(log) == [b"0", b"1", b"2", b"3"]
