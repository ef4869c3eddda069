"""One photo on its way from the disk to a commit, and when one that failed is tried again. Ingest thread only."""

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from pixkind.encoder.deadlines import TooSlow
from pixkind.encoder.messages import Details, Encoded, Inspected
from pixkind.errors import PhotoError
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.stamp import Stamp
from pixkind.storage.keys import page_id
from pixkind.storage.record import UNKNOWN, Facts
from pixkind.storage.write_batch import CommitDelta, PhotoFailed

YOUNG_S: Final = (30, 120, 600)  # ages at which a photo that failed is tried again: it may still have been copied


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a finished photo waits, and how much memory the copies of photos may take."""

    commit_s: float = 1.0  # a finished photo waits no longer for its commit
    copies_mb: int = 128  # photos in memory at once, and one more


PACE: Final = Pace()


class Loop(Protocol):
    """What pipeline and committer need of the ingest loop. Called in its thread only."""

    def look_at(self, path: str, due: float) -> None:
        """Have `path` looked at again when the monotonic clock says `due`; until then it is pending."""

    def try_again(self, path: str, due: float) -> None:
        """Have `path`, which failed, looked at again when the monotonic clock says `due`."""

    def changed(self, delta: CommitDelta) -> None:
        """Note that the store has changed."""

    def settled(self, path: str) -> None:
        """Note that the photo at `path` is indexed or has failed, durably."""

    def left_open(self, path: str) -> None:
        """Note that the photo at `path` is neither, since another process writes to it."""

    def recheck(self) -> None:
        """Check every root: one is not what it was."""


@dataclass(slots=True)
class PhotoTask:
    """One photo on its way from the disk to a commit."""

    photo: OpenPhoto
    root: str
    content: bytes = UNKNOWN
    facts: Facts | None = None
    details: Details | None = None
    vector: bytes = b""  # of the picture that it shows; empty: there is none yet, or the store has it
    thumbnail: bytes = b""  # of size S, made in passing
    beside: dict[str, bytes] = field(default_factory=dict)  # its vector in the space that answers, by that space's name
    pages: int = 1  # how many of its pages get a vector each
    page: int = 0  # that is encoded now, or next; above 0 the photo can be found, whatever becomes of the other pages
    is_struck: bool = False  # its content has a strike
    further: dict[int, bytes] = field(default_factory=dict)  # the vectors of further pages, by number
    twins: "list[PhotoTask]" = field(default_factory=list)  # photos of the same content that wait for its vector

    def learn(self, seen: Inspected) -> None:
        """Keep what the worker has read from the file."""
        self.content, self.pages = seen.content, seen.pages
        self.facts = Facts(seen.width, seen.height, seen.details.taken_s, seen.details.camera)
        self.details = msgspec.structs.replace(seen.details, read_s=int(time.time()))

    @property
    def path(self) -> str:
        """Where it stood when it was opened."""
        return self.photo.path

    @property
    def further_ids(self) -> list[bytes]:
        """The ids of its further pages."""
        return [page_id(self.content, number) for number in range(1, self.pages)]


def is_refused(future: "Future[Encoded]") -> bool:
    """Return whether the worker has refused a picture for what it is."""
    error = None if future.cancelled() else future.exception()
    return isinstance(error, PhotoError) and not isinstance(error, TooSlow)


def failure_of(
    path: str, stamp: Stamp, content: bytes, reason: str, retry_s: int | None, details: Details | None = None
) -> PhotoFailed:
    """Return the failure of a photo; `retry_s`: when it is tried again, epoch s; None: by its age."""
    if retry_s is None:
        retry_s = next_try(stamp.ctime_ns // 1_000_000_000, int(time.time()))
    return PhotoFailed(path, stamp, content, reason, retry_s, details)


def next_try(born_s: int, now_s: int) -> int:
    """Return when a photo whose file was born then and failed now is tried again, epoch s; 0: when the file changes."""
    return next((born_s + age for age in YOUNG_S if born_s + age > now_s), 0)
