"""Knows the configured roots: which root a photo belongs to, and whether the drive of a root is there.

The ingest thread changes the state; any thread reads it.
"""

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from pixkin.mounts import Mount, lies_in, mount_of, read_mounts
from pixkin.protocol.replies import Root, RootState
from pixkind.errors import ConfigError
from pixkind.fs.aliases import differs_only_in_case, same_files, second_names
from pixkind.fs.exclusions import Exclusions, looked_at
from pixkind.fs.identity import DriveIdentity, RootCheck, is_local, reports_all_changes, resolve_locally
from pixkind.fs.interface import FileSystem, NoAnswer
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.remote import RemoteFileSystem
from pixkind.fs.rules import PhotoRules

_log = logging.getLogger(__name__)

_SECOND_NAME: Final = "not indexed: a mount shows this folder under two names, and the other one is indexed"
NEVER_SEEN: Final = "missing, and pixkin has never seen it"

# The number of a root's mount, and the id and point of each mount above, on and below the root.
MountState = tuple[int, tuple[tuple[int, str], ...]]


def resolve(folders: Sequence[str]) -> list[str]:
    """Return the folders with symbolic links resolved; these are the roots, and are shown so.

    Raises:
        ConfigError: two of them are the same, or one lies in another, by name or by what is mounted now; each photo must
            belong to one root.
    """
    mounts = read_mounts()
    roots = [resolve_locally(folder, mounts)[0] for folder in folders]
    for (folder, root), (other, inner) in itertools.permutations(zip(folders, roots, strict=True), 2):
        if lies_in(inner, root):
            raise ConfigError(
                f"index.folders: {folder} and {other} are the same folder, {inner}"
                if inner == root
                else f"index.folders: {other} ({inner}) lies in {folder} ({root})",
                "name only one of them",
            )
    for one, other in same_files(roots, mounts):
        names = dict(zip(roots, folders, strict=True))
        raise ConfigError(
            f"index.folders: {names[one]} and {names[other]} show the same files; see `findmnt`",
            "name only one of them",
        )
    return roots


def missing(roots: Sequence[str]) -> list[str]:
    """Return the roots that do not exist now; one on a file system that may hang is not looked for."""
    mounts = read_mounts()
    return [root for root in roots if is_local(mount_of(root, mounts)) and not os.path.lexists(root)]


