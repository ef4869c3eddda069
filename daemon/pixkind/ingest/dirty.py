"""The paths that the ingest loop will look at, and how many photos wait there. Only the ingest thread changes them."""

import os
import stat
from collections.abc import Iterator

from pixkind.fs.exclusions import MARKERS
from pixkind.fs.interface import is_file
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.rules import PhotoRules
from pixkind.fs.stamp import Stamp
from pixkind.storage.store import Store
from pixkind.watching.pending import PendingPaths


class DirtyPaths:
    """Paths that changed, photos that failed and will be tried again, and what waits for the end of a pause."""

    def __init__(self, rules: PhotoRules, roots: WatchedRoots, rest_s: float) -> None:
        """Begin with none; `rest_s`: how long a path must be left alone."""
        self._rules = rules
        self._roots = roots
        self._pending = PendingPaths(rest_s, patience_s=max(60.0, 2 * rest_s))
        # Photos that failed and will be tried again. They do not count as pending.
        self._retries = PendingPaths(0.0, patience_s=0.0)
        self._paused: dict[str, set[str]] = {}  # by paused root: its photos that changed

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, path: str) -> bool:
        return path in self._pending

    @property
    def photos(self) -> int:
        """How many photos wait, those of paused roots included. Any thread may ask."""
        return self._pending.photos + sum(map(len, list(self._paused.values())))

    def add(self, path: str, now: float) -> None:
        """Keep a path that changed, unless it is a file that is no photo."""
        name = os.path.basename(path)
        if self._rules.is_photo(name) or name in MARKERS or not is_file(self._roots.file_system(path), path):
            self._pending.add(path, now, is_photo=self._is_photo(path))

    def due(self, path: str) -> float | None:
        """Return when a path, or a folder above it that changed as a whole, is looked at; None: none of them waits."""
        above = [path]
        while (folder := os.path.dirname(above[-1])) != above[-1]:
            above.append(folder)
        return min((due for one in above if (due := self._pending.due(one)) is not None), default=None)

    def look_at(self, path: str, due: float) -> None:
        """Keep the path of a photo until `due`."""
        self._pending.add_at(path, due)

    def try_again(self, path: str, due: float) -> None:
        """Keep the path of a photo that failed until `due`."""
        self._retries.add_at(path, due)

    def hold(self, path: str, root: str) -> None:
        """Count a path in a root that is not read, if that is paused and a photo is there. The scan after it finds it."""
        held = self._paused.setdefault(root, set()) if self._roots.is_online(root) else set[str]()
        (held.add if self._is_photo(path) else held.discard)(path)

    def take_due(self, now: float) -> list[str]:
        """Return the paths that are due, and forget them; forget also what was held in roots that are paused no more."""
        for root in [root for root in self._paused if self._roots.is_read(root) or not self._roots.is_online(root)]:
            del self._paused[root]
        return [*self._pending.take_due(now), *self._retries.take_due(now)]

    def deadlines(self) -> Iterator[float | None]:
        """Yield when the next paths are due."""
        yield self._pending.next_deadline()
        yield self._retries.next_deadline()

    def _is_photo(self, path: str) -> bool:
        """Return whether a photo is at a path. Nothing is opened, since the drive of a paused root may be about to go."""
        if not self._rules.is_photo(os.path.basename(path)):
            return False
        try:
            return self._roots.is_remote(path) or stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            return False


def other_names(store: Store, path: str, stamp: Stamp) -> list[str]:
    """Return the other paths of a photo that has changed: hard links, of which the kernel reports only the one in use."""
    was = store.record(path)
    if was is None or not was.live or was.failed or was.stamp.inode != stamp.inode:
        return []
    copies = store.photos_of(was.content)
    return [one.path for one in copies if one.path != path and one.stamp.inode == stamp.inode and one.stamp != stamp]
