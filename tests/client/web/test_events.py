"""Streams of events: none holds up the others, and nothing is lost in silence."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.client.web.asgi import PORT

from pixkin.web.events import Happenings
from pixkin.web.group_decisions import GroupDecisions
from pixkin.web.pasted import PastedPhotos
from pixkin.web.session import Sessions, SigningKey
from pixkin.web.site import Site
from pixkin.web.threads import ClientThreads


@pytest.fixture
def happenings(tmp_path: Path) -> Happenings:
    """Return streams of a page without a daemon."""
    return Happenings(
        Site(
            ClientThreads(str(tmp_path / "no.sock")),
            Sessions(SigningKey(str(tmp_path / "web.key")), PORT),
            PastedPhotos(str(tmp_path / "queries")),
            GroupDecisions(str(tmp_path / "web-decisions.jsonl")),
        )
    )


async def numbers(stream: AsyncIterator[str], until: int) -> list[int]:
    """Return the numbers of the events of a stream, up to this one."""
    found: list[int] = []
    async for text in stream:
        found += [int(line.partition("-")[2]) for line in text.splitlines() if line.startswith("id: ")]
        if found and found[-1] >= until:
            break
    return found


def test_a_stream_that_is_not_read_is_ended_and_the_others_go_on(happenings: Happenings) -> None:
    """Its browser comes again; what it has missed meanwhile is too much, so it is told to look at everything again."""

    async def act() -> tuple[list[int], int, str]:
        slow, fast = happenings.stream(""), happenings.stream("")
        await anext(slow), await anext(fast)
        seen: list[int] = []
        for number in range(1, 601):
            happenings.tell("gone", {"n": number})
            seen += await numbers(fast, number)
        left = [text async for text in slow]
        await fast.aclose()
        again = happenings.stream(f"{happenings.epoch}-1")
        said = await anext(again)
        await again.aclose()
        return seen, len(left), said

    seen, left, said = asyncio.run(act())

    assert seen == [*range(1, 601)]
    assert left == 256
    assert "event: generation" in said
    assert "id:" not in said


def test_whoever_comes_again_gets_what_was_missed(happenings: Happenings) -> None:
    """The numbers have no gap; those of another process tell nothing."""

    async def act() -> tuple[list[int], str]:
        first = happenings.stream("")
        await anext(first)
        for number in range(1, 10):
            happenings.tell("gone", {"n": number})
        again, stranger = happenings.stream(f"{happenings.epoch}-4"), happenings.stream("other-4")
        missed = await numbers(again, 9)
        told = await anext(stranger)
        for stream in (first, again, stranger):
            await stream.aclose()
        return missed, told

    missed, told = asyncio.run(act())

    assert missed == [5, 6, 7, 8, 9]
    assert "event: generation" in told
