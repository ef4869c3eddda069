"""The client: one question to the daemon, and its answer or the reason why there is none.

Every question has a connection of its own (0.75 ms, measured on two cores at 2.4 GHz), so a `Client` holds nothing open:
threads may share it, a daemon may restart between two questions, and a late answer has nowhere to arrive.
It knows nothing of how answers look.
"""

import itertools
import os
import signal
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
import zmq

from pixkin import framing, locations, wire
from pixkin.errors import DaemonBusy, InputUnreadable, PixkinError, Refused, UsageError, VersionsDiffer
from pixkin.presence import probe
from pixkin.source import Path, Source, absolute, by_bytes, image_of, is_by_path
from pixkin.wire import Code, Failure, Matches, Reply, Report, Request, Roots, Spaces, Synced, Welcome

_Answer = TypeVar("_Answer", Welcome, Matches, Report, Synced, Roots, Spaces)

_BROKEN: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_RESTART: Final = "restart the daemon: `systemctl --user restart pixkind`"


class Client:
    """A running `pixkind`, asked over its socket."""

    def __init__(self, socket_path: str | None = None, *, reply_s: float = 30.0) -> None:
        """Say where the daemon listens; nothing is opened yet.

        Args:
            socket_path: the daemon's socket; None: where it is by default.
            reply_s: seconds until a question without an answer ends in `DaemonBusy`.
        """
        self._socket_path = locations.socket_file() if socket_path is None else socket_path
        self._reply_s = reply_s
        self._ids = itertools.count(1)  # 0 is what the daemon echoes if it could not read the id

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: no connection outlives its question."""

    def like(
        self,
        *images: Source,
        n: int = 10,
        min_score: float | None = None,
        max_distance: float | None = None,
        under: Path | None = None,
        taken_since_s: int | None = None,
        taken_before_s: int | None = None,
        online: bool = False,
        itself: bool = False,
        fold: bool = True,
    ) -> Matches:
        """Return the photos most like the images.

        Args:
            *images: one to eight; `str` and path objects say where the image is, `bytes` are the image's file itself.
            n: at most so many matches, 1 to 1,000.
            min_score: only matches that score at least this, -1 to 1.
            max_distance: only matches at most this far away.
            under: only photos beneath this folder.
            taken_since_s: only photos taken then or later, in s since the epoch, the camera's clock as if it were UTC.
            taken_before_s: only photos taken earlier than that.
            online: only photos whose drive is there now.
            itself: also the query photo itself.
            fold: exact copies of one picture are one match.

        Returns:
            The matches, best first, and what the daemon cannot vouch for.

        Raises:
            PixkinError: as `ask` does.
        """
        frames: list[bytes] = []
        request = wire.Like(
            images=tuple(image_of(source, frames) for source in images),
            limit=n,
            min_score=min_score,
            max_distance=max_distance,
            under=b"" if under is None else absolute(under),
            taken_since_s=taken_since_s,
            taken_before_s=taken_before_s,
            online=online,
            itself=itself,
            fold=fold,
        )
        until_ms = self._until(self._reply_s)
        reply = self._exchange(request, frames, until_ms)
        while isinstance(reply, Failure) and reply.code is Code.UNREADABLE and is_by_path(request, reply):
            request = by_bytes(request, reply, frames)
            reply = self._exchange(request, frames, until_ms)
        return _expect(Matches, reply)

    def status(self, *, failed: bool = False) -> Report:
        """Return how the daemon is; with `failed`, also the photos that failed, with reasons.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Report, self.ask(wire.Status(failed=failed)))

    def sync(self, path: Path | None = None, timeout_s: float | None = None, *, accept_drive: bool = False) -> Synced:
        """Return when every file that stands under `path` (None: every root) now has an outcome.

        Args:
            path: a photo or a folder.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never.
            accept_drive: `path` is a root; if another drive stands there, it is the root's from now on.

        Raises:
            PixkinError: as `ask` does.
        """
        request = wire.Sync(path=absolute(path) if path is not None else b"", accept_drive=accept_drive)
        return _expect(Synced, self._exchange(request, (), self._until(timeout_s)))

    def pause(self, root: Path | None = None, *, for_s: int = 0, timeout_s: float = 10.0) -> Roots:
        """Stop all indexing; or return when nothing under a root is open any more: until `resume` nothing will be.

        The pause of a root also ends when the drive was away and is back. All end with the daemon.

        Args:
            root: a folder that is watched.
            for_s: without `root`: index again after so many seconds, up to a year; 0: after `resume`.
            timeout_s: seconds until this ends in `DaemonBusy`.

        Raises:
            PixkinError: as `ask` does.
        """
        request = wire.Pause(root=absolute(root) if root is not None else b"", for_s=for_s)
        return _expect(Roots, self._exchange(request, (), self._until(timeout_s)))

    def resume(self, root: Path | None = None) -> Roots:
        """End the pause of a root; None: every pause, and a boost.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Roots, self.ask(wire.Resume(root=absolute(root) if root is not None else b"")))

    def boost(self, for_s: int = 3600) -> Roots:
        """Index now, for so many seconds, whatever battery and pressure say; it ends a pause of all indexing.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Roots, self.ask(wire.Boost(for_s=for_s)))

    def spaces(self) -> Spaces:
        """Return which spaces there are.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Spaces, self.ask(wire.ListSpaces()))

    def use_space(self, name: str = "", timeout_s: float | None = None) -> Spaces:
        """Have questions answered from a space from now on; of a million photos it may take a minute to open it.

        Args:
            name: of the space, or of its encoder; empty: the configured one, once it finds as much as the other.
            timeout_s: seconds until this ends in `DaemonBusy`; None: never.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Spaces, self._exchange(wire.UseSpace(name=name), (), self._until(timeout_s)))

    def drop_space(self, name: str, timeout_s: float | None = None) -> Spaces:
        """Return when a space that neither answers nor is filled is forgotten; arguments as for `use_space`.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Spaces, self._exchange(wire.DropSpace(name=name), (), self._until(timeout_s)))

    def hello(self) -> Welcome:
        """Return who answers on the socket.

        Raises:
            PixkinError: as `ask` does.
        """
        return _expect(Welcome, self.ask(wire.Hello()))

    def ask(self, request: Request, images: Sequence[bytes] = ()) -> Reply:
        """Send a request and return its reply, which is never a `Failure`; `id` and `until_ms` are filled in here.

        Raises:
            UsageError: the request breaks a rule of the protocol (exit status 2).
            InputUnreadable: an image or folder that it names cannot be used (66).
            DaemonAbsent: nothing listens on the socket (69).
            Refused: the daemon will not or cannot do it, or its reply makes no sense (70).
            DaemonBusy: it did not answer within `reply_s`, or is not ready to (75).
            VersionsDiffer: it speaks another version of the protocol (76).
        """
        reply = self._exchange(request, images, self._until(self._reply_s))
        if isinstance(reply, Failure):
            raise _error(reply)
        return reply

    def _until(self, wait_s: float | None) -> int:
        """Return the deadline in ms of `wire.now_ms`; 0: none."""
        return 0 if wait_s is None else wire.now_ms() + max(1, round(wait_s * 1000))

    def _exchange(self, request: Request, images: Sequence[bytes], until_ms: int) -> Reply:
        request = msgspec.structs.replace(request, id=next(self._ids), until_ms=until_ms)
        frames = framing.pack(request, images)
        try:
            framing.unpack_request(frames)  # the daemon would refuse it in the same words, only later
        except framing.ProtocolError as error:
            raise UsageError(f"no such request: {error}") from error
        probe(self._socket_path)
        context = zmq.Context()
        try:
            # An interrupt between the making of a socket and ZeroMQ's note of it would leave it open: then
            # `destroy` waits for it for ever.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                link = _Link(context, self._socket_path, until_ms)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            link.send(frames)
            while True:
                reply = _unpacked(link.receive())
                # id 0 is the reply to a request that the daemon could not read; other ids answer nobody.
                if reply.id == request.id or (reply.id == 0 and isinstance(reply, Failure)):
                    return reply
        finally:
            context.destroy(linger=0)  # never wait for a daemon that does not take what is queued


class _Link:
    """A connection with a deadline that notices when its other end goes."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str, until_ms: int) -> None:
        self._path = path
        self._until_ms = until_ms
        self._dealer = context.socket(zmq.DEALER)
        # Not `immediate`: with it libzmq drops what has arrived and was not yet read when the connection ends,
        # so that half of the last words of a daemon that stops were lost.
        self._dealer.linger = 0
        self._monitor = self._dealer.get_monitor_socket(_BROKEN)
        address = b"ipc://" + os.fsencode(path)
        self._dealer.connect(address)  # type: ignore[arg-type]  # it takes bytes too; a path need not be UTF-8

    def send(self, frames: list[bytes]) -> None:
        """Queue the request; whether it is taken, the wait for the reply tells."""
        self._dealer.send_multipart(frames, copy=False)

    def receive(self) -> list[bytes]:
        """Return the frames of the next reply.

        Raises:
            DaemonAbsent: the daemon went away.
            DaemonBusy: the deadline passed, or the connection broke though the daemon is there.
        """
        poller = zmq.Poller()
        poller.register(self._dealer, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        ready = poller.poll(max(0, self._until_ms - wire.now_ms()) if self._until_ms else None)
        if self._dealer.poll(0):  # asked again: a last reply may arrive while the connection breaks
            return self._dealer.recv_multipart()
        if ready:
            probe(self._path)
            raise DaemonBusy("the daemon closed the connection before it answered", "ask again, or see `pixkin status`")
        raise DaemonBusy(f"the daemon on {self._path} did not answer in time", "try again, or wait longer (--timeout)")


def _unpacked(frames: list[bytes]) -> Reply:
    try:
        return framing.unpack_reply(frames)
    except framing.ProtocolError as error:
        if error.code is Code.VERSION:
            raise _differ(str(error)) from error
        raise Refused(f"the daemon's reply makes no sense: {error}") from error


def _expect(kind: type[_Answer], reply: Reply) -> _Answer:
    if isinstance(reply, Failure):
        raise _error(reply)
    if not isinstance(reply, kind):
        raise Refused(f"the daemon answered with {type(reply).__name__} instead of {kind.__name__}")
    return reply


def _error(failure: Failure) -> PixkinError:
    what = f"{os.fsdecode(failure.path)}: {failure.what}" if failure.path else failure.what
    match failure.code:
        case Code.UNREADABLE | Code.UNKNOWN_FOLDER:
            return InputUnreadable(what, failure.hint)
        case Code.BUSY | Code.EXPIRED | Code.STOPPING:
            return DaemonBusy(what, failure.hint or "try again")
        case Code.VERSION:
            return _differ(what)
        case Code.MALFORMED:  # `_exchange` sends nothing that this release takes for malformed
            return Refused(what, failure.hint or _RESTART)
        case Code.REFUSED | Code.INTERNAL:
            return Refused(what, failure.hint)


def _differ(what: str) -> VersionsDiffer:
    return VersionsDiffer(what, _RESTART)
