"""A daemon that says what the test tells it to, on a real ROUTER socket; and thumbnails that a test makes by itself."""

import io
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import zmq
from PIL import Image

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


# It listens as another user, tells so, and then prints what the first connection says that says anything.
_LISTENER = """
import os, socket, sys
os.setgid(12345), os.setuid(12345)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    while not (heard := (connection := listener.accept()[0]).recv(100)):
        pass
    print(heard, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def stranger(folder: str) -> Iterator["subprocess.Popen[str]"]:
    """Yield a process of another user that listens on `pixkin/d.sock`, although file and folder are our own."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, and give a file away")
    runtime = Path(folder) / "pixkin"
    runtime.mkdir()
    runtime.chmod(0o777)
    runtime.parent.chmod(0o755)
    words = [sys.executable, "-I", "-c", _LISTENER, str(runtime / "d.sock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"
        runtime.chmod(0o700)
        os.chown(runtime / "d.sock", 0, 0)
        yield process
        process.kill()


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


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """Return what makes a JPEG of one colour."""

    def make(colour: str = "red", size: tuple[int, int] = (384, 256)) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", size, colour).save(file, "JPEG")
        return file.getvalue()

    return make
