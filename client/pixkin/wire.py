"""The protocol between `pixkin` and `pixkind`: version, messages, failure codes. How they become frames: framing.py.

PROTOCOL.md is the prose of this module and the authority for other languages; a test compares the two.
It knows nothing of sockets, files or threads.

A message is a sequence of frames:

| frame | holds |
| --- | --- |
| 0 | `pixkin/` and the protocol's version in ASCII: `pixkin/1` |
| 1 | one MessagePack map; its key `type` says which message it is |
| 2… | the bytes of images, one frame each; only behind a `like` request |

Paths are bytes, because a file name need not be UTF-8.
Unknown keys are ignored and absent keys have their default, so that a version can grow without breaking anyone.
"""

import time
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

VERSION: Final = 1
GREETING: Final = b"pixkin/%d" % VERSION
MIN_FRAMES: Final = 2  # the greeting and the body
MAX_FRAMES: Final = 10  # the greeting, the body, and at most eight images
MAX_BODY: Final = 1 << 20  # bytes of a request's frame 1; it names at most nine paths of 4,096 bytes
MAX_REPLY: Final = 1 << 26  # bytes of a reply's frame 1; 1,000 matches with a few copies each, all of 4,096 bytes, fit
MAX_IMAGES: Final = 1 << 27  # bytes of all images of one request together


class Code(StrEnum):
    """Why a request was not answered with what it asked for."""

    VERSION = "version"  # the other side speaks another version of the protocol
    MALFORMED = "malformed"  # not a message of this protocol
    EXPIRED = "expired"  # the request's deadline had passed before its turn came
    BUSY = "busy"  # too many requests are held already, or a file system does not answer; ask again
    UNREADABLE = "unreadable"  # the daemon cannot open the path; the client may send the bytes
    REFUSED = "refused"  # the image was read, and is not one that can be encoded
    UNKNOWN_FOLDER = "unknown_folder"  # the folder lies in no root, or is none where only a root will do
    STOPPING = "stopping"  # the daemon is going down
    INTERNAL = "internal"  # a defect of the daemon; its log says more


