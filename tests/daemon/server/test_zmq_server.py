import itertools
import logging
import os
import select
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import msgspec
import pytest
import zmq
from tests.waiting import wait_for

from pixkin.errors import PixkinError
from pixkin.protocol.framing import pack, unpack_reply
from pixkin.protocol.replies import Code, Failure, Reply, Welcome
from pixkin.protocol.requests import GREETING, Hello, Image, Like, Request, Status, now_ms
from pixkind.server import zmq_server, zmtp
from pixkind.server.deferred import Deferred
from pixkind.server.zmq_server import POOL, ROOM, WITH_IMAGES, ZmqServer
from pixkind.system.process import locked

_WELCOME = Welcome(version="1", pid=1)
# A server in a process of its own, which has four descriptors left.
_SHORT = """
import os, resource, sys
from pixkin.protocol.replies import Welcome
from pixkind.server.zmq_server import ZmqServer
server = ZmqServer(sys.argv[1], lambda *_: Welcome(version="1", pid=1), query_mb=1)
server.start()
few = len(os.listdir("/proc/self/fd")) + 3  # one of them is that of the listing
resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))
print("listens", flush=True)
sys.stdin.read()
server.stop()
"""
_LARGE = bytes(1 << 20)  # an image that has to wait for room
# ZMTP 3.0: a greeting without security, and the handshake of a DEALER. Source: rfc.zeromq.org/spec/23.
_SOCKET_TYPE = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
_HANDSHAKE = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_HANDSHAKE += bytes([4, 6 + len(_SOCKET_TYPE)]) + b"\x05READY" + _SOCKET_TYPE
Answer = Callable[[Request, Sequence[bytes]], Reply | Deferred]


class RawClient:
    """A client that sends exactly the given frames, over a connection of its own."""

    def __init__(self, path: str, room: int) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = room
        self.socket.connect(f"ipc://{path}")

    def send(self, message: Request, images: Sequence[bytes] = ()) -> None:
        """Send a request."""
        self.socket.send_multipart(pack(message, images))

    def receive(self, timeout_s: float = 240.0) -> Reply:
        """Return the next reply."""
        assert self.socket.poll(int(timeout_s * 1000)), "no reply in time"
        return unpack_reply(self.socket.recv_multipart())

    def ask(self, message: Request, images: Sequence[bytes] = ()) -> Reply:
        """Return the reply to a request."""
        self.send(message, images)
        return self.receive()

    def close(self) -> None:
        """Go away."""
        self._context.destroy(linger=0)


@pytest.fixture
def path(short_tmp: Path) -> str:
    return str(short_tmp / "sock")


@pytest.fixture
def make(path: str) -> Iterator[Callable[..., ZmqServer]]:
    """Yield a maker of servers that are started, and stopped at the end."""
    made: list[ZmqServer] = []

    def start(
        answer: Answer = lambda _request, _images: _WELCOME, *, check_s: float = 20.0, room: int = ROOM
    ) -> ZmqServer:
        made.append(ZmqServer(path, answer, query_mb=1, check_s=check_s, room=room))
        made[-1].start()
        return made[-1]

    yield start
    for server in made:
        server.stop()


@pytest.fixture
def connect(path: str) -> Iterator[Callable[..., RawClient]]:
    """Yield a maker of clients, with room for so many replies that are not read yet."""
    made: list[RawClient] = []

    def new(room: int = 1000) -> RawClient:
        made.append(RawClient(path, room))
        return made[-1]

    yield new
    for client in made:
        client.close()


def test_only_its_user_can_reach_the_socket(short_tmp: Path) -> None:
    """The socket is 0600, in a folder that is 0700, whatever the umask."""
    folder = short_tmp / "run"
    umask = os.umask(0)
    try:
        with locked(str(folder)):
            server = ZmqServer(str(folder / "sock"), lambda _request, _images: _WELCOME, query_mb=1)
            modes = [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder / "sock")]
            server.start()
            server.stop()
    finally:
        os.umask(umask)

    assert [oct(mode) for mode in modes] == ["0o700", "0o600"]
    assert not (folder / "sock").exists()


def test_a_path_that_is_too_long_is_told_in_a_sentence() -> None:
    """The kernel's limit of 107 bytes is named, and what to do; bytes count, not letters."""
    with pytest.raises(PixkinError, match="longer than 107 bytes") as caught:
        ZmqServer("/tmp/" + 60 * "ü", lambda _request, _images: _WELCOME, query_mb=1)

    assert "XDG_RUNTIME_DIR" in caught.value.hint


