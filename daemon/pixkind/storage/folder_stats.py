"""Counts and a fingerprint for each folder, which every commit keeps exact.

The number of photos of a root is therefore one look-up, whichever folders the configuration names as roots. One look-up
also tells a scan whether anything in a folder has changed.

In a database of the store, inside its transactions. Its name, `tally/SPACE`, is older than the name of this class.

| key | value |
| --- | --- |
| `keys.path_digest` of the folder's path | 8 bytes: uint64, photos here and below that can be found; 8 bytes: those that failed; 16 bytes: the fingerprint of the live photos directly here, an unsigned sum |

A folder without photos has no entry. Which photos can be found depends on the space, so each space has such a database.
A photo with a vector never counts as failed, even if the network of another space failed at it.

The fingerprint is the sum, modulo 2**128, of one BLAKE2b-128 a photo. The hash covers the path and the stamp of a settled
photo, and the path alone of any other. A photo without details is not settled, unless it failed. So the fingerprint equals that of a listing only if all photos are settled, with
exactly the listed stamps.
"""

import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from pixkind.fs.stamp import Stamp
from pixkind.storage.environment import Environment, Txn
from pixkind.storage.keys import path_digest
from pixkind.storage.record import Record

_FOLDER: Final = struct.Struct("<QQ16s")
_STAMP: Final = struct.Struct("<qQqQ")
_MASK: Final = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """What one transaction changes in these statistics."""

    counts: Counter[tuple[str, bool]] = field(default_factory=Counter)  # by folder, and whether they failed: photos
    marks: Counter[str] = field(default_factory=Counter)  # by folder: the sum of hashes

    def note(self, record: Record | None, by: int, *, has_vector: bool) -> None:
        """Count a live photo in, as it is recorded (`by` 1), or out (-1). Gone photos do not count."""
        if record is None or not record.live:
            return
        folder = os.path.dirname(record.path)
        if record.failed or has_vector:
            self.counts[folder, not has_vector] += by
        is_detailed = record.failed or record.details is not None
        is_settled = is_detailed if has_vector else record.is_hopeless
        self.marks[folder] += by * _mark(record.path, record.stamp if is_settled else None)


class FolderStats:
    """The statistics of one open space."""

    def __init__(self, env: Environment, name: str) -> None:
        """Open or create the database with this name."""
        self._env = env
        self._name = name
        env.database(name)

    def count(self, txn: Txn, folder: str) -> tuple[int, int]:
        """Return how many photos in `folder` and below can be found, and how many failed."""
        found, failed, _ = self._read(txn, folder)
        return found, failed

    def fingerprint(self, txn: Txn, folder: str) -> int:
        """Return the fingerprint of the live photos directly in `folder`."""
        return self._read(txn, folder)[2]

    def apply(self, txn: Txn, changes: FolderChanges) -> None:
        """Write the changes of a transaction."""
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
                txn.put(path_digest(folder), value, db=self._env[self._name])
            else:
                txn.delete(path_digest(folder), db=self._env[self._name])

    def clear(self, txn: Txn) -> None:
        """Forget everything."""
        txn.drop(self._env[self._name], delete=False)

    def _read(self, txn: Txn, folder: str) -> tuple[int, int, int]:
        found, failed, fingerprint = _FOLDER.unpack(
            txn.get(path_digest(folder), bytes(_FOLDER.size), db=self._env[self._name])
        )
        return found, failed, int.from_bytes(fingerprint, "little")


def fingerprint(photos: Iterable[tuple[str, Stamp]]) -> int:
    """Return the fingerprint of a folder that has exactly these photos, all of them settled."""
    return sum(_mark(path, stamp) for path, stamp in photos) & _MASK


def _mark(path: str, stamp: Stamp | None) -> int:
    data = os.fsencode(path)
    if stamp is not None:
        data += _STAMP.pack(stamp.mtime_ns, stamp.size, stamp.ctime_ns, stamp.inode)
    return int.from_bytes(blake2b(data, digest_size=16).digest(), "little")


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder and all folders above it."""
    while folder != "/":
        yield folder
        folder = os.path.dirname(folder)
    yield folder
