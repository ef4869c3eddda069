"""The replies, with their parts, that tell of standing questions and of what has come since."""

from msgspec import Struct

from pixkin.protocol import native
from pixkin.protocol.bands import Relation
from pixkin.protocol.message import Message
from pixkin.protocol.pictures import Picture


class WatchedImage(Struct, frozen=True, omit_defaults=True):
    """One image of a standing question."""

    content: bytes  # 16 bytes; the content id of its picture
    path: bytes = b""  # a photo of it, or the file that was named; empty: none is known
    weight: float = 1.0  # as in the request
    fs_path = native.path_or_none("path")


class WatchState(Struct, frozen=True, omit_defaults=True):
    """One standing question."""

    id: int  # its number
    name: str = ""
    images: tuple[WatchedImage, ...] = ()
    min_score: float | None = None
    min_band: Relation = Relation.UNKNOWN
    new: int = 0  # matches that no client has acknowledged
    told: int = 0  # the number of the last match that a client has acknowledged
    last: int = 0  # the number of its last match; 0: there is none
    began_s: int = 0  # when it was asked, in s since the epoch
    why: str = ""  # why it cannot be asked now, a sentence for people; empty: it can
    began = native.moment("began_s")


class Arrival(Struct, frozen=True, omit_defaults=True):
    """One match of a standing question: a picture that came after the question."""

    seq: int  # the number of this match; it grows, and belongs to all questions
    watch: int  # the number of the question
    picture: Picture
    path: bytes = b""  # a photo of it; empty: it is gone again
    score: float = 0.0  # as in Match, when it came
    distance: float = 0.0
    band: Relation = Relation.UNKNOWN
    offline: bool = False  # the root of that photo is offline
    at_s: int = 0  # when it came, in s since the epoch
    fs_path = native.path_or_none("path")
    at = native.moment("at_s")


class Watches(Message, frozen=True, omit_defaults=True, kw_only=True, tag="watches"):
    """Reply to `watch`, `unwatch` and `list_watches`."""

    watches: tuple[WatchState, ...] = ()  # by number
    watch: int = 0  # after `watch`: the number of the question that was asked
    last: int = 0  # the number of the last match of all


class Arrived(Message, frozen=True, omit_defaults=True, kw_only=True, tag="arrived"):
    """Reply to `arrivals`."""

    arrivals: tuple[Arrival, ...] = ()  # the oldest first, at most 1,000; none: nothing has come
    last: int = 0  # `after` of the next request


class LibraryChanged(Message, frozen=True, omit_defaults=True, kw_only=True, tag="changed"):
    """Reply to `changes`."""

    generation: int = 0  # `after` of the next request
    came: tuple[Picture, ...] = ()  # searchable since; the newest first, at most 20
    more: int = 0  # pictures that are searchable since, and not in `came`
    gone: int = 0  # pictures that are not searchable any more
    missed: bool = False  # more has changed than is known: look at everything again
