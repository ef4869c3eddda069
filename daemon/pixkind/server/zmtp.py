"""One connection of a ROUTER socket, by ZMTP 3.0, the wire protocol of ZeroMQ. It knows frames, not requests.

libzmq itself cannot serve here, for two reasons:

- Nothing bounds what it reads. Its high-water mark counts messages, and a message may have any number of frames.
- It ends the process when accept() finds no free descriptor.

**Memory.** A connection holds one message at a time, and nothing is read ahead of it but `_AHEAD` bytes.
A message of up to `SMALL` bytes is simply read. A larger one first waits until `Room` has its size, which it gives back
when its request is answered. Meanwhile its bytes stay with the client, whose socket is full.

All functions run in the thread of the event loop.

Source: rfc.zeromq.org/spec/23 (ZMTP 3.0), and 37 for PING and PONG.
"""

import asyncio
import io
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pixkin.protocol.requests import MAX_BODY, MAX_FRAMES, MAX_IMAGES

SMALL: Final = 64 << 10  # bytes of a message that waits for no room, as nearly all requests without image bytes
MOST: Final = MAX_IMAGES + MAX_BODY + SMALL  # bytes of a message; of a larger one nothing is kept but its first frames
UNREAD: Final = 1 << 20  # bytes that a client may leave unread; the next reply is dropped then

_MAX_FRAME: Final = MAX_IMAGES + MAX_BODY  # a larger frame closes the connection
_AHEAD: Final = 16 << 10  # bytes that are read at once, and so ahead of a message
_PIECE: Final = 256 << 10  # the same, within a large frame; the kernel keeps less for a socket
_GREETS_S: Final = 3.0  # a connection that has not shaken hands by then is closed
# So is one whose large message comes more slowly than this, or stops: others need its room.
PATIENCE_S: Final = 10.0
_SLOWEST: Final = 100 << 10  # bytes a second

_MORE, _LONG, _COMMAND = 1, 2, 4  # the flags of a frame
_GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_NOTHING: Final = memoryview(b"")
_SOCKET_TYPE: Final = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"ROUTER"


class Broken(Exception):
    """The peer has gone, does not speak ZMTP 3, or sends a frame that is too large."""


class Room:
    """The memory that all large messages share: who needs some waits in line, so a large message is never overtaken."""

    def __init__(self, size: int) -> None:
        """Have `size` bytes, at least `MOST`."""
        self._free = size
        self._line = asyncio.Lock()
        self._given = asyncio.Event()

    async def take(self, size: int) -> int:
        """Return `size` as soon as there is room for so many bytes, which are taken then."""
        async with self._line:
            while self._free < size:
                self._given.clear()
                await self._given.wait()
            self._free -= size
        return size

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._free += size
        self._given.set()


@dataclass(frozen=True, slots=True)
class Received:
    """The frames of a message, and the room that it has taken. Whoever has it gives the room back."""

    frames: list[bytes]
    room: int
    is_whole: bool  # False: there were too many frames or bytes; only the first two frames are here, if they are small


