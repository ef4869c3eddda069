"""Packs messages into frames and unpacks them; the only error is `ProtocolError`.

This module also checks the rules that the types cannot express. It knows nothing of sockets, files or threads.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from pixkin.protocol.bands import Relation
from pixkin.protocol.replies import Code, Reply
from pixkin.protocol.requests import (
    CONTENT_BYTES,
    CURSOR_BYTES,
    GREETING,
    MAX_BODY,
    MAX_FRAMES,
    MAX_IMAGES,
    MAX_REPLY,
    MIN_FRAMES,
    VERSION,
    Apart,
    Browse,
    Describe,
    Dupes,
    Export,
    Folders,
    Forget,
    Have,
    Ignore,
    Image,
    Like,
    Pause,
    Request,
    Resume,
    Sync,
    Thumbnail,
    Timeline,
    Watch,
    Why,
)

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

# msgspec raises the last two unwrapped: for text that is not UTF-8, and for 1,000 nested arrays.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


_ROUNDING: Final = 1e-6  # of sums of shares: 0.7 + 0.3 need not be 1


class ProtocolError(Exception):
    """These frames are not a message: `code` is `MALFORMED` or `VERSION`, the text says why."""

    def __init__(self, code: Code, why: str) -> None:
        """Keep the code with which a daemon answers."""
        super().__init__(why)
        self.code = code


def pack(message: Request | Reply, images: Sequence[bytes] = ()) -> list[bytes]:
    """Return the frames of a message; `images` become the frames from 2 on."""
    try:
        body = _encoder.encode(message)
    except UnicodeEncodeError:  # a sentence contains a file name that is not UTF-8
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
    _check_contents(request)
    if isinstance(request, Like):
        _check_images(request.images, rotate=request.rotate)
        _check_folders(request)
    if isinstance(request, Watch):
        _check_watch(request)
    if isinstance(request, Have) and any(image != Image(image.path, image.frame) for image in request.images):
        raise ProtocolError(Code.MALFORMED, "`have` takes whole images, without a weight, a region or a content id")
    if isinstance(request, Thumbnail) and (request.image.weight != 1 or request.image.region is not None):
        raise ProtocolError(Code.MALFORMED, "`thumbnail` takes a whole image, without a weight or a region")
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
    """Return the value with every text in it as valid UTF-8."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_as_utf8(key): _as_utf8(one) for key, one in value.items()}
        case list() | tuple():
            return [_as_utf8(one) for one in value]
        case _:
            return value


def check_version(frames: Sequence[bytes]) -> None:
    """Return if the first frame names this version of the protocol.

    Raises:
        ProtocolError: it does not.
    """
    if not frames or not frames[0].startswith(b"pixkin/"):
        raise ProtocolError(Code.MALFORMED, "the first frame does not name the protocol")
    if frames[0] != GREETING:
        theirs = frames[0][7:27].decode("ascii", "replace")
        raise ProtocolError(Code.VERSION, f"protocol versions differ: {theirs} there, {VERSION} here")


def _body(frames: Sequence[bytes], most: int) -> bytes:
    check_version(frames)
    if not MIN_FRAMES <= len(frames) <= MAX_FRAMES:
        raise ProtocolError(
            Code.MALFORMED, f"wrong number of frames: {len(frames)} given, {MIN_FRAMES} to {MAX_FRAMES} allowed"
        )
    if len(frames[1]) > most:
        raise ProtocolError(Code.MALFORMED, f"body too large: {len(frames[1])} bytes given, at most {most} allowed")
    return frames[1]


def _paths(request: Request) -> list[bytes]:  # noqa: PLR0911  one for each request that names paths
    """Return the paths that a request names beside those of its images, including empty ones."""
    match request:
        case Like():
            return [request.under, *request.also_under, *request.not_under, request.about]
        case Have():
            return [*request.within]
        case Sync() | Why():
            return [request.path]
        case Dupes():
            return [request.folder]
        case Apart():
            return [request.one, request.other]
        case Pause() | Resume():
            return [request.root]
        case Forget() | Ignore():
            return [*request.paths]
        case Browse() | Export() | Timeline():
            return [request.under]
        case Folders():
            return [request.parent]
        case _:
            return []


