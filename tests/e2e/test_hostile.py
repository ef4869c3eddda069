"""Clients that take all and give nothing, and a runtime folder that is taken away: one is unlucky, the others are served."""

import random
import shutil
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import zmq
from tests.e2e.conftest import Home, new_home
from tests.processes import anonymous_mb, watched_mb
from tests.waiting import wait_for

from pixkin.protocol.framing import pack, unpack_reply
from pixkin.protocol.replies import Failure
from pixkin.protocol.requests import Image, Like

pytestmark = [pytest.mark.e2e]

_DESCRIPTORS = 200  # that the daemon may have
_ANSWER_S = 20.0  # what an honest client may wait for, beside the hostile ones, who never give way
_REPLIES_MB = 40  # what replies that nobody reads may take
_IMAGES_MB = 260  # what the bytes of images may take, of all clients together
# ZMTP 3.0: a greeting without security, and the handshake of a DEALER. Source: rfc.zeromq.org/spec/23.
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_SOCKET_TYPE = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
_HANDSHAKE = _GREETING + bytes([4, 6 + len(_SOCKET_TYPE)]) + b"\x05READY" + _SOCKET_TYPE


def _connect(home: Home, first: bytes) -> socket.socket:
    """Return a connection that says `first`, and then nothing any more."""
    one = socket.socket(socket.AF_UNIX)
    one.connect(home.socket)
    with suppress(BrokenPipeError):  # the daemon may have closed it
        one.send(first)
    return one


def _took_s(home: Home, photo: Path) -> float:
    """Return how long a query takes, with a new connection."""
    began = time.monotonic()
    with home.client() as client:
        assert client.like(photo).matches
    return time.monotonic() - began


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with 400 photos of one picture and long names, so that replies are large; descriptors are few."""
    with new_home() as home:
        home.before = ("prlimit", f"--nofile={_DESCRIPTORS}:{_DESCRIPTORS}")
        smallest = min(photos, key=lambda photo: photo.stat().st_size)
        for number in range(400):
            home.copy(smallest, f"{number}{'x' * 100}{smallest.suffix}")
        yield home


@pytest.fixture
def served(library: Home) -> Home:
    """Return it with a daemon that answers."""
    if not library.daemons or library.daemons[-1].process.poll() is not None:
        library.start()
        library.sync()
    return library


@pytest.mark.parametrize("first", [b"", _HANDSHAKE], ids=["silent", "idle"])
def test_more_connections_than_descriptors(served: Home, first: bytes) -> None:
    """The daemon lives on and serves new clients, while the others are still connected and after they have gone."""
    photo, waits = next(served.photos.iterdir()), []
    with ExitStack() as stack:
        for _ in range(3 * _DESCRIPTORS // 10):
            for _ in range(10):
                stack.enter_context(_connect(served, first))
            waits.append(_took_s(served, photo))
    waits.append(_took_s(served, photo))

    assert max(waits) < _ANSWER_S
    assert served.status()["pid"] == served.daemons[-1].process.pid


def test_noise_on_the_socket(served: Home) -> None:
    """Whoever does not speak ZMTP loses its own connection and nothing else."""
    chance = random.Random(3)
    for _ in range(100):
        noise = chance.randbytes(chance.randrange(1, 5000))
        for first in (noise, _GREETING + noise, _HANDSHAKE + noise):
            _connect(served, first).close()

    assert _took_s(served, next(served.photos.iterdir())) < _ANSWER_S
    assert served.status()["pid"] == served.daemons[-1].process.pid


def test_clients_that_never_read(served: Home) -> None:
    """What they asked for is dropped: memory stays bounded, and others are answered promptly."""
    photo, daemon = next(served.photos.iterdir()), served.daemons[-1].process
    request = pack(Like(images=(Image(path=bytes(photo)),), limit=1000, fold=False))
    waits = [_took_s(served, photo)]
    before_mb = most_mb = anonymous_mb(daemon.pid)
    with ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        for _ in range(4):
            greedy = stack.enter_context(context.socket(zmq.DEALER))
            greedy.linger, greedy.rcvhwm, greedy.sndtimeo = 0, 1, 100
            greedy.connect(f"ipc://{served.socket}")
            with suppress(zmq.Again):  # nobody takes more from it
                for _ in range(5000):
                    greedy.send_multipart(request)
            waits.append(_took_s(served, photo))
            most_mb = max(most_mb, anonymous_mb(daemon.pid))

    assert max(waits) < _ANSWER_S
    assert most_mb - before_mb < _REPLIES_MB


def test_the_bytes_of_images_take_bounded_memory(home: Home, photos: list[Path]) -> None:
    """Six clients send 100 MiB each, all at once: each gets its answer, and the daemon holds few of them at a time."""
    daemon = home.index(*photos[:2])
    before_mb, image = anonymous_mb(daemon.process.pid), bytes(100 << 20)
    with watched_mb(lambda: [daemon.process.pid]) as most, ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
        clients = []
        for _ in range(6):
            client = stack.enter_context(context.socket(zmq.DEALER))
            client.linger, client.rcvtimeo = 0, 60_000
            client.connect(f"ipc://{home.socket}")
            client.send_multipart(pack(Like(id=7, images=(Image(frame=2),)), [image]), copy=False)
            clients.append(client)
        replies = [unpack_reply(client.recv_multipart()) for client in clients]

    assert [(type(reply), reply.id) for reply in replies] == [(Failure, 7)] * 6
    assert all("not an image" in reply.what for reply in replies if isinstance(reply, Failure))
    assert most[0] - before_mb < _IMAGES_MB


def test_a_message_without_an_end_takes_bounded_memory(home: Home, photos: list[Path]) -> None:
    """ZMTP allows any number of frames in a message. The daemon keeps none beyond the limits, and serves others."""
    daemon = home.index(*photos[:2])
    before_mb, frame = anonymous_mb(daemon.process.pid), b"\x03" + struct.pack(">Q", 1 << 20) + bytes(1 << 20)
    with watched_mb(lambda: [daemon.process.pid]) as most, _connect(home, _HANDSHAKE) as endless:
        with suppress(OSError):  # the daemon may close it
            for _ in range(600):
                endless.sendall(frame)
        took_s = _took_s(home, next(home.photos.iterdir()))

    assert most[0] - before_mb < _IMAGES_MB
    assert took_s < _ANSWER_S


def test_a_daemon_that_cannot_be_reached_any_more_ends(home: Home) -> None:
    """If its folder is removed it says so and fails, so that systemd starts it again."""
    daemon = home.start()
    shutil.rmtree(home.folder / "runtime_dir/pixkin")
    wait_for(lambda: daemon.process.poll() is not None)

    assert daemon.process.returncode not in (0, -signal.SIGKILL)
    assert f"{home.socket} was removed" in daemon.log.read_text()
