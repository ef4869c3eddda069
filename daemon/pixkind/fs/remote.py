"""Touches a file system that may hang (a network, FUSE) only through a helper process, with a deadline.

A process that misses its deadline is hung: every further request fails at once, until the process answers or ends.
The daemon waits for no process and starts no second one next to a hung one. So a mount can block at most two processes:
one that looks and one that reads.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from pixkind.errors import PhotoError
from pixkind.fs import remote_helper
from pixkind.fs.exclusions import Markers
from pixkind.fs.identity import DriveIdentity, RootCheck
from pixkind.fs.interface import Listing, NoAnswer, OpenLimits
from pixkind.fs.open_photo import OUR_FAULT, OpenPhoto, StillOpen, Vanished
from pixkind.fs.rules import PhotoRules
from pixkind.fs.stamp import Stamp

_log = logging.getLogger(__name__)

LOOK_S: Final = 1.5  # longest silence while it looks; `pixkin status` waits for it
LIST_S: Final = 4.0  # longest silence while it lists: a disk may have to spin up
READ_S: Final = 10.0  # longest silence while it reads: a drive that needs ten seconds for a megabyte is useless
QUERY_S: Final = 3.0  # the same for a query, because a user waits
START_S: Final = 10.0  # until Python has started, on a busy machine


_Kind = TypeVar(
    "_Kind",
    remote_helper.Seen,
    remote_helper.Listed,
    remote_helper.Marked,
    remote_helper.Named,
    remote_helper.Resolved,
    remote_helper.Assessed,
)


class HelperProcess:
    """One helper process, started at the first request. Any thread may ask; requests are answered one at a time."""

    def __init__(self, rules: PhotoRules, roots: Sequence[str]) -> None:
        """Keep the rules and the roots for the process."""
        self._words = [msgspec.json.encode(rules).decode(), *roots]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._is_new = True
        self._is_late = False  # a reply has missed its deadline and has not come yet
        self._is_closed = False

    def is_hung(self) -> bool:
        """Return whether it has missed a deadline and has not answered since."""
        if not self._lock.acquire(blocking=False):
            return False  # a request is under way
        try:
            return not self._is_free()
        finally:
            self._lock.release()

    def ask(self, request: remote_helper.Request, patience_s: float) -> tuple[list[remote_helper.Reply], int]:
        """Return the messages of the reply without its beats, and the descriptor that came with them, or -1.

        Args:
            request: what to do.
            patience_s: the longest silence to accept.

        Raises:
            NoAnswer: the process is silent for longer, or still owes the reply to an earlier request.
            OSError: the error that the process met.
        """
        if not self._lock.acquire(timeout=patience_s):
            raise NoAnswer
        try:
            if not self._is_free():
                raise NoAnswer
            sock = self._started()
            sock.settimeout(START_S if self._is_new else patience_s)
            sock.send(remote_helper.ENCODER.encode(request))
            return self._reply(sock, patience_s)
        except (BrokenPipeError, ConnectionResetError) as error:
            self._end()
            raise NoAnswer from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process without waiting for it. Threads that wait for a reply get NoAnswer."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()
        if (sock := self._socket) is not None:
            with suppress(OSError):  # the other end is gone, or the socket is closed already
                sock.shutdown(socket.SHUT_RDWR)
        if self._lock.acquire(blocking=False):  # otherwise the thread that waits notices, and cleans up
            try:
                self._end()
            finally:
                self._lock.release()

    def _reply(self, sock: socket.socket, patience_s: float) -> tuple[list[remote_helper.Reply], int]:
        parts: list[remote_helper.Reply] = []
        while True:
            try:
                reply, descriptor = _receive(sock)
            except TimeoutError as error:
                self._is_late = True
                raise NoAnswer from error
            if reply is None:
                self._end()
                raise NoAnswer
            self._is_new = False
            sock.settimeout(patience_s)
            if isinstance(reply, remote_helper.CallFailed):
                raise OSError(reply.errno, reply.reason)
            if not isinstance(reply, remote_helper.Beat):
                parts.append(reply)
            if _is_last(reply):
                return parts, descriptor

    def _is_free(self) -> bool:
        """Discard a late reply; return whether the process owes no reply any more."""
        if not self._is_late or self._socket is None:
            return True
        self._socket.settimeout(0)
        try:
            while True:
                reply, descriptor = _receive(self._socket)
                if descriptor >= 0:
                    os.close(descriptor)
                if reply is None:
                    self._end()
                elif not _is_last(reply):
                    continue
                self._is_late = False
                return True
        except BlockingIOError:
            return False

    def _started(self) -> socket.socket:
        if self._is_closed:
            raise NoAnswer
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    self._process = subprocess.Popen(
                        [sys.executable, "-I", "-m", "pixkind.fs.remote_helper", str(theirs.fileno()), *self._words],
                        pass_fds=[theirs.fileno()],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                    )
                except OSError as error:  # too many processes, or no memory
                    ours.close()
                    raise NoAnswer from error
            self._socket, self._is_new = ours, True
        return self._socket

    def _end(self) -> None:
        self._is_late = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            # It may stay in the kernel for as long as the mount hangs; a sleeping thread reaps it.
            threading.Thread(target=self._process.wait, name="reap", daemon=True).start()
            self._process = None


class RemoteFileSystem:
    """`interface.FileSystem` for one mount that may hang."""

    def __init__(self, rules: PhotoRules, roots: Sequence[str] = ()) -> None:
        """Start nothing yet. Below `roots` no symbolic link is followed."""
        self._looks = HelperProcess(rules, roots)
        self._reads = HelperProcess(rules, roots)

    def is_stuck(self) -> bool:
        """Return whether the last read got no answer in time, and has got none since."""
        return self._reads.is_hung()

    def look(self, path: str) -> tuple[int, Stamp]:
        """See `interface.FileSystem`."""
        (seen,) = self._ask(remote_helper.Look(os.fsencode(path)), remote_helper.Seen)
        return seen.mode, seen.stamp

    def list(self, folder: str) -> Listing:
        """See `interface.FileSystem`."""
        listing = Listing()
        above = folder.rstrip("/") + "/"
        for part in self._ask(remote_helper.List(os.fsencode(folder)), remote_helper.Listed, LIST_S):
            listing.photos += ((above + os.fsdecode(name), stamp) for name, stamp in part.photos)
            listing.folders += ((mtime_ns, above + os.fsdecode(name)) for mtime_ns, name in part.folders)
            listing.unreadable += ((above + os.fsdecode(name), reason) for name, reason in part.unreadable)
            listing.links += part.links
            listing.is_marked |= part.is_marked
        return listing

    def markers(self, folder: str) -> Markers:
        """See `interface.FileSystem`."""
        (marked,) = self._ask(remote_helper.Mark(os.fsencode(folder)), remote_helper.Marked, LIST_S)
        return marked.markers

    def names(self, folder: str) -> set[str]:
        """See `interface.FileSystem`."""
        parts = self._ask(remote_helper.Names(os.fsencode(folder)), remote_helper.Named, LIST_S)
        return {os.fsdecode(name) for part in parts for name in part.names}

    def resolve(self, path: str) -> str:
        """See `interface.FileSystem`."""
        (resolved,) = self._ask(remote_helper.Resolve(os.fsencode(path)), remote_helper.Resolved)
        return os.fsdecode(resolved.path)

    def assess(self, root: str, known: DriveIdentity | None, *, has_photos: bool) -> tuple[RootCheck, int]:
        """See `interface.FileSystem`."""
        (assessed,) = self._ask(remote_helper.Assess(os.fsencode(root), known, has_photos), remote_helper.Assessed)
        return assessed.check, assessed.mount

    def open(self, path: str, limits: OpenLimits) -> OpenPhoto:
        """Return a copy of a photo in memory; errors are those of open_photo.open_photo, and NoAnswer."""
        request = remote_helper.Copy(os.fsencode(path), limits.limit_mb, limits.quiet_ns)
        try:
            (reply, *_), descriptor = self._reads.ask(request, QUERY_S if limits.quiet_ns is None else READ_S)
        except NoAnswer:
            raise
        except OSError as error:
            if error.errno in OUR_FAULT:
                raise NoAnswer from error
            raise PhotoError(f"cannot be read: {error.strerror}") from error
        match reply:
            case remote_helper.Seen():
                return OpenPhoto(path, descriptor, reply.stamp, is_copy=True)
            case remote_helper.NotNow(rest_ns=None):
                raise Vanished(path)
            case remote_helper.NotNow(rest_ns=int(rest_ns)):
                raise StillOpen(rest_ns)
            case remote_helper.PhotoUnfit():
                raise PhotoError(reply.reason) from (OSError(reply.reason) if reply.is_os_error else None)
            case _:
                raise TypeError(reply)

    def open_later(self, path: str, limits: OpenLimits) -> "Future[OpenPhoto]":
        """Call `open` in a new thread."""
        future: Future[OpenPhoto] = Future()
        threading.Thread(target=self._open_into, args=(future, path, limits), name="remote-open", daemon=True).start()
        return future

    def close(self) -> None:
        """End the processes, without waiting for them."""
        self._looks.close()
        self._reads.close()

    def _ask(self, request: remote_helper.Request, kind: type[_Kind], patience_s: float = LOOK_S) -> Iterator[_Kind]:
        for part in self._looks.ask(request, patience_s)[0]:
            if not isinstance(part, kind):
                raise TypeError(part)
            yield part

    def _open_into(self, future: "Future[OpenPhoto]", path: str, limits: OpenLimits) -> None:
        try:
            future.set_result(self.open(path, limits))
        except BaseException as error:  # noqa: BLE001  # the thread's outermost frame; `future.result` raises it
            future.set_exception(error)


def _receive(sock: socket.socket) -> tuple[remote_helper.Reply | None, int]:
    """Return the next message (None: the process is gone) and its descriptor, or -1.

    Raises:
        TimeoutError: nothing came in time.
        BlockingIOError: nothing has come, and the socket is non-blocking.
    """
    try:
        message, descriptors, _, _ = socket.recv_fds(sock, remote_helper.MAX_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return None, -1
    try:
        reply = remote_helper.REPLIES.decode(message) if message else None
    except msgspec.DecodeError:
        _log.exception("the helper process sent an invalid message")
        reply = None
    if reply is None:
        for descriptor in descriptors:
            os.close(descriptor)
    return reply, descriptors[0] if descriptors and reply is not None else -1


def _is_last(reply: remote_helper.Reply) -> bool:
    if isinstance(reply, remote_helper.Listed | remote_helper.Named):
        return reply.is_last
    return not isinstance(reply, remote_helper.Beat)
