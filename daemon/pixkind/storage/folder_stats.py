"""What the store knows of each folder as a whole, in a database of the store, kept exact by every commit.

So the number of photos of a root is one look-up, whichever folders the configuration makes roots; and so is the answer
to what a scan asks of a folder: has nothing changed?

| key | value |
| --- | --- |
| `keys.path_digest` of the folder's path | 8 bytes: uint64, photos here and below that can be found; 8 bytes: those that failed; 16 bytes: the fingerprint of the live photos directly here, an unsigned sum |

A folder without any has no entry. A photo at which one network failed can be found by what another has made of its
content: no photo fails that has a vector. Which photos can be found depends on the space, so all is of one space.
Used inside the store's transactions.

The fingerprint is the sum, modulo 2**128, of one BLAKE2b-128 a photo: of its path and stamp if it is settled, else of
its path alone. So it equals that of a listing only if all photos are settled, with exactly these stamps.
"""

import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import lmdb

from pixkind.fs.stamp import Stamp
from pixkind.storage.environment import Txn
from pixkind.storage.keys import path_digest
from pixkind.storage.record import Record

_FOLDER: Final = struct.Struct("<QQ16s")
_STAMP: Final = struct.Struct("<qQqQ")
_MASK: Final = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """What one transaction changes."""

    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)  # of photos in a folder; whether they failed
    marks: Counter[str] = field(default_factory=Counter)  # sums of marks, by folder

    def note(self, record: Record | None, by: int, *, has_vector: bool) -> None:
        """Note that a photo, as it is recorded, is there from now on (`by` 1), or no more (-1); of gone ones, nothing."""
        if record is None or not record.live:
            return
        folder = os.path.dirname(record.path)
        if record.failed or has_vector:
            self.counts[folder, not has_vector] += by
        is_settled = has_vector or (record.failed and not record.retry_s)
        self.marks[folder] += by * _mark(record.path, record.stamp if is_settled else None)


class FolderStats:
    """The folders in one open database."""

    def __init__(self, db: lmdb._Database) -> None:
        """Keep the database's handle."""
        self._db = db

    def count(self, txn: Txn, folder: str) -> tuple[int, int]:
        """Return how many photos in `folder` and below can be found, and how many failed."""
        found, failed, _ = self._read(txn, folder)
        return found, failed

    def fingerprint(self, txn: Txn, folder: str) -> int:
        """Return the fingerprint of the live photos directly in `folder`."""
        return self._read(txn, folder)[2]

    def apply(self, txn: Txn, changes: FolderChanges) -> None:
        """Write what has changed."""
        sums: Counter[tuple[str, bool]] = Counter()
        for (folder, has_failed), by in changes.counts.items():
            for above in _upwards(folder) if by else ():
                sums[above, has_failed] += by
        for folder in changes.marks.keys() | {folder for folder, _ in sums}:
            found, failed, fingerprint = self._read(txn, folder)
            found, failed = found + sums[folder, False], failed + sums[folder, True]
            fingerprint = (fingerprint + changes.marks[folder]) & _MASK
            if found or failed or fingerprint:
                value = _FOLDER.pack(found, failed, fingerprint.to_bytes(16, "little"))
                txn.put(path_digest(folder), value, db=self._db)
            else:
                txn.delete(path_digest(folder), db=self._db)

    def clear(self, txn: Txn) -> None:
        """Forget everything."""
        txn.drop(self._db, delete=False)

    def _read(self, txn: Txn, folder: str) -> tuple[int, int, int]:
        found, failed, fingerprint = _FOLDER.unpack(txn.get(path_digest(folder), bytes(_FOLDER.size), db=self._db))
        return found, failed, int.from_bytes(fingerprint, "little")


def fingerprint(photos: Iterable[tuple[str, Stamp]]) -> int:
    """Return the fingerprint of a folder in which exactly these photos stand, all of them settled."""
    return sum(_mark(path, stamp) for path, stamp in photos) & _MASK


def _mark(path: str, stamp: Stamp | None) -> int:
    data = os.fsencode(path)
    if stamp is not None:
        data += _STAMP.pack(stamp.mtime_ns, stamp.size, stamp.ctime_ns, stamp.inode)
    return int.from_bytes(blake2b(data, digest_size=16).digest(), "little")


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder, and all above it."""
    while folder != "/":
        yield folder
        folder = os.path.dirname(folder)
    yield folder