def _check_paths(request: Request) -> None:
    paths = [*_paths(request), *(image.path for image in _images(request))]
    if any(path and (not path.startswith(b"/") or b"\0" in path) for path in paths):
        raise ProtocolError(Code.MALFORMED, "a path is not absolute, or contains a zero byte")
    if isinstance(request, Why) and not request.path:
        raise ProtocolError(Code.MALFORMED, "`why` needs a path")
    if isinstance(request, Have) and b"" in request.within:
        raise ProtocolError(Code.MALFORMED, "a folder in `within` has an empty path")
    if isinstance(request, Forget | Ignore) and b"" in request.paths:
        raise ProtocolError(Code.MALFORMED, "a path in `paths` is empty")
    if isinstance(request, Sync) and request.accept_drive and not request.path:
        raise ProtocolError(Code.MALFORMED, "`accept_drive` needs the path of a root")
    if isinstance(request, Sync) and request.accept_empty and not request.accept_drive:
        raise ProtocolError(Code.MALFORMED, "`accept_empty` needs `accept_drive`")
    if isinstance(request, Apart) and not (request.one and request.other):
        raise ProtocolError(Code.MALFORMED, "`apart` needs the paths of two photos")
    if isinstance(request, Pause) and request.root and request.for_s:
        raise ProtocolError(
            Code.MALFORMED, "`for_s` cannot be combined with `root`: the pause of a root has no duration"
        )


def _check_folders(request: Like) -> None:
    if b"" in (*request.also_under, *request.not_under):
        raise ProtocolError(Code.MALFORMED, "a folder in `also_under` or `not_under` has an empty path")
    if request.also_under and not request.under:
        raise ProtocolError(Code.MALFORMED, "`also_under` needs `under`")


def _check_watch(request: Watch) -> None:
    _check_images(request.images, rotate=False)
    if any(image.region is not None for image in request.images):
        raise ProtocolError(Code.MALFORMED, "`watch` takes whole images, without a region")
    if request.min_score is not None and request.min_band is not Relation.UNKNOWN:
        raise ProtocolError(Code.MALFORMED, "`watch` takes `min_score` or `min_band`, not both")


def _check_contents(request: Request) -> None:
    images = _images(request)
    contents = request.contents if isinstance(request, Describe) else [one.content for one in images if one.content]
    if any(len(content) != CONTENT_BYTES for content in contents):
        raise ProtocolError(Code.MALFORMED, f"a content id has not {CONTENT_BYTES} bytes")
    if isinstance(request, Browse | Export) and len(request.after) not in (0, CURSOR_BYTES):
        raise ProtocolError(Code.MALFORMED, f"`after` has not {CURSOR_BYTES} bytes")
    if any(image.content and (image.path or image.frame) for image in images):
        raise ProtocolError(Code.MALFORMED, "an image has a content id, and a path or a frame too")


def _images(request: Request) -> tuple[Image, ...]:
    """Return the images that a request names."""
    if isinstance(request, Thumbnail):
        return (request.image,)
    return request.images if isinstance(request, Like | Have | Watch) else ()


def _check_images(images: Sequence[Image], *, rotate: bool) -> None:
    if any(image.weight == 0 for image in images):
        raise ProtocolError(Code.MALFORMED, "the weight of an image is 0")
    if all(image.weight < 0 for image in images):
        raise ProtocolError(Code.MALFORMED, "all weights are negative: at least one image needs a positive weight")
    if rotate and len(images) > 1:
        raise ProtocolError(Code.MALFORMED, "`rotate` works with one image only")
    for region in (image.region for image in images if image.region is not None):
        if not (region.width and region.height):
            raise ProtocolError(Code.MALFORMED, "a region is empty")
        if not region.pixels and max(region.x + region.width, region.y + region.height) > 1 + _ROUNDING:
            raise ProtocolError(Code.MALFORMED, "a region extends beyond the picture")


def _check_frames(request: Request, frames: Sequence[bytes]) -> None:
    images = _images(request)
    named = [image.frame for image in images if image.frame]
    if sorted(named) != list(range(MIN_FRAMES, MIN_FRAMES + len(frames))):
        raise ProtocolError(Code.MALFORMED, f"images name the frames {named}, but {len(frames)} frames follow the body")
    if any(not image.frame and not image.path and not image.content for image in images):
        raise ProtocolError(Code.MALFORMED, "an image has neither a path nor a frame")
    if (total := sum(map(len, frames))) > MAX_IMAGES:
        raise ProtocolError(Code.MALFORMED, f"images too large: {total} bytes given, at most {MAX_IMAGES} allowed")
