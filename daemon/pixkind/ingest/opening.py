"""Photos that were found and are not open yet: which is next, when it may be opened, and the opening.

Runs in the ingest thread. A photo on a file system that may hang is opened by another process and comes as a copy in
memory. Only few such copies exist at once, so that they need little memory.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from pixkin.protocol.explanations import COUNTED
from pixkind.config import Config
from pixkind.errors import PhotoError
from pixkind.fs.interface import NoAnswer, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished
from pixkind.fs.remote import RemoteFileSystem
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.stamp import Stamp
from pixkind.ingest.inbox import Inbox

UNMOUNT_EVERY_S: Final = 5.0  # between two gaps in which every photo is closed, so that a drive can be unmounted
UNMOUNT_GAP_S: Final = 0.3  # how long such a gap is
SICK_S: Final = 86400  # when a photo is tried again that cannot be read for a reason that does not lie in it


@dataclass(slots=True)
class UnmountGap:
    """When to close every photo for a moment: only then can a drive be unmounted while it is indexed.

    `umount` fails while any file is open, and nothing tells us that a user tries. Times are monotonic seconds.
    """

    every_s: float
    gap_s: float  # nothing is open for so long: a user who tries several times meets it
    _due: float = 0.0
    _free_since: float | None = None

    def is_closed(self, now: float, *, is_open: bool) -> bool:
        """Return whether no photo may be opened now; to be asked in each turn. `is_open`: some still are."""
        if is_open:
            self._free_since = None
            return now >= self._due
        if self._free_since is None:
            self._free_since = now
        if now >= self._free_since + self.gap_s:
            self._due = now + self.every_s
        return now >= self._due

    def deadline(self) -> float | None:
        """Return when the gap is over; None while something is open, for its closing comes first."""
        return None if self._free_since is None else self._free_since + self.gap_s


class FoundPhoto(NamedTuple):
    """A photo that waits to be opened. The smallest is the next."""

    strikes: int  # how often the worker died with it
    is_found: bool  # a query finds this version of it already
    age_ns: int  # minus its mtime: the newest goes first
    path: str
    root: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A photo is open."""

    photo: OpenPhoto
    root: str


@dataclass(frozen=True, slots=True)
class NothingThere:
    """No photo stands at `path` any more."""

    path: str


@dataclass(frozen=True, slots=True)
class StillWritten:
    """Somebody has the photo at `path` open for writing."""

    path: str


