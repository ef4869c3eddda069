"""The protocol between `pixkin` and `pixkind`: its version and the requests. `framing` makes frames of them.

PROTOCOL.md describes this module and is the authority for other languages; a test compares the two.
This module knows nothing of sockets, files or threads.

A message is a sequence of frames:

| frame | holds |
| --- | --- |
| 0 | `pixkin/` and the protocol's version in ASCII: `pixkin/1` |
| 1 | one MessagePack map; its key `type` says which message it is |
| 2… | the bytes of images, one frame each; only after `like`, `have`, `watch` and `thumbnail` |

Paths are bytes, because a file name need not be UTF-8.
Unknown keys are ignored and absent keys have their default, so new keys do not break old programs.
"""

import time
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from pixkin.protocol.bands import Relation
from pixkin.protocol.message import Message

VERSION: Final = 1
GREETING: Final = b"pixkin/%d" % VERSION
MIN_FRAMES: Final = 2  # the greeting and the body
MAX_FRAMES: Final = 10  # the greeting, the body, and at most eight images
MAX_BODY: Final = 1 << 20  # bytes of a request's frame 1; it names at most 200 paths of 4,096 bytes
MAX_REPLY: Final = 1 << 26  # bytes of a reply's frame 1; 10,000 matches, all of 4,096 bytes, fit
CONTENT_BYTES: Final = 16  # of a content id
CURSOR_BYTES: Final = 24  # of a place in the order of `browse` or `export`
MAX_IMAGES: Final = 1 << 27  # bytes of all images of one request together


class _Request(Message, frozen=True, omit_defaults=True, kw_only=True):
    until_ms: int = 0  # CLOCK_MONOTONIC at which the client stops waiting, in ms; 0: never


_Epoch = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
Path = Annotated[bytes, Meta(max_length=4096)]
Content = Annotated[bytes, Meta(max_length=CONTENT_BYTES)]  # a content id, which has 16 bytes; or empty


_Length = Annotated[float, Meta(ge=0, le=1_000_000_000)]


class Region(Struct, frozen=True, omit_defaults=True):
    """A part of a picture as it is shown, upright: in shares of its width and height, or in pixels."""

    x: _Length  # of the left edge
    y: _Length  # of the upper edge
    width: _Length
    height: _Length
    pixels: bool = False  # false: shares; the whole picture is 0, 0, 1, 1


class Image(Struct, frozen=True, omit_defaults=True):
    """One query image: a path, or the bytes in frame `frame`, or both; then the path is only its name. Or an indexed picture."""

    path: Path = b""  # absolute
    frame: Annotated[int, Meta(ge=0, lt=MAX_FRAMES)] = 0  # 0: the daemon opens `path`; else the bytes' frame
    weight: Annotated[float, Meta(ge=-1000, le=1000)] = (
        1.0  # relative to the other images; below 0: photos like it rank lower
    )
    region: Region | None = None  # only this part of the image
    content: Content = b""  # an indexed picture; then there is neither a path nor a frame


class Hello(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="hello"):
    """Ask for the version and the rules of the daemon."""


class Like(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="like"):
    """Ask for the photos most like the images."""

    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=MAX_FRAMES - MIN_FRAMES)]
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 10  # matches; folded photos of one shot or burst count as one
    min_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    max_distance: Annotated[float, Meta(ge=0)] | None = None
    related: bool = False  # only matches that are not `no relation`
    min_band: Relation = Relation.UNKNOWN  # only matches of this band or a nearer one; unknown: all
    rotate: bool = False  # try the one image in each of its eight orientations; the best score counts
    under: Path = b""  # absolute folder; empty: everywhere
    # Or below one of these; only with `under`.
    also_under: Annotated[tuple[Path, ...], Meta(min_length=0, max_length=31)] = ()
    not_under: Annotated[tuple[Path, ...], Meta(min_length=0, max_length=32)] = ()  # absolute folders
    camera: Annotated[str, Meta(max_length=100)] = ""  # a part of its make and model, whatever the case; empty: any
    # In s since the epoch; the camera's clock counts as UTC. A photo without a date never matches.
    taken_since_s: _Epoch | None = None  # taken then or later
    taken_before_s: _Epoch | None = None  # taken before then
    online: bool = False  # only photos whose root is not offline
    itself: bool = False  # return the query photo itself too
    fold: bool = True  # copies, versions of one shot, and shots of one burst are one match
    pictures: bool = False  # say of each match which picture it is
    about: Path = b""  # absolute: also say of this photo how it does, wherever it stands; empty: of none


class Status(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="status"):
    """Ask for the state of the daemon."""

    failed: bool = False  # also the photos that failed, with reasons, at most 1,000
    formats: bool = False  # also the photo formats and their decoders
    exclusions: bool = False  # also what leaves photos and folders out


class Ignore(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="ignore"):
    """Tell no more of photos that failed until they change, and fail again. This outlives the index."""

    paths: Annotated[
        tuple[Path, ...], Meta(min_length=1, max_length=200)
    ]  # absolute; photos, and folders with all below
    undo: bool = False  # tell of them again


class Sync(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="sync"):
    """Ask for a reply when every file that is now under `path` has been indexed or has failed."""

    path: Path = b""  # absolute; a photo or a folder; empty: every root
    accept_drive: bool = False  # `path` is a root; if it is on another drive now, accept that drive
    accept_empty: bool = False  # with `accept_drive`: even if no photo is there; all photos of the root are hidden then


Seconds = Annotated[int, Meta(ge=0, le=365 * 86400)]


