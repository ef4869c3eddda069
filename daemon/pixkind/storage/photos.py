"""What the store knows of photos: one record a path, which of them are live, and why some failed.

The databases are the store's, and are used inside its transactions. Values are packed as record.py says.

| name | key | value |
| --- | --- | --- |
| `photos` | keys.key, 24 bytes | record |
| `tree` | see folder_tree.py | empty; the live photos by folder |
| `failed` | keys.key | reason, UTF-8 |
| `stamps` | inode, uint64 big endian, and BLAKE2b-64 of mtime, size and ctime | content id of a photo with this stamp, live or gone |

A file at another path that has exactly the stamp of a photo is that photo: its folder was renamed, and the file need not
be read. Files of one folder mostly have neighbouring inodes, so a commit changes few pages of `stamps`.
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Final

import lmdb

from pixkind.encoder.messages import Details
from pixkind.fs.stamp import Stamp
from pixkind.storage.environment import Environment, Txn
from pixkind.storage.folder_tree import FolderTree
from pixkind.storage.keys import key, mtime_of, record_prefix
from pixkind.storage.record import Facts, Place, Record, outcome, pack_record, place_of, unpack_record

_REST: Final = struct.Struct("<qQq")
_COARSE_NS: Final = 10_000_000  # FAT and exFAT store no finer times, and number their inodes again at each mount


class PhotoTable:
    """The records of photos."""

    def __init__(self, env: Environment) -> None:
        """Open or create the databases."""
        self._env = env
        for name in ("photos", "failed", "stamps"):
            env.database(name)
        self.tree = FolderTree(env)

    def at(self, txn: Txn, at: bytes) -> Record:
        """Return the record under a key that another database names.

        Raises:
            lmdb.CorruptedError: there is none: the databases contradict each other.
        """
        value = txn.get(at, db=self._env["photos"])
        if value is None:
            raise lmdb.CorruptedError(f"no record under {at.hex()}, which another database names")
        return unpack_record(at, value)

    def of(self, txn: Txn, path: str) -> Record | None:
        """Return the record of a path, live or gone."""
        begin = record_prefix(path)
        with txn.cursor(db=self._env["photos"]) as cursor:
            if not cursor.set_range(begin) or not cursor.key().startswith(begin):
                return None
            record = unpack_record(cursor.key(), cursor.value())
        # 96 bits do not collide, but this must never answer with another photo.
        return record if record.path == path else None

    def places(self, txn: Txn, keys: Iterable[bytes], facts: Facts | None) -> list[Place]:
        """Return the place of each record under `keys`; `facts`: of their content."""
        values = ((at, txn.get(at, db=self._env["photos"])) for at in keys)
        return [place_of(at, value, facts) for at, value in values if value is not None]

    def details(self, txn: Txn, keys: Iterable[bytes], stamp: Stamp) -> Details | None:
        """Return the details in the first of the records under `keys` that has this stamp, and details."""
        records = (self.at(txn, at) for at in keys if mtime_of(at) == stamp.mtime_ns)
        return next((record.details for record in records if record.stamp == stamp and record.details), None)

    def all(self, txn: Txn) -> Iterator[Record]:
        """Yield every record, in no useful order."""
        with txn.cursor(db=self._env["photos"]) as cursor:
            for at, value in cursor:
                yield unpack_record(at, value)

    def is_settled(self, txn: Txn, photo: tuple[str, Stamp], has_vector: Callable[[bytes], bool], now_s: int) -> bool:
        """Return whether a photo has a live record with exactly this stamp, and a vector with details, or a failure that counts."""
        path, stamp = photo
        value = txn.get(key(path, stamp.mtime_ns), db=self._env["photos"])
        if value is None or (known := outcome(value, os.fsencode(path), stamp)) is None:
            return False
        content, failed, retry_s, is_detailed = known
        return (has_vector(content) and (is_detailed or failed)) or (failed and not 0 < retry_s <= now_s)

    def content_of(self, txn: Txn, stamp: Stamp) -> bytes | None:
        """Return the content of the photo that has, or had, this stamp at any path; None if that is not certain."""
        return txn.get(at, db=self._env["stamps"]) if (at := _place(stamp)) else None

    def put(self, txn: Txn, record: Record, reason: str | None = None) -> None:
        """Store the record of a path that has none. `reason`: why the photo failed, if it did."""
        txn.put(record.key, pack_record(record), db=self._env["photos"])
        if record.live:
            self.tree.add(txn, record.path)
        if reason is not None:
            txn.put(record.key, reason.encode("utf-8", "replace"), db=self._env["failed"])
        elif not record.failed and (at := _place(record.stamp)):
            txn.put(at, record.content, db=self._env["stamps"])

    def delete(self, txn: Txn, record: Record) -> None:
        """Delete a record."""
        txn.delete(record.key, db=self._env["photos"])
        txn.delete(record.key, db=self._env["failed"])
        if at := _place(record.stamp):
            txn.delete(at, db=self._env["stamps"])
        if record.live:
            self.tree.remove(txn, record.path)

    # Photos that failed.

    def failures(self, txn: Txn) -> Iterator[tuple[Record, str]]:
        """Yield the record of each live photo that failed, and the reason."""
        with txn.cursor(db=self._env["failed"]) as cursor:
            for at, reason in cursor:
                if (record := self.at(txn, at)).live:
                    yield record, reason.decode()

    def reason(self, txn: Txn, path: str) -> str:
        """Return why the photo at `path` failed; empty if it did not."""
        record = self.of(txn, path)
        return "" if record is None else txn.get(record.key, b"", db=self._env["failed"]).decode()

    def retry(self, txn: Txn) -> Iterator[tuple[Record, Record]]:
        """Mark every photo that failed, so that it is tried again; yield its record before and after."""
        with txn.cursor(db=self._env["failed"]) as cursor:
            keys = list(cursor.iternext(keys=True, values=False))
        for at in keys:
            before = self.at(txn, at)
            after = replace(before, retry_s=1)
            txn.put(at, pack_record(after), db=self._env["photos"])
            yield before, after


def _place(stamp: Stamp) -> bytes | None:
    """Return the key of a stamp in `stamps`; None if the file system's times are too coarse to prove anything."""
    if not stamp.ctime_ns % _COARSE_NS:
        return None
    rest = _REST.pack(stamp.mtime_ns, stamp.size, stamp.ctime_ns)
    return stamp.inode.to_bytes(8, "big") + blake2b(rest, digest_size=8).digest()
