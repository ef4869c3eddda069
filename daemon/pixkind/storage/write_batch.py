"""What one commit writes to the store, and what it has changed. Values only."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from pixkind.encoder.messages import Details, Look
from pixkind.fs.stamp import Stamp
from pixkind.storage.record import Facts, Record


@dataclass(frozen=True, slots=True)
class PhotoFound:
    """The photo at `path` has this content. Its vector is stored already, or is written by the same commit."""

    path: str
    stamp: Stamp
    content: bytes
    details: Details | None = None  # None: not read


@dataclass(frozen=True, slots=True)
class PhotoFailed:
    """The photo at `path` cannot be encoded; `content` is UNKNOWN if it could not even be read."""

    path: str
    stamp: Stamp
    content: bytes
    reason: str
    retry_s: int  # epoch seconds; 0: when the file or the decoder changes
    details: Details | None = None  # None: not read


@dataclass(frozen=True, slots=True)
class PhotoGone:
    """There is no longer a photo at `path`."""

    path: str
    now_s: int  # epoch seconds


@dataclass(slots=True)
class WriteBatch:
    """What one durable commit writes."""

    photos: list[PhotoFound | PhotoFailed | PhotoGone] = field(default_factory=list)
    contents: dict[bytes, Facts] = field(default_factory=dict)
    looks: dict[bytes, Look] = field(default_factory=dict)  # of contents that were drawn
    vectors: dict[bytes, bytes] = field(default_factory=dict)  # content -> (dims,) float16, little endian
    beside: dict[str, dict[bytes, bytes]] = field(default_factory=dict)  # by name of another open space: the same
    strikes: list[bytes] = field(default_factory=list)  # contents that are sent to the worker after this commit
    acquitted: list[bytes] = field(default_factory=list)  # contents for which the worker sent an outcome, good or bad

    def take(self, content: bytes, vector: bytes, beside: dict[str, bytes]) -> None:
        """Add the vector of a content, unless it is empty, and its vectors in other open spaces, by name."""
        if vector:
            self.vectors[content] = vector
        for space, other in beside.items():
            self.beside.setdefault(space, {})[content] = other

    def touched(self, known: Iterable[Record | None]) -> set[bytes]:
        """Return the contents whose photos or vectors this may change; `known`: the records that it replaces."""
        made = (*self.vectors, *chain(*self.beside.values()))
        named = (change.content for change in self.photos if not isinstance(change, PhotoGone))
        return {*made, *named, *(record.content for record in known if record is not None)}

    def __bool__(self) -> bool:
        return bool(self.photos or self.contents or self.looks or self.vectors or self.strikes or self.acquitted)


@dataclass(slots=True)
class CommitDelta:
    """What a commit changed."""

    appeared: list[bytes] = field(default_factory=list)  # contents that can be found now, and could not before
    vanished: list[bytes] = field(default_factory=list)  # contents that could be found before, and cannot now
    touched: list[bytes] = field(default_factory=list)  # those above, and contents whose photos may have changed
    generation: int = 0  # of the journal; 0: no content was touched
    beside: "dict[str, CommitDelta]" = field(default_factory=dict)  # by name of another open space: its changes
