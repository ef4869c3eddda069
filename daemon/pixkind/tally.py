"""How many live photos lie in each folder and below, in a database of the store, kept exact by every commit.

So the number of photos of a root is one look-up, whichever folders the configuration makes roots.

| key | value |
| --- | --- |
| photo.prefix of the folder's path | uint64: photos that can be found; uint64: photos that failed |

A folder without either has no entry. Which photos can be found depends on the space, so these are the counts of one
space; `meta` says of which. Used inside the store's transactions.
"""

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import lmdb

from pixkind.environment import Txn
from pixkind.photo import prefix

_COUNTS: Final = struct.Struct("<QQ")

Change = tuple[str, bool]  # (folder of a photo, whether it failed)


class Tally:
    """The counts in one open database."""

    def __init__(self, db: lmdb._Database) -> None:
        """Keep the database's handle."""
        self._db = db

    def count(self, txn: Txn, folder: str) -> tuple[int, int]:
        """Return how many photos in `folder` and below can be found, and how many failed."""
        found, failed = _COUNTS.unpack(txn.get(prefix(folder), bytes(_COUNTS.size), db=self._db))
        return found, failed

    def add(self, txn: Txn, changes: Mapping[Change, int]) -> None:
        """Count so many photos more, or fewer, that lie directly in these folders."""
        sums: Counter[Change] = Counter()
        for (folder, has_failed), count in changes.items():
            for above in _upwards(folder) if count else ():
                sums[above, has_failed] += count
        for folder in {folder for folder, _ in sums}:
            found, failed = self.count(txn, folder)
            counts = found + sums[folder, False], failed + sums[folder, True]
            if any(counts):
                txn.put(prefix(folder), _COUNTS.pack(*counts), db=self._db)
            else:
                txn.delete(prefix(folder), db=self._db)

    def renew(self, txn: Txn, changes: Mapping[Change, int]) -> None:
        """Begin anew: so many photos lie directly in these folders, and none elsewhere."""
        txn.drop(self._db, delete=False)
        self.add(txn, changes)


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder, and all above it."""
    while folder != "/":
        yield folder
        folder = os.path.dirname(folder)
    yield folder
