"""Photos that were found and are not open yet: which is next, when it may be opened, and the opening.

Runs in the ingest thread. What lies on a file system that may hang is opened by a thread and comes as a copy in memory;
so few of these are open at once that they stay small.
"""

import functools
import heapq
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Protocol

from pixkind.config import Config
from pixkind.errors import PhotoError
from pixkind.fs.interface import NoAnswer, OpenLimits
from pixkind.fs.open_photo import OpenPhoto, StillOpen, Vanished
from pixkind.fs.remote import RemoteFileSystem
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.stamp import Stamp
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.task import Loop


@dataclass(slots=True)
class UnmountGap:
    """When to hold still for a moment, with every photo closed: only then can a drive be unmounted while it is indexed.

    `umount` fails while any file is open, and nothing tells us that somebody tries. Times are monotonic seconds.
    """

    every_s: float
    gap_s: float  # nothing is open for so long: whoever tries again and again meets it
    _due: float = 0.0
    _free_since: float | None = None

    def holds(self, now: float, *, is_open: bool) -> bool:
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


BREATH_S: Final = 5.0  # between two moments in which every photo is closed, so that a drive can be unmounted
GAP_S: Final = 0.3  # how long such a moment is
OPEN_S: Final = 30.0  # how often a file that somebody writes to is tried, should its close be missed
COPIES_MB: Final = 128  # of photos that are in memory at once, and one more
SICK_S: Final = 86400  # when a photo is tried again that cannot be read for a reason that does not lie in it


class Taker(Protocol):
    """Who takes what comes in. Called in the ingest thread."""

    def take(self, photo: OpenPhoto) -> None:
        """Go on with a photo that is open."""

    def lose(self, path: str) -> None:
        """Note that no photo stands at `path` any more."""

    def refuse(self, path: str, stamp: Stamp, reason: str, retry_s: int | None) -> None:
        """Note that a photo cannot be opened. `retry_s`: when to try again, epoch seconds; None: by its age."""

    def drop(self, path: str) -> None:
        """Note that a photo is not on its way any more."""


@dataclass(slots=True)
class Queue:
    """The photos of one file system, the next first."""

    heap: list[tuple[int, bool, int, str]] = field(default_factory=list)
    opening: str = ""  # the photo that is being copied
    bytes: int = 0  # of the copies that are in memory


