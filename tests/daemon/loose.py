"""A file system that finds a name under other spellings, as exFAT does."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pixkind.config import Config
from pixkind.fs.interface import OpenLimits
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.stamp import Stamp


class Loose(LocalFileSystem):
    """Takes all names for one that `fold` makes the same; counts the listings. Like exFAT, it keeps the ctime when a file is renamed."""

    def __init__(self, root: Path, fold: Callable[[str], str] = str.casefold) -> None:
        super().__init__(Config().rules, roots=(str(root),))
        self._root, self._fold = str(root), fold
        self._ctimes = dict[int, int]()  # by inode: the first one that was seen
        self.listed = Counter[str]()

    def _real(self, path: str) -> str:
        real = self._root
        for name in path[len(self._root) :].split("/")[1:]:
            names = os.listdir(real) if os.path.isdir(real) else []
            real += "/" + next((one for one in names if self._fold(one) == self._fold(name)), name)
        return real

    def look(self, path: str) -> tuple[int, Stamp]:
        """See `interface.FileSystem`."""
        mode, stamp = super().look(self._real(path))
        return mode, replace(stamp, ctime_ns=self._ctimes.setdefault(stamp.inode, stamp.ctime_ns))

    def open(self, path: str, limits: OpenLimits) -> OpenPhoto:
        """See `interface.FileSystem`."""
        photo = super().open(self._real(path), limits)
        ctime_ns = self._ctimes.setdefault(photo.stamp.inode, photo.stamp.ctime_ns)
        return replace(photo, path=path, stamp=replace(photo.stamp, ctime_ns=ctime_ns))

    def names(self, folder: str) -> set[str]:
        """See `interface.FileSystem`."""
        self.listed[folder] += 1
        return super().names(self._real(folder))
