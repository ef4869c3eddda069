"""The protocol between `pixkin` and `pixkind`: its version and the requests. How they become frames: framing.py.

PROTOCOL.md is the prose of this module and the authority for other languages; a test compares the two.
It knows nothing of sockets, files or threads.

A message is a sequence of frames:

| frame | holds |
| --- | --- |
| 0 | `pixkin/` and the protocol's version in ASCII: `pixkin/1` |
| 1 | one MessagePack map; its key `type` says which message it is |
| 2… | the bytes of images, one frame each; only behind `like` and `have` |

Paths are bytes, because a file name need not be UTF-8.
Unknown keys are ignored and absent keys have their default, so that a version can grow without breaking anyone.
"""

import time
from typing import Annotated, Final

from msgspec import Meta, Struct

from pixkin.protocol.replies import Message

VERSION: Final = 1
GREETING: Final = b"pixkin/%d" % VERSION
MIN_FRAMES: Final = 2  # the greeting and the body
MAX_FRAMES: Final = 10  # the greeting, the body, and at most eight images
MAX_BODY: Final = 1 << 20  # bytes of a request's frame 1; it names at most 41 paths of 4,096 bytes
MAX_REPLY: Final = 1 << 26  # bytes of a reply's frame 1; 1,000 matches with a few copies each, all of 4,096 bytes, fit
MAX_IMAGES: Final = 1 << 27  # bytes of all images of one request together


class _Request(Message, frozen=True, omit_defaults=True, kw_only=True):
    until_ms: int = 0  # CLOCK_MONOTONIC at which the client stops waiting, in ms; 0: never


_Epoch = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
Path = Annotated[bytes, Meta(max_length=4096)]


_Length = Annotated[float, Meta(ge=0, le=1_000_000_000)]


class Region(Struct, frozen=True, omit_defaults=True):
    """A part of a picture as it is shown, upright: in shares of its width and height, or in pixels."""

    x: _Length  # of the left edge
    y: _Length  # of the upper edge
    width: _Length
    height: _Length
    pixels: bool = False  # else shares: the whole picture is 0, 0, 1, 1


class Image(Struct, frozen=True, omit_defaults=True):
    """One query image: a path, or the bytes in frame `frame`, or both (then the path only names it)."""

    path: Path = b""  # absolute
    frame: Annotated[int, Meta(ge=0, lt=MAX_FRAMES)] = 0  # 0: the daemon opens `path`; else the bytes' frame
    weight: Annotated[float, Meta(ge=-1000, le=1000)] = (
        1.0  # beside other images; below 0: what is like it is not wanted
    )
    region: Region | None = None  # only this part of it


class Hello(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="hello"):
    """Ask who is there."""


class Like(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="like"):
    """Ask for the photos most like the images."""

    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=MAX_FRAMES - MIN_FRAMES)]
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10  # matches; all of one shot count once when folded
    min_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    max_distance: Annotated[float, Meta(ge=0)] | None = None
    related: bool = False  # only matches that score better than chance
    rotate: bool = False  # the one image in each of its eight orientations; what is like any of them counts
    under: Path = b""  # absolute folder; empty: everywhere
    not_under: Annotated[tuple[Path, ...], Meta(min_length=0, max_length=32)] = ()  # absolute folders
    camera: Annotated[str, Meta(max_length=100)] = ""  # a part of its make and model, in any case; empty: any
    # In s since the epoch, the camera's clock as if it were UTC.
    taken_since_s: _Epoch | None = None  # taken then or later
    taken_before_s: _Epoch | None = None  # taken earlier than that
    online: bool = False  # only photos whose root is there now
    itself: bool = False  # also the query photo itself
    fold: bool = True  # copies and versions of one shot are one match


class Status(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="status"):
    """Ask how the daemon is."""

    failed: bool = False  # also the photos that failed, with reasons, at most 1,000
    formats: bool = False  # also what formats of photos there are, and what reads them


class Sync(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="sync"):
    """Ask to be told when every file that stands under `path` now has an outcome."""

    path: Path = b""  # absolute; a photo or a folder; empty: every root
    accept_drive: bool = False  # `path` is a root; if another drive stands there, it is the root's from now on


Seconds = Annotated[int, Meta(ge=0, le=365 * 86400)]


class Pause(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="pause"):
    """Ask for the end of all indexing for a while; or to be told when nothing under a root is open any more."""

    root: Path = b""  # absolute; nothing in it is opened until it is resumed; empty: indexing as a whole stops
    for_s: Seconds = 0  # without `root`: until then; 0: until it is resumed


class Resume(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="resume"):
    """Ask for the end of pauses."""

    root: Path = b""  # absolute; empty: of every pause, and of a boost


class Boost(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="boost"):
    """Ask for indexing now, whatever battery and pressure say, and at the normal class of processor time."""

    for_s: Annotated[int, Meta(ge=1, le=365 * 86400)] = 3600


class Have(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="have"):
    """Ask which of these images the library has."""

    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=MAX_FRAMES - MIN_FRAMES)]


class ListSpaces(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="list_spaces"):
    """Ask which spaces there are."""


class UseSpace(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="use_space"):
    """Ask for answers from another space from now on."""

    name: str = ""  # empty: the configured one, as soon as it finds all that the other finds


class DropSpace(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="drop_space"):
    """Ask for the end of a space that neither answers nor is filled."""

    name: str


SIMILAR: Final = 0.75  # the lowest score of a pair in a group, unless a request says otherwise


class Dupes(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="dupes"):
    """Ask for groups of near-duplicates, or for those that were found since."""

    folder: Path = b""  # absolute; only photos beneath it; empty: everywhere
    min_score: Annotated[float, Meta(ge=0.5, le=1)] = SIMILAR  # of every pair in a group; 1: exact copies alone
    search: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # the number that the first reply gave; 0: begin


class Apart(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="apart"):
    """Say that two photos are no duplicates of each other; or take that back."""

    one: Path  # absolute, an indexed photo
    other: Path
    together: bool = False  # they may be in one group again


Request = (
    Hello | Like | Status | Sync | Pause | Resume | Boost | Have | Dupes | Apart | ListSpaces | UseSpace | DropSpace
)


def now_ms() -> int:
    """Return CLOCK_MONOTONIC in ms, the clock of `until_ms`: one for all processes of a machine."""
    return time.monotonic_ns() // 1_000_000
