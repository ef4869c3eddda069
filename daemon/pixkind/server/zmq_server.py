"""The ROUTER socket: frames in, frames out. Requests run in a small pool, so that a slow one blocks no other client.

No client can starve the others:

- A request that the pool cannot begin soon stays in the queue of its client. ZeroMQ takes from these queues in turn.
- A reply that its client does not read is dropped.
- When there are too many connections, the oldest is closed.

Only the serve thread touches the ZeroMQ socket. The pool hands it replies through a queue and an eventfd.
"""

import errno
import logging
import os
import resource
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Annotated, Final

import msgspec
import zmq

from pixkin.errors import PixkinError
from pixkin.protocol.framing import ProtocolError, pack, unpack_request
from pixkin.protocol.replies import Code, Failure, Reply
from pixkin.protocol.requests import MAX_IMAGES, Request, now_ms
from pixkind.server.deferred import Deferred, internal_error, stopping
from pixkind.system.threads import ServiceThread

_log = logging.getLogger(__name__)

POOL: Final = 4  # requests that are worked on at once; most of a search is numpy, which uses the cores by itself
WITH_IMAGES: Final = 4  # requests with image bytes that are in memory at once; each may have limits.query_mb
# Requests in the pool, or next to enter it; when there are so many, no client's next one is taken.
BEGUN: Final = 2 * POOL
QUEUED: Final = 1000  # requests that wait for something; when there are so many, the next one is told `busy`
CLIENTS: Final = 500  # connections; each takes about 50 kB
READ_AHEAD: Final = 4  # requests of one client that ZeroMQ reads before the serve thread takes them
UNREAD: Final = 100  # replies that ZeroMQ keeps for one client that does not read
PATH_BYTES: Final = 107  # sockaddr_un has 108, one of them NUL

_EVENT: Final = struct.Struct("=Hi")  # the first frame of zmq_socket_monitor(3): the event and, here, the descriptor

Answer = Callable[[Request, Sequence[bytes]], Reply | Deferred]