class OpenQueue:
    """All photos that wait to be opened."""

    def __init__(self, config: Config, roots: WatchedRoots, inbox: Inbox, loop: Loop, taker: Taker) -> None:
        """Begin empty."""
        quiet_ns = int(2 * config.index.rest_s * 1e9)
        self._limits = OpenLimits(config.decode.limit_mb, quiet_ns)
        self._roots = roots
        self._inbox = inbox
        self._loop = loop
        self._taker = taker
        self._local = Queue()
        self._remote: dict[RemoteFileSystem, Queue] = {}
        self._open: dict[int, str] = {}  # descriptor -> root, of the photos themselves
        self._copies: dict[int, Queue] = {}  # the same of copies in memory
        self._breath = UnmountGap(BREATH_S, GAP_S)
        self._in_gap = False
        self.holds = False  # nothing may be opened now

    def __bool__(self) -> bool:
        return bool(self._local.heap) or any(queue.heap or queue.opening for queue in self._remote.values())

    def add(self, path: str, mtime_ns: int, strikes: int, *, is_found: bool) -> None:
        """Take in a photo: those with the fewest strikes go first, of these those that nobody finds yet, of these the newest."""
        heapq.heappush(self._queue(path).heap, (strikes, is_found, -mtime_ns, path))

    def breathe(self, state: str, *, is_busy: bool, held: bool) -> None:
        """Find out whether photos may be opened now.

        Args:
            state: the daemon's own folder, whose drive cannot go.
            is_busy: some photos are on their way.
            held: they are not wanted now.
        """
        holds = self._breath.holds(time.monotonic(), is_open=bool(self._open))
        self._in_gap = holds and is_busy and self._roots.may_go(state)
        self.holds = held or self._in_gap

    def is_open(self, root: str) -> bool:
        """Return whether a photo of a root is open, so that its drive could not be unmounted."""
        copied = {self._roots.root_of(queue.opening) for queue in self._remote.values() if queue.opening}
        return root in self._open.values() or root in copied

    def deadline(self) -> float | None:
        """Return when, on the monotonic clock, photos may be opened again; None: now, or when the open ones are closed."""
        return self._breath.deadline() if self._in_gap else None

    def advance(self, has_room: Callable[[], bool]) -> None:
        """Open what may be opened, while there is room for it."""
        while not self.holds and has_room() and (path := self._next(self._local)):
            self._opened(path, functools.partial(self._roots.file_system(path).open, path, self._limits))
        for remote, queue in list(self._remote.items()):
            if remote.is_stuck():
                continue
            # One at a time: they share the way to the same server.
            while not self.holds and not queue.opening and queue.bytes <= COPIES_MB << 20 and has_room():
                if not (path := self._next(queue)):
                    break
                self._open_later(remote, queue, path)
            if not queue.heap and not queue.opening and not queue.bytes:
                del self._remote[remote]

    def rest(self, photo: OpenPhoto) -> None:
        """Close a photo until it is reopened; not a copy, which holds no drive and costs too much to be made twice."""
        if not photo.is_copy:
            del self._open[photo.descriptor]
            photo.close()

    def release(self, photo: OpenPhoto) -> None:
        """Note that a photo that rests will not be reopened."""
        if photo.is_copy:
            self._copies.pop(photo.descriptor).bytes -= photo.stamp.size
            photo.close()

    def reopen(self, photo: OpenPhoto) -> OpenPhoto | None:
        """Return a photo that `rest` has closed, open; None if it is no longer there in the same version, or may not be read."""
        root = self._roots.root_of(photo.path)
        if root is None or not self._roots.is_read(root):
            return None
        if photo.is_copy:
            return photo
        file_system = self._roots.file_system(photo.path)
        if isinstance(file_system, RemoteFileSystem):  # a share was mounted there meanwhile
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

    def _next(self, queue: Queue) -> str:
        """Return the photo that is to be opened next, empty if there is none; put back those that may not be read."""
        while queue.heap:
            path = heapq.heappop(queue.heap)[3]
            root = self._roots.root_of(path)
            if root is not None and self._roots.is_read(root) and self._queue(path) is queue:
                return path
            self._put_back(path)
        return ""

    def _open_later(self, remote: RemoteFileSystem, queue: Queue, path: str) -> None:
        queue.opening = path
        remote.open_later(path, self._limits).add_done_callback(
            lambda future: self._inbox.post(functools.partial(self._came, queue, path, future))
        )

    def _came(self, queue: Queue, path: str, future: "Future[OpenPhoto]") -> None:
        queue.opening = ""
        if future.exception() is None:
            queue.bytes += future.result().stamp.size
            self._copies[future.result().descriptor] = queue
        self._opened(path, future.result)

    def _opened(self, path: str, opened: Callable[[], OpenPhoto]) -> None:
        """Go on with what the opening of a photo gives, or raises."""
        try:
            photo = opened()
        except Vanished:
            self._taker.drop(path)
            self._taker.lose(path)
        except StillOpen:
            self._taker.drop(path)
            self._loop.look_at(path, time.monotonic() + OPEN_S)
            self._loop.left_open(path)
        except NoAnswer:  # maybe it is this file alone: the root's next look tells
            self._put_back(path, OPEN_S)
            self._loop.recheck()
        except PhotoError as error:
            # Of a sick disk, or a folder that is not ours, the file itself will not tell when it can be read again.
            self._refuse(path, error.reason, int(time.time()) + SICK_S if error.__cause__ else None)
        else:
            if not photo.is_copy:
                self._open[photo.descriptor] = self._roots.root_of(path) or ""
            self._taker.take(photo)

    def _put_back(self, path: str, wait_s: float = 0.0) -> None:
        self._taker.drop(path)
        self._loop.look_at(path, time.monotonic() + wait_s)

    def _refuse(self, path: str, reason: str, retry_s: int | None) -> None:
        try:
            _, stamp = self._roots.file_system(path).look(path)
        except NoAnswer:
            self._put_back(path)
        except OSError:
            self._taker.drop(path)
            self._taker.lose(path)
        else:
            self._taker.refuse(path, stamp, reason, retry_s)
