"""Files that are pixkin's alone. Each says so in a comment, and a file that does not is never replaced or removed."""

import os
from contextlib import suppress
from typing import Final, NamedTuple

from pixkin.errors import Refused
from pixkin.replacing import replace

MARK: Final = "Written by `pixkin integrate`, which replaces and removes it."
_HEAD: Final = 1024  # bytes, in which the mark stands


class OwnedFile(NamedTuple):
    """A file, and what it is to hold."""

    path: str
    text: str
    mode: int = 0o644

    def is_there(self) -> bool:
        """Return whether a file of pixkin is there."""
        return self._is_ours() is True

    def install(self) -> str:
        """Write it, and return a sentence with its path.

        Raises:
            Refused: somebody else's file is there.
            OSError: it cannot be written.
        """
        if self._is_ours() is False:
            raise Refused(f"{self.path} exists, and pixkin did not write it", "rename or remove it")
        replace(self.path, self.text.encode(), self.mode)
        return f"wrote {self.path}"

    def remove(self) -> str:
        """Remove it, and return a sentence with its path; empty: no file of pixkin was there.

        Raises:
            OSError: it cannot be removed.
        """
        if not self.is_there():
            return ""
        os.unlink(self.path)
        return f"removed {self.path}"

    def _is_ours(self) -> bool | None:
        """Return whether the file that is there is pixkin's; None: there is none."""
        if not os.path.lexists(self.path):
            return None
        with suppress(OSError), open(self.path, "rb") as file:
            return MARK.encode() in file.read(_HEAD)
        return False
