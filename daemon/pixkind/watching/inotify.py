"""Where something may have changed: the adapter around watchdog.

watchdog's reader (see `reader`) is the event source. `_RootWatches` is the
callback it calls, in place of watchdog's own `InotifyWatchGroup`, which in 7.1 hides what must surface here: it drops
pending events at an overflow and tells nobody, ignores IN_UNMOUNT and the watch limit, never asks for IN_MOVE_SELF,
and holds renames back for half a second to pair them. Here nothing is paired: both ends of a rename are dirty.

An event says where to look, never what happened. Not asked of the kernel: OPEN, ACCESS and CLOSE_NOWRITE, for our own
reading must cause no events; MODIFY, for it comes with every write to every file, videos and databases too, and
CLOSE_WRITE follows it. The price: `truncate(path)` without an open, `utime` of the mtime alone and a mapping that stays
open wait for the next scan. ATTRIB is asked (`touch`, `chmod`, a restored mtime): one event each.

Threads: `follow` and `forget` run in the caller's, everything else in watchdog's; the inbox is called with no lock held.
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

log = logging.getLogger(__name__)

_ASKED: Final = (
    Flag.IN_CREATE | Flag.IN_CLOSE_WRITE | Flag.IN_MOVED_FROM | Flag.IN_MOVED_TO | Flag.IN_DELETE | Flag.IN_ATTRIB
)
_FOLDER: Final = Mask(_ASKED | Flag.IN_ONLYDIR | Flag.IN_EXCL_UNLINK | Flag.IN_DONT_FOLLOW)
_ROOT: Final = Mask(_ASKED | Flag.IN_ONLYDIR | Flag.IN_EXCL_UNLINK | Flag.IN_MOVE_SELF)  # the root may be a symlink
_APPEARS: Final = Flag.IN_CREATE | Flag.IN_MOVED_TO
# A folder that cannot be entered for these is gone again, no folder any more, or closed to us: its parent's watch will
# tell when that changes. Anything else (a limit, EIO) leaves something unwatched, which must be said.
_BENIGN: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES})
_LIMITS: Final = {
    errno.ENOSPC: ("watch", "max_user_watches", 524_288),
    errno.EMFILE: ("instance", "max_user_instances", 1_024),
}


class ChangeListener(Protocol):
    """Who is told. Both are called from watchdog's thread; they must be cheap and thread-safe."""

    def dirty(self, path: str) -> None:
        """Look at `path`: a file, a folder with all below it, or nothing any more."""

    def rescan(self, root: str, why: str) -> None:
        """Look at all of `root`: events of it were lost, or it went away."""


class InotifyWatcher:
    """Tells the inbox where something may have changed below the roots."""

    def __init__(
        self,
        inbox: ChangeListener,
        *,
        is_walked: Callable[[str], bool] = lambda _name: True,
        avoids: Callable[[str], bool] = lambda _path: False,
    ) -> None:
        """Keep the inbox. Folders whose name is not `is_walked`, or whose path it `avoids`, cost no watches and no calls."""
        self._inbox = inbox
        self._enters: Callable[[str], bool] = lambda path: is_walked(os.path.basename(path)) and not avoids(path)
        self._lock = threading.Lock()
        self._trees: dict[str, _RootWatches] = {}
        self._blind: dict[str, str] = {}  # roots that have no tree, since there is no reader
        self._reader: InotifyReader | None = None
        self._is_stopped = False
        self._blind_beats = 0

    def start(self) -> None:
        """Begin. Without an inotify instance to be had it goes on, and `unwatched` says so."""
        with self._lock:
            self._open()

    def stop(self) -> None:
        """End, and wait for the thread; the inbox is not called after it. What is followed later is ignored."""
        with self._lock:
            self._is_stopped = True
        for root in list(self._trees):
            self.forget(root)
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()

    def failure(self) -> BaseException | None:
        """Return what the thread died of; None while it is well."""
        return None if self._reader is None else self._reader.failure

    def beat(self) -> int:
        """Return a number that grows while the thread answers, and ask it to answer once more."""
        if self._reader is not None:
            return self._blind_beats + self._reader.beat()
        self._blind_beats += 1  # not dead, only blind
        return self._blind_beats

    @property
    def overflows(self) -> int:
        """How often the kernel's queue overflowed since the start."""
        return 0 if self._reader is None else self._reader.overflows

    def follow(self, root: str) -> None:
        """Watch `root` and every folder below it, from now on; what cannot be watched shows in `unwatched`.

        Call it before scanning the root, so that nothing falls between, and again whenever the root came back, mounts
        changed, or it is in `unwatched`: watches that stand already stay. `root`: absolute, without a trailing slash.
        """
        with self._lock:
            if self._is_stopped:
                return
            if isinstance(reader := self._open(), str):
                if reader not in self._blind.values():
                    log.warning("%s is not watched, changes wait for the next scan: %s", root, reader)
                self._blind[root] = reader
                return
            self._blind.pop(root, None)
            tree = self._trees.setdefault(root, _RootWatches(root, reader, self._inbox, self._enters))
        tree.refresh()

    def forget(self, root: str) -> None:
        """Stop watching `root`."""
        with self._lock:
            self._blind.pop(root, None)
            tree = self._trees.pop(root, None)
        if tree is not None:
            tree.close()

    def unwatched(self) -> dict[str, str]:
        """Return the followed roots that are not fully watched, each with the reason."""
        with self._lock:
            return self._blind | {root: tree.unwatched for root, tree in self._trees.items() if tree.unwatched}

    def _open(self) -> "InotifyReader | str":
        """Return the reader, started now if there was none, or why there cannot be one."""
        if self._reader is None:
            try:
                self._reader = InotifyReader()
            except OSError as error:
                return _reason(error)
            self._reader.start()
        return self._reader


