"""A daemon that says what the test tells it to, on a real ROUTER socket."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
import zmq

Answer = Callable[[list[bytes]], Sequence[list[bytes]]]


@pytest.fixture
def folder() -> Iterator[str]:
    """A short path: a socket's has at most 107 bytes."""
    path = tempfile.mkdtemp(dir="/tmp")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def serve(folder: str) -> Iterator[Callable[..., str]]:
    """Start a ROUTER whose replies to a request are those that `answer` returns; returns the socket's path.

    After `requests` of them it closes its socket; -1: never.
    """
    context = zmq.Context()
    numbers = itertools.count()
    threads: list[threading.Thread] = []

    def start(answer: Answer, *, requests: int = -1, maxmsgsize: int = -1, linger_ms: int = 0) -> str:
        path = f"{folder}/{next(numbers)}.sock"
        router = context.socket(zmq.ROUTER)
        router.maxmsgsize, router.linger = maxmsgsize, linger_ms
        router.bind(f"ipc://{path}")
        threads.append(threading.Thread(target=_loop, args=(router, answer, requests)))
        threads[-1].start()
        return path

    yield start
    context.term()  # the loops end with ContextTerminated
    for thread in threads:
        thread.join()


def _loop(router: "zmq.Socket[bytes]", answer: Answer, requests: int) -> None:
    with router:
        while requests:
            try:
                peer, *frames = router.recv_multipart()
            except zmq.ContextTerminated:
                return
            for reply in answer(frames):
                router.send_multipart([peer, *reply])
            requests -= 1


@pytest.fixture
def pixkin() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command as a process of its own; `env` adds to a small environment."""

    def run(
        *words: str | bytes, stdin: bytes = b"", env: dict[str, str] | None = None, stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        plain = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COVERAGE_")}
        return subprocess.run(
            [sys.executable, "-m", "pixkin", *words],
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=plain | {"HOME": "/nonexistent"} | (env or {}),
            check=False,
            timeout=240,
        )

    return run
