"""Questions to the daemon wait for a thread, and a browser that goes away takes its question back."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from pixkin.client import Client
from pixkin.web.threads import ClientThreads

THREADS = 12


def request_of(gone: asyncio.Event) -> Request:
    """Return a request whose browser goes away when the event is set."""

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    scope: dict[str, Any] = {"type": "http", "method": "GET", "headers": [], "path": "/"}
    return Request(scope, receive)


def test_a_question_that_waits_is_not_asked_when_its_browser_goes(tmp_path: Path) -> None:
    """As many as there are threads are asked at once; the next one waits, and is taken back."""
    free = threading.Event()
    asked: list[str] = []

    def slow(_: Client) -> str:
        free.wait(60)
        return "answer"

    async def act() -> list[str]:
        threads = ClientThreads(str(tmp_path / "no.sock"))
        busy = [asyncio.create_task(threads.ask(slow)) for _ in range(THREADS)]
        gone = asyncio.Event()
        waiting = asyncio.create_task(threads.ask(lambda _: asked.append("asked"), request_of(gone)))
        await asyncio.sleep(0)
        gone.set()
        with pytest.raises(ClientDisconnect):
            await waiting
        free.set()
        answers = await asyncio.gather(*busy)
        threads.close()
        return answers

    assert asyncio.run(act()) == ["answer"] * THREADS
    assert asked == []


def test_an_answer_and_an_error_reach_the_browser_that_stays(tmp_path: Path) -> None:
    """Also if the browser is watched meanwhile."""

    async def act() -> tuple[int, str]:
        threads = ClientThreads(str(tmp_path / "no.sock"))
        stays = request_of(asyncio.Event())
        answer = await threads.ask(lambda _: 7, stays)
        try:
            await threads.ask(lambda client: client.status(), stays)
        except Exception as error:  # noqa: BLE001  its type is what is tested
            return answer, type(error).__name__
        finally:
            threads.close()
        return answer, ""

    assert asyncio.run(act()) == (7, "DaemonAbsent")
