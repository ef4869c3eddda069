"""Threads that share a client, and coroutines, against a real daemon."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.e2e.conftest import Home, new_home, picture

from pixkin import AsyncClient

COUNT = 12

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def library() -> Iterator[Home]:
    """Yield a home with photos that are like no other."""
    with new_home() as home:
        for number in range(COUNT):
            (home.photos / f"{number}.jpg").write_bytes(picture(number))
        home.index()
        yield home


def test_threads_that_share_a_client_get_their_own_answers(library: Home) -> None:
    """Sixteen threads ask 192 questions, and no answer goes to another one."""
    client = library.client()
    photos = [library.photos / f"{number}.jpg" for number in range(COUNT)] * 16

    def asked(photo: Path) -> Path:
        assert client.thumbnail(photo).width
        return client.like(photo, itself=True, n=1).matches[0].fs_path

    with ThreadPoolExecutor(16) as threads:
        assert [*threads.map(asked, photos)] == photos


def test_coroutines_with_arrays_are_never_told_that_the_daemon_is_busy(library: Home) -> None:
    """It takes the bytes of four requests at a time, and as many are sent."""
    photos = [library.photos / f"{number}.jpg" for number in range(COUNT)]
    arrays = [np.asarray(Image.open(photo)) for photo in photos]

    async def main() -> list[Path]:
        async with AsyncClient(library.socket, reply_s=60) as client:
            answers = await asyncio.gather(*(client.like(array, n=1) for array in arrays))
            return [answer.matches[0].fs_path for answer in answers]

    assert asyncio.run(main()) == photos


def test_cancelled_calls_leave_the_daemon_as_it_was(library: Home) -> None:
    """Queries and waits that nobody wants any more take no place: the next ones are answered, and a wait sees its photo."""
    arrays = [np.asarray(Image.open(library.photos / f"{number}.jpg")) for number in range(COUNT)]

    async def main() -> tuple[bool, Path | None]:
        async with AsyncClient(library.socket, reply_s=60) as client:
            before = await client.changes()
            for turn in range(5):
                tasks = [asyncio.ensure_future(client.like(array, rotate=True)) for array in arrays]
                waits = [asyncio.ensure_future(client.changes(before.generation, 60)) for _ in range(20)]
                await asyncio.wait([*tasks], return_when=asyncio.FIRST_COMPLETED)
                for task in (*tasks[turn:], *waits):
                    task.cancel()
                await asyncio.gather(*tasks, *waits, return_exceptions=True)
            wait = asyncio.ensure_future(client.changes(before.generation, 60))
            # By its path: the daemon finishes the queries with bytes that it has begun, and may be busy with these.
            found = (await client.like(library.photos / "3.jpg", n=1, itself=True)).matches[0].fs_path
            is_waiting = not wait.done()
            (library.photos / "new.jpg").write_bytes(picture(COUNT))
            (came,) = (await wait).came
            described = await client.describe(came.content)
            assert found == library.photos / "3.jpg"
            return is_waiting, described.descriptions[0].files[0].fs_path

    assert asyncio.run(main()) == (True, library.photos / "new.jpg")
