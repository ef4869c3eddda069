"""One photo on its way from the disk to a commit, and when one that failed is tried again. Ingest thread only."""

import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from pixkind.encoder.messages import Details
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.stamp import Stamp
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
    vector: bytes = b""
    thumbnail: bytes = b""  # of size S, made in passing
    beside: dict[str, bytes] = field(default_factory=dict)  # its vector in the space that answers, by that space's name
    twins: "list[PhotoTask]" = field(default_factory=list)  # photos of the same content that wait for its vector

    @property
    def path(self) -> str:
        """Where it stood when it was opened."""
        return self.photo.path


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
