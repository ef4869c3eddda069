"""The socket: frames in, frames out. Requests run in a small pool, so that a slow one blocks no other client.

No client can starve the others, or take the memory or the descriptors of the daemon:

- A request that the pool cannot begin soon stays with its client. Requests are taken from the clients in turn.
- Image bytes of all clients together take at most `ROOM`; other requests wait until there is room (`zmtp`).
- A reply that its client does not read is dropped. If the clients leave too much unread, one of them is disconnected.
- When there are too many connections, the oldest one that waits for nothing is closed. So is it when accept() finds no
  free descriptor.

Only the serve thread, which runs an event loop, touches connections and counts. The pool hands it replies.
"""

import asyncio
import errno
import logging
import os
import resource
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from pixkin.errors import PixkinError
from pixkin.protocol.framing import ProtocolError, check_version, pack, unpack_request
from pixkin.protocol.replies import Code, Failure, Reply
from pixkin.protocol.requests import MAX_FRAMES, MAX_IMAGES, MAX_REPLY, Request, now_ms
from pixkind.server.deferred import Deferred, internal_error, stopping
from pixkind.server.zmtp import MOST, Broken, Peer, Received, Room
from pixkind.system.threads import ServiceThread

_log = logging.getLogger(__name__)

POOL: Final = 4  # requests that are worked on at once; most of a search is numpy, which uses the cores by itself
WITH_IMAGES: Final = 4  # requests with image bytes that are worked on or wait at once; the next is told `busy`
# Requests in the pool, or next to enter it; when there are so many, no client's next one is taken.
BEGUN: Final = 2 * POOL
QUEUED: Final = 1000  # requests that wait for something; when there are so many, the next one is told `busy`
CLIENTS: Final = 500  # connections; each takes at most 100 kB for a request, beside what `ROOM` counts
# Bytes of large messages: one of the largest, and usual ones at the same time. An image is copied into a file in memory for
# the worker, so twice as much is in use at most. With the small messages that is less than 512 MB.
ROOM: Final = 3 * MOST // 2
# Bytes of replies that all clients together may leave unread; the greediest is disconnected then.
UNREAD_ALL: Final = 128 << 20
PATH_BYTES: Final = 107  # sockaddr_un has 108, one of them NUL

_LINGER_S: Final = 0.5  # for the last replies; a client that does not read loses its own
_PAUSE_S: Final = 0.05  # before the next accept() if there was no free descriptor, or no memory
_FULL: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_CREDENTIALS: Final = struct.Struct("=iII")  # struct ucred: process, user, group