class WatchedRoots:
    """All roots of this run, and their state."""

    def __init__(
        self,
        roots: Sequence[str],
        rules: PhotoRules,
        *,
        load: Callable[[str], bytes | None],
        save: Callable[[str, bytes], None],
        has_photos: Callable[[str], bool],
        exclude: Sequence[str] = (),
    ) -> None:
        """Begin with every root unchecked, which counts as offline.

        Args:
            roots: absolute paths, none inside another.
            rules: tell photos from other files.
            load: returns the stored identity of a root.
            save: stores the identity durably. If it cannot now, it raises nothing, and the next check tries again.
            has_photos: returns whether the store has live photos of a root; then an empty folder counts as offline.
            exclude: patterns of what is left out; see `exclusions`.
        """
        self.paths = tuple(roots)
        self.exclusions = Exclusions(self.paths, exclude)
        self._load = load
        self._save = save
        self._has_photos = has_photos
        self._rules = rules
        self._local = LocalFileSystem(rules, self.is_remote, roots=self.paths)
        # By id and point of the mount, the deepest first; replaced, never modified.
        self._remote: dict[tuple[int, str], RemoteFileSystem] = {}
        self._lock = threading.Lock()  # for replacing `_remote`
        self._unreported: dict[str, tuple[str, ...]] = {}  # by root: its mounts that do not report changes
        self._paused: dict[str, int] = {}  # by root: the number of the paused mount; 0: unknown
        self._accepted: dict[str, DriveIdentity | None] = {}  # by root; None: accept any drive at the next check
        self._empty: set[str] = set()  # the accepted roots that may have no photo
        self._point: dict[str, str] = {}  # by root: where its drive is mounted
        self._mounts: Sequence[Mount] = ()  # of the last check
        self._same_files: set[tuple[str, str]] = set()  # pairs of roots, told by the mount table; the earlier is first
        self._second_names: dict[str, str] = {}  # by mount point below the roots: the folder that shows its files too
        self._mount_state: dict[str, MountState] = {}
        self._root = {
            root: Root(root.encode("utf-8", "surrogateescape"), RootState.OFFLINE, "not checked yet") for root in roots
        }

    def root_of(self, path: str) -> str | None:
        """Return the root that `path` is or lies in; None: it lies in no root."""
        return next((root for root in self.paths if lies_in(path, root)), None)

    def file_system(self, path: str) -> FileSystem:
        """Return the file system through which a path in a root must be touched."""
        for (_, point), remote in self._remote.items():
            if lies_in(path, point):
                return remote
        return self._local

    def find(self, path: str) -> tuple[str, FileSystem | None]:
        """Return any path without links, and the file system to touch it through; None: that one does not answer."""
        real, mount = resolve_locally(path, read_mounts())
        if is_local(mount):
            return real, self._local
        with self._lock:
            remote = self._remote.get(key := (mount.id, mount.point)) or RemoteFileSystem(self._rules, self.paths)
            self._remote = _deepest_first(self._remote | {key: remote})
        try:
            return remote.resolve(real), remote
        except OSError:
            return real, None

    def find_name(self, path: str) -> str:
        """Return a path whose folders are no links. The path itself may name a link, or nothing."""
        return os.path.join(self.find(os.path.dirname(path))[0], os.path.basename(path)).rstrip("/") or "/"

    def find_watched(self, path: str) -> str:
        """Return the same, and follow a last link only if the path lies in no root by its name: it may lead to one."""
        named = self.find_name(path)
        return named if self.root_of(named) is not None else self.find(path)[0]

    def is_online(self, root: str) -> bool:
        """Return whether the drive of a root was there at the last check."""
        return self._root[root].state not in (RootState.OFFLINE, RootState.SUSPECT)

    def is_offline(self, path: str) -> bool:
        """Return whether a path lies in a root whose drive was not there when it was last checked."""
        root = self.root_of(path)
        return root is not None and not self.is_online(root)

    def is_read(self, root: str) -> bool:
        """Return whether a root may be scanned and its photos opened: it is online and not paused."""
        return self.is_online(root) and root not in self._paused

    def check(self, root: str) -> bool:
        """Check a root and return whether it is online; the first successful check stores its identity."""
        loaded = self._load(root)
        stored = msgspec.msgpack.decode(loaded, type=DriveIdentity) if loaded else None
        mounts = read_mounts()
        self._note_mounts(root, mounts)
        # Without photos there is nothing to protect. The first start may have seen a mount point without its drive.
        has_photos = self._has_photos(root)
        known = self._accepted.get(root, stored if has_photos else None)
        has_photos = has_photos and root not in self._empty
        try:
            found, number = self.file_system(root).assess(root, known, has_photos=has_photos)
        except NoAnswer as error:
            found, number = RootCheck(RootState.SUSPECT, f"its file system {error.strerror}", None), 0
        if found.is_missing and stored is None and not has_photos:
            found = RootCheck(RootState.OFFLINE, NEVER_SEEN, None, is_missing=True)
        if found.state is RootState.ONLINE and (first := self._same_root(root, mounts)) is not None:
            found = RootCheck(RootState.OFFLINE, f"it shows the files of {first}, which is watched too", None)
        # A minus, so that a mount that becomes a second name, or is none any more, counts as another one.
        around = tuple(
            (-mount.id if self.is_second_name(mount.point) else mount.id, mount.point)
            for mount in mounts
            if _is_around(mount.point, root)
        )
        self._mount_state[root] = (number, around)
        is_free = known is None or root in self._accepted
        if found.state is RootState.ONLINE and is_free and found.identity not in (None, stored):
            self._save(root, msgspec.msgpack.encode(found.identity))
        elif found.state is RootState.ONLINE and known and found.identity and known.point != found.identity.point:
            # The drive is the known one. Only its mount point is new, or an older store had none.
            known = msgspec.structs.replace(known, point=found.identity.point)
            self._save(root, msgspec.msgpack.encode(known))
        self._note_check(root, found)
        return self.is_online(root)

    def is_second_name(self, path: str) -> bool:
        """Return whether a path lies on a mount that shows files of the roots once more; they are indexed once."""
        return any(lies_in(path, point) for point in self._second_names)

    def note(self, root: str) -> str:
        """Return what users should know of an online root; empty: nothing."""
        names = [
            f"{point} shows files of {first}" for point, first in self._second_names.items() if lies_in(point, root)
        ]
        return "; ".join(names) + "; they are indexed once" if names else ""

    def pause(self, root: str) -> None:
        """Stop reading a root until `resume`, or until its drive was away and is back."""
        self._paused[root] = self._mount_state.get(root, (0, ()))[0]

    def resume(self, root: str) -> None:
        """Undo `pause`."""
        self._paused.pop(root, None)

    def accept(self, root: str, *, even_empty: bool) -> None:
        """If another drive is at a root, accept it until it goes away; with `even_empty` also without any photo."""
        if not self.check(root):
            self._accepted[root] = None
            if even_empty:
                self._empty.add(root)

    def count_photos(self, root: str) -> Iterator[int]:
        """Yield how many photos are directly in each folder of a root; 1 for a root that cannot be listed, so is offline."""
        folders = [root]
        while folders:
            folder = folders.pop()
            try:
                listing = self.file_system(folder).list(folder)
            except OSError:
                yield int(folder == root)
                continue
            folders += (path for _, path in listing.folders)
            yield len(listing.photos)

    def reports_changes(self, root: str) -> bool:
        """Return whether the kernel reports every change of a root; not with a network or FUSE file system at or below it."""
        return not self._unreported.get(root)

    def left_out(self, path: str, root: str) -> str:
        """Return why a scan of a root does not come to a path, for people; empty: it does."""
        at = looked_at(path)
        if (rule := self.exclusions.configured_rule(os.path.dirname(at))) is not None:
            return f"left out by {rule}"
        if name := self._rules.stop(root, at):
            why = (
                "has a dot in front" if name.startswith(".") else "is a bin, a snapshot or another folder of the system"
            )
            return f"not indexed: {name} {why}"
        return "" if self.root_of(path) == root and not self.is_second_name(at) else _SECOND_NAME

    def is_avoided(self, folder: str) -> bool:
        """Return whether a folder is not watched: it must not be, or the configuration leaves it out.

        What folders themselves leave out is watched, because they may change their mind.
        """
        return self.is_unwatchable(folder) or self.exclusions.configured_rule(folder) is not None

    def is_unwatchable(self, path: str) -> bool:
        """Return whether a path must not be watched: it lies on a mount that does not report changes, or on a second name.

        Watching a mount that does not report changes would be useless, and could hang. A second name has the inodes of the
        first, and an inode has one watch.
        """
        return self.is_second_name(path) or any(
            lies_in(path, point) for points in self._unreported.values() for point in points
        )

    def is_remote(self, path: str) -> bool:
        """Return whether a path in a root lies on a mount that may hang."""
        return self.file_system(path) is not self._local

    def mount_state(self, root: str) -> MountState:
        """Return the mounts above, on and below a root at the last check; if they change, its contents may have changed."""
        return self._mount_state.get(root, (0, ()))

    def can_unmount(self, state: str) -> bool:
        """Return whether any root is on a drive that could be unmounted, so not the drive of `/` or of the folder `state`."""
        fixed = {"/", mount_of(os.path.realpath(state), read_mounts()).point}
        return any(self.is_online(root) and point not in fixed for root, point in self._point.items())

    def root(self, root: str, unwatched: str = "") -> Root:
        """Return the state of one root, for people; `unwatched`: why it is not fully watched."""
        known = self._root[root]
        if known.state is not RootState.ONLINE:
            return known
        if root in self._paused:
            return Root(known.path, RootState.PAUSED, "by `pixkin pause`; new and changed photos wait")
        if self._unreported.get(root):
            unwatched = unwatched or "this file system does not report changes; it is rescanned every few minutes"
        if unwatched:
            return Root(known.path, RootState.DEGRADED, unwatched)
        return known

    def close(self) -> None:
        """Close the file systems that may hang."""
        for remote in self._remote.values():
            remote.close()

    def _note_mounts(self, root: str, mounts: Sequence[Mount]) -> None:
        """Note which mounts at and below a root may hang, and close the remote file systems that are gone."""
        mount = mount_of(root, mounts)
        self._point[root] = mount.point
        at_or_below = [one for one in mounts if one is mount or lies_in(one.point, root)]
        if mounts is not self._mounts:  # read_mounts returns the same ones until something changes
            was, self._mounts, self._second_names = self._second_names, mounts, second_names(self.paths, mounts)
            self._same_files = set(same_files(self.paths, mounts))
            for point in self._second_names.keys() - was.keys():
                _log.warning("%s shows files of %s; they are indexed once", point, self._second_names[point])
        self._unreported[root] = tuple(one.point for one in at_or_below if not reports_all_changes(one))
        hanging = {(one.id, one.point) for one in at_or_below if not is_local(one)}
        present = {(one.id, one.point) for one in mounts}
        with self._lock:
            gone = [remote for key, remote in self._remote.items() if key not in present]
            kept = {key: remote for key, remote in self._remote.items() if key in present}
            new = {key: RemoteFileSystem(self._rules, self.paths) for key in hanging - kept.keys()}
            self._remote = _deepest_first(kept | new)
        for remote in gone:
            remote.close()
        for _, point in new:
            _log.debug("%s may hang; a helper process touches it", point)

    def _same_root(self, root: str, mounts: Sequence[Mount]) -> str | None:
        """Return an earlier root that shows the same files as an online one; None: there is none."""

        def names(folder: str) -> set[str]:
            if (mount := mount_of(folder, mounts)) is not mount_of(root, mounts) and not is_local(mount):
                return set()
            try:
                return self.file_system(folder).names(folder)
            except OSError:
                return set()

        earlier = self.paths[: self.paths.index(root)]
        return next(
            (one for one in earlier if (one, root) in self._same_files or differs_only_in_case(one, root, names)),
            None,
        )

    def _note_check(self, root: str, found: RootCheck) -> None:
        was = self._root[root]
        if (paused := self._paused.get(root)) is not None:
            number = self._mount_state[root][0]
            if found.is_missing or (number and paused and number != paused):
                del self._paused[root]  # its drive was away; a short silence or an error does not mean that
            elif number:
                self._paused[root] = number
        if found.state is not RootState.ONLINE:
            self._accepted.pop(root, None)
            self._empty.discard(root)
        elif root in self._accepted:
            self._accepted[root] = found.identity
        self._root[root] = Root(was.path, found.state, found.reason)
        if found.state is not was.state or found.reason != was.reason:
            how = _log.info if found.state is RootState.ONLINE else _log.warning
            kept = "its photos are kept" if self._load(root) is not None else "check how it is spelled"
            how("root %s is %s%s", root, found.state, found.reason and f": {found.reason}; {kept}")


def _deepest_first(remote: dict[tuple[int, str], RemoteFileSystem]) -> dict[tuple[int, str], RemoteFileSystem]:
    return dict(sorted(remote.items(), key=lambda one: -len(one[0][1])))


def _is_around(point: str, root: str) -> bool:
    return lies_in(point, root) or lies_in(root, point)
