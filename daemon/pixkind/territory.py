"""The configured roots and what is known of each: which photo belongs to which, and whether its drive is there.

The ingest thread changes it; any thread reads it.
"""

import logging
import os
from collections.abc import Callable, Sequence

import msgspec

from pixkin.wire import Root, RootState
from pixkind.mounts import mount_of, read_mounts
from pixkind.roots import Identity, assess, local, unique_id

_log = logging.getLogger(__name__)

Ground = tuple[int, tuple[tuple[int, str], ...]]  # the root's own mount, and those above, on and below it


class Territory:
    """All roots of this run."""

    def __init__(
        self,
        roots: Sequence[str],
        *,
        load: Callable[[str], bytes | None],
        save: Callable[[str, bytes], None],
        holds: Callable[[str], bool],
    ) -> None:
        """Begin with every root unknown, which counts as offline.

        Args:
            roots: absolute paths, none inside another.
            load: return the stored identity of a root.
            save: store it, durably.
            holds: whether the store has live photos of a root: then an empty folder is not believed.
        """
        self.roots = tuple(roots)
        self._load = load
        self._save = save
        self._holds = holds
        self._remote: set[str] = set()
        self._point: dict[str, str] = {}  # where the drive of each root is mounted
        self._ground: dict[str, Ground] = {}
        self._root = {
            root: Root(root.encode("utf-8", "surrogateescape"), RootState.OFFLINE, "not looked at yet")
            for root in roots
        }

    def root_of(self, path: str) -> str | None:
        """Return the root that `path` is or lies in; None: in none."""
        return next((root for root in self.roots if path == root or path.startswith(root.rstrip("/") + "/")), None)

    def is_online(self, root: str) -> bool:
        """Return whether the drive of a root was there when it was last checked."""
        return self._root[root].state not in (RootState.OFFLINE, RootState.SUSPECT)

    def check(self, root: str) -> bool:
        """Look at a root and return whether it is online; the first sight of it fixes its identity."""
        stored = self._load(root)
        known = msgspec.msgpack.decode(stored, type=Identity) if stored else None
        mounts, holds = read_mounts(), self._holds(root)
        self._remote.discard(root)
        if not local(mount := mount_of(root, mounts)):
            self._remote.add(root)
            _log.debug("root %s is on %s", root, mount.fstype)
        self._point[root] = mount.point
        around = tuple((mount.id, mount.point) for mount in mounts if _is_around(mount.point, root))
        self._ground[root] = (unique_id(root), around)
        # Without photos there is nothing to protect: the first start may have seen a mount point without its drive.
        verdict = assess(root, known if holds else None, holds=holds, mounts=mounts)
        if verdict.state is RootState.ONLINE and verdict.identity not in (None, known) and not (holds and known):
            self._save(root, msgspec.msgpack.encode(verdict.identity))
        was = self._root[root]
        self._root[root] = Root(was.path, verdict.state, verdict.reason)
        if verdict.state is not was.state or verdict.reason != was.reason:
            told = _log.info if verdict.state is RootState.ONLINE else _log.warning
            told("root %s is %s%s", root, verdict.state, verdict.reason and f": {verdict.reason}; its photos are kept")
        return self.is_online(root)

    def is_remote(self, root: str) -> bool:
        """Return whether others may change a root without the kernel telling us: a network or FUSE file system."""
        return root in self._remote

    def ground(self, root: str) -> Ground:
        """Return what was mounted above, on and below a root when last checked: if that changes, what stands there may."""
        return self._ground.get(root, (0, ()))

    def may_go(self, state: str) -> bool:
        """Return whether a root's drive could be unmounted: not the system's, nor the one that holds the folder `state`."""
        fixed = {"/", mount_of(os.path.realpath(state), read_mounts()).point}
        return any(self.is_online(root) and point not in fixed for root, point in self._point.items())

    def root(self, root: str, unwatched: str = "") -> Root:
        """Return what is known of one root, for people; `unwatched`: why it is not fully watched."""
        known = self._root[root]
        if root in self._remote:
            unwatched = unwatched or "changes on this file system are not told: it is scanned every few minutes"
        if known.state is RootState.ONLINE and unwatched:
            return Root(known.path, RootState.DEGRADED, unwatched)
        return known


def _is_around(point: str, root: str) -> bool:
    point, root = (f"{path.rstrip('/')}/" for path in (point, root))
    return point.startswith(root) or root.startswith(point)