class Pause(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="pause"):
    """Ask to stop all indexing for a while; or, with a root, for a reply when no file there is open."""

    root: Path = b""  # absolute; no file in it is opened until `resume`; empty: stop all indexing
    for_s: Seconds = 0  # without `root`: how long; 0: until `resume`


class Resume(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="resume"):
    """Ask to end pauses."""

    root: Path = b""  # absolute; empty: end every pause, and a boost


class Boost(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="boost"):
    """Ask to index now, whatever battery and pressure say, and at normal priority."""

    for_s: Annotated[int, Meta(ge=1, le=365 * 86400)] = 3600


class Have(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="have"):
    """Ask which of these images the library has."""

    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=MAX_FRAMES - MIN_FRAMES)]
    # Absolute folders that may be erased, such as a memory card: a copy in them does not count.
    within: Annotated[tuple[Path, ...], Meta(min_length=0, max_length=32)] = ()


class ListSpaces(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="list_spaces"):
    """Ask for all spaces."""


class UseSpace(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="use_space"):
    """Ask to answer queries from another space from now on."""

    name: str = ""  # empty: the configured space, as soon as it finds all that the other finds


class DropSpace(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="drop_space"):
    """Ask to delete a space that is neither in use nor being built."""

    name: str


SAME_SHOT: Final = 0.85  # the lowest score of a pair in a group, unless a request says otherwise


class Dupes(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="dupes"):
    """Ask for groups of near-duplicates, or for those found since the last request."""

    folder: Path = b""  # absolute; only photos below it; empty: everywhere
    min_score: Annotated[float, Meta(ge=0.5, le=1)] = SAME_SHOT  # of every pair in a group; 1: only exact copies
    search: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # the number in the first reply; 0: begin a search


class Apart(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="apart"):
    """Remember that two photos are not duplicates; or undo that."""

    one: Path  # absolute, an indexed photo
    other: Path
    together: bool = False  # undo: they may be in one group again


class Forget(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="forget"):
    """Ask to forget photos, and to wipe what is left of them in all files of the daemon."""

    # Absolute; photos, and folders with all below. All of 4,096 bytes fit into MAX_BODY.
    paths: Annotated[tuple[Path, ...], Meta(min_length=1, max_length=200)]
    dry_run: bool = False  # only count


class Describe(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="describe"):
    """Ask what is known of pictures and their files."""

    contents: Annotated[tuple[Content, ...], Meta(min_length=1, max_length=500)]


class Browse(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="browse"):
    """Ask for the pictures of the library, the newest first."""

    under: Path = b""  # absolute folder; empty: everywhere
    # In s since the epoch. A photo without a date counts with the time of its file.
    taken_since_s: _Epoch | None = None  # taken then or later
    taken_before_s: _Epoch | None = None  # taken before then
    after: Annotated[bytes, Meta(max_length=CURSOR_BYTES)] = b""  # `next` of the last reply; empty: from the newest on
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 200


class Folders(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="folders"):
    """Ask for the folders with photos right below a folder."""

    parent: Path = b""  # absolute; empty: all roots


class Timeline(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="timeline"):
    """Ask how many pictures there are of each month."""

    under: Path = b""  # absolute folder; empty: everywhere


class Size(StrEnum):
    """How large a thumbnail is. None is larger than the picture itself."""

    S = "S"  # 256 pixels high, and at most 2,048 wide
    M = "M"  # 512 pixels high, and at most 4,096 wide
    L = "L"  # 2,048 pixels on the longer side
    X = "X"  # all pixels of the picture, up to 24 megapixels


class Thumbnail(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="thumbnail"):
    """Ask for a small copy of a picture."""

    image: Image  # the whole image
    size: Size = Size.S


class Watch(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="watch"):
    """Begin a standing question: which new pictures are like these images?"""

    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=MAX_FRAMES - MIN_FRAMES)]
    name: Annotated[str, Meta(max_length=100)] = ""  # for people
    # One of these two; none: pictures that are `alike`.
    min_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    min_band: Relation = Relation.UNKNOWN


_Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Unwatch(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="unwatch"):
    """End a standing question."""

    watch: _Number


class ListWatches(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="list_watches"):
    """Ask for all standing questions."""


class Arrivals(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="arrivals"):
    """Wait for matches of standing questions with a number above `after`."""

    watch: _Number = 0  # 0: all questions
    after: _Number = 0
    peek: bool = False  # do not note that a client knows all matches up to `after`
    wait: bool = True  # false: reply at once


class Changes(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="changes"):
    """Wait until pictures become searchable, or no longer are, after a generation."""

    after: _Number = 0  # `generation` of the last reply; 0: ask for the present one


class Why(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="why"):
    """Ask what has become of a file: whether queries find it, and if not, why."""

    path: Path  # absolute; it need not exist


class Export(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="export"):
    """Ask for the pictures of the library with all their files and their vectors, in the order of their content ids."""

    under: Path = b""  # absolute folder; empty: everywhere
    vectors: bool = True  # false: leave them out
    after: Annotated[bytes, Meta(max_length=CURSOR_BYTES)] = b""  # `next` of the last reply; empty: from the first on
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


Request = (
    Hello
    | Like
    | Status
    | Sync
    | Pause
    | Resume
    | Boost
    | Have
    | Dupes
    | Apart
    | ListSpaces
    | UseSpace
    | DropSpace
    | Forget
    | Ignore
    | Describe
    | Browse
    | Folders
    | Timeline
    | Thumbnail
    | Watch
    | Unwatch
    | ListWatches
    | Arrivals
    | Changes
    | Why
    | Export
)


def now_ms() -> int:
    """Return CLOCK_MONOTONIC in ms, the clock of `until_ms`. All processes of a machine share it."""
    return time.monotonic_ns() // 1_000_000
