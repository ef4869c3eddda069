"""The replies of the protocol, their parts, and the codes of failures."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct


class Code(StrEnum):
    """Why a request was not answered with what it asked for."""

    VERSION = "version"  # the other side speaks another version of the protocol
    MALFORMED = "malformed"  # not a message of this protocol
    EXPIRED = "expired"  # the request's deadline had passed before its turn came
    BUSY = "busy"  # too many requests are held already, or a file system does not answer; ask again
    UNREADABLE = "unreadable"  # the daemon cannot open the path; the client may send the bytes
    REFUSED = "refused"  # not an image that can be encoded; images that cancel each other out; a space that is none, or in use
    UNKNOWN_FOLDER = "unknown_folder"  # the folder lies in no root, or is none where only a root will do
    STOPPING = "stopping"  # the daemon is going down
    INTERNAL = "internal"  # a defect of the daemon; its log says more


class Message(Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type"):
    """What all messages have."""

    id: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0  # chosen by the client, echoed in the reply


class Band(StrEnum):
    """How alike the photos of a group are, by the lowest score of two of them. How it was chosen: daemon/pixkind/search/duplicates.py."""

    IDENTICAL = "identical"  # copies, or saved again
    SAME_SHOT = "same shot"  # resized, recompressed, cropped, brightened
    SIMILAR = "similar"  # a burst, or a heavier edit


class Welcome(Message, frozen=True, omit_defaults=True, kw_only=True, tag="welcome"):
    """Reply to `hello`."""

    version: str  # of the daemon's package
    pid: int
    # What is a photo, and where none are looked for; no name that begins with a dot is, either.
    suffixes: tuple[str, ...] = ()  # lower case, without the dot
    skipped: tuple[str, ...] = ()  # names of folders, lower case


class Match(Struct, frozen=True, omit_defaults=True):
    """One shot that is like the query."""

    path: bytes
    score: float  # centred cosine, -1 to 1
    distance: float  # Euclidean, of the vectors as the encoder gave them
    offline: bool = False  # its root is not there now
    copies: tuple[bytes, ...] = ()  # further paths with exactly this picture
    versions: tuple[bytes, ...] = ()  # paths of the same shot in other files: raw, smaller, or saved again


class Doubt(Struct, frozen=True, omit_defaults=True):
    """What an answer cannot vouch for."""

    pending: int = 0  # photos known to exist and not yet searchable
    failed: int = 0  # photos that could not be encoded
    offline: int = 0  # photos whose root is not there now
    unwatched: tuple[
        bytes, ...
    ] = ()  # roots of which not everything is known: not scanned, watched or readable in full


class Matches(Message, frozen=True, omit_defaults=True, kw_only=True, tag="matches"):
    """Reply to `like`."""

    matches: tuple[Match, ...] = ()  # best first
    doubt: Doubt = Doubt()
    chance: float | None = None  # what the best of as many unrelated photos scores; None: they are too few to tell


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


class Chance(Struct, frozen=True, omit_defaults=True):
    """What photos of this library score that have nothing to do with each other."""

    median: float  # half of all pairs score above this
    one_in_20: float  # one pair in 20 scores above this
    one_in_1000: float
    best: float  # of as many photos as there are one scores above this, if all are unrelated to the query


class Format(Struct, frozen=True, omit_defaults=True):
    """One format of photos."""

    name: str
    decoder: str = ""  # the package that reads it, with its version where that is installed
    live: bool = False  # it can be read
    hint: str = ""  # what to do so that it can
    licence: str = ""  # of the decoder and its libraries


class Filling(Struct, frozen=True, omit_defaults=True):
    """The space that is filled while another answers."""

    encoder: str
    space: str
    found: int = 0  # photos that it finds
    wanted: int = 0  # photos that it has to find before it answers
    away: int = 0  # of those that it lacks, the ones on drives that are not there, or paused
    failed: int = 0  # the ones of which its network makes nothing; a few of them are not waited for
    pinned: bool = False  # somebody chose the other: this one does not answer by itself


class Report(Message, frozen=True, omit_defaults=True, kw_only=True, tag="report"):
    """Reply to `status`."""

    doing: str = ""  # a few words: what the daemon is busy with, or why it is not
    photos: int = 0  # searchable
    pending: int = 0
    failed: int = 0
    offline: int = 0
    roots: tuple[Root, ...] = ()
    encoder: str = ""
    space: str = ""  # that answers
    filling: Filling | None = None  # another that is filled
    chance: Chance | None = None  # None: there are too few photos to tell, or not all are known yet
    store_bytes: int = 0
    rate: float = 0.0  # photos a second, while indexing
    eta_s: float = 0.0  # while indexing
    counters: dict[str, int] = {}  # since the daemon started
    failures: tuple[Failed, ...] = ()  # only when asked for
    formats: tuple[Format, ...] = ()  # only when asked for
    version: str = ""
    pid: int = 0
    uptime_s: float = 0.0


class Synced(Message, frozen=True, omit_defaults=True, kw_only=True, tag="synced"):
    """Reply to `sync`: every file that stood there has an outcome, but for those named."""

    photos: int = 0  # files that were looked at
    failed: tuple[Failed, ...] = ()  # of these, the ones without a vector; at most 1,000
    open: tuple[bytes, ...] = ()  # still open for writing, not waited for; at most 1,000
    roots: tuple[Root, ...] = ()  # offline, suspect, paused or in part unreadable; not waited for
    held: int = 0  # photos that indexing does not send on now; not waited for
    why: str = ""  # it does not, for people


class Roots(Message, frozen=True, omit_defaults=True, kw_only=True, tag="roots"):
    """Reply to `pause`, `resume` and `boost`."""

    roots: tuple[Root, ...] = ()  # those that were asked about; after `resume` their states may be a moment old
    doing: str = ""  # as in the report


class Has(StrEnum):
    """Whether the library has an image."""

    THERE = "there"  # exactly this picture, whatever its metadata say
    NEAR = "near"  # the same shot in another file, or a part of it
    NEW = "new"
    FAILED = "failed"  # it was opened or decoded in vain
    UNREADABLE = "unreadable"  # the daemon cannot open the path; the client may send the bytes


class Holding(Struct, frozen=True, omit_defaults=True):
    """What the library has of one image."""

    path: bytes  # as it was asked about; empty: bytes without a path
    has: Has
    score: float = 0.0  # of the photos at `paths`, as in Match
    paths: tuple[bytes, ...] = ()  # where it is, or what it is near to; the oldest first; at most 100
    reason: str = ""  # why it failed or is unreadable, a sentence for people


class Holdings(Message, frozen=True, omit_defaults=True, kw_only=True, tag="holdings"):
    """Reply to `have`."""

    holdings: tuple[Holding, ...] = ()  # of the images, in their order
    doubt: Doubt = Doubt()  # what waits to be indexed counts as new


class SpaceState(Struct, frozen=True, omit_defaults=True):
    """The vectors that one encoder has made."""

    name: str
    encoder: str
    vectors: int = 0
    photos: int = 0  # that it finds
    bytes: int = 0  # on the disk
    answers: bool = False
    fills: bool = False  # it is the configured one: what is new or has changed is encoded for it
    kind: str = "image"  # what a vector stands for; others may come


class Spaces(Message, frozen=True, omit_defaults=True, kw_only=True, tag="spaces"):
    """Reply to `list_spaces`, `use_space` and `drop_space`."""

    spaces: tuple[SpaceState, ...] = ()
    photos: int = 0  # that any of them finds


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


class Groups(Message, frozen=True, omit_defaults=True, kw_only=True, tag="groups"):
    """Reply to `dupes`: what was found since it was asked last."""

    search: int = 0  # to be asked for the next ones with; 0: it has not begun, since another one runs
    groups: tuple[Group, ...] = ()  # each is complete, and comes once
    done: bool = False  # these were the last
    compared: int = 0  # pictures of which all duplicates are known
    pictures: int = 0  # that are compared
    thinned: bool = False  # so much hangs together that not all pairs were kept: some groups may have come apart
    doubt: Doubt = Doubt()  # with the last ones


class Noted(Message, frozen=True, omit_defaults=True, kw_only=True, tag="noted"):
    """Reply to `apart`: it is stored, durably."""


class Failure(Message, frozen=True, omit_defaults=True, kw_only=True, tag="failure"):
    """Reply to anything: it could not be done."""

    code: Code
    what: str  # a sentence for people, without a full stop
    hint: str = ""  # what to do about it
    path: bytes = b""  # the file it is about, if any


Reply = Welcome | Matches | Report | Synced | Roots | Holdings | Groups | Noted | Spaces | Failure