Answer = Callable[[Request, Sequence[bytes]], Reply | Deferred]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that was taken."""

    peer: Peer
    request: Request
    has_images: bool
    room: int  # bytes of its message, to be given back


class ZmqServer:
    """The service that answers on the socket."""

    def __init__(self, path: str, answer: Answer, *, query_mb: int, check_s: float = 5.0, room: int = ROOM) -> None:
        """Bind the socket and listen: from here on clients can connect, and wait for `start`.

        Args:
            path: of the socket; a stale one is removed, so the caller must hold the lock.
            answer: turns a request and the frames of its images into a reply; called in the threads of the pool.
            query_mb: the largest image that a client may send, in MiB; the socket itself accepts what the protocol allows.
            check_s: how often the file of the socket is checked.
            room: bytes of large messages that are in memory at once.
        """
        self._check_s = check_s
        self._path = path
        self._answer = answer
        self._query_mb = query_mb
        self._listener = _listen(path)
        self._inode = _inode(path)
        self._thread = ServiceThread("serve", self._run)
        self._pool = ThreadPoolExecutor(POOL, thread_name_prefix="answer")
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._turn = asyncio.Semaphore(BEGUN)
        self._room = Room(room)
        self._most = min(CLIENTS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        self._peers: dict[Peer, asyncio.Task[None]] = {}  # the oldest first
        self._defect: BaseException | None = None
        self._with_images = 0
        self._queued = 0

    # A service.

    def start(self) -> None:
        """Start to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Send the replies that are ready, close the socket and remove its file."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._in_loop(self._stopping.set)
        self._thread.join(5)

    def failure(self) -> BaseException | None:
        """Return the exception that ended the thread."""
        return self._thread.failure

    def beat(self) -> int:
        """Return how often its loop has turned."""
        return self._thread.beats

    # The serve thread.

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        accepting = self._begin(self._accept())
        try:
            while not self._stopping.is_set():
                self._thread.beat()
                if _inode(self._path) != self._inode:  # no client could reach it; systemd starts it with a new file
                    raise PixkinError(f"{self._path} was removed or replaced while pixkind listened on it")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._check_s):
                        await self._stopping.wait()
            if self._defect is not None:
                raise self._defect
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._finish()
        finally:
            tasks = [accepting, *self._peers.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for peer in self._peers:  # whose task was cancelled before it had begun
                peer.close()
            self._listener.close()
            if _inode(self._path) == self._inode:
                os.unlink(self._path)

    def _begin(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Start a task; an error that it does not expect ends the service."""

        def ended(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._defect = error
                self._stopping.set()

        task = self._loop.create_task(work)
        task.add_done_callback(ended)
        return task

    async def _finish(self) -> None:
        """Return when all that clients had asked in time is answered: they are told that the daemon stops."""
        quiet = 0
        while quiet < 2:  # twice, because what was just read may not be answered yet
            await asyncio.sleep(0.01)
            quiet = 0 if any(peer.is_busy() for peer in self._peers) else quiet + 1

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                self._hang_up(self._oldest())
                await asyncio.sleep(_PAUSE_S)
                continue
            if _user_of(connection) != os.getuid():
                connection.close()
                continue
            if len(self._peers) >= self._most:
                self._hang_up(self._oldest())
            peer = Peer(connection, self._room)
            self._peers[peer] = self._begin(self._attend(peer))
            await asyncio.sleep(0)  # it is the turn of the others, even if more wait to be accepted

    def _oldest(self) -> Peer | None:
        """Return the oldest connection that waits for nothing; if all wait, the oldest."""
        return min(self._peers, key=lambda peer: peer.requests > 0, default=None)

    def _hang_up(self, peer: Peer | None) -> None:
        if peer is not None:
            self._peers.pop(peer).cancel()

    async def _attend(self, peer: Peer) -> None:
        """Take the requests of a client, one after the other."""
        try:
            await peer.greet()
            while True:
                message = await peer.receive()
                try:
                    await self._turn.acquire()
                except BaseException:
                    self._room.give(message.room)
                    raise
                self._take(peer, message)
                del message  # the next one may be long in coming
                await asyncio.sleep(0)  # it is the turn of the others, even if there is one already
        except (OSError, Broken):
            pass  # it has gone, or breaks the rules
        finally:
            self._peers.pop(peer, None)
            peer.close()

    def _take(self, peer: Peer, message: Received) -> None:
        """Have the pool begin a request, or answer it at once."""
        try:
            request, images = _unpacked(message)
        except ProtocolError as error:
            self._decline(peer, message, Failure(id=_id_of(message.frames), code=error.code, what=str(error)))
            return
        if (failure := self._refusal(request, images)) is not None:
            self._decline(peer, message, failure)
            return
        peer.requests += 1
        self._queued += 1
        self._with_images += bool(images)
        asked = _Asked(peer, request, bool(images), message.room)
        future = self._submit(asked, Deferred((), lambda: self._answer(request, images)))
        future.add_done_callback(lambda _: self._in_loop(self._turn.release))

    def _decline(self, peer: Peer, message: Received, failure: Failure) -> None:
        self._turn.release()
        self._room.give(message.room)
        self._send(peer, failure)

    def _refusal(self, request: Request, images: Sequence[bytes]) -> Failure | None:
        """Return why a request is not worked on; None: it is."""
        if (largest := max(map(len, images), default=0)) > self._query_mb << 20:
            what = f"{largest / 2**20:.0f} MiB is over the limit of {self._query_mb} MiB (limits.query_mb)"
            return Failure(id=request.id, code=Code.REFUSED, what=what)
        if self._queued >= QUEUED or (images and self._with_images >= WITH_IMAGES):
            return Failure(id=request.id, code=Code.BUSY, what="too many requests are waiting", hint="ask again")
        return None

    def _reply(self, asked: _Asked, reply: Reply) -> None:
        """Note that a request has its reply, and send that."""
        asked.peer.requests -= 1
        self._queued -= 1
        self._with_images -= asked.has_images
        self._room.give(asked.room)
        self._send(asked.peer, msgspec.structs.replace(reply, id=asked.request.id))

    def _send(self, peer: Peer, reply: Reply) -> None:
        if len((frames := pack(reply))[1]) > MAX_REPLY:
            frames = pack(Failure(id=reply.id, code=Code.REFUSED, what="the answer is too large", hint="ask for less"))
        if not peer.send(frames):
            _log.debug("reply to a client that has gone or does not read was dropped")
        if sum(one.unread for one in self._peers) > UNREAD_ALL:
            self._hang_up(max(self._peers, key=lambda one: one.unread))

    # Any thread.

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        """Have the serve thread call a function soon; if the thread has ended, nobody waits for it any more."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, *arguments)

    def _submit(self, asked: _Asked, deferred: Deferred) -> "Future[None]":
        """Have the pool go on with a request. If the daemon stops before that, tell the client so."""

        def ended(future: "Future[None]") -> None:
            if future.cancelled():
                deferred.abandon()
                self._in_loop(self._reply, asked, stopping().failure)

        try:
            future = self._pool.submit(self._work, asked, deferred)
        except RuntimeError:  # the pool is shut down
            future = Future()
            future.cancel()
        future.add_done_callback(ended)
        return future

    # The pool's threads.

    def _work(self, asked: _Asked, deferred: Deferred) -> None:
        """Do one step of a request: reply, or wait for the futures of the next step."""
        reply: Reply | Deferred
        try:
            if asked.request.until_ms and now_ms() >= asked.request.until_ms:
                deferred.abandon()
                reply = _expired()
            else:
                reply = deferred.resume()
        except Exception:  # noqa: BLE001
            # The outermost frame of a pool thread. A defect in one request must not end the service for all others.
            _log.exception("request %s failed", type(asked.request).__name__)
            reply = internal_error()
        if isinstance(reply, Deferred):
            self._resume_later(asked, reply)
        else:
            self._in_loop(self._reply, asked, reply)

    def _resume_later(self, asked: _Asked, deferred: Deferred) -> None:
        """Go on with a request when all its futures are done, or its time is up."""
        missing = len(deferred.futures)
        lock = threading.Lock()
        timers: list[asyncio.TimerHandle] = []

        def done(futures: int) -> None:
            nonlocal missing
            with lock:
                was_missing, missing = missing > 0, missing - futures
                if not was_missing or missing > 0:
                    return
            for timer in timers:
                self._in_loop(timer.cancel)
            self._submit(asked, deferred)

        def set_timer() -> None:
            if missing > 0:
                wait_s = max(0, deferred.until_ms - now_ms()) / 1000
                timers.append(self._loop.call_later(wait_s, done, missing))

        for future in deferred.futures:
            future.add_done_callback(lambda _: done(1))
        if deferred.until_ms:
            self._in_loop(set_timer)


def _listen(path: str) -> socket.socket:
    """Return a socket that listens at `path`, and that only this user can reach."""
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
    return listener


def _user_of(connection: socket.socket) -> int:
    """Return the user of the process at the other end (unix(7), SO_PEERCRED)."""
    user: int = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
    return user


def _unpacked(message: Received) -> tuple[Request, list[bytes]]:
    """Return the request and the frames of its images.

    Raises:
        ProtocolError: the message is no request of this version.
    """
    if message.is_whole:
        return unpack_request(message.frames)
    check_version(message.frames)
    limits = f"at most {MAX_FRAMES} frames and {MAX_IMAGES} bytes of images allowed"
    raise ProtocolError(Code.MALFORMED, f"the request is too large: {limits}")


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
