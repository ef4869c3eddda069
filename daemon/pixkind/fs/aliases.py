"""Finds folders that show the same files under two names, so that no photo counts as its own copy.

Bind mounts, drives that are mounted twice and overlays are told by the mount table alone; no file is touched. The table
does not tell what a FUSE file system shows: the disks of a mergerfs pool, or the source of bindfs.
"""

import itertools
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pixkin.mounts import Mount, folder_in, lies_in, mount_of
from pixkin.two_files import SeenFile
from pixkind.fs.identity import is_local
from pixkind.fs.stamp import Stamp


class Place(NamedTuple):
    """Where the files of a folder are."""

    device: str  # of the mounted file system
    share: str  # the mount's source, if the kernel may give two shares of a server one device and one root
    folder: str  # in the file system


def same_files(paths: Sequence[str], mounts: Sequence[Mount]) -> list[tuple[str, str]]:
    """Return the pairs of folders that are the same, or one of which is a part of the other, by what is mounted.

    Args:
        paths: absolute, without links; in a pair the earlier one comes first.
        mounts: what is mounted now.
    """
    places = {path: [*_places(path, mounts)] for path in paths}
    return [(one, other) for one, other in itertools.combinations(paths, 2) if _overlap(places[one], places[other])]


def file_at(path: str, stamp: Stamp | None, mounts: Sequence[Mount], device: str = "") -> SeenFile:
    """Return a file to compare with others.

    Args:
        path: absolute, without links.
        stamp: of the file; None: it could not be looked at.
        mounts: what is mounted now.
        device: of the file itself, "major:minor"; empty: that of its mount.
    """
    mount = mount_of(path, mounts)
    times = (stamp.inode, stamp.mtime_ns, stamp.ctime_ns) if stamp is not None else ()
    return SeenFile(mount.fstype, mount.device, device or mount.device, *times)


def second_names(roots: Sequence[str], mounts: Sequence[Mount]) -> dict[str, str]:
    """Return the mount points below the roots that show files of a root or of another mount point there; by point: of which.

    Args:
        roots: absolute, none inside another.
        mounts: what is mounted now.
    """
    points = {mount.point for mount in mounts if mount.point not in roots}
    below = [point for point in points if any(lies_in(point, root) for root in roots)]
    firsts, found = {root: [*_places(root, mounts)] for root in roots}, dict[str, str]()
    for point in sorted(below, key=lambda point: (point.count("/"), point)):
        if any(lies_in(point, outer) for outer in found):
            continue  # it is not reached
        places = [*_places(point, mounts)]
        first = next((first for first, theirs in firsts.items() if _overlap(places, theirs)), None)
        if first is None:
            firsts[point] = places
        else:
            found[point] = first
    return found


def differs_only_in_case(one: str, other: str, names: Callable[[str], set[str]]) -> bool:
    """Return whether two folders, or a folder and a part of the other, are the same for a file system that ignores case.

    It ignores case, or how accents are encoded, if it lists only one of two names.

    Args:
        one: absolute.
        other: absolute; neither lies in the other.
        names: returns the names of all entries of a folder; the empty set: they are unknown.
    """
    ours, theirs = one.split("/"), other.split("/")
    pairs = [*zip(ours, theirs, strict=False)]
    if any(_folded(our) != _folded(their) for our, their in pairs):
        return False
    for depth, (our, their) in enumerate(pairs):
        listed = names("/".join(ours[:depth]) or "/") if our != their else set()
        if our != their and len(listed & {our, their}) != 1:
            return False
    return True


def _places(path: str, mounts: Sequence[Mount]) -> Iterator[Place]:
    mount = mount_of(path, mounts)
    folder = folder_in(mount, path)
    yield Place(mount.device, "" if is_local(mount) else mount.source, folder)
    # Without the overlay itself, because it may be mounted over one of its own layers.
    below = [one for one in mounts if one is not mount]
    for layer in mount.layers:
        path = os.path.normpath(layer.rstrip("/") + folder)
        # If it lies on none of them, the overlay is `/`, and its layers are not visible here.
        if any(lies_in(path, one.point) for one in below):
            yield from _places(path, below)


def _overlap(ours: Sequence[Place], theirs: Sequence[Place]) -> bool:
    """Return whether a folder is the same as another one, or as a part of it."""
    return any(
        our[:2] == their[:2] and (lies_in(our.folder, their.folder) or lies_in(their.folder, our.folder))
        for our in ours
        for their in theirs
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
