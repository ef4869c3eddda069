"""The configured roots and what is known of each: which photo belongs to which, and whether its drive is there.

The ingest thread changes it; any thread reads it.
"""

import itertools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from pixkin.protocol.replies import Root, RootState
from pixkind.config import Config
from pixkind.errors import ConfigError
from pixkind.fs.identity import DriveIdentity, RootCheck, is_local, reports_all_changes, resolve_locally
from pixkind.fs.interface import FileSystem, NoAnswer
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.mounts import Mount, mount_of, read_mounts
from pixkind.fs.paths import lies_in
from pixkind.fs.remote import RemoteFileSystem
from pixkind.storage.environment import StoreFull

_log = logging.getLogger(__name__)

MountState = tuple[int, tuple[tuple[int, str], ...]]  # the root's own mount, and those above, on and below it


def resolve(folders: Sequence[str]) -> list[str]:
    """Return the roots that folders stand for: a root may be a link itself, and is shown as what it leads to.

    Raises:
        ConfigError: two of them are one, or one lies in another: each photo belongs to one root.
    """
    mounts = read_mounts()
    roots = [resolve_locally(folder, mounts)[0] for folder in folders]
    for (folder, root), (other, inner) in itertools.permutations(zip(folders, roots, strict=True), 2):
        if lies_in(inner, root):
            raise ConfigError(
                f"index.folders: {other} leads to {inner}, which {folder} leads to already"
                if inner == root
                else f"index.folders: {other} leads to {inner}, which lies in {root}, to which {folder} leads",
                "name only one of them",
            )
    return roots


