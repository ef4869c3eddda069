"""Reads from the kernel what is mounted where. Client and daemon share it.

It reads only /proc/self/mountinfo and touches no path on any mounted file system, so it cannot hang on a server that does not
answer.
"""

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOUNTINFO: Final = "/proc/self/mountinfo"
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")  # space, tab, newline and backslash, as octal digits
_LAYERS: Final = re.compile(r"(?:^|,)(?:lowerdir\+?|datadir\+|upperdir)=((?:\\.|[^,\\])*)")
_COLON: Final = re.compile(r"(?<!\\):+")  # between the layers; two before one that holds data alone


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    id: int
    device: str  # "major:minor"; it changes with the next boot, so it identifies nothing
    root: str  # the folder of the file system that appears at `point`: "/", except for bind mounts and subvolumes
    point: str  # absolute
    fstype: str
    source: str  # "/dev/sdb1", "server:/export", or any word
    layers: tuple[str, ...] = ()  # of an overlay: the folders that it merges, as far as their paths are absolute
    is_read_only: bool = False  # the whole file system; one mount of it may be read-only although it is not


@functools.lru_cache(maxsize=1)  # every commit and query reads it, and it seldom changes
def parse(text: bytes) -> tuple[Mount, ...]:
    """Return the mounts of a mountinfo file, in the order of the file.

    Source: proc_pid_mountinfo(5).

    Args:
        text: lines of `id parent device root point options [optional…] - fstype source options`.
    """
    return tuple(_mount(line) for line in text.splitlines())


def read_mounts() -> tuple[Mount, ...]:
    """Return what is mounted now, as this process sees it."""
    with open(MOUNTINFO, "rb") as file:
        return parse(file.read())


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount:
    """Return the mount that `path` lies in.

    The deepest mount point wins; of several mounts on one point, the latest wins.
    The last line need not be it: systemd mounts `/` after `/proc` and moves it into place.

    Args:
        path: absolute, without symlinks.
        mounts: at least the mount of `/`.

    Raises:
        ValueError: the path is on none of them.
    """
    above = [mount for mount in mounts if lies_in(path, mount.point)]
    return max(reversed(above), key=lambda mount: len(mount.point))  # max keeps the first of equals: the latest


def folder_in(mount: Mount, path: str) -> str:
    """Return the folder of the file system that `path`, which lies in the mount, shows."""
    return os.path.normpath(os.path.join(mount.root, os.path.relpath(path, mount.point)))


def lies_in(path: str, folder: str) -> bool:
    """Return whether a path is `folder` or lies in it, by name alone; both are absolute."""
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _mount(line: bytes) -> Mount:
    fields = line.split(b" ")
    dash = fields.index(b"-", 6)
    id_, _, device, root, point = fields[:5]
    fstype, source, *options = fields[dash + 1 : dash + 4]
    of_all = b"".join(options)
    layers = _layers(_text(of_all)) if fstype == b"overlay" else ()
    is_read_only = of_all.split(b",", 1)[0] == b"ro"
    texts = (_text(root), _text(point), fstype.decode(), _text(source))
    return Mount(int(id_), device.decode(), *texts, layers, is_read_only)


def _layers(options: str) -> tuple[str, ...]:
    """Return the absolute paths of an overlay's layers; a backslash escapes a comma, a colon or itself."""
    found = _LAYERS.findall(options)
    paths = (path for text in found for path in _COLON.split(text))
    return tuple(re.sub(r"\\(.)", r"\1", path) for path in paths if path.startswith("/"))


def _text(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), field))