class _RootWatches(WatchCallback):
    """The watches of one root, each with its path.

    A folder is watched before it is listed, and its parent before it: whatever appears between is either listed or causes
    an event in the parent. Hence events that are late, doubled, or older than what stands there now do no harm.
    """

    def __init__(self, root: str, reader: InotifyReader, inbox: ChangeListener, enters: Callable[[str], bool]) -> None:
        self._root = root
        self._reader = reader
        self._inbox = inbox
        self._enters = enters
        self._id = CallbackId(id(self))
        self.unwatched = ""  # why not all of it is watched
        self._is_closed = False
        self._lock = threading.Lock()  # taken before the reader's, never after
        self._paths: dict[WatchDescriptor, str] = {}
        self._watches: dict[str, WatchDescriptor] = {}  # the inverse
        self._round = 0
        self._seen: dict[WatchDescriptor, int] = {}  # the last round of `refresh` that found it

    def refresh(self) -> None:
        """Watch every folder of the root, and drop the watches that no path leads to any more.

        Watches that stand are kept; watchdog removes and adds them. But each removal queues an IN_IGNORED: with 16,384
        folders the cure of an overflow would be the next overflow, for ever.
        """
        with self._lock:
            self._round += 1
            now = self._round
        if not self._grow(self._root):
            return
        with self._lock:
            self._remove([wd for wd, seen in self._seen.items() if seen < now])
            if self._root in self._watches:  # else it went away meanwhile, and `unwatched` says so
                self.unwatched = ""

    def close(self) -> None:
        """Drop all watches, for good."""
        with self._lock:
            self._is_closed = True
            self._remove(list(self._paths))

    def on_event(self, event: InotifyEvent) -> None:
        """Tell the inbox where to look, with the watches right before that."""
        with self._lock:
            folder = self._paths.get(event.wd)
        if folder is None:  # dropped a moment ago: the folder stands elsewhere now
            return
        if not event.name:
            self._on_self(event, folder)
            return
        name = os.fsdecode(event.name)
        path = os.path.join(folder, name)
        if event.mask & Flag.IN_ISDIR:
            if not self._enters(path):
                return
            if event.is_moved_from:
                self._drop(path)
            elif event.mask & _APPEARS or (event.is_attrib and path not in self._watches):
                self._grow(path)
        self._inbox.dirty(path)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forget a watch that the kernel has removed, since its folder is."""
        with self._lock:
            path = self._paths.get(wd)
        if path == self._root:
            self._lose(wd, "deleted")
        with self._lock:
            self._unlist(wd)

    def on_queue_overflow(self) -> None:
        """Make the watches right again, then have all of it looked at."""
        self.refresh()
        self._inbox.rescan(self._root, "overflow")

    def _on_self(self, event: InotifyEvent, folder: str) -> None:
        if folder != self._root:
            if event.mask & Flag.IN_UNMOUNT:  # something else shows at this path now
                self._inbox.dirty(folder)
        elif event.mask & Flag.IN_UNMOUNT:
            self._lose(event.wd, "unmounted")
        elif event.is_move_self:
            self._lose(event.wd, "renamed")
        elif event.is_attrib:
            self._inbox.dirty(folder)

    def _lose(self, wd: WatchDescriptor, why: str) -> None:
        with self._lock:
            if self._watches.get(self._root) != wd:  # followed again already
                return
            self._remove(list(self._paths))
            self.unwatched = why
        self._inbox.rescan(self._root, why)

    def _grow(self, top: str) -> bool:
        """Watch `top` and every folder below it. Return whether that is complete; `unwatched` says why it is not."""
        is_complete = True
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                self._add(folder)
                with os.scandir(folder) as entries:
                    folders += [e.path for e in entries if e.is_dir(follow_symlinks=False) and self._enters(e.path)]
            except OSError as error:
                if folder == self._root or error.errno not in _BENIGN:
                    is_complete = False
                    self._doubt(error)
                if error.errno == errno.ENOSPC:  # so it would be for each of the rest
                    break
        return is_complete

    def _add(self, path: str) -> None:
        with self._lock:  # held over the system call: no removal may come between it and the books
            if self._is_closed:
                raise FileNotFoundError(errno.ENOENT, "no longer followed")
            mask = _ROOT if path == self._root else _FOLDER
            wd = self._reader.add_callback(os.fsencode(path), mask, self, self._id)
            if (former := self._watches.get(path, wd)) != wd:  # another folder stood here
                self._remove([former])
            self._unlist(wd)  # this folder stood elsewhere
            self._paths[wd] = path
            self._watches[path] = wd
            self._seen[wd] = self._round

    def _drop(self, top: str) -> None:
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

    def _doubt(self, error: OSError) -> None:
        reason = _reason(error)
        if reason != self.unwatched and error.errno not in _BENIGN:
            log.warning("not all of %s is watched, changes wait for the next scan: %s", self._root, reason)
        self.unwatched = reason


def _reason(error: OSError) -> str:
    if error.errno in _LIMITS and error.filename is None:
        what, limit, plenty = _LIMITS[error.errno]
        with open(f"/proc/sys/fs/inotify/{limit}", encoding="ascii") as file:
            return f"inotify {what} limit reached: sysctl fs.inotify.{limit}={max(plenty, 2 * int(file.read()))}"
    return "missing" if error.errno == errno.ENOENT else error.strerror or str(error)