@pytest.mark.parametrize("kind", ["socket", "file", "link"])
def test_a_stale_socket_file_is_replaced(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], path: str, kind: str
) -> None:
    """The daemon that has the lock owns the path: a file that a killed daemon left behind does no harm."""
    match kind:
        case "socket":
            with socket.socket(socket.AF_UNIX) as stale:
                stale.bind(path)
        case "file":
            Path(path).write_text("left behind")
        case _:
            os.symlink("/nowhere", path)
    make()

    assert connect().ask(Hello(id=1)) == Welcome(id=1, version="1", pid=1)


def test_every_reply_has_the_id_of_its_request(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """This holds for an invalid request as well, if its id can be read; else the id is 0."""
    make()
    client = connect()
    for number in (1, 2**63 - 1, 77):
        client.send(Hello(id=number))
    ids = {client.receive().id for _ in range(3)}
    said: list[tuple[int, Code]] = []
    for frames in (
        [GREETING, msgspec.msgpack.encode({"type": "nonsense", "id": 5})],
        [GREETING, msgspec.msgpack.encode({"type": "hello", "id": -5})],
        [b"pixkin/99", msgspec.msgpack.encode({"type": "hello", "id": 6})],
        [GREETING, b"\xff\xfe"],
        [GREETING],
        [b""],
    ):
        client.socket.send_multipart(frames)
        reply = client.receive()
        assert isinstance(reply, Failure)
        said.append((reply.id, reply.code))

    assert ids == {1, 2**63 - 1, 77}
    assert said == [
        (5, Code.MALFORMED),
        (0, Code.MALFORMED),
        (6, Code.VERSION),
        (0, Code.MALFORMED),
        (0, Code.MALFORMED),
        (0, Code.MALFORMED),
    ]


def test_a_handler_that_raises_costs_its_own_request_alone(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], caplog: pytest.LogCaptureFixture
) -> None:
    """The client is told of an internal error, the log has the traceback, and the service goes on."""

    def answer(request: Request, _images: Sequence[bytes]) -> Reply:
        if isinstance(request, Status):
            raise ZeroDivisionError("a defect")
        return _WELCOME

    server = make(answer)
    client = connect()
    failed = client.ask(Status(id=1))

    assert isinstance(failed, Failure)
    assert (failed.id, failed.code) == (1, Code.INTERNAL)
    assert "ZeroDivisionError: a defect" in caplog.text
    assert isinstance(client.ask(Hello(id=2)), Welcome)
    assert server.failure() is None


