"""How the page names folders: not by paths, because no path is taken from a browser.

An id has a part for the root and one for each folder below it: eight letters of the hash of its name. The daemon's own
list of folders says which name that is, one level after the other. So an id needs no memory, and survives restarts.
"""

import base64
import hashlib
import os
from typing import Final

from pixkin.client import Client
from pixkin.web.problems import Problem

PATTERN: Final = r"^[a-z2-7]{8}(\.[a-z2-7]{8}){0,63}$"
_MOST_KNOWN: Final = 10_000  # paths that are remembered


def below(parent: str | None, path: bytes) -> str:
    """Return the id of a folder right below one; without a parent it is a root, whose whole path counts."""
    return f"{parent}.{_part(os.path.basename(path))}" if parent else _part(path)


class FolderPaths:
    """Finds the paths that ids name."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[str, bytes] = {}

    def path(self, client: Client, id_: str) -> bytes:
        """Return the path of a folder.

        Raises:
            Problem: 404: there is no such folder with photos.
            PixkinError: as the client does.
        """
        if (known := self._known.get(id_)) is not None:
            return known
        parent = id_.rpartition(".")[0] or None
        above = os.fsdecode(self.path(client, parent)) if parent else None
        found = {below(parent, folder.path): folder.path for folder in client.folders(above).folders}
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known |= found
        if id_ not in found:
            raise Problem(404, "there is no such folder with photos any more")
        return found[id_]


def _part(name: bytes) -> str:
    return base64.b32encode(hashlib.blake2b(name, digest_size=5).digest()).decode().lower()
