"""Reports where something may have changed: the adapter around watchdog.

watchdog's reader is the source of events (see `inotify_reader`). It calls `_RootWatches` instead of watchdog's own
`InotifyWatchGroup`, which in 7.1 hides what pixkind must know:

- It drops pending events at an overflow without a report.
- It ignores IN_UNMOUNT and the watch limit, and never asks for IN_MOVE_SELF.
- It delays renames for half a second to pair them. Here nothing is paired: both ends of a rename are dirty.

An event says where to look, never what happened. The kernel is not asked for these events:

- OPEN, ACCESS and CLOSE_NOWRITE, because our own reading must cause no events.
- MODIFY, because it comes with every write to every file, even videos and databases, and CLOSE_WRITE follows it.

The price is that some changes wait for the next scan: `truncate(path)` without an open, `utime` of the mtime alone, and
a mapping that stays open. ATTRIB is asked for (`touch`, `chmod`, a restored mtime), at one event each.

Threads: `follow` and `forget` run in the caller's thread, everything else in watchdog's. The listener is called without a
lock.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from watchdog.observers.inotify_c import CallbackId, InotifyEvent, Mask, WatchCallback, WatchDescriptor
from watchdog.observers.inotify_c import InotifyConstants as Flag

from pixkind.watching.inotify_reader import InotifyReader

_log = logging.getLogger(__name__)

_ASKED: Final = (
    Flag.IN_CREATE | Flag.IN_CLOSE_WRITE | Flag.IN_MOVED_FROM | Flag.IN_MOVED_TO | Flag.IN_DELETE | Flag.IN_ATTRIB
)
_FOLDER: Final = Mask(_ASKED | Flag.IN_ONLYDIR | Flag.IN_EXCL_UNLINK | Flag.IN_DONT_FOLLOW)
# Without IN_DONT_FOLLOW: the root may be a symbolic link.
_ROOT: Final = Mask(_ASKED | Flag.IN_ONLYDIR | Flag.IN_EXCL_UNLINK | Flag.IN_MOVE_SELF)
_APPEARS: Final = Flag.IN_CREATE | Flag.IN_MOVED_TO
# With these errors a folder is gone, is no folder any more, or is closed to us. The watch of its parent will report when
# that changes. Any other error (a limit, EIO) leaves something unwatched, which must be reported.
_BENIGN: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES})
_LIMITS: Final = {
    errno.ENOSPC: ("watch", "max_user_watches", 524_288),
    errno.EMFILE: ("instance", "max_user_instances", 1_024),
}


class ChangeListener(Protocol):
    """Receives the reports. watchdog's thread calls both methods; they must be cheap and thread-safe."""

    def dirty(self, path: str) -> None:
        """Have `path` scanned: a file, a folder with everything below it, or a path that is gone."""

    def rescan(self, root: str, why: str) -> None:
        """Have all of `root` scanned: events of it were lost, or it went away."""


