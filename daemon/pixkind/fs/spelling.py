"""Tells whether a path is spelt as the folders on its way list it.

Some file systems take several spellings for one name: exFAT, vfat and SMB ignore case, others normalise Unicode. There a
photo that was renamed from `IMG.JPG` to `img.jpg` can still be looked at under its old name, and would seem to be its
own copy. The name that the file system returns for an open file is no proof, because FUSE returns the one that was asked
for. Only the listing of the folder is.
"""

import os
import unicodedata
from collections.abc import Callable
from typing import Final, Literal

from pixkind.fs.interface import ABSENT, FileSystem

_FORMS: Final[tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...]] = ("NFC", "NFD", "NFKC", "NFKD")


class Spelling:
    """Compares paths with listings.

    It lists a folder only if another spelling of a name is found there too, and at most once. So make a new one for each
    commit.
    """

    def __init__(self, file_system: Callable[[str], FileSystem]) -> None:
        """Begin with no listing. `file_system` returns the file system to touch a path through."""
        self.file_system = file_system
        self._names: dict[str, set[str]] = {}
        self._exact: set[str] = set()  # paths that were compared

    def is_exact(self, path: str, root: str) -> bool:
        """Return whether each folder from `root` to a path that was just looked at has an entry of exactly that name.

        Raises:
            OSError: a folder cannot be listed.
        """
        compared = list[str]()
        while path != root and path not in self._exact:
            folder, name = os.path.split(path)
            if not self._is_listed(folder, name):
                return False
            compared.append(path)
            path = folder
        self._exact.update(compared)
        return True

    def _is_listed(self, folder: str, name: str) -> bool:
        if folder not in self._names:
            if not any(self._is_there(os.path.join(folder, other)) for other in _other_spellings(name)):
                return True  # this file system tells spellings apart
            self._names[folder] = self.file_system(folder).names(folder)
        return name in self._names[folder]

    def _is_there(self, path: str) -> bool:
        try:
            self.file_system(path).look(path)
        except OSError as error:
            return error.errno not in ABSENT  # with any other error, the listing decides
        return True


def _other_spellings(name: str) -> set[str]:
    """Return other spellings of a name; where a file system takes any two names for one, it takes one of these too."""
    ascii_swapped = os.fsdecode(os.fsencode(name).swapcase())  # a file system may ignore the case of ASCII alone
    return {ascii_swapped, name.swapcase(), *(unicodedata.normalize(form, name) for form in _FORMS)} - {name}
