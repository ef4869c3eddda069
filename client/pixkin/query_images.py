"""The images of a query as the client sends them: absolute paths, or bytes if the daemon cannot open the file."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from pixkin.errors import InputUnreadable, UsageError
from pixkin.pixels import TOO_LARGE, Content, content_of
from pixkin.protocol import requests
from pixkin.protocol.replies import Failure
from pixkin.protocol.requests import Image, Region

Path = str | os.PathLike[str]


class Indexed(msgspec.Struct, frozen=True):
    """A picture of the library, by its content id."""

    content: bytes


# An image: its path; the bytes of its file, or the open file; pixels, as `Client` describes; or a picture of the library.
Source = Path | Content | Indexed
Weighted = Source | tuple[float, Source]  # an image with its weight, which is 1 by default
_Asked = TypeVar("_Asked", bound=requests.Like | requests.Watch)

# Names that mean another file in the daemon's process; `pixkin like <(curl …)` is /dev/fd/63.
_OURS: Final = (b"/dev/fd/", b"/dev/stdin", b"/proc/")
_LONGEST: Final = 4095  # bytes of a path: Linux's PATH_MAX without the zero at its end


def images_of(
    wanted: Sequence[Weighted], unwanted: Sequence[Weighted], region: Region | None, frames: list[bytes]
) -> tuple[Image, ...]:
    """Return the images of a query, the unwanted ones with negative weights. Bytes go to `frames`, as in `image_of`.

    Raises:
        InputUnreadable: as `image_of`.
        UsageError: there are too many images, or several with a region.
    """
    if (count := len(wanted) + len(unwanted)) > (most := requests.MAX_FRAMES - requests.MIN_FRAMES):
        raise UsageError(f"too many images: {count} given, at most {most} allowed")
    if region is not None and len(wanted) != 1:
        raise UsageError("a region works with one image only")
    images = []
    for sign, sources in ((1, wanted), (-1, unwanted)):
        for one in sources:
            weight, source = one if isinstance(one, tuple) else (1.0, one)
            image = msgspec.structs.replace(image_of(source, frames), weight=sign * weight)
            images.append(image if sign < 0 else msgspec.structs.replace(image, region=region))
    return tuple(images)


def image_of(source: Source, frames: list[bytes]) -> Image:
    """Return the image; if it must be sent as bytes, they are appended to `frames`.

    Raises:
        InputUnreadable: the path is invalid, or the bytes cannot be read, are none, are too many, or are no image (`pixels`).
        TypeError: it is nothing that can be an image.
    """
    if isinstance(source, Indexed):
        return Image(content=source.content)
    if isinstance(source, str | os.PathLike):
        image = Image(path=absolute(source))
        return sent(image, frames) if image.path.startswith(_OURS) else image
    frames.append(content_of(source, _room(frames)))
    return Image(frame=len(frames) + 1)


def is_by_path(request: requests.Like | requests.Watch, failure: Failure) -> bool:
    """Return whether a failure is about an image that was sent as a path."""
    return any(_is_blamed(image, failure) for image in request.images)


def _is_blamed(image: Image, failure: Failure) -> bool:
    return bool(image.path) and not image.frame and failure.path in {b"", image.path}


def by_bytes(request: _Asked, failure: Failure, frames: list[bytes]) -> _Asked:
    """Return the request with the bytes of the images that the daemon cannot open; they are appended to `frames`.

    Raises:
        InputUnreadable: as `image_of` does.
    """
    images = tuple(sent(image, frames) if _is_blamed(image, failure) else image for image in request.images)
    return msgspec.structs.replace(request, images=images)


def sent(image: Image, frames: list[bytes]) -> Image:
    """Return the image with a frame for its bytes, which are appended to `frames`.

    Raises:
        InputUnreadable: as `image_of` does.
    """
    frames.append(_read(image.path, _room(frames)))
    return msgspec.structs.replace(image, frame=len(frames) + 1)


def _room(frames: list[bytes]) -> int:
    return requests.MAX_IMAGES - sum(map(len, frames))


def absolute(path: Path) -> bytes:
    """Return the path as absolute bytes; it may be relative to the working folder.

    Raises:
        InputUnreadable: the path is empty, too long, or contains a zero byte.
    """
    name = os.fsencode(path)
    if not name or b"\0" in name:
        raise InputUnreadable(f"{os.fsdecode(name)!r} is not a path")
    whole = os.path.abspath(name)
    if len(whole) > _LONGEST:
        raise InputUnreadable(f"{os.fsdecode(whole)}: {os.strerror(errno.ENAMETOOLONG).lower()}")
    return whole


def _advice(error: OSError, name: str) -> str:
    """Return what somebody may have meant who names no image; empty: that is not known."""
    if isinstance(error, IsADirectoryError):
        return "name a photo in that folder; `pixkin dupes FOLDER` finds photos in it that are alike"
    if isinstance(error, FileNotFoundError) and "." not in os.path.basename(name):
        return "a query is a picture, such as beach.jpg; pixkin understands no words"
    return ""


def _read(path: bytes, room: int) -> bytes:
    """Return the bytes of the file.

    Raises:
        InputUnreadable: it cannot be read, is not a regular file, is empty, or is larger than `room` bytes.
    """
    name = os.fsdecode(path)
    try:
        # O_NONBLOCK: opening a FIFO without a writer would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            st = os.fstat(file.fileno())
            if stat.S_ISFIFO(st.st_mode) and path.startswith(_OURS):
                os.set_blocking(file.fileno(), True)  # a pipe of our own: it ends
            elif not stat.S_ISREG(st.st_mode):
                raise InputUnreadable(f"{name}: not a regular file")
            data = file.read(room + 1) if st.st_size <= room else b""
    except OSError as error:
        raise InputUnreadable(
            f"{name}: {(error.strerror or 'cannot be read').lower()}", _advice(error, name)
        ) from error
    if st.st_size > room or len(data) > room:
        raise InputUnreadable(f"{name}: {TOO_LARGE}")
    if not data:
        raise InputUnreadable(f"{name}: empty")
    return data
