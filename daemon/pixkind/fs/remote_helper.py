"""The helper process, which touches a file system that may hang, so that the daemon need not.

`remote.RemoteFileSystem` starts it as `python -I -m pixkind.fs.remote_helper SOCKET RULES [ROOT...]`. Requests come one
at a time over an AF_UNIX SOCK_SEQPACKET pair. A reply is any number of messages that prove that the process is alive (`Beat`,
`Listed`, `Named`), and one message that ends it. The process exits when the daemon closes its end of the socket. If it hangs in
the kernel it cannot be killed, and the daemon does not wait for it.

The process hands over a photo as a copy in memory. A descriptor of the file itself would hang any process that reads or
closes it.
"""

import array
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from pixkind.errors import PhotoError
from pixkind.fs.exclusions import Markers
from pixkind.fs.identity import DriveIdentity, RootCheck
from pixkind.fs.interface import Listing, OpenLimits
from pixkind.fs.local import LocalFileSystem, list_slowly, names_slowly
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished
from pixkind.fs.rules import PhotoRules
from pixkind.fs.stamp import Stamp

MAX_BYTES: Final = 1 << 17  # of one message; the socket's buffer is larger
PIECE: Final = 100  # entries of one `Listed`: they fit even with names of 1,024 bytes, which FUSE allows
BEAT_S: Final = 0.25
_CHUNK: Final = 1 << 20


class Look(Struct, frozen=True, tag="look"):
    """Ask for `FileSystem.look`."""

    path: bytes


class List(Struct, frozen=True, tag="list"):
    """Ask for `FileSystem.list`."""

    folder: bytes


class Mark(Struct, frozen=True, tag="mark"):
    """Ask for `FileSystem.markers`."""

    folder: bytes


class Names(Struct, frozen=True, tag="names"):
    """Ask for `FileSystem.names`."""

    folder: bytes


class Resolve(Struct, frozen=True, tag="resolve"):
    """Ask for `FileSystem.resolve`."""

    path: bytes


class Copy(Struct, frozen=True, tag="copy"):
    """Ask for a copy of a photo in memory."""

    path: bytes
    limit_mb: int
    quiet_ns: int | None


class Assess(Struct, frozen=True, tag="assess"):
    """Ask for `FileSystem.assess`."""

    root: bytes
    known: DriveIdentity | None
    has_photos: bool


class Beat(Struct, frozen=True, tag="beat"):
    """The process is alive and works on the request."""


class Seen(Struct, frozen=True, tag="seen"):
    """The reply to Look, and to Copy, with the descriptor of the copy."""

    mode: int
    stamp: Stamp


class Listed(Struct, frozen=True, tag="listed"):
    """A part of the reply to List."""

    photos: list[tuple[bytes, Stamp]]
    folders: list[tuple[int, bytes]]
    unreadable: list[tuple[bytes, str]]
    links: int
    is_marked: bool
    is_last: bool


class Marked(Struct, frozen=True, tag="marked"):
    """The reply to Mark."""

    markers: Markers


class Named(Struct, frozen=True, tag="named"):
    """A part of the reply to Names."""

    names: list[bytes]
    is_last: bool


class Resolved(Struct, frozen=True, tag="resolved"):
    """The reply to Resolve."""

    path: bytes


class Assessed(Struct, frozen=True, tag="assessed"):
    """The reply to Assess."""

    check: RootCheck
    mount: int


class CallFailed(Struct, frozen=True, tag="failed"):
    """The request met an OSError."""

    errno: int
    reason: str


class NotNow(Struct, frozen=True, tag="notnow"):
    """Copy found no file (`rest_ns` is None), or a file that another process writes to."""

    rest_ns: int | None


class PhotoUnfit(Struct, frozen=True, tag="unfit"):
    """Copy met a PhotoError. `is_os_error`: an OSError caused it, not the file itself."""

    reason: str
    is_os_error: bool


Request = Look | List | Mark | Names | Resolve | Copy | Assess
Reply = Beat | Seen | Listed | Marked | Named | Resolved | Assessed | CallFailed | NotNow | PhotoUnfit

ENCODER = msgspec.msgpack.Encoder()
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)


