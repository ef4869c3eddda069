"""A file system that mirrors a folder, read-only, and fails or hangs on command: a stand-in for a server that is away.

`switchable` mounts it. Run as a program it is the file system itself: it takes modes on standard input, one a line,
says each back when it is in force, and ends with its input.
"""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import pytest

Mode = Literal["ok", "anycase", "eio", "enoent", "estale", "hang"]  # anycase: as "ok", but names in any case are found


class Switch:
    """A mounted file system whose mode can be changed."""

    def __init__(self, source: Path, point: Path) -> None:
        self.source = source
        self.point = point
        self.process = subprocess.Popen(
            [sys.executable, __file__, source, point], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def mode(self, mode: Mode) -> None:
        """Have every call do this from now on; calls that hang go on with it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{mode}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"{mode}\n", "the file system has ended"

    def end(self) -> None:
        """End the process: calls that hang fail then, and nothing may be left mounted."""
        self.process.kill()
        self.process.communicate()
        while subprocess.run(["umount", "-l", self.point], capture_output=True, check=False).returncode == 0:
            pass


@contextmanager
def switchable(source: Path, point: Path) -> Iterator[Switch]:
    """Mount `source` at the folder `point`, in the mode "ok", and unmount it at the end, whoever hangs in it.

    It is `fuse.switch` in mountinfo. The kernel caches nothing of it, so a mode is seen at once.
    A call that hangs cannot be killed, as on a hard NFS mount; it ends with another mode, or with the context.
    """
    if os.getuid() or not os.path.exists("/dev/fuse"):
        pytest.skip("a file system of our own needs root and /dev/fuse")
    switch = Switch(source, point)
    try:
        switch.mode("ok")
        assert os.path.ismount(point)
        yield switch
    finally:
        switch.end()


class _Mirror:
    """What the file system does: fusepy calls the object itself with the name of each operation."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._mode: Mode = "ok"
        self._changed = threading.Condition()

    def __call__(self, operation: str, *arguments: object) -> object:
        with self._changed:
            self._changed.wait_for(lambda: self._mode != "hang")
            mode = self._mode
        if mode not in ("ok", "anycase") and operation not in ("init", "destroy"):
            raise OSError(getattr(errno, mode.upper()), mode)
        return getattr(self, operation)(*arguments)

    def switch(self, mode: Mode) -> None:
        with self._changed:
            self._mode = mode
            self._changed.notify_all()

    def init(self, _: str) -> None:
        """Tell that the mount is there."""
        threading.Thread(target=self._obey, daemon=True).start()

    def _obey(self) -> None:
        for line in sys.stdin:
            mode = line.strip()
            assert mode in get_args(Mode), mode
            self.switch(mode)  # type: ignore[arg-type]  # just checked
            print(mode, flush=True)  # noqa: T201 - the answer
        os._exit(0)

    def _at(self, path: str) -> str:
        """Return where a path is in the folder that is mirrored."""
        if self._mode != "anycase":
            return self._source + path
        at = self._source
        for name in path.split("/")[1:]:
            names = os.listdir(at) if os.path.isdir(at) else []
            at = os.path.join(at, next((one for one in names if one.lower() == name.lower()), name))
        return at

    def getattr(self, path: str, _: object = None) -> dict[str, object]:
        st = os.lstat(self._at(path))
        return {name: getattr(st, name) for name in dir(st) if name.startswith("st_")}

    def readdir(self, path: str, _: object) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags)

    def read(self, _: str, size: int, offset: int, descriptor: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def flush(self, *_: object) -> None:
        """A close waits for this."""

    def release(self, _: str, descriptor: int) -> None:
        os.close(descriptor)

    def statfs(self, path: str) -> dict[str, int]:
        st = os.statvfs(self._at(path))
        return {name: getattr(st, name) for name in dir(st) if name.startswith("f_")}


def _main(source: str, point: str) -> None:
    from fuse import FUSE

    FUSE(
        _Mirror(source),
        point,
        foreground=True,
        ro=True,
        fsname="switch",
        subtype="switch",
        use_ino=True,  # else libfuse makes new ones for what the kernel has forgotten: another file, as far as one can see
        direct_io=True,
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
