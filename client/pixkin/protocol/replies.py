"""The replies of the protocol, their parts, and the codes of failures."""

from enum import StrEnum

from msgspec import Struct, field

from pixkin.protocol import native
from pixkin.protocol.bands import Band as Band  # noqa: PLC0414  replies have it for others, too
from pixkin.protocol.bands import Relation as Relation  # noqa: PLC0414
from pixkin.protocol.explanations import About, Explanation
from pixkin.protocol.explanations import Exclusion as Exclusion  # noqa: PLC0414
from pixkin.protocol.message import Message, html_of
from pixkin.protocol.news import Arrived, LibraryChanged, Watches
from pixkin.protocol.pictures import Description, Month, Picture
from pixkin.protocol.spaces import Filling as Filling  # noqa: PLC0414
from pixkin.protocol.spaces import Spaces as Spaces  # noqa: PLC0414
from pixkin.protocol.spaces import SpaceState as SpaceState  # noqa: PLC0414
from pixkin.protocol.state import Chance as Chance  # noqa: PLC0414
from pixkin.protocol.state import Format as Format  # noqa: PLC0414
from pixkin.protocol.state import Sandbox as Sandbox  # noqa: PLC0414


class Code(StrEnum):
    """Why a request failed."""

    VERSION = "version"  # the other side speaks another version of the protocol
    MALFORMED = "malformed"  # not a message of this protocol
    EXPIRED = "expired"  # the request's deadline had passed before its turn came
    BUSY = "busy"  # too many requests are waiting, or a file system does not answer; try again after a second
    UNREADABLE = "unreadable"  # the file is missing, or the daemon cannot open it; the client may send the bytes
    REFUSED = "refused"  # no image that can be encoded; images that cancel each other out; a space that does not exist or is in use
    UNKNOWN_FOLDER = "unknown_folder"  # the folder lies in no root, or is not a root where one is needed
    STOPPING = "stopping"  # the daemon is stopping
    INTERNAL = "internal"  # a bug in the daemon; its log says more


class Welcome(Message, frozen=True, omit_defaults=True, kw_only=True, tag="welcome"):
    """Reply to `hello`."""

    version: str  # of the daemon's package
    pid: int
    # The rules for photos: a name that begins with a dot is never one.
    suffixes: tuple[str, ...] = ()  # lower case, without the dot
    skipped: tuple[str, ...] = ()  # names of folders without photos, lower case


class Match(Struct, frozen=True, omit_defaults=True):
    """One shot, or one burst, that is like the query."""

    path: bytes
    score: float  # cosine similarity of the centred vectors, -1 to 1
    distance: float  # Euclidean distance of the vectors before centring
    offline: bool = False  # its root is offline
    copies: tuple[bytes, ...] = ()  # further paths of exactly this picture
    versions: tuple[bytes, ...] = ()  # paths of the same shot in other files: raw, smaller, or saved again
    burst: tuple[bytes, ...] = ()  # paths of further shots of the same burst, with all their copies and versions
    frames: int = 0  # how many shots `burst` has
    band: Relation = Relation.UNKNOWN
    damaged: bool = False  # the last rows of the picture are missing in the file
    picture: Picture | None = None  # only when asked for
    fs_path = native.path("path")
    fs_copies = native.paths("copies")
    fs_versions = native.paths("versions")
    fs_burst = native.paths("burst")


class Doubt(Struct, frozen=True, omit_defaults=True):
    """The photos that an answer may miss."""

    pending: int = 0  # photos that are known and not yet searchable
    failed: int = 0  # photos that could not be encoded, without those that are ignored
    newly_failed: int = 0  # those among them of which no answer has told since the daemon started
    offline: int = 0  # photos whose root is offline
    unwatched: tuple[bytes, ...] = ()  # roots that are not fully scanned, watched or readable
    fs_unwatched = native.paths("unwatched")