class Peer:
    """A connection to a client."""

    def __init__(self, connection: socket.socket, room: Room) -> None:
        """Own a connection that does not block."""
        self.requests = 0  # that are not answered yet
        self._connection = connection
        self._room = room
        self._loop = asyncio.get_running_loop()
        self._ahead = _NOTHING
        self._unsent = bytearray()
        self._is_open = True
        self._deadline = asyncio.timeout(None)  # of a message that has taken room

    async def greet(self) -> None:
        """Shake hands.

        Raises:
            Broken: the peer does not speak ZMTP 3, or not in time.
            OSError: it has gone.
        """
        self._unsent += _GREETING
        self._command(b"\x05READY" + _SOCKET_TYPE)
        async with asyncio.timeout(_GREETS_S):
            theirs = await self._read(len(_GREETING))
            if theirs[0] != 0xFF or not theirs[9] & 1 or theirs[10] < 3 or theirs[12:32] != _GREETING[12:32]:
                raise Broken
            flags, length = await self._head()
            if not flags & _COMMAND or not (await self._read(length)).startswith(b"\x05READY"):
                raise Broken

    async def receive(self) -> Received:
        """Return the next message.

        Raises:
            Broken: the peer has gone, or breaks the rules.
            OSError: it has gone, or its large message does not come in time.
        """
        frames: list[bytes] = []
        size = room = 0
        more, is_whole = True, True
        try:
            async with asyncio.timeout(None) as self._deadline:
                while more:
                    more, length = await self._message_head()
                    size += length
                    if is_whole and (size > MOST or len(frames) == MAX_FRAMES):
                        is_whole = False
                        frames = [frame for frame in frames[:2] if len(frame) <= SMALL]
                        self._deadline.reschedule(None)
                        self._room.give(room)
                        room = 0
                    elif is_whole and size > SMALL and not room:
                        # More images may follow. Who has room must not wait for more: two such would wait for ever.
                        room = await self._room.take(MOST if more else size)
                        self._deadline.reschedule(self._loop.time() + PATIENCE_S)
                    if is_whole:
                        frames.append(await self._read(length))
                    else:
                        await self._skip(length)
        except BaseException:
            self._room.give(room)
            raise
        self._room.give(max(0, room - size))
        return Received(frames, min(room, size), is_whole)

    def send(self, frames: Sequence[bytes]) -> bool:
        """Send a message; return False if the peer has gone or does not read."""
        if not self._is_open or len(self._unsent) > UNREAD:
            return False
        for number, frame in enumerate(frames, 1):
            self._unsent += _start(_MORE if number < len(frames) else 0, len(frame))
            self._unsent += frame
        self._flush()
        return True

    @property
    def unread(self) -> int:
        """The bytes that the client has not taken yet."""
        return len(self._unsent)

    def is_busy(self) -> bool:
        """Return whether there is something to read from the peer, or to send to it."""
        if self._unsent or self.requests:
            return True
        try:
            return bool(self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def close(self) -> None:
        """Close the connection. No function of it may be running."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_writer(self._connection)
            self._connection.close()

    async def _message_head(self) -> tuple[bool, int]:
        """Return whether more frames follow the next one, and its length; obey the commands before it."""
        while True:
            flags, length = await self._head()
            if not flags & _COMMAND:
                return bool(flags & _MORE), length
            command = await self._read(length)
            if command.startswith(b"\x04PING") and len(self._unsent) <= UNREAD:
                self._command(b"\x04PONG" + command[7:])  # what follows the name and two bytes, the time to live

    async def _head(self) -> tuple[int, int]:
        """Return the flags and the length of the next frame."""
        flags, length = await self._read(2)
        if flags & _LONG:
            length = int.from_bytes(bytes([length]) + await self._read(7), "big")
        if flags & ~(_MORE | _LONG | _COMMAND) or length > (SMALL if flags & _COMMAND else _MAX_FRAME):
            raise Broken
        return flags, length

    async def _read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        file = io.BytesIO()  # it gives its bytes away without a copy
        while left := size - file.tell():
            file.write(await self._next(left))
        return file.getvalue()

    async def _skip(self, size: int) -> None:
        while size:
            size -= len(await self._next(size))

    async def _next(self, most: int) -> memoryview:
        """Return some of the next bytes, at least one and at most `most`."""
        if not self._ahead:
            got = await self._loop.sock_recv(self._connection, max(_AHEAD, min(most, _PIECE)))
            if not got:
                raise Broken
            if (until := self._deadline.when()) is not None:
                self._deadline.reschedule(until + len(got) / _SLOWEST)
            self._ahead = memoryview(got)
            await asyncio.sleep(0)  # it is the turn of the others, even if there are more bytes already
        piece, rest = self._ahead[:most], self._ahead[most:]
        self._ahead = rest or _NOTHING  # an empty view would keep the bytes that it is a view of
        return piece

    def _command(self, body: bytes) -> None:
        self._unsent += _start(_COMMAND, len(body)) + body
        self._flush()

    def _flush(self) -> None:
        """Send what the socket takes, and go on when it takes more."""
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._connection, self._flush)
            return
        except OSError:  # the peer has gone; reading tells
            self._unsent.clear()
        self._loop.remove_writer(self._connection)


def _start(flags: int, size: int) -> bytes:
    """Return what precedes the body of a frame."""
    return bytes([flags, size]) if size < 256 else bytes([flags | _LONG]) + struct.pack(">Q", size)
