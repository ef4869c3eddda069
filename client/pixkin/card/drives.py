"""Tells what is lost with a memory card: the folders that are asked about, and all of a drive that can be taken out."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pixkin.two_files import SeenFile

_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")  # space, tab, newline and backslash, as octal digits
_REMOVABLE: Final = re.compile(r"/(usb|mmc|firewire|fw)\d|/loop\d")  # in the path of a device in /sys
_DESKTOP: Final = (b"/media/", b"/run/media/")  # where desktops mount what is plugged in
_PLACES: Final = 32  # the protocol allows no more


class CardMount(NamedTuple):
    """One line of mountinfo."""

    device: str  # "major:minor"
    point: bytes
    fstype: str
    source: bytes


def read_mounts() -> list[CardMount]:
    """Return what is mounted now; a later mount comes later. Source: proc_pid_mountinfo(5)."""
    with open("/proc/self/mountinfo", "rb") as file:
        return [_mount(line) for line in file]


def mount_of(path: bytes, mounts: Sequence[CardMount]) -> CardMount:
    """Return the mount that a path without links lies in."""
    above = [mount for mount in mounts if lies_in(path, mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point))


def lies_in(path: bytes, folder: bytes) -> bool:
    """Return whether a path is a folder, or lies below it. Both are absolute."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def seen_file(path: bytes, st: os.stat_result, mounts: Sequence[CardMount]) -> SeenFile:
    """Return a file to compare with others, by its path without links."""
    mount = mount_of(path, mounts)
    device = f"{os.major(st.st_dev)}:{os.minor(st.st_dev)}"
    return SeenFile(mount.fstype, mount.device, device, st.st_ino, st.st_mtime_ns, st.st_ctime_ns)


class Lost:
    """The places that may be erased. `places` are absolute paths without links, at most 32."""

    def __init__(self, named: Iterable[str]) -> None:
        """Find the drives of the folders and files that were named."""
        mounts = read_mounts()
        places: set[bytes] = set()
        for name in named:
            place = os.path.realpath(os.fsencode(name))
            mount = mount_of(place, mounts)
            places.add(place)
            if _is_removable(mount):
                places.update(other.point for other in mounts if other.device == mount.device)
        while len(places) > _PLACES:
            places = {os.path.dirname(place) for place in places}
        self.places = sorted(places)
        self._inodes = {number for place in places if (number := _number(place)) is not None}

    def holds(self, path: str) -> bool:
        """Return whether a folder is one of the places or lies in one, under any name."""
        above = os.path.realpath(os.fsencode(path))
        while True:
            if above in self.places or _number(above) in self._inodes:
                return True
            if above == b"/":
                return False
            above = os.path.dirname(above)


def _is_removable(mount: CardMount) -> bool:
    """Return whether a drive looks like a memory card, a phone or a stick. A system drive never does."""
    if mount.point == b"/":
        return False
    try:
        number = os.stat(mount.source).st_rdev if mount.source.startswith(b"/dev/") else 0
    except OSError:
        number = 0
    device = f"{os.major(number)}:{os.minor(number)}" if number else mount.device
    return (
        mount.point.startswith(_DESKTOP)
        or _REMOVABLE.search(os.path.realpath(f"/sys/dev/block/{device}")) is not None
        or os.path.isdir(os.path.join(mount.point, b"DCIM"))
    )


def _number(path: bytes) -> tuple[int, int] | None:
    try:
        st = os.stat(path)
    except OSError:
        return None
    return st.st_dev, st.st_ino


def _mount(line: bytes) -> CardMount:
    fields = line.split()
    dash = fields.index(b"-", 6)
    return CardMount(fields[2].decode(), _text(fields[4]), fields[dash + 1].decode(), _text(fields[dash + 2]))


def _text(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field)