class _Message(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    id: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # chosen by the client, echoed in the reply


class _Request(_Message, frozen=True, omit_defaults=True, kw_only=True):
    until_ms: int = 0  # CLOCK_MONOTONIC at which the client stops waiting, in ms; 0: never


_Epoch = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
Path = Annotated[bytes, Meta(max_length=4096)]


class Image(Struct, frozen=True, omit_defaults=True):
    """One query image: a path, or the bytes in frame `frame`, or both (then the path only names it)."""

    path: Path = b""  # absolute
    frame: Annotated[int, Meta(ge=0, lt=MAX_FRAMES)] = 0  # 0: the daemon opens `path`; else the bytes' frame


class Hello(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="hello"):
    """Ask who is there."""


class Like(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="like"):
    """Ask for the photos most like the images."""

    images: Annotated[tuple[Image, ...], Meta(min_length=1, max_length=MAX_FRAMES - MIN_FRAMES)]
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10  # matches; copies of one picture count once when folded
    min_score: Annotated[float, Meta(ge=-1, le=1)] | None = None
    max_distance: Annotated[float, Meta(ge=0)] | None = None
    under: Path = b""  # absolute folder; empty: everywhere
    # In s since the epoch, the camera's clock as if it were UTC.
    taken_since_s: _Epoch | None = None  # taken then or later
    taken_before_s: _Epoch | None = None  # taken earlier than that
    online: bool = False  # only photos whose root is there now
    itself: bool = False  # also the query photo itself
    fold: bool = True  # exact copies are one match


class Status(_Request, frozen=True, omit_defaults=True, kw_only=True, tag="status"):
    """Ask how the daemon is."""

    failed: bool = False  # also the photos that failed, with reasons, at most 1,000


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


class Band(StrEnum):
    """How alike the photos of a group are, by the lowest score of two of them. How it was chosen: daemon/pixkind/hunt.py."""

    IDENTICAL = "identical"  # copies, or saved again
    SAME_SHOT = "same shot"  # resized, recompressed, cropped, brightened
    SIMILAR = "similar"  # a burst, or a heavier edit


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


class Welcome(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="welcome"):
    """Reply to `hello`."""

    version: str  # of the daemon's package
    pid: int


class Match(Struct, frozen=True, omit_defaults=True):
    """One picture that is like the query."""

    path: bytes
    score: float  # centred cosine, -1 to 1
    distance: float  # Euclidean, of the vectors as the encoder gave them
    offline: bool = False  # its root is not there now
    copies: tuple[bytes, ...] = ()  # further paths with exactly this picture


class Doubt(Struct, frozen=True, omit_defaults=True):
    """What an answer cannot vouch for."""

    pending: int = 0  # photos known to exist and not yet searchable
    failed: int = 0  # photos that could not be encoded
    offline: int = 0  # photos whose root is not there now
    unwatched: tuple[
        bytes, ...
    ] = ()  # roots of which not everything is known: not scanned, watched or readable in full


class Matches(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="matches"):
    """Reply to `like`."""

    matches: tuple[Match, ...] = ()  # best first
    doubt: Doubt = Doubt()


class RootState(StrEnum):
    """What the daemon thinks of a root."""

    ONLINE = "online"
    SCANNING = "scanning"  # for the first time since the daemon started: not all of it is known
    DEGRADED = "degraded"  # indexed, but not fully watched: scanned on a timer
    OFFLINE = "offline"  # missing, unreadable, empty although the index is not, or another drive
    SUSPECT = "suspect"  # it does not answer
    PAUSED = "paused"  # by `pause`: nothing in it is opened, and what is known of it is answered


class Root(Struct, frozen=True, omit_defaults=True):
    """One configured folder."""

    path: bytes
    state: RootState
    reason: str = ""  # why it is not online, or what is odd about it
    hint: str = ""  # what to do about it


class Failed(Struct, frozen=True, omit_defaults=True):
    """One photo without a vector."""

    path: bytes
    reason: str
    retry_at: int = 0  # epoch seconds of the next try; 0: when the file or the decoder changes


class Report(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="report"):
    """Reply to `status`."""

    doing: str = ""  # a few words: what the daemon is busy with, or why it is not
    photos: int = 0  # searchable
    pending: int = 0
    failed: int = 0
    offline: int = 0
    roots: tuple[Root, ...] = ()
    encoder: str = ""
    space: str = ""
    store_bytes: int = 0
    rate: float = 0.0  # photos a second, while indexing
    eta_s: float = 0.0  # while indexing
    counters: dict[str, int] = {}  # since the daemon started
    failures: tuple[Failed, ...] = ()  # only when asked for
    version: str = ""
    pid: int = 0
    uptime_s: float = 0.0


class Synced(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="synced"):
    """Reply to `sync`: every file that stood there has an outcome, but for those named."""

    photos: int = 0  # files that were looked at
    failed: tuple[Failed, ...] = ()  # of these, the ones without a vector; at most 1,000
    open: tuple[bytes, ...] = ()  # still open for writing, not waited for; at most 1,000
    roots: tuple[Root, ...] = ()  # offline, suspect, paused or in part unreadable; not waited for
    held: int = 0  # photos that indexing does not send on now; not waited for
    why: str = ""  # it does not, for people


class Roots(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="roots"):
    """Reply to `pause`, `resume` and `boost`."""

    roots: tuple[Root, ...] = ()  # those that were asked about; after `resume` their states may be a moment old
    doing: str = ""  # as in the report


class Photo(Struct, frozen=True, omit_defaults=True):
    """One photo of a group."""

    path: bytes
    content: bytes  # 16 bytes; photos with the same ones are exact copies
    width: int = 0  # in pixels, as stored
    height: int = 0
    size: int = 0  # bytes
    offline: bool = False  # its root is not there now


class Group(Struct, frozen=True, omit_defaults=True):
    """Photos of which each is a near-duplicate of each other one."""

    band: Band
    score: float  # the lowest of two of them
    photos: tuple[Photo, ...]  # the best first: there now, most pixels, oldest; at most 10,000


class Groups(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="groups"):
    """Reply to `dupes`: what was found since it was asked last."""

    search: int = 0  # to be asked for the next ones with; 0: it has not begun, since another one runs
    groups: tuple[Group, ...] = ()  # each is complete, and comes once
    done: bool = False  # these were the last
    compared: int = 0  # pictures of which all duplicates are known
    pictures: int = 0  # that are compared
    thinned: bool = False  # so much hangs together that not all pairs were kept: some groups may have come apart
    doubt: Doubt = Doubt()  # with the last ones


class Noted(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="noted"):
    """Reply to `apart`: it is stored, durably."""


class Failure(_Message, frozen=True, omit_defaults=True, kw_only=True, tag="failure"):
    """Reply to anything: it could not be done."""

    code: Code
    what: str  # a sentence for people, without a full stop
    hint: str = ""  # what to do about it
    path: bytes = b""  # the file it is about, if any


Request = Hello | Like | Status | Sync | Pause | Resume | Boost | Dupes | Apart
Reply = Welcome | Matches | Report | Synced | Roots | Groups | Noted | Failure


def now_ms() -> int:
    """Return CLOCK_MONOTONIC in ms, the clock of `until_ms`: one for all processes of a machine."""
    return time.monotonic_ns() // 1_000_000