class Server:
    """The only loop of the process."""

    def __init__(self, sock: socket.socket, rules: PhotoRules, roots: Sequence[str]) -> None:
        """Keep the socket, the rules and the roots."""
        self._socket = sock
        self._rules = rules
        self._roots = roots
        self._local = LocalFileSystem(rules, roots=roots)
        self._sent_at = 0.0

    def run(self) -> None:
        """Answer requests until the daemon closes the socket."""
        self._send(Beat())  # Python has started; any delay from now on comes from the file system
        while message := self._socket.recv(MAX_BYTES):
            self._sent_at = time.monotonic()
            try:
                self._answer(_REQUESTS.decode(message))
            except OSError as error:
                if isinstance(error, (BrokenPipeError, ConnectionResetError)):
                    return
                self._send(CallFailed(error.errno or 0, error.strerror or str(error)))

    def _answer(self, request: Request) -> None:
        match request:
            case Look():
                self._send(Seen(*self._local.look(os.fsdecode(request.path))))
            case Resolve():
                self._send(Resolved(os.fsencode(self._local.resolve(os.fsdecode(request.path)))))
            case Assess():
                self._send(
                    Assessed(
                        *self._local.assess(os.fsdecode(request.root), request.known, has_photos=request.has_photos)
                    )
                )
            case List():
                self._list(os.fsdecode(request.folder))
            case Mark():
                self._send(Marked(self._local.markers(os.fsdecode(request.folder))))
            case Names():
                self._name(os.fsdecode(request.folder))
            case Copy():
                self._try_copy(request)

    def _list(self, folder: str) -> None:
        listing = Listing()
        for _ in list_slowly(folder, self._rules, listing, roots=self._roots):
            if len(listing.photos) + len(listing.folders) + len(listing.unreadable) >= PIECE:
                self._send_listing(listing, is_last=False)
                for part in (listing.photos, listing.folders, listing.unreadable):
                    part.clear()
            self._beat()
        self._send_listing(listing, is_last=True)

    def _name(self, folder: str) -> None:
        names: list[bytes] = []
        for name in names_slowly(folder, self._roots):
            names.append(os.fsencode(name))
            if len(names) >= PIECE:
                self._send(Named(names, is_last=False))
                names.clear()
            self._beat()
        self._send(Named(names, is_last=True))

    def _send_listing(self, listing: Listing, *, is_last: bool) -> None:
        self._send(
            Listed(
                [(os.fsencode(os.path.basename(path)), stamp) for path, stamp in listing.photos],
                [(mtime_ns, os.fsencode(os.path.basename(path))) for mtime_ns, path in listing.folders],
                [(os.fsencode(os.path.basename(path)), reason) for path, reason in listing.unreadable],
                listing.links if is_last else 0,
                listing.is_marked,
                is_last,
            )
        )

    def _try_copy(self, request: Copy) -> None:
        try:
            self._copy(request)
        except Vanished:
            self._send(NotNow(None))
        except StillOpen as error:
            self._send(NotNow(error.rest_ns))
        except PhotoError as error:
            self._send(PhotoUnfit(error.reason, error.__cause__ is not None))

    def _copy(self, request: Copy) -> None:
        photo = self._local.open(os.fsdecode(request.path), OpenLimits(request.limit_mb, request.quiet_ns))
        copy = os.memfd_create("photo", os.MFD_CLOEXEC)
        try:
            self._fill(copy, photo, request.limit_mb)
            rights = array.array("i", [copy])
            message = ENCODER.encode(Seen(0, photo.stamp))
            self._socket.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(copy)
            photo.close()

    def _fill(self, copy: int, photo: OpenPhoto, limit_mb: int) -> None:
        """Copy a file. An error of the copy itself, such as no memory, is not an error of the photo."""
        if photo.stamp.size > limit_mb << 20:  # of a query; for the index, `open` has refused it already
            raise PhotoError(f"{photo.stamp.size / 2**20:.0f} MiB is over the limit of {limit_mb} MiB")
        limit = photo.stamp.size
        while limit > 0 and (chunk := _read(photo.descriptor, min(_CHUNK, limit))):
            limit -= len(chunk)
            os.write(copy, chunk)
            self._beat()
        if Stamp.of(os.fstat(photo.descriptor)) != photo.stamp:
            raise StillOpen

    def _beat(self) -> None:
        if time.monotonic() > self._sent_at + BEAT_S:
            self._send(Beat())

    def _send(self, reply: Reply) -> None:
        self._sent_at = time.monotonic()
        self._socket.send(ENCODER.encode(reply))


def _read(descriptor: int, most: int) -> bytes:
    try:
        return os.read(descriptor, most)
    except OSError as error:
        raise PhotoError(f"cannot be read: {error.strerror}") from error


def main(words: list[str]) -> None:
    """Run the process. `words` are the number of the socket's descriptor, the `PhotoRules` as JSON, and the roots."""
    with socket.socket(fileno=int(words[0])) as sock:
        Server(sock, msgspec.json.decode(words[1], type=PhotoRules), words[2:]).run()


if __name__ == "__main__":
    main(sys.argv[1:])