class WatchedRoots:
    """All roots of this run."""

    def __init__(
        self,
        roots: Sequence[str],
        config: Config,
        *,
        load: Callable[[str], bytes | None],
        save: Callable[[str, bytes], None],
        holds: Callable[[str], bool],
    ) -> None:
        """Begin with every root unknown, which counts as offline.

        Args:
            roots: absolute paths, none inside another.
            config: says what is a photo.
            load: return the stored identity of a root.
            save: store it, durably.
            holds: whether the store has live photos of a root: then an empty folder is not believed.
        """
        self.paths = tuple(roots)
        self._load = load
        self._save = save
        self._holds = holds
        self._config = config
        self._local = LocalFileSystem(config, self.is_remote)
        self._remote: dict[
            tuple[int, str], RemoteFileSystem
        ] = {}  # by id and point of the mount, the deepest first; never changed
        self._lock = threading.Lock()  # held to replace it
        self._deaf: dict[str, tuple[str, ...]] = {}  # by root: the mounts at and below it whose changes are not told
        self._paused: dict[str, int] = {}  # with the number of the mount that was paused; 0: unknown
        self._accepted: dict[str, DriveIdentity | None] = {}  # None: whatever stands there at the next look
        self._point: dict[str, str] = {}  # where the drive of each root is mounted
        self._ground: dict[str, MountState] = {}
        self._root = {
            root: Root(root.encode("utf-8", "surrogateescape"), RootState.OFFLINE, "not looked at yet")
            for root in roots
        }

    def root_of(self, path: str) -> str | None:
        """Return the root that `path` is or lies in; None: in none."""
        return next((root for root in self.paths if lies_in(path, root)), None)

    def file_system(self, path: str) -> FileSystem:
        """Return through what a path in a root is to be touched."""
        for (_, point), remote in self._remote.items():
            if lies_in(path, point):
                return remote
        return self._local

    def find(self, path: str) -> tuple[str, FileSystem | None]:
        """Return any path without links, and through what it is to be touched; None: its file system does not answer."""
        real, mount = resolve_locally(path, read_mounts())
        if is_local(mount):
            return real, self._local
        with self._lock:
            remote = self._remote.get(key := (mount.id, mount.point)) or RemoteFileSystem(self._config)
            self._remote = _deepest_first(self._remote | {key: remote})
        try:
            return remote.resolve(real), remote
        except OSError:
            return real, None

    def is_online(self, root: str) -> bool:
        """Return whether the drive of a root was there when it was last checked."""
        return self._root[root].state not in (RootState.OFFLINE, RootState.SUSPECT)

    def is_read(self, root: str) -> bool:
        """Return whether a root may be scanned and its photos opened: it is online, and nobody has paused it."""
        return self.is_online(root) and root not in self._paused

    def check(self, root: str) -> bool:
        """Look at a root and return whether it is online; the first sight of it fixes its identity."""
        loaded = self._load(root)
        stored = msgspec.msgpack.decode(loaded, type=DriveIdentity) if loaded else None
        mounts = read_mounts()
        self._survey(root, mounts)
        # Without photos there is nothing to protect: the first start may have seen a mount point without its drive.
        holds = self._holds(root) and root not in self._accepted
        known = self._accepted.get(root, stored if holds else None)
        try:
            verdict, number = self.file_system(root).assess(root, known, holds=holds)
        except NoAnswer as error:
            verdict, number = RootCheck(RootState.SUSPECT, f"its file system {error.strerror}", None), 0
        around = tuple((mount.id, mount.point) for mount in mounts if _is_around(mount.point, root))
        self._ground[root] = (number, around)
        is_free = known is None or root in self._accepted
        if verdict.state is RootState.ONLINE and is_free and verdict.identity not in (None, stored):
            with suppress(StoreFull):  # the next look tries again
                self._save(root, msgspec.msgpack.encode(verdict.identity))
        self._judge(root, verdict)
        return self.is_online(root)

    def pause(self, root: str) -> None:
        """Have nothing in a root read, until `resume`, or until its drive was away and is back."""
        self._paused[root] = self._ground.get(root, (0, ()))[0]

    def resume(self, root: str) -> None:
        """Undo `pause`."""
        self._paused.pop(root, None)

    def accept(self, root: str) -> None:
        """Believe the drive that stands at a root, and whatever it holds, until it goes away; if it is not the known one."""
        if not self.check(root):
            self._accepted[root] = None

    def reports_changes(self, root: str) -> bool:
        """Return whether the kernel tells every change of a root: not of one on or with a network or FUSE file system."""
        return not self._deaf.get(root)

    def is_unwatchable(self, path: str) -> bool:
        """Return whether a path lies on a mount whose changes are not told: to watch it would be in vain, and could hang."""
        return any(lies_in(path, point) for points in self._deaf.values() for point in points)

    def is_remote(self, path: str) -> bool:
        """Return whether a path in a root lies on a mount that may hang."""
        return self.file_system(path) is not self._local

    def ground(self, root: str) -> MountState:
        """Return what was mounted above, on and below a root when last checked: if that changes, what stands there may."""
        return self._ground.get(root, (0, ()))

    def may_go(self, state: str) -> bool:
        """Return whether a root's drive could be unmounted: not the system's, nor the one that holds the folder `state`."""
        fixed = {"/", mount_of(os.path.realpath(state), read_mounts()).point}
        return any(self.is_online(root) and point not in fixed for root, point in self._point.items())

    def root(self, root: str, unwatched: str = "") -> Root:
        """Return what is known of one root, for people; `unwatched`: why it is not fully watched."""
        known = self._root[root]
        if known.state is not RootState.ONLINE:
            return known
        if root in self._paused:
            return Root(known.path, RootState.PAUSED, "by `pixkin pause`: what is new or has changed waits")
        if self._deaf.get(root):
            unwatched = unwatched or "changes on this file system are not told: it is scanned every few minutes"
        if unwatched:
            return Root(known.path, RootState.DEGRADED, unwatched)
        return known

    def close(self) -> None:
        """Let go of the file systems that may hang."""
        for remote in self._remote.values():
            remote.close()

    def _survey(self, root: str, mounts: Sequence[Mount]) -> None:
        """Note which mounts at and below a root may hang; forget those that are no longer there."""
        mount = mount_of(root, mounts)
        self._point[root] = mount.point
        at_or_below = [one for one in mounts if one is mount or lies_in(one.point, root)]
        self._deaf[root] = tuple(one.point for one in at_or_below if not reports_all_changes(one))
        hanging = {(one.id, one.point) for one in at_or_below if not is_local(one)}
        present = {(one.id, one.point) for one in mounts}
        with self._lock:
            gone = [remote for key, remote in self._remote.items() if key not in present]
            kept = {key: remote for key, remote in self._remote.items() if key in present}
            new = {key: RemoteFileSystem(self._config) for key in hanging - kept.keys()}
            self._remote = _deepest_first(kept | new)
        for remote in gone:
            remote.close()
        for _, point in new:
            _log.debug("%s may hang: a process touches it", point)

    def _judge(self, root: str, verdict: RootCheck) -> None:
        was = self._root[root]
        if (paused := self._paused.get(root)) is not None:
            number = self._ground[root][0]
            if verdict.is_missing or (number and paused and number != paused):
                del self._paused[root]  # its drive was away: a moment of silence, or an error, is no such thing
            elif number:
                self._paused[root] = number
        if verdict.state is not RootState.ONLINE:
            self._accepted.pop(root, None)
        elif root in self._accepted:
            self._accepted[root] = verdict.identity
        self._root[root] = Root(was.path, verdict.state, verdict.reason)
        if verdict.state is not was.state or verdict.reason != was.reason:
            how = _log.info if verdict.state is RootState.ONLINE else _log.warning
            how("root %s is %s%s", root, verdict.state, verdict.reason and f": {verdict.reason}; its photos are kept")


def _deepest_first(remote: dict[tuple[int, str], RemoteFileSystem]) -> dict[tuple[int, str], RemoteFileSystem]:
    return dict(sorted(remote.items(), key=lambda one: -len(one[0][1])))


def _is_around(point: str, root: str) -> bool:
    return lies_in(point, root) or lies_in(root, point)