@dataclass(frozen=True, slots=True)
class NotReadable:
    """The photo at `path` may not be read now: its root went away or is paused, or another file system is mounted there."""

    path: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The file system of `path` does not answer; maybe that is so of this file alone."""

    path: str


@dataclass(frozen=True, slots=True)
class OpenRefused:
    """The photo at `path` cannot be opened in this version. `retry_s`: when to try again, epoch s; None: by its age."""

    path: str
    stamp: Stamp
    reason: str
    retry_s: int | None


OpenOutcome = Opened | NothingThere | StillWritten | NotReadable | Unanswered | OpenRefused


@dataclass(slots=True)
class Queue:
    """The photos of one file system, the next first."""

    heap: list[FoundPhoto] = field(default_factory=list)
    opening: FoundPhoto | None = None  # the photo that is being copied
    bytes: int = 0  # of the copies that are in memory


class OpenQueue:
    """All photos that wait to be opened."""

    def __init__(self, config: Config, roots: WatchedRoots, inbox: Inbox, *, copies_mb: int) -> None:
        """Begin empty. `copies_mb`: of photos that are in memory at once, and one more."""
        quiet_ns = int(2 * config.index.rest_s * 1e9)
        self._limits = OpenLimits(config.decode.limit_mb, quiet_ns)
        self._roots = roots
        self._inbox = inbox
        self._copies_bytes = copies_mb << 20
        self._local = Queue()
        self._remote: dict[RemoteFileSystem, Queue] = {}
        self._open: dict[int, str] = {}  # descriptor -> root, of the photos themselves
        self._copies: dict[int, Queue] = {}  # the same of copies in memory
        self._copied: deque[tuple[FoundPhoto, Future[OpenPhoto]]] = deque()  # since the last turn
        self._gap = UnmountGap(UNMOUNT_EVERY_S, UNMOUNT_GAP_S)
        self._in_gap = False
        self.is_closed = False  # nothing may be opened now

    def __bool__(self) -> bool:
        return bool(self._local.heap) or any(queue.heap or queue.opening for queue in self._remote.values())

    def add(self, path: str, mtime_ns: int, strikes: int, *, is_found: bool) -> None:
        """Take in a photo. The order: the fewest strikes, then those that no query finds yet, then the newest."""
        found = FoundPhoto(strikes, is_found, -mtime_ns, path, self._roots.root_of(path) or "")
        heapq.heappush(self._queue(path).heap, found)

    def ahead_of(self, path: str) -> int | None:
        """Return how many photos of its file system are opened before a photo; None: it does not wait.

        Counting a long queue would hold up the thread; COUNTED photos take 3 ms. Of more this is the number of all, for any.
        """
        heap = self._queue(path).heap
        if len(heap) > COUNTED:
            return len(heap)
        mine = next((found for found in heap if found.path == path), None)
        return None if mine is None else sum(found < mine for found in heap)

    def close_if_due(self, state: str, *, is_busy: bool, is_throttled: bool) -> None:
        """Find out whether photos may be opened now.

        Args:
            state: the daemon's own folder, whose drive cannot go.
            is_busy: some photos are on their way.
            is_throttled: no photo may be sent to the worker now.
        """
        is_due = self._gap.is_closed(time.monotonic(), is_open=bool(self._open))
        self._in_gap = is_due and is_busy and self._roots.can_unmount(state)
        self.is_closed = is_throttled or self._in_gap

    def is_open(self, root: str) -> bool:
        """Return whether a photo of a root is open, so that its drive could not be unmounted."""
        return root in self._open.values() or any(
            queue.opening is not None and queue.opening.root == root for queue in self._remote.values()
        )

    def deadline(self) -> float | None:
        """Return when, on the monotonic clock, photos may be opened again; None: now, or when the open ones are closed."""
        return self._gap.deadline() if self._in_gap else None

    def advance(self, has_room: Callable[[], bool]) -> Iterator[OpenOutcome]:
        """Open what may be opened, while there is room for it, and yield what became of each photo that leaves the queue."""
        while self._copied:
            found, future = self._copied.popleft()
            yield self._outcome(found, future.result)
        while not self.is_closed and has_room() and (one := (yield from self._next(self._local))) is not None:
            yield self._outcome(one, partial(self._roots.file_system(one.path).open, one.path, self._limits))
        for remote, queue in list(self._remote.items()):
            if remote.is_stuck():
                continue
            # One at a time: they share the way to the same server.
            while not self.is_closed and not queue.opening and queue.bytes <= self._copies_bytes and has_room():
                if (one := (yield from self._next(queue))) is None:
                    break
                self._open_later(remote, queue, one)
            if not queue.heap and not queue.opening and not queue.bytes:
                del self._remote[remote]

    def rest(self, photo: OpenPhoto) -> None:
        """Close a photo until it is reopened; not a copy, which keeps no drive busy and costs too much to be made twice."""
        if not photo.is_copy:
            del self._open[photo.descriptor]
            photo.close()

    def release(self, photo: OpenPhoto) -> None:
        """Note that a photo that rests will not be reopened."""
        if photo.is_copy:
            self._copies.pop(photo.descriptor).bytes -= photo.stamp.size
            photo.close()

    def reopen(self, photo: OpenPhoto, root: str) -> OpenPhoto | None:
        """Return a photo that `rest` has closed, open; None if this version of it is gone, or may not be read."""
        if not self._roots.is_read(root):
            return None
        if photo.is_copy:
            return photo
        file_system = self._roots.file_system(photo.path)
        if isinstance(file_system, RemoteFileSystem):  # a share has been mounted there
            return None
        try:
            again = file_system.open(photo.path, OpenLimits(self._limits.limit_mb, None))
        except (Vanished, PhotoError):
            return None
        if again.stamp == photo.stamp:
            self._open[again.descriptor] = root
            return again
        again.close()
        return None

    def _queue(self, path: str) -> Queue:
        file_system = self._roots.file_system(path)
        return (
            self._remote.setdefault(file_system, Queue()) if isinstance(file_system, RemoteFileSystem) else self._local
        )

    def _next(self, queue: Queue) -> Generator[OpenOutcome, None, FoundPhoto | None]:
        """Return the photo that is to be opened next, None if there is none; yield those before it that may not be read."""
        while queue.heap:
            found = heapq.heappop(queue.heap)
            is_out = self._roots.exclusions.rule_of(found.path, is_folder=False) is not None
            if found.root and not is_out and self._roots.is_read(found.root) and self._queue(found.path) is queue:
                return found
            yield NotReadable(found.path)
        return None

    def _open_later(self, remote: RemoteFileSystem, queue: Queue, found: FoundPhoto) -> None:
        queue.opening = found
        remote.open_later(found.path, self._limits).add_done_callback(
            lambda future: self._inbox.post(partial(self._came, queue, found, future))
        )

    def _came(self, queue: Queue, found: FoundPhoto, future: "Future[OpenPhoto]") -> None:
        queue.opening = None
        if future.exception() is None:
            queue.bytes += future.result().stamp.size
            self._copies[future.result().descriptor] = queue
        self._copied.append((found, future))

    def _outcome(self, found: FoundPhoto, opened: Callable[[], OpenPhoto]) -> OpenOutcome:
        """Return what the opening of a photo, which gives it or raises, means."""
        try:
            photo = opened()
        except Vanished:
            return NothingThere(found.path)
        except StillOpen:
            return StillWritten(found.path)
        except NoAnswer:
            return Unanswered(found.path)
        except PhotoError as error:
            # Of a sick disk, or a folder that is not ours, the file itself will not tell when it can be read again.
            retry_s = int(time.time()) + SICK_S if error.__cause__ else None
            return self._refused(found.path, error.reason, retry_s)
        if not photo.is_copy:
            self._open[photo.descriptor] = found.root
        return Opened(photo, found.root)

    def _refused(self, path: str, reason: str, retry_s: int | None) -> OpenOutcome:
        """Return the refusal of the version that stands at a path now; it may have changed, or gone, since the scan."""
        try:
            _, stamp = self._roots.file_system(path).look(path)
        except NoAnswer:
            return NotReadable(path)
        except OSError:
            return NothingThere(path)
        return OpenRefused(path, stamp, reason, retry_s)