class Matches(Message, frozen=True, omit_defaults=True, kw_only=True, dict=True, tag="matches"):
    """Reply to `like`."""

    matches: tuple[Match, ...] = ()  # best first
    doubt: Doubt = Doubt()
    chance: float | None = None  # a match of this query that scores less is `no relation`; None: too few photos to tell
    emptied_by: tuple[str, ...] = ()  # without matches: the keys of the request that left none
    searched: int = 0  # searchable photos, before any filter
    about: About | None = None  # only when asked for, of a photo that has a vector

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: thumbnails with scores and names."""
        return html_of(self)


class RootState(StrEnum):
    """The state of a root."""

    ONLINE = "online"
    SCANNING = "scanning"  # for the first time since the daemon started: not all photos are known
    DEGRADED = "degraded"  # indexed, but not fully watched: scanned on a timer
    OFFLINE = "offline"  # missing, unreadable, on another drive, or empty although the index is not
    SUSPECT = "suspect"  # it does not answer
    PAUSED = "paused"  # by `pause`: no file in it is opened; queries still find its photos


class Root(Struct, frozen=True, omit_defaults=True):
    """One watched folder."""

    path: bytes
    state: RootState
    reason: str = ""  # why it is not online, or what is unusual
    hint: str = ""  # what the user can do
    links: int = 0  # symbolic links in it, not followed; each folder as of its last scan
    fs_path = native.path("path")


class Failed(Struct, frozen=True, omit_defaults=True):
    """One photo without a vector."""

    path: bytes
    reason: str
    retry_at: int = 0  # epoch seconds of the next try; 0: when the file or the decoder changes
    mtime_ns: int = 0  # of the version that failed
    ignored: bool = False  # the user wants to hear no more of it (`ignore`); it is in no count
    known: bool = False  # an earlier reply to `sync` has named it, since the daemon started
    fs_path = native.path("path")
    retry = native.moment("retry_at")
    mtime = native.moment("mtime_ns", 10**9)


class Report(Message, frozen=True, omit_defaults=True, kw_only=True, tag="report"):
    """Reply to `status`."""

    doing: str = ""  # a few words: what the daemon is doing, or why it does nothing
    photos: int = 0  # searchable
    pending: int = 0
    failed: int = 0  # without those that are ignored
    ignored: int = 0  # photos that failed, and of which the user wants to hear no more
    offline: int = 0
    roots: tuple[Root, ...] = ()
    encoder: str = ""
    space: str = ""  # the one in use
    filling: Filling | None = None  # another one that is being built
    chance: Chance | None = None  # None: there are too few photos to tell, or not all are known yet
    store_bytes: int = 0
    rate: float = 0.0  # photos a second, while indexing
    eta_s: float = 0.0  # while indexing
    counters: dict[str, int] = field(default_factory=dict)  # since the daemon started
    failures: tuple[Failed, ...] = ()  # only when asked for
    formats: tuple[Format, ...] = ()  # only when asked for
    exclusions: tuple[Exclusion, ...] = ()  # only when asked for; those of folders as of their last scan
    version: str = ""
    pid: int = 0
    uptime_s: float = 0.0
    sandbox: Sandbox | None = None  # None: the process has not run yet


class Synced(Message, frozen=True, omit_defaults=True, kw_only=True, tag="synced"):
    """Reply to `sync`: every file has been indexed or has failed, except those named here."""

    photos: int = 0  # files that were checked
    failed: tuple[Failed, ...] = ()  # the photos among them that failed, but none that is ignored; at most 1,000
    more_failed: int = 0  # those that failed and are not in `failed`
    open: tuple[bytes, ...] = ()  # still open for writing, not waited for; at most 1,000
    more_open: int = 0  # those that are open and not in `open`
    roots: tuple[Root, ...] = ()  # roots that are offline, suspect, paused or partly unreadable; not waited for
    held: int = 0  # photos that wait because indexing is paused; not waited for
    why: str = ""  # why they wait, a sentence for people
    links: int = 0  # symbolic links, not followed
    fs_open = native.paths("open")


class Roots(Message, frozen=True, omit_defaults=True, kw_only=True, tag="roots"):
    """Reply to `pause`, `resume` and `boost`."""

    roots: tuple[Root, ...] = ()  # the roots that were asked about; after `resume` their states may be a moment old
    doing: str = ""  # as in the report


class Has(StrEnum):
    """Whether the library has an image."""

    THERE = "there"  # exactly this picture, in a copy that was opened and read just now
    NEAR = "near"  # the same shot in another file, or a part of it; or the picture without its metadata
    NEW = "new"  # also a picture that the library knows, but has in no copy that counts
    FAILED = "failed"  # the file cannot be read, or is not an image that can be encoded
    UNREADABLE = "unreadable"  # the file is missing, or the daemon cannot open it; the client may send the bytes


class Unproven(StrEnum):
    """Why a picture that the library knows is not there."""

    AWAY = "away"  # its copies are on drives that are not connected
    BARE = "bare"  # its copies lack metadata that the image has
    ONLY_HERE = "only_here"  # its copies are on the card that is asked about
    UNSEEN = "unseen"  # its copies could not be read, have changed, or may be the file itself under another name


class Holding(Struct, frozen=True, omit_defaults=True):
    """Whether the library has one image."""

    path: bytes  # as in the request; empty: bytes without a path
    has: Has
    score: float = 0.0  # of the photos at `paths`, as in Match
    paths: tuple[bytes, ...] = ()  # the photos that it equals or is near; at most 100
    reason: str = ""  # why it failed, is unreadable or is unseen, a sentence for people
    seen: bool = False  # the first of `paths` was opened and read just now; `there` counts only with it
    known: Unproven | None = None  # the library knows exactly this picture, and why it is not `there`
    fs_path = native.path_or_none("path")
    fs_paths = native.paths("paths")


class Holdings(Message, frozen=True, omit_defaults=True, kw_only=True, tag="holdings"):
    """Reply to `have`."""

    holdings: tuple[Holding, ...] = ()  # one for each image, in their order
    doubt: Doubt = Doubt()  # photos that wait to be indexed count as new


class Photo(Struct, frozen=True, omit_defaults=True):
    """One photo of a group."""

    path: bytes
    content: bytes  # 16 bytes; photos with the same content are exact copies
    width: int = 0  # in pixels, as stored
    height: int = 0
    size: int = 0  # bytes
    offline: bool = False  # its root is offline
    spare: bool = False  # an exact copy, and the first photo of its group has all that it has: it may be deleted
    passing: bool = False  # it lies in a folder whose files a program deletes again, such as a cache
    notes: tuple[
        str, ...
    ] = ()  # what it has that others of the group lack, a few words each: "has a video", "12 pages"
    fs_path = native.path("path")


class Group(Struct, frozen=True, omit_defaults=True, dict=True):
    """Photos that are all near-duplicates of each other."""

    band: Band
    score: float  # the lowest of two of them
    photos: tuple[Photo, ...]  # the best first: connected, most pixels, oldest; at most 10,000
    more: int = 0  # photos of the group that are not in `photos`

    def _repr_html_(self) -> str | None:
        """Return what a notebook shows: thumbnails with names, the best photo first."""
        return html_of(self)


class Groups(Message, frozen=True, omit_defaults=True, kw_only=True, tag="groups"):
    """Reply to `dupes`: the groups found since the last request."""

    search: int = 0  # the number for the next request; 0: not begun, because another search is running
    groups: tuple[Group, ...] = ()  # each is complete, and comes once
    done: bool = False  # these are the last groups
    compared: int = 0  # pictures whose duplicates are all known
    pictures: int = 0  # pictures to compare
    thinned: bool = False  # so many photos are alike that not all pairs were kept: some groups may be split
    left_out: tuple[
        Failed, ...
    ] = ()  # photos of no group, because their files are not now as the index has them; at most 1,000
    doubt: Doubt = Doubt()  # only with the last groups


class Noted(Message, frozen=True, omit_defaults=True, kw_only=True, tag="noted"):
    """Reply to `apart`: it is stored durably."""


class Forgotten(Message, frozen=True, omit_defaults=True, kw_only=True, tag="forgotten"):
    """Reply to `forget`."""

    photos: int = 0  # that are forgotten; with `dry_run`: that would be
    away: int = 0  # of these: on drives that are not connected; they are indexed again if the drive comes back
    there: int = 0  # that stay: they lie in a watched folder now, and would be indexed again
    traces: str = ""  # why traces of them are left, a sentence for people; empty: there are none


class Ignored(Message, frozen=True, omit_defaults=True, kw_only=True, tag="ignored"):
    """Reply to `ignore`."""

    photos: int = 0  # that failed, and of which nothing more is told; with `undo`: of which is told again
    missing: tuple[bytes, ...] = ()  # paths of the request at and below which no such photo is
    fs_missing = native.paths("missing")


class Descriptions(Message, frozen=True, omit_defaults=True, kw_only=True, tag="descriptions"):
    """Reply to `describe`."""

    descriptions: tuple[Description, ...] = ()  # in the order of the request


class Library(Message, frozen=True, omit_defaults=True, kw_only=True, tag="library"):
    """Reply to `browse`. The first three have one entry for each picture."""

    pictures: tuple[Picture, ...] = ()  # the newest first
    paths: tuple[bytes, ...] = ()  # of one of its photos
    offline: tuple[bool, ...] = ()  # the root of that photo is offline
    total: int = 0  # pictures before and after these, and these
    next: bytes = b""  # `after` of the request for the following pictures; empty: these are the last
    doubt: Doubt = Doubt()
    fs_paths = native.paths("paths")


class Exported(Message, frozen=True, omit_defaults=True, kw_only=True, tag="exported"):
    """Reply to `export`."""

    pictures: tuple[Description, ...] = ()  # in the order of their content ids; at most 10,000 files of each
    vectors: bytes = b""  # (pictures, dims) float16, little endian, as the model gave them
    space: str = ""  # that they are of: its model, weights and preparation
    dims: int = 0  # of each vector; 0: there is none yet
    photos: int = 0  # searchable ones below the folder: all files of all pictures
    next: bytes = b""  # `after` of the next request; empty: these are the last
    doubt: Doubt = Doubt()


class Folder(Struct, frozen=True, omit_defaults=True):
    """One folder with photos."""

    path: bytes
    photos: int = 0  # searchable, in it and below
    failed: int = 0
    folders: bool = False  # there are folders with photos in it
    state: RootState = RootState.ONLINE  # of its root
    fs_path = native.path("path")


class FolderList(Message, frozen=True, omit_defaults=True, kw_only=True, tag="folder_list"):
    """Reply to `folders`."""

    folders: tuple[Folder, ...] = ()  # by name; roots in the order of the configuration


class Months(Message, frozen=True, omit_defaults=True, kw_only=True, tag="months"):
    """Reply to `timeline`."""

    months: tuple[Month, ...] = ()  # with pictures, the newest first


class Thumb(Message, frozen=True, omit_defaults=True, kw_only=True, tag="thumb"):
    """Reply to `thumbnail`: the picture as it is shown, upright and in sRGB, without any metadata."""

    content: bytes  # 16 bytes; the content id of the picture
    data: bytes  # a JPEG; at most 24 MiB
    width: int  # of this JPEG, in pixels
    height: int


class Failure(Message, frozen=True, omit_defaults=True, kw_only=True, tag="failure"):
    """Reply to any request that failed."""

    code: Code
    what: str  # a sentence for people, without a full stop
    hint: str = ""  # what the user can do
    path: bytes = b""  # the file that it is about, if any
    fs_path = native.path_or_none("path")


Reply = (
    Welcome
    | Matches
    | Report
    | Synced
    | Roots
    | Holdings
    | Groups
    | Noted
    | Spaces
    | Forgotten
    | Ignored
    | Descriptions
    | Library
    | FolderList
    | Months
    | Thumb
    | Watches
    | Arrived
    | LibraryChanged
    | Explanation
    | Exported
    | Failure
)
