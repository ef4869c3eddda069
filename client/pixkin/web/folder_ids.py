"""How the page names folders: not by paths, because no path is taken from a browser.

An id has a part for the root and one for each folder below it: eight letters of the hash of its name. The daemon's own
list of folders says which name that is, one level after the other. So an id needs no memory, and survives restarts.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from typing import Final

from pixkin.client import Client
from pixkin.web.problems import Problem

PATTERN: Final = r"^[a-z2-7]{8}(\.[a-z2-7]{8}){0,63}$"
_MOST_KNOWN: Final = 10_000  # paths that are remembered


def encoded(chain: Sequence[bytes]) -> str:
    """Return the id of a folder: the path of its root, and the names of the folders down to it."""
    return ".".join(map(_part, chain))


def below(root: bytes, path: bytes) -> tuple[bytes, ...]:
    """Return the chain of a folder that lies in a root."""
    rest = os.path.relpath(path, root)
    return (root,) if rest == b"." else (root, *rest.split(b"/"))


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
        if id_ not in self._known:
            head, _, last = id_.rpartition(".")
            parent = self.path(client, head) if head else b""
            for folder in client.folders(os.fsdecode(parent) if parent else None).folders:
                self.keep(f"{head}.{_part(_name(folder.path, head))}" if head else _part(folder.path), folder.path)
            if id_ not in self._known:
                raise Problem(404, "there is no such folder with photos any more", part=last)
        return self._known[id_]

    def keep(self, id_: str, path: bytes) -> None:
        """Remember the path of an id."""
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[id_] = path


def _name(path: bytes, head: str) -> bytes:
    return os.path.basename(path) if head else path


def _part(name: bytes) -> str:
    return base64.b32encode(hashlib.blake2b(name, digest_size=5).digest()).decode().lower()
