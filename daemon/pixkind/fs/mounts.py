"""Reads from the kernel what is mounted where, and watches for changes in a thread.

The module knows no roots or photos. It reads only /proc/self/mountinfo and touches no path on any mounted file system,
so it cannot hang on a server that does not answer.
"""

import functools
import os
import re
import select
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pixkind.fs.paths import lies_in

_MOUNTINFO: Final = "/proc/self/mountinfo"
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
    with open(_MOUNTINFO, "rb") as file:
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


class MountWatch:
    """Calls back when something was mounted, unmounted or moved.

    inotify reports neither a mount over a watched folder nor an `umount -l` while a file is open.
    The thread sleeps until the kernel, `beat` or `stop` wakes it; there is no timer.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """Keep the callback. The thread calls `changed`, which must be quick."""
        self._changed = changed
        self._thread = threading.Thread(target=self._run, name="mounts", daemon=True)
        self._failure: BaseException | None = None
        self._beats = 0
        self._stopping = False

    def start(self) -> None:
        """Begin to report every change; several changes at once may cause one call."""
        self._mountinfo = os.open(_MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        self._nudge = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. Call it once, after `start`."""
        self._stopping = True
        os.eventfd_write(self._nudge, 1)
        self._thread.join()
        os.close(self._mountinfo)
        os.close(self._nudge)

    def failure(self) -> BaseException | None:
        """Return the error that ended the thread; None: it is alive."""
        return self._failure

    def beat(self) -> int:
        """Return how often the thread has answered, and ask it to answer again."""
        os.eventfd_write(self._nudge, 1)
        return self._beats

    def _run(self) -> None:
        try:
            self._wait()
        except BaseException as error:  # noqa: BLE001 - the thread's outermost frame; `failure` returns it
            self._failure = error

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._mountinfo, select.POLLPRI)  # mountinfo is always readable: POLLIN would never sleep
        poll.register(self._nudge, select.POLLIN)
        while not self._stopping:
            woken = {descriptor for descriptor, _ in poll.poll()}
            if self._nudge in woken:
                os.eventfd_read(self._nudge)
                self._beats += 1
            if self._mountinfo in woken:
                self._changed()


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
