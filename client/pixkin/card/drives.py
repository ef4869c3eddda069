"""Tells what is lost with a memory card: the folders that are asked about, and all of a drive that can be taken out."""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Final

from pixkin.mounts import Mount, mount_of, read_mounts
from pixkin.two_files import SeenFile

_REMOVABLE: Final = re.compile(r"/(usb|mmc|firewire|fw)\d|/loop\d")  # in the path of a device in /sys
_DESKTOP: Final = ("/media/", "/run/media/")  # where desktops mount what is plugged in
_PLACES: Final = 32  # the protocol allows no more


def seen_file(path: bytes, st: os.stat_result, mounts: Sequence[Mount]) -> SeenFile:
    """Return a file to compare with others, by its path without links."""
    mount = mount_of(os.fsdecode(path), mounts)
    device = f"{os.major(st.st_dev)}:{os.minor(st.st_dev)}"
    return SeenFile(mount.fstype, mount.device, device, st.st_ino, st.st_mtime_ns, st.st_ctime_ns)


class Lost:
    """The places that may be erased. `places` are absolute paths without links, at most 32."""

    def __init__(self, named: Iterable[str]) -> None:
        """Find the drives of the folders and files that were named."""
        mounts = read_mounts()
        places: set[str] = set()
        for name in named:
            place = os.path.realpath(name)
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
        above = os.path.realpath(path)
        while True:
            if above in self.places or _number(above) in self._inodes:
                return True
            if above == "/":
                return False
            above = os.path.dirname(above)


def _is_removable(mount: Mount) -> bool:
    """Return whether a drive looks like a memory card, a phone or a stick. A system drive never does."""
    if mount.point == "/":
        return False
    try:
        number = os.stat(mount.source).st_rdev if mount.source.startswith("/dev/") else 0
    except OSError:
        number = 0
    device = f"{os.major(number)}:{os.minor(number)}" if number else mount.device
    return (
        mount.point.startswith(_DESKTOP)
        or _REMOVABLE.search(os.path.realpath(f"/sys/dev/block/{device}")) is not None
        or os.path.isdir(os.path.join(mount.point, "DCIM"))
    )


def _number(path: str) -> tuple[int, int] | None:
    try:
        st = os.stat(path)
    except OSError:
        return None
    return st.st_dev, st.st_ino
