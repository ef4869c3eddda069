"""The live photos as a tree of folders: with it a scan finds photos that are gone, one folder at a time.

So a scan never needs all paths at once, of which there may be a million.

| bytes of a key | what |
| --- | --- |
| 0-15 | BLAKE2b-128 of the folder's path |
| 16 | `f` for a photo, `d` for a folder with live photos at or below it |
| 17- | its name; at most 255 bytes, so a key is always shorter than LMDB's limit of 511 |

Values are empty. The database is the store's, and is used inside its transactions.
"""

import os
from itertools import takewhile

from pixkind.storage.environment import Environment, Txn
from pixkind.storage.keys import path_digest


class FolderTree:
    """The tree of all live photos."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database."""
        self._env = env
        env.database("tree")

    def children(self, txn: Txn, folder: str) -> tuple[set[str], set[str]]:
        """Return the names directly below `folder` of live photos, and of folders with live photos under them."""
        names: dict[int, set[str]] = {ord("f"): set(), ord("d"): set()}
        with txn.cursor(db=self._env["tree"]) as cursor:
            start = path_digest(folder)
            found = cursor.set_range(start)
            while found and cursor.key().startswith(start):
                name = cursor.key()
                names[name[16]].add(os.fsdecode(name[17:]))
                found = cursor.next()
        return names[ord("f")], names[ord("d")]

    def folders(self, txn: Txn, folder: str) -> set[str]:
        """Return the names directly below `folder` of folders with live photos under them."""
        start = path_digest(folder) + b"d"
        with txn.cursor(db=self._env["tree"]) as cursor:
            found = cursor.iternext(values=False) if cursor.set_range(start) else iter(())
            return {os.fsdecode(name[17:]) for name in takewhile(lambda name: name.startswith(start), found)}

    def add(self, txn: Txn, path: str) -> None:
        """Add a live photo and the folders above it."""
        kind = b"f"
        while path != "/":
            folder, name = os.path.split(path)
            if not txn.put(path_digest(folder) + kind + os.fsencode(name), b"", overwrite=False, db=self._env["tree"]):
                return  # this folder was known, so all above it are
            path, kind = folder, b"d"

    def remove(self, txn: Txn, path: str) -> None:
        """Remove a photo that is no longer live, and the folders above it that have no other photo."""
        kind = b"f"
        while path != "/":
            folder, name = os.path.split(path)
            txn.delete(path_digest(folder) + kind + os.fsencode(name), db=self._env["tree"])
            with txn.cursor(db=self._env["tree"]) as cursor:
                if cursor.set_range(path_digest(folder)) and cursor.key().startswith(path_digest(folder)):
                    return  # other photos are left
            path, kind = folder, b"d"
