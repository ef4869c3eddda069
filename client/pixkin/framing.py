"""Messages to frames and back, and nothing but `ProtocolError` where frames are no message.

What a message may say beyond its types is checked here too. It knows nothing of sockets, files or threads.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from pixkin.wire import (
    GREETING,
    MAX_BODY,
    MAX_FRAMES,
    MAX_IMAGES,
    MAX_REPLY,
    MIN_FRAMES,
    VERSION,
    Apart,
    Code,
    Dupes,
    Like,
    Pause,
    Reply,
    Request,
    Resume,
    Sync,
)

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

# msgspec lets the last two through: for text that is not UTF-8, and for 1,000 arrays one in the other.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ProtocolError(Exception):
    """These frames are no message: `code` is `MALFORMED` or `VERSION`, the text says why."""

    def __init__(self, code: Code, why: str) -> None:
        """Keep the code that a daemon answers with."""
        super().__init__(why)
        self.code = code


def pack(message: Request | Reply, images: Sequence[bytes] = ()) -> list[bytes]:
    """Return the frames of a message; `images` become the frames from 2 on."""
    try:
        body = _encoder.encode(message)
    except UnicodeEncodeError:  # a sentence with a file name in it that is not UTF-8
        body = _encoder.encode(_as_utf8(msgspec.to_builtins(message, builtin_types=(bytes,))))
    return [GREETING, body, *images]


def unpack_request(frames: Sequence[bytes]) -> tuple[Request, list[bytes]]:
    """Return the request and the frames of its images.

    Raises:
        ProtocolError: the frames are not a request of this version.
    """
    body = _body(frames, MAX_BODY)
    try:
        request = _requests.decode(body)
    except _UNDECODABLE as error:
        raise ProtocolError(Code.MALFORMED, str(error)) from error
    _check_paths(request)
    _check_frames(request, frames[MIN_FRAMES:])
    return request, list(frames[MIN_FRAMES:])


def unpack_reply(frames: Sequence[bytes]) -> Reply:
    """Return the reply.

    Raises:
        ProtocolError: the frames are not a reply of this version.
    """
    try:
        return _replies.decode(_body(frames, MAX_REPLY))
    except _UNDECODABLE as error:
        raise ProtocolError(Code.MALFORMED, str(error)) from error


def _as_utf8(value: object) -> object:
    """Return the value with every text in it as text that can be sent."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_as_utf8(key): _as_utf8(one) for key, one in value.items()}
        case list() | tuple():
            return [_as_utf8(one) for one in value]
        case _:
            return value


def _body(frames: Sequence[bytes], most: int) -> bytes:
    if not frames or not frames[0].startswith(b"pixkin/"):
        raise ProtocolError(Code.MALFORMED, "the first frame does not name the protocol")
    if frames[0] != GREETING:
        theirs = frames[0][7:27].decode("ascii", "replace")
        raise ProtocolError(Code.VERSION, f"protocol versions differ: {theirs} there, {VERSION} here")
    if not MIN_FRAMES <= len(frames) <= MAX_FRAMES:
        raise ProtocolError(Code.MALFORMED, f"{len(frames)} frames; {MIN_FRAMES} to {MAX_FRAMES} are allowed")
    if len(frames[1]) > most:
        raise ProtocolError(Code.MALFORMED, f"a body of {len(frames[1])} bytes; {most} are allowed")
    return frames[1]


def _check_paths(request: Request) -> None:
    paths: list[bytes] = []
    if isinstance(request, Like):
        paths = [request.under, *(image.path for image in request.images)]
    elif isinstance(request, Sync):
        paths = [request.path]
        if request.accept_drive and not request.path:
            raise ProtocolError(Code.MALFORMED, "accept_drive without the path of a root")
    elif isinstance(request, Dupes):
        paths = [request.folder]
    elif isinstance(request, Apart):
        paths = [request.one, request.other]
        if not all(paths):
            raise ProtocolError(Code.MALFORMED, "two photos without the path of both")
    elif isinstance(request, Pause | Resume):
        paths = [request.root]
        if isinstance(request, Pause) and request.root and request.for_s:
            raise ProtocolError(Code.MALFORMED, "for_s with a root, whose pause has no time")
    if any(path and (not path.startswith(b"/") or b"\0" in path) for path in paths):
        raise ProtocolError(Code.MALFORMED, "a path is not absolute, or has a zero byte in it")


def _check_frames(request: Request, frames: Sequence[bytes]) -> None:
    images = request.images if isinstance(request, Like) else ()
    named = [image.frame for image in images if image.frame]
    if sorted(named) != list(range(MIN_FRAMES, MIN_FRAMES + len(frames))):
        raise ProtocolError(Code.MALFORMED, f"images name the frames {named}, but {len(frames)} frames follow the body")
    if any(not image.frame and not image.path for image in images):
        raise ProtocolError(Code.MALFORMED, "an image has neither a path nor a frame")
    if (total := sum(map(len, frames))) > MAX_IMAGES:
        raise ProtocolError(Code.MALFORMED, f"{total} bytes of images; {MAX_IMAGES} are allowed")