class InotifyWatcher:
    """Watches the roots, and tells the listener where something may have changed."""

    def __init__(
        self,
        listener: ChangeListener,
        *,
        is_walked: Callable[[str], bool] = lambda _name: True,
        avoids: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        """Keep the listener.

        A folder is neither watched nor reported if `is_walked` is false for its name or `avoids` is true for its path.
        """
        self._listener = listener
        self._is_entered: Callable[[str], bool] = lambda path: is_walked(os.path.basename(path)) and not avoids(path)
        self._lock = threading.Lock()
        self._watches: dict[str, _RootWatches] = {}
        self._no_reader: dict[str, str] = {}  # roots without watches, since there is no reader, and why
        self._reader: InotifyReader | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Begin. If the system has no inotify instance left, continue without one; `unwatched` says so."""
        with self._lock:
            self._open()

    def stop(self) -> None:
        """End the thread and wait for it. The listener is not called afterwards, and later calls of `follow` do nothing."""
        with self._lock:
            self._is_stopped = True
        for root in list(self._watches):
            self.forget(root)
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()

    def failure(self) -> BaseException | None:
        """Return the error that ended the thread; None: it is alive."""
        return None if self._reader is None else self._reader.failure

    def beat(self) -> int | None:
        """Return a number that grows while the thread answers, and ask it to answer again; None: there is no thread."""
        return None if self._reader is None else self._reader.beat()

    @property
    def overflows(self) -> int:
        """How often the kernel's queue has overflowed since the start."""
        return 0 if self._reader is None else self._reader.overflows

    def follow(self, root: str) -> None:
        """Watch `root` and every folder below it from now on; `unwatched` shows what cannot be watched.

        Call it before scanning the root, so that no change is missed. Call it again whenever the root came back, mounts
        changed, or the root is in `unwatched`; existing watches stay. `root` is absolute, without a trailing slash.
        """
        with self._lock:
            if self._is_stopped:
                return
            if isinstance(reader := self._open(), str):
                if reader not in self._no_reader.values():
                    _log.warning("%s is not watched; changes wait for the next scan: %s", root, reader)
                self._no_reader[root] = reader
                return
            self._no_reader.pop(root, None)
            watches = self._watches.setdefault(root, _RootWatches(root, reader, self._listener, self._is_entered))
        watches.refresh()

    def forget(self, root: str) -> None:
        """Stop watching `root`."""
        with self._lock:
            self._no_reader.pop(root, None)
            watches = self._watches.pop(root, None)
        if watches is not None:
            watches.close()

    def unwatched(self) -> dict[str, str]:
        """Return the followed roots that are not fully watched, each with the reason."""
        with self._lock:
            return self._no_reader | {
                root: watches.unwatched for root, watches in self._watches.items() if watches.unwatched
            }

    def _open(self) -> "InotifyReader | str":
        """Return the reader, starting it if there is none, or the reason why there cannot be one."""
        if self._reader is None:
            try:
                self._reader = InotifyReader()
            except OSError as error:
                return _reason(error)
            self._reader.start()
        return self._reader


class _RootWatches(WatchCallback):
    """The watches of one root, each with its path.

    A folder is watched before it is listed, and its parent is watched before it. So a file that appears in between is either
    listed or causes an event in the parent. Late, double and outdated events do no harm.
    """

    def __init__(
        self, root: str, reader: InotifyReader, listener: ChangeListener, is_entered: Callable[[str], bool]
    ) -> None:
        self._root = root
        self._reader = reader
        self._listener = listener
        self._is_entered = is_entered
        self._id = CallbackId(id(self))
        self.unwatched = ""  # why the root is not fully watched
        self._is_closed = False
        self._lock = threading.Lock()  # taken before the reader's lock, never after
        self._paths: dict[WatchDescriptor, str] = {}
        self._watches: dict[str, WatchDescriptor] = {}  # the inverse
        self._round = 0
        self._seen: dict[WatchDescriptor, int] = {}  # the last round of `refresh` that found the folder

    def refresh(self) -> None:
        """Watch every folder of the root, and drop the watches of folders that are gone.

        Existing watches are kept. watchdog would remove and add them, but each removal queues an IN_IGNORED. With 16,384
        folders, recovering from an overflow would cause the next overflow, for ever.
        """
        with self._lock:
            self._round += 1
            now = self._round
        if not self._watch_tree(self._root):
            return
        with self._lock:
            self._remove([wd for wd, seen in self._seen.items() if seen < now])
            if self._root in self._watches:  # otherwise the root has gone away, and `unwatched` says so
                self.unwatched = ""

    def close(self) -> None:
        """Drop all watches and accept no new ones."""
        with self._lock:
            self._is_closed = True
            self._remove(list(self._paths))

    def on_event(self, event: InotifyEvent) -> None:
        """Adapt the watches, then tell the listener where to look."""
        with self._lock:
            folder = self._paths.get(event.wd)
        if folder is None:  # the watch was just dropped, because the folder is elsewhere now
            return
        if not event.name:
            self._on_self(event, folder)
            return
        name = os.fsdecode(event.name)
        path = os.path.join(folder, name)
        if event.mask & Flag.IN_ISDIR:
            if not self._is_entered(path):
                return
            if event.is_moved_from:
                self._unwatch_tree(path)
            elif event.mask & _APPEARS or (event.is_attrib and path not in self._watches):
                self._watch_tree(path)
        self._listener.dirty(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forget a watch that the kernel has removed together with its folder."""
        with self._lock:
            path = self._paths.get(wd)
        if path == self._root:
            self._lose_root(wd, "deleted")
        with self._lock:
            self._unlist(wd)

    def on_queue_overflow(self) -> None:
        """Bring the watches up to date, then have the whole root scanned."""
        self.refresh()
        self._listener.rescan(self._root, "overflow")

    def _on_self(self, event: InotifyEvent, folder: str) -> None:
        if folder != self._root:
            if event.mask & Flag.IN_UNMOUNT:  # another folder appears at this path now
                self._listener.dirty(folder)
        elif event.mask & Flag.IN_UNMOUNT:
            self._lose_root(event.wd, "unmounted")
        elif event.is_move_self:
            self._lose_root(event.wd, "renamed")
        elif event.is_attrib:
            self._listener.dirty(folder)

    def _lose_root(self, wd: WatchDescriptor, why: str) -> None:
        with self._lock:
            if self._watches.get(self._root) != wd:  # the root is followed again already
                return
            self._remove(list(self._paths))
            self.unwatched = why
        self._listener.rescan(self._root, why)

    def _watch_tree(self, top: str) -> bool:
        """Watch `top` and every folder below it; return whether all succeeded, and if not, say why in `unwatched`."""
        is_complete = True
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                self._add(folder)
                with os.scandir(folder) as entries:
                    folders += [e.path for e in entries if e.is_dir(follow_symlinks=False) and self._is_entered(e.path)]
            except OSError as error:
                if folder == self._root or error.errno not in _BENIGN:
                    is_complete = False
                    self._note_incomplete(error)
                if error.errno == errno.ENOSPC:  # every further folder would fail too
                    break
        return is_complete

    def _add(self, path: str) -> None:
        with self._lock:  # held during the system call, so that no removal comes between the call and the records
            if self._is_closed:
                raise FileNotFoundError(errno.ENOENT, "no longer followed")
            mask = _ROOT if path == self._root else _FOLDER
            wd = self._reader.add_callback(os.fsencode(path), mask, self, self._id)
            if (former := self._watches.get(path, wd)) != wd:  # another folder was here
                self._remove([former])
            self._unlist(wd)  # this folder was elsewhere
            self._paths[wd] = path
            self._watches[path] = wd
            self._seen[wd] = self._round

    def _unwatch_tree(self, top: str) -> None:
        with self._lock:
            self._remove([wd for path, wd in self._watches.items() if path == top or path.startswith(f"{top}/")])

    def _remove(self, wds: Sequence[WatchDescriptor]) -> None:
        for wd in wds:
            self._unlist(wd)
        self._reader.remove_callbacks([(wd, self._id) for wd in wds])

    def _unlist(self, wd: WatchDescriptor) -> None:
        path = self._paths.pop(wd, None)
        if path is not None:
            del self._watches[path]
            del self._seen[wd]

    def _note_incomplete(self, error: OSError) -> None:
        reason = _reason(error)
        if reason != self.unwatched and error.errno not in _BENIGN:
            _log.warning("%s is not fully watched; changes wait for the next scan: %s", self._root, reason)
        self.unwatched = reason


def _reason(error: OSError) -> str:
    if error.errno in _LIMITS and error.filename is None:
        what, limit, plenty = _LIMITS[error.errno]
        with open(f"/proc/sys/fs/inotify/{limit}", encoding="ascii") as file:
            return f"inotify {what} limit reached: sysctl fs.inotify.{limit}={max(plenty, 2 * int(file.read()))}"
    return "missing" if error.errno == errno.ENOENT else error.strerror or str(error)