class ZmqServer:
    """The service that answers on the socket."""

    def __init__(self, path: str, answer: Answer, *, query_mb: int, check_s: float = 5.0) -> None:
        """Bind the socket and listen: from here on clients can connect, and wait for `start`.

        Args:
            path: of the socket; a stale one is removed, so the caller must hold the lock.
            answer: turns a request and the frames of its images into a reply; called in the threads of the pool.
            query_mb: the largest image that a client may send, in MiB; the socket itself accepts what the protocol allows.
            check_s: how often the file of the socket is checked.
        """
        self._check_s = check_s
        self._path = path
        self._answer = answer
        self._query_mb = query_mb
        self._inode, self._context, self._socket = _listen(path)
        self._connections = _Connections(self._context, self._socket, path)
        self._thread = ServiceThread("serve", self._run)
        self._pool = ThreadPoolExecutor(POOL, thread_name_prefix="answer")
        self._replies: deque[tuple[bytes, Reply]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._lock = threading.Lock()  # guards the three counts
        self._begun = 0
        self._with_images = 0
        self._queued = 0

    # A service.

    def start(self) -> None:
        """Start to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Send the replies that are ready, close the socket and remove its file."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(5)

    def failure(self) -> BaseException | None:
        """Return the exception that ended the thread."""
        return self._thread.failure

    def beat(self) -> int:
        """Return how often its loop has turned."""
        return self._thread.beats

    # The serve thread.

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._wake, zmq.POLLIN)
        poller.register(self._connections.monitor, zmq.POLLIN)
        checked_at = time.monotonic()
        try:
            while not self._stopping:
                self._thread.beat()
                poller.register(self._socket, zmq.POLLIN if self._begun < BEGUN else 0)
                ready = dict(poller.poll(int(self._check_s * 1000)))
                if self._connections.monitor in ready:
                    self._connections.follow()
                if self._wake in ready:
                    os.eventfd_read(self._wake)
                if self._socket in ready:
                    self._receive()
                if (now := time.monotonic()) >= checked_at + self._check_s:
                    self._check_path()
                    checked_at = now
                self._send()
            self._receive()  # clients that asked in time are told that the daemon stops
        finally:
            self._send()
            self._connections.close()
            self._socket.close(linger=500)  # ms for replies to arrive; a client that does not read loses its own
            self._context.term()
            if _inode(self._path) == self._inode:
                os.unlink(self._path)

    def _receive(self) -> None:
        """Take the requests that have come, but so few that replies do not have to wait."""
        for _ in range(64):
            if self._begun >= BEGUN and not self._stopping:
                return
            try:
                client, *frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                request, images = unpack_request(frames)
            except ProtocolError as error:
                self._replies.append((client, Failure(id=_id_of(frames), code=error.code, what=str(error))))
            else:
                self._accept(client, request, images)

    def _accept(self, client: bytes, request: Request, images: Sequence[bytes]) -> None:
        if (largest := max(map(len, images), default=0)) > self._query_mb << 20:
            what = f"{largest / 2**20:.0f} MiB is over the limit of {self._query_mb} MiB (limits.query_mb)"
            self._replies.append((client, Failure(id=request.id, code=Code.REFUSED, what=what)))
            return
        with self._lock:
            if self._queued >= QUEUED or (images and self._with_images >= WITH_IMAGES):
                busy = Failure(id=request.id, code=Code.BUSY, what="too many requests are waiting", hint="ask again")
                self._replies.append((client, busy))
                return
            self._queued += 1
            self._with_images += bool(images)
        self._submit(client, request, bool(images), Deferred((), lambda: self._answer(request, images)))

    def _submit(self, client: bytes, request: Request, has_images: bool, deferred: Deferred) -> None:  # noqa: FBT001
        """Have the pool go on with a request. If the daemon stops before that, tell the client so."""

        def ended(future: "Future[None]") -> None:
            with self._lock:
                self._begun -= 1
            os.eventfd_write(self._wake, 1)
            if future.cancelled():
                deferred.abandon()
                self._reply(client, msgspec.structs.replace(stopping().failure, id=request.id))

        with self._lock:
            self._begun += 1
        try:
            future = self._pool.submit(self._work, client, request, has_images, deferred)
        except RuntimeError:  # the pool is shut down
            future = Future()
            future.cancel()
        future.add_done_callback(ended)

    # The pool's threads.

    def _work(self, client: bytes, request: Request, has_images: bool, deferred: Deferred) -> None:  # noqa: FBT001
        """Do one step of a request: reply, or wait for the futures of the next step."""
        reply: Reply | Deferred
        try:
            if request.until_ms and now_ms() >= request.until_ms:
                deferred.abandon()
                reply = _expired()
            else:
                reply = deferred.resume()
        except Exception:  # noqa: BLE001
            # The outermost frame of a pool thread. A defect in one request must not end the service for all others.
            _log.exception("request %s failed", type(request).__name__)
            reply = internal_error()
        if isinstance(reply, Deferred):
            self._resume_later(client, request, has_images, reply)
            return
        with self._lock:
            self._queued -= 1
            self._with_images -= has_images
        self._reply(client, msgspec.structs.replace(reply, id=request.id))

    def _reply(self, client: bytes, reply: Reply) -> None:
        self._replies.append((client, reply))
        os.eventfd_write(self._wake, 1)

    def _resume_later(self, client: bytes, request: Request, has_images: bool, deferred: Deferred) -> None:  # noqa: FBT001
        """Go on with a request when all its futures are done."""
        missing = len(deferred.futures)
        lock = threading.Lock()

        def one_done(_: "Future[object]") -> None:
            nonlocal missing
            with lock:
                missing -= 1
                if missing:
                    return
            self._submit(client, request, has_images, deferred)

        for future in deferred.futures:
            future.add_done_callback(one_done)

    def _send(self) -> None:
        while self._replies:
            client, reply = self._replies.popleft()
            try:
                self._socket.send_multipart([client, *pack(reply)], zmq.DONTWAIT)
            except zmq.ZMQError as error:
                # EHOSTUNREACH: the client has gone. EAGAIN: the client does not read, so its queue is full and stays full.
                if error.errno not in (errno.EHOSTUNREACH, zmq.EAGAIN):
                    raise
                _log.debug("reply to a client that has gone or does not read was dropped")

    def _check_path(self) -> None:
        """End the daemon if its socket file was removed: no client could reach it. systemd starts it with a new file."""
        if _inode(self._path) != self._inode:
            raise PixkinError(f"{self._path} was removed or replaced while pixkind listened on it")


def _listen(path: str) -> "tuple[int, zmq.Context[zmq.Socket[bytes]], zmq.Socket[bytes]]":
    """Bind and listen here, and pass the descriptor to ZeroMQ: its own bind silently takes over a path in use."""
    if len(os.fsencode(path)) > PATH_BYTES:
        raise PixkinError(
            f"the socket path {path} is longer than {PATH_BYTES} bytes", "set XDG_RUNTIME_DIR to a shorter path"
        )
    if os.path.lexists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    umask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.listen(128)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.setsockopt(zmq.RCVHWM, READ_AHEAD)
    router.setsockopt(zmq.SNDHWM, UNREAD)
    # Of a frame; ZeroMQ closes the connection for a larger one.
    router.setsockopt(zmq.MAXMSGSIZE, MAX_IMAGES + (1 << 20))
    router.setsockopt(zmq.HANDSHAKE_IVL, 3000)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.IPC_FILTER_UID, os.getuid())
    router.setsockopt(zmq.USE_FD, listener.fileno())
    router.bind(f"ipc://{path}")
    listener.detach()  # libzmq owns it now, and aborts if anyone else closes it
    return _inode(path), context, router


class _Connections:
    """The connections to the socket. Their number is limited, since libzmq aborts if accept() finds no free descriptor."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", router: "zmq.Socket[bytes]", path: str) -> None:
        """Begin to watch connections come and go."""
        self._path = path
        self._router = router
        self._most = min(CLIENTS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        self._open: dict[int, None] = {}  # descriptors, the oldest first; ZeroMQ owns them
        self.monitor = context.socket(zmq.PAIR)
        self.monitor.setsockopt(zmq.RCVHWM, 0)  # else ZeroMQ's own thread would wait for this one
        router.monitor("inproc://connections", zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.monitor.connect("inproc://connections")

    def follow(self) -> None:
        """Take note of connections that came and went, and close the oldest if there are too many."""
        with suppress(zmq.Again):
            while True:
                event, descriptor = _EVENT.unpack(self.monitor.recv_multipart(zmq.DONTWAIT)[0])
                if event == zmq.EVENT_ACCEPTED:
                    self._open[descriptor] = None
                else:
                    self._open.pop(descriptor, None)
        for descriptor in list(self._open)[: -self._most]:
            del self._open[descriptor]
            self._hang_up(descriptor)

    def close(self) -> None:
        """Stop watching, before the socket is closed."""
        self._router.disable_monitor()
        self.monitor.close(linger=0)

    def _hang_up(self, descriptor: int) -> None:
        with suppress(OSError):  # ZeroMQ may have closed it by now, and the number may be that of another file
            connection = socket.socket(fileno=descriptor)
            try:
                if connection.getsockname() == self._path:
                    connection.shutdown(socket.SHUT_RDWR)  # ZeroMQ sees the end of the connection, and closes it
            finally:
                connection.detach()


def _inode(path: str) -> int:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _expired() -> Failure:
    return Failure(code=Code.EXPIRED, what="the deadline passed before the daemon came to the request")


def _id_of(frames: Sequence[bytes]) -> int:
    """Return the id in a message that is no valid request, so that its sender can tell what failed; 0 if it has none."""
    try:
        return msgspec.msgpack.decode(frames[1], type=_Named).id
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0


class _Named(msgspec.Struct):
    id: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
