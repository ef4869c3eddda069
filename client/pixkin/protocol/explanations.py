"""The parts of replies that say why a photo is found, or is not."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from pixkin.protocol import native
from pixkin.protocol.bands import Relation
from pixkin.protocol.message import Message

COUNTED: Final = 10_000  # photos that wait: if there are more, those before one of them are not counted


class Fate(StrEnum):
    """What has become of a file."""

    FOUND = "found"  # queries find it
    WAITING = "waiting"  # it is new or has changed, and will be read
    FAILED = "failed"  # it could not be decoded
    LEFT_OUT = "left_out"  # a rule leaves it out
    NO_PHOTO = "no_photo"  # a folder, a symbolic link, or a file of another kind
    MISSING = "missing"  # there is no such file
    UNWATCHED = "unwatched"  # it lies in no root
    UNKNOWN = "unknown"  # its drive is away or paused, or it cannot be looked at


class Exclusion(Struct, frozen=True, omit_defaults=True):
    """A pattern, or a file, that leaves photos or folders out."""

    pattern: str = ""  # as in gitignore(5); empty: `file` leaves out its folder
    file: bytes = b""  # in which it stands; empty: the configuration
    line: int = 0  # there, from 1
    built_in: bool = False  # pixkind brings it
    fs_file = native.path_or_none("file")


class Explanation(Message, frozen=True, omit_defaults=True, kw_only=True, tag="explanation"):
    """Reply to `why`."""

    fate: Fate
    path: bytes = b""  # as the index has it: without links
    what: str = ""  # the fate as a sentence for people
    hint: str = ""  # what the user can do
    root: bytes = b""  # in which it lies; empty: in none
    exclusion: Exclusion | None = None  # that leaves it out, if a pattern or a file does
    content: bytes = b""  # of its picture, as far as it is known
    network: str = ""  # whose vector queries use; empty: there is no vector
    read_s: int = 0  # when it was read, s since the epoch; 0: not known, or never
    taken_s: int = 0  # as in Picture, of this file
    by_name: bool = False  # as in Picture
    retry_at: int = 0  # of a photo that failed: when it is tried again, s since the epoch; 0: when it changes
    ahead: int = 0  # of a photo that waits: how many photos are read before it; of more than 10,000 all that wait
    copies: int = 0  # how many other files show the same picture
    fs_path = native.path_or_none("path")
    fs_root = native.path_or_none("root")
    read = native.moment("read_s")
    taken = native.camera_time("taken_s")
    retry = native.moment("retry_at")


class About(Struct, frozen=True, omit_defaults=True):
    """How one photo does in a query."""

    score: float
    distance: float
    band: Relation = Relation.UNKNOWN
    place: int = 0  # of its match, from 1; 0: it is not among the matches
    behind: bytes = b""  # the path of its match, if that is another one: it is a copy, a version or of the same burst
    short_of: tuple[str, ...] = ()  # the keys of the request that leave it out; `limit`: so many matches are nearer
    fs_behind = native.path_or_none("behind")