def test_a_client_that_never_reads_stops_no_other(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Its replies are dropped once its queues are full. All other clients get their replies."""
    caplog.set_level(logging.DEBUG, "pixkind.server.zmq_server")
    server = make(lambda _request, _images: Welcome(version=20_000 * "x", pid=1))
    greedy, modest = connect(1), connect()
    for number in range(3000):
        greedy.send(Hello(id=number))
    answered = [modest.ask(Hello(id=number)).id for number in range(20)]
    wait_for(lambda: "was dropped" in caplog.text)

    assert answered == list(range(20))
    assert modest.ask(Hello(id=21)).id == 21
    assert server.failure() is None


def _held(waiting: "list[Future[None]]") -> Callable[[Request, Sequence[bytes]], Reply | Deferred]:
    """Return a function that answers `hello` at once, and anything else when its future in `waiting` is done."""

    def answer(request: Request, _images: Sequence[bytes]) -> Reply | Deferred:
        if isinstance(request, Hello):
            return _WELCOME
        waiting.append(Future())
        return Deferred([waiting[-1]], lambda: _WELCOME)

    return answer


def test_slow_requests_block_no_other_client(make: Callable[..., ZmqServer], connect: Callable[..., RawClient]) -> None:
    """A request that waits for something takes no thread of the pool."""
    waiting: list[Future[None]] = []
    make(_held(waiting))
    slow, quick = connect(), connect()
    for number in range(5 * POOL):
        slow.send(Status(id=number))
    wait_for(lambda: len(waiting) == 5 * POOL)
    between = quick.ask(Hello(id=99)).id
    for future in waiting:
        future.set_result(None)
    ids = {slow.receive().id for _ in waiting}

    assert between == 99
    assert ids == set(range(5 * POOL))


def test_the_reply_to_a_client_that_has_gone_is_dropped(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Its request ends without a reply, and without harm."""
    caplog.set_level(logging.DEBUG, "pixkind.server.zmq_server")
    waits_for: SimpleQueue[Future[None]] = SimpleQueue()

    def answer(request: Request, _images: Sequence[bytes]) -> Reply | Deferred:
        if isinstance(request, Hello):
            return _WELCOME
        waiting: Future[None] = Future()
        waits_for.put(waiting)
        return Deferred([waiting], lambda: _WELCOME)

    server = make(answer)
    other = connect()

    def is_dropped() -> bool:
        """Let a client go whose request waits; now and then ZeroMQ takes the reply before it notices."""
        gone = connect()
        gone.send(Status(id=1))
        waiting = waits_for.get(timeout=240)
        gone.close()
        other.ask(Hello(id=2))
        waiting.set_result(None)
        return other.ask(Hello(id=3)).id == 3 and "was dropped" in caplog.text

    wait_for(is_dropped)

    assert server.failure() is None


def test_a_request_whose_deadline_has_passed_is_not_worked_on(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """Neither before it begins nor when its futures are done. Its images are let go."""
    asked: list[Request] = []
    abandoned = threading.Event()
    waiting: Future[None] = Future()

    def answer(request: Request, _images: Sequence[bytes]) -> Reply | Deferred:
        asked.append(request)
        return Deferred([waiting], lambda: _WELCOME, abandoned.set)

    make(answer)
    client = connect()
    late = client.ask(Hello(id=1, until_ms=now_ms() - 1))
    until_ms = now_ms() + 1000  # time enough to be taken on a busy machine
    client.send(Hello(id=2, until_ms=until_ms))
    wait_for(lambda: now_ms() >= until_ms)
    waiting.set_result(None)
    later = client.receive()

    assert isinstance(late, Failure)
    assert isinstance(later, Failure)
    assert [late.code, later.code] == [Code.EXPIRED] * 2
    assert [request.id for request in asked] == [2]
    assert abandoned.is_set()


def test_a_request_goes_on_when_its_time_is_up(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """With news or without, and once: a future that is done afterwards changes nothing."""
    waiting: list[Future[None]] = []
    resumed: list[int] = []

    def answer(request: Request, _images: Sequence[bytes]) -> Reply | Deferred:
        def resume() -> Reply:
            resumed.append(request.id)
            return _WELCOME

        waiting.append(Future())
        return Deferred([waiting[-1]], resume, until_ms=now_ms() + (50 if request.id % 2 else 600_000))

    make(answer)
    client = connect()
    late = client.ask(Hello(id=1))
    client.send(Hello(id=2))
    wait_for(lambda: len(waiting) == 2)
    for future in waiting:
        future.set_result(None)
    told = client.receive()

    assert (late.id, told.id, resumed) == (1, 2, [1, 2])


def test_few_requests_with_images_are_in_memory_at_once(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """Each may be large: one more is told `busy`, and succeeds once another is done."""
    waiting: list[Future[None]] = []

    def answer(_request: Request, _images: Sequence[bytes]) -> Deferred:
        waiting.append(Future())
        return Deferred([waiting[-1]], lambda: _WELCOME)

    make(answer)
    client = connect()
    for number in range(WITH_IMAGES):
        client.send(Like(id=number, images=(Image(frame=2),)), [b"image"])
    wait_for(lambda: len(waiting) == WITH_IMAGES)
    busy = client.ask(Like(id=50, images=(Image(frame=2),)), [b"image"])
    waiting[0].set_result(None)
    first = client.receive()
    client.send(Like(id=51, images=(Image(frame=2),)), [b"image"])
    wait_for(lambda: len(waiting) == WITH_IMAGES + 1)
    for future in waiting[1:]:
        future.set_result(None)
    rest = {client.receive().id for _ in waiting[1:]}

    assert isinstance(busy, Failure)
    assert (busy.id, busy.code) == (50, Code.BUSY)
    assert isinstance(first, Welcome)
    assert rest == {1, 2, 3, 51}


def test_large_images_wait_until_there_is_room(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """Their bytes stay with the clients, which are served in turn; other requests pass."""
    waiting: list[Future[None]] = []
    make(_held(waiting), room=5 * len(_LARGE) // 2)
    large = [connect() for _ in range(4)]
    for number, client in enumerate(large):
        client.send(Like(id=number, images=(Image(frame=2),)), [_LARGE])
    wait_for(lambda: len(waiting) == 2)
    between = [connect().ask(Hello(id=number)).id for number in range(5)]
    at_once = len(waiting)
    for number in range(4):
        wait_for(lambda number=number: len(waiting) > number)  # type: ignore[misc]  # a default binds it
        waiting[number].set_result(None)
    replies = {client.receive().id for client in large}

    assert between == list(range(5))
    assert at_once == 2
    assert replies == set(range(4))


def test_a_client_that_keeps_room_and_sends_nothing_loses_it(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a message is no claim: its connection is closed, and the next client has the room."""
    monkeypatch.setattr(zmtp, "PATIENCE_S", 0.3)
    make(room=3 * len(_LARGE) // 2)
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(path)
        idle.sendall(_HANDSHAKE + b"\x02" + struct.pack(">Q", len(_LARGE)) + _LARGE[:1000])
        wait_for(lambda: len(idle.recv(1, socket.MSG_PEEK)) > 0)
        reply = connect().ask(Like(id=1, images=(Image(frame=2),)), [_LARGE])
        idle.settimeout(60)
        while idle.recv(4096):
            pass

    assert reply.id == 1


def test_replies_that_nobody_reads_take_bounded_memory(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that leave too much unread lose their connections; the others are served."""
    monkeypatch.setattr(zmq_server, "UNREAD_ALL", 4 << 20)

    def answer(request: Request, _images: Sequence[bytes]) -> Reply:
        return Welcome(version="x" * len(_LARGE) if request.id == 7 else "", pid=1)

    make(answer)
    body = msgspec.msgpack.encode({"type": "hello", "id": 7})
    hello = _HANDSHAKE + bytes([1, len(GREETING)]) + GREETING + bytes([0, len(body)]) + body
    with ExitStack() as stack:
        unread = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(10)]
        for one in unread:
            one.connect(path)
            one.sendall(hello)
        poller = select.poll()
        for one in unread:
            poller.register(one, 0)  # nothing but the end of its connection is told
        wait_for(lambda: len(poller.poll(0)) >= 5)
        honest = connect().ask(Hello(id=8)).id
        closed = len(poller.poll(0))

    assert honest == 8
    assert 5 <= closed < 10


def test_no_descriptor_is_left_for_a_connection(connect: Callable[..., RawClient], path: str) -> None:
    """The server lives on: it closes the oldest connection that waits for nothing, and serves the next client."""
    words = [sys.executable, "-c", _SHORT, path]
    with (
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
        ExitStack() as stack,
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == "listens\n"
        for _ in range(20):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        replies = [connect().ask(Hello(id=number)) for number in range(10)]
        server.stdin.close()

    assert [reply.id for reply in replies] == list(range(10))
    assert server.returncode == 0


def test_a_message_of_many_frames_is_answered_and_not_kept(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """What is too large is told so with the id of its request; the version of its protocol comes first."""
    make(room=3 * len(_LARGE) // 2)
    client, body = connect(), msgspec.msgpack.encode({"type": "hello", "id": 5})
    client.socket.send_multipart([GREETING, body, *[b"x"] * 100, *[_LARGE] * 5])
    too_large = client.receive()
    client.socket.send_multipart([b"pixkin/2", body, *[b"x"] * 100])
    other_version = client.receive()

    assert isinstance(too_large, Failure)
    assert (too_large.id, too_large.code, "at most 10 frames" in too_large.what) == (5, Code.MALFORMED, True)
    assert isinstance(other_version, Failure)
    assert (other_version.id, other_version.code) == (5, Code.VERSION)


def test_a_client_may_ask_whether_the_daemon_is_alive(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], path: str
) -> None:
    """ZeroMQ's own heartbeats are answered, so a client that uses them is not cut off."""
    make()
    context = zmq.Context()
    client = context.socket(zmq.DEALER)
    client.linger, client.heartbeat_ivl, client.heartbeat_timeout = 0, 20, 20_000
    client.connect(f"ipc://{path}")
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(path)
        raw.settimeout(60)
        raw.sendall(_HANDSHAKE + b"\x04\x0a\x04PING\x00\x00abc")
        heard = b""
        while not heard.endswith(b"\x04\x08\x04PONGabc"):
            heard += raw.recv(4096)
    client.send_multipart(pack(Hello(id=3)))
    reply = unpack_reply(client.recv_multipart())
    context.destroy(linger=0)

    assert reply.id == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_not_served(make: Callable[..., ZmqServer], path: str, short_tmp: Path) -> None:
    """Not even if the files are open to all: the kernel names the user of each connection."""
    make()
    short_tmp.chmod(0o755)
    Path(path).chmod(0o777)
    code = (
        "import os, socket, sys; os.setuid(int(sys.argv[2])); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])"
    )
    words = [sys.executable, "-I", "-c", f"{code}; print(s.recv(100))", path]
    users = [subprocess.run([*words, user], capture_output=True, check=True).stdout for user in ("12345", "0")]

    assert users[0] == b"b''\n"
    assert users[1].startswith(b"b'\\xff")


def test_an_answer_that_no_client_would_take_is_refused(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is replaced by a sentence, with the id of the request."""
    monkeypatch.setattr(zmq_server, "MAX_REPLY", 1000)
    make(lambda request, _: Welcome(version="x" * (2000 if request.id == 7 else 900), pid=1))
    client = connect()
    large, fits = client.ask(Hello(id=7)), client.ask(Hello(id=8))

    assert large == Failure(id=7, code=Code.REFUSED, what="the answer is too large", hint="ask for less")
    assert isinstance(fits, Welcome)


def test_a_frame_that_is_too_large_closes_the_connection(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """This is the only case without a reply. Other clients get theirs."""
    server = make()
    large = connect()
    monitor = large.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    large.send(Like(id=1, images=(Image(frame=2),)), [bytes((129 << 20) + 1)])
    closed = monitor.poll(40_000)

    assert closed
    assert connect().ask(Hello(id=2)).id == 2
    assert server.failure() is None


def test_requests_that_wait_at_a_stop_are_told_so(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """Those in the pool are finished; those before it, those that wait, and new ones hear `stopping`."""
    working = threading.Barrier(POOL + 1)
    go_on = threading.Event()
    waiting: Future[None] = Future()
    abandoned = threading.Event()

    def answer(request: Request, _images: Sequence[bytes]) -> Reply | Deferred:
        if isinstance(request, Status):
            return Deferred([waiting], lambda: _WELCOME, abandoned.set)
        working.wait(40)
        go_on.wait(40)
        return _WELCOME

    server = make(answer)
    client = connect()
    client.send(Status(id=1000))
    for number in range(POOL):
        client.send(Hello(id=number))
    working.wait(40)
    for number in range(POOL, 3 * POOL):
        client.send(Hello(id=number))
    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(server.stop)
        replies = [client.receive()]  # of one that waited: the pool takes no more
        waiting.cancel()
        client.send(Hello(id=2000))
        while replies[-1].id != 2000:
            replies.append(client.receive())
        go_on.set()
        replies += [client.receive() for _ in range(3 * POOL + 2 - len(replies))]
        stopped.result()
    ids = {kind: {reply.id for reply in replies if isinstance(reply, kind)} for kind in (Welcome, Failure)}

    assert ids[Welcome] == set(range(POOL))
    assert ids[Failure] == {*range(POOL, 3 * POOL), 1000, 2000}
    assert {reply.code for reply in replies if isinstance(reply, Failure)} == {Code.STOPPING}
    assert abandoned.is_set()
    assert server.failure() is None


def test_a_removed_socket_file_ends_the_service(make: Callable[..., ZmqServer], path: str) -> None:
    """A daemon that no client can reach is of no use: it ends with a sentence, and systemd starts it with a new file."""
    server = make(check_s=0.02)
    beats = server.beat()
    wait_for(lambda: server.beat() > beats + 2)
    alive = server.failure()
    os.unlink(path)
    wait_for(lambda: server.failure() is not None)

    assert alive is None
    assert isinstance(server.failure(), PixkinError)
    assert str(server.failure()) == f"{path} was removed or replaced while pixkind listened on it"


def test_a_socket_file_of_somebody_else_is_left_alone(make: Callable[..., ZmqServer], path: str) -> None:
    """At the end the file at the path is removed only if it is the daemon's own."""
    server = make()
    os.unlink(path)
    Path(path).write_text("another's")
    server.stop()

    assert Path(path).read_text() == "another's"


def test_many_clients_at_once_all_get_their_own_answers(
    make: Callable[..., ZmqServer], connect: Callable[..., RawClient]
) -> None:
    """Replies find their way back however the requests are interleaved."""
    make(lambda request, _images: Welcome(version=str(request.id), pid=1))
    clients = [connect() for _ in range(20)]
    for turn, (number, client) in itertools.product(range(10), enumerate(clients)):
        client.send(Hello(id=100 * number + turn))
    replies = {number: [client.receive() for _ in range(10)] for number, client in enumerate(clients)}

    for number, got in replies.items():
        assert {reply.id for reply in got} == set(range(100 * number, 100 * number + 10))
        assert all(isinstance(reply, Welcome) and reply.version == str(reply.id) for reply in got)
