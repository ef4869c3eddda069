"""The LMDB store: photos, contents, vectors, strikes. The only module that knows LMDB.

One process opens it, one thread (ingest) writes, any thread reads through short read transactions and copies what it
takes. Values are as in record.py. The databases:

| name | key | value |
| --- | --- | --- |
| `photos` | photo.key, 24 bytes | record |
| `tree` | see tree.py | empty; the live photos, so that a scan finds what is gone |
| `failed` | photo.key | reason, UTF-8 |
| `contents` | content id | facts |
| `holders` | content id, many values | photo.key of each live photo of this content |
| `ghosts` | content id, many values | photo.key of each gone photo of this content |
| `vectors/SPACE` | content id | vector |
| `strikes` | content id | uint32: how often it was in the worker when that died |
| `roots` | path | identity, MessagePack |
| `meta` | name | schema version, decoder |
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import lmdb

from pixkin.errors import PixkinError
from pixkind.batch import Batch, Delta, Failed, Found, Lost
from pixkind.photo import Stamp, key, prefix
from pixkind.record import UNKNOWN, Record, is_same, pack_facts, pack_record, pack_vector, unpack_record
from pixkind.tree import Tree, Txn

SCHEMA: Final = b"1"
_PLAIN: Final = ("photos", "tree", "failed", "contents", "strikes", "roots", "meta")
_COUNT: Final = struct.Struct("<I")
_BLOCK: Final = 2048  # vectors read in one transaction: 5 MB at 1,280 dimensions


class StoreFull(Exception):
    """Nothing can be written now: the disk or the map is full, or the disk is sick. What is stored can still be read."""


class Store:
    """The open store of one space."""

    def __init__(self, folder: str, space: str, *, map_gb: int) -> None:
        """Open or create it.

        Args:
            folder: where it is; created 0700 if missing.
            space: the name of the space whose vectors are read and written.
            map_gb: the most it can ever hold; only address space until it is used. Never changed while open:
                resizing under a reader ends the process with SIGBUS.

        Raises:
            PixkinError: it was written by a newer pixkin.
            lmdb.Error: it cannot be opened.
        """
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.folder = folder
        # readahead off: vectors are read here and there. sync on and no writemap: a power cut loses no acknowledged
        # commit, and a full disk is an error instead of a SIGBUS.
        self._env = lmdb.open(
            folder, map_size=map_gb << 30, max_dbs=32, mode=0o600, readahead=False, metasync=True, sync=True
        )
        self._db = {name: self._env.open_db(name.encode()) for name in _PLAIN}
        self._db |= {name: self._env.open_db(name.encode(), dupsort=True) for name in ("holders", "ghosts")}
        self._tree = Tree(self._db["tree"])
        self._vectors = self._env.open_db(f"vectors/{space}".encode())
        with self._env.begin(write=True, buffers=False) as txn:
            schema = txn.get(b"schema", SCHEMA, db=self._db["meta"])
            if schema != SCHEMA:
                what = f"{folder} has schema {schema.decode(errors='replace')}, this pixkind reads {SCHEMA.decode()}"
                raise PixkinError(what, "upgrade pixkin, or move that folder aside")
            txn.put(b"schema", SCHEMA, db=self._db["meta"])

    def close(self) -> None:
        """Close it. No transaction may be open."""
        self._env.close()

    @property
    def size(self) -> int:
        """What it takes on disk, in bytes."""
        return os.stat(os.path.join(self.folder, "data.mdb")).st_blocks * 512

    # What reconcile asks (scan.Known).

    def changed(self, photos: Iterable[tuple[str, Stamp]], now_s: int) -> list[tuple[str, Stamp]]:
        """Return those that have no settled record with exactly this stamp."""
        with self._env.begin(buffers=False) as txn:
            return [(path, stamp) for path, stamp in photos if not self._settled(txn, path, stamp, now_s)]

    def children(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names directly below `folder` of live photos, and of folders with live photos under them."""
        with self._env.begin(buffers=False) as txn:
            return self._tree.children(txn, folder)

    def is_live(self, path: str) -> bool:
        """Return whether a live photo is recorded at exactly `path`."""
        record = self.record(path)
        return record is not None and record.live

    # What ingest and answers ask.

    def record(self, path: str) -> Record | None:
        """Return the record of `path`, live or gone."""
        with self._env.begin(buffers=False) as txn:
            return self._record(txn, path)

    def records(self) -> Iterator[Record]:
        """Yield every record, in no useful order. For start-up and tests: it holds a read transaction meanwhile."""
        with self._env.begin(buffers=False) as txn, txn.cursor(db=self._db["photos"]) as cursor:
            for at, value in cursor:
                yield unpack_record(at, value)

    def counted(self) -> Iterator[Record]:
        """Yield the live photos that can be found in this space, and those that failed; otherwise like `records`."""
        return (
            record for record in self.records() if record.live and (record.failed or self.has_vector(record.content))
        )

    def failures(self, most: int, is_meant: Callable[[str], bool] = bool) -> list[tuple[Record, str]]:
        """Return at most `most` live photos that failed, with the reason; only those whose path `is_meant`."""
        found: list[tuple[Record, str]] = []
        with self._env.begin(buffers=False) as txn, txn.cursor(db=self._db["failed"]) as cursor:
            for at, reason in cursor:
                record = self._at(txn, at)
                if record.live and is_meant(record.path):
                    found.append((record, reason.decode()))
                if len(found) == most:
                    break
        return found

    def reason(self, path: str) -> str:
        """Return why the photo at `path` failed; empty if it did not."""
        with self._env.begin(buffers=False) as txn:
            record = self._record(txn, path)
            return "" if record is None else txn.get(record.key, b"", db=self._db["failed"]).decode()

    def photos_of(self, content: bytes) -> list[Record]:
        """Return the live photos of a content."""
        with self._env.begin(buffers=False) as txn, txn.cursor(db=self._db["holders"]) as cursor:
            if not cursor.set_key(content):
                return []
            return [self._at(txn, at) for at in cursor.iternext_dup()]

    def contents_under(self, folder: str, most: int) -> list[bytes] | None:
        """Return the contents of the live photos in `folder` and below, sorted; None if there are more than `most` photos."""
        contents: list[bytes] = []
        folders = [folder]
        while folders:
            path = folders.pop().rstrip("/")
            photos, below = self.children(path or "/")
            folders += (f"{path}/{name}" for name in below)
            if len(contents) + len(photos) > most:
                return None
            with self._env.begin(buffers=False) as txn:
                records = [self._record(txn, f"{path}/{name}") for name in photos]
            contents += (record.content for record in records if record is not None and record.content != UNKNOWN)
        return sorted(set(contents))

    def vector(self, content: bytes) -> bytes | None:
        """Return the stored vector of a content (record.unpack_vector reads it); None if there is none."""
        with self._env.begin(buffers=False) as txn:
            return txn.get(content, db=self._vectors)

    def has_vector(self, content: bytes) -> bool:
        """Return whether the vector of a content is stored."""
        with self._env.begin(buffers=False) as txn, txn.cursor(db=self._vectors) as cursor:
            return bool(cursor.set_key(content))

    def drop_vectors(self, contents: Iterable[bytes]) -> None:
        """Forget the vectors of these contents, durably."""
        with self._env.begin(write=True, buffers=False) as txn:
            for content in contents:
                txn.delete(content, db=self._vectors)

    def vectors(self, among: Iterable[bytes] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield (content, stored vector) of every content that a live photo has, or of those `among` that one has.

        In blocks of one short read transaction each: a reader that dawdles must not keep old pages alive.
        """
        source = iter(among) if among is not None else self._held()
        while block := list(islice(source, _BLOCK)):
            with self._env.begin(buffers=False) as txn, txn.cursor(db=self._vectors) as cursor:
                found = [(content, cursor.value()) for content in block if cursor.set_key(content)]
            yield from found

    def _held(self) -> Iterator[bytes]:
        after = bytes(0)
        while True:
            with self._env.begin(buffers=False) as txn, txn.cursor(db=self._db["holders"]) as cursor:
                if not cursor.set_range(after):
                    return
                block = list(islice(cursor.iternext_nodup(), _BLOCK))
            yield from block
            after = block[-1] + b"\0"  # the next key there can be

    def strikes(self, content: bytes) -> int:
        """Return how often the worker died with this content in it and no outcome came since."""
        with self._env.begin(buffers=False) as txn:
            value = txn.get(content, db=self._db["strikes"])
            return int(_COUNT.unpack(value)[0]) if value else 0

    def root(self, path: str) -> bytes | None:
        """Return the stored identity of a root."""
        with self._env.begin(buffers=False) as txn:
            return txn.get(prefix(path), db=self._db["roots"])

    def put_root(self, path: str, identity: bytes) -> None:
        """Store the identity of a root, durably."""
        with self._env.begin(write=True, buffers=False) as txn:
            txn.put(prefix(path), identity, db=self._db["roots"])

    def retry_failed(self, decoder: str) -> int:
        """Mark every failed photo to be looked at again if `decoder` is not the one that refused them; return how many."""
        with self._env.begin(write=True, buffers=False) as txn:
            if txn.get(b"decoder", db=self._db["meta"]) == decoder.encode():
                return 0
            txn.put(b"decoder", decoder.encode(), db=self._db["meta"])
            with txn.cursor(db=self._db["failed"]) as cursor:
                keys = list(cursor.iternext(keys=True, values=False))
            for at in keys:
                record = self._at(txn, at)
                again = Record(record.path, record.stamp, record.content, True, record.gone_s, 1)
                txn.put(at, pack_record(again), db=self._db["photos"])
            return len(keys)

    # Writing.

    def commit(self, batch: Batch) -> Delta:
        """Write a batch in one durable transaction and return what it changed. Ingest thread only.

        Raises:
            StoreFull: nothing of the batch was written; it can be tried again.
        """
        delta = Delta()
        try:
            with self._env.begin(write=True, buffers=False) as txn:
                found = {content: self._searchable(txn, content) for content in self._touched(txn, batch)}
                self._write(txn, batch, delta, found)
                for content, before in found.items():
                    if self._searchable(txn, content) is not before:
                        (delta.vanished if before else delta.appeared).append(content)
        except lmdb.MapFullError as error:
            raise StoreFull("the store is full: raise limits.map_gb") from error
        except lmdb.Error as error:
            if type(error) not in {lmdb.DiskError, lmdb.Error}:
                raise  # a damaged store: a subclass each
            # LMDB reports a disk that is full as EIO, and says no more.
            raise StoreFull(f"{self.folder} cannot be written ({error})") from error
        return delta

    def _write(self, txn: Txn, batch: Batch, delta: Delta, found: dict[bytes, bool]) -> None:
        for content, facts in batch.contents.items():
            txn.put(content, pack_facts(facts), db=self._db["contents"])
        for content, vector in batch.vectors.items():
            txn.put(content, pack_vector(vector), db=self._vectors)
        for content in batch.acquitted:
            txn.delete(content, db=self._db["strikes"])
        for content in batch.strikes:
            (count,) = _COUNT.unpack(txn.get(content, bytes(4), db=self._db["strikes"]))
            txn.put(content, _COUNT.pack(count + 1), db=self._db["strikes"])
        for change in batch.photos:
            before = self._record(txn, change.path)
            if before is not None and (before.failed or found.get(before.content)):
                delta.before.append(before)
            self._apply(txn, change, before, delta)

    def _touched(self, txn: Txn, batch: Batch) -> set[bytes]:
        touched = set(batch.vectors)
        for change in batch.photos:
            if not isinstance(change, Lost):
                touched.add(change.content)
            before = self._record(txn, change.path)
            if before is not None:
                touched.add(before.content)
        return touched - {UNKNOWN}

    def _searchable(self, txn: Txn, content: bytes) -> bool:
        held = txn.get(content, db=self._db["holders"]) is not None
        return held and txn.get(content, db=self._vectors) is not None

    def _apply(self, txn: Txn, change: Found | Failed | Lost, before: Record | None, delta: Delta) -> None:
        if isinstance(change, Lost):
            if before is None or not before.live:
                return
            after = Record(before.path, before.stamp, before.content, before.failed, change.now_s, before.retry_s)
        elif isinstance(change, Failed):
            after = Record(change.path, change.stamp, change.content, failed=True, retry_s=change.retry_s)
        else:
            after = Record(change.path, change.stamp, change.content)
        if before is not None:
            self._unlink(txn, before)
        delta.after.append(after)
        self._link(txn, after)
        if isinstance(change, Failed):
            txn.put(after.key, change.reason.encode("utf-8", "replace"), db=self._db["failed"])

    def _unlink(self, txn: Txn, record: Record) -> None:
        txn.delete(record.key, db=self._db["photos"])
        txn.delete(record.key, db=self._db["failed"])
        if record.content != UNKNOWN:
            txn.delete(record.content, record.key, db=self._db["holders" if record.live else "ghosts"])
        if record.live:
            self._tree.cut(txn, record.path)

    def _link(self, txn: Txn, record: Record) -> None:
        txn.put(record.key, pack_record(record), db=self._db["photos"])
        if record.content != UNKNOWN:
            txn.put(record.content, record.key, db=self._db["holders" if record.live else "ghosts"])
        if record.live:
            self._tree.grow(txn, record.path)

    def _at(self, txn: Txn, at: bytes) -> Record:
        """Return the record under a key that another database names.

        Raises:
            lmdb.CorruptedError: it is not there: the databases contradict each other.
        """
        value = txn.get(at, db=self._db["photos"])
        if value is None:
            raise lmdb.CorruptedError(f"no record under {at.hex()}, which another database names")
        return unpack_record(at, value)

    def _record(self, txn: Txn, path: str) -> Record | None:
        start = prefix(path)
        with txn.cursor(db=self._db["photos"]) as cursor:
            if not cursor.set_range(start) or not cursor.key().startswith(start):
                return None
            record = unpack_record(cursor.key(), cursor.value())
        return record if record.path == path else None  # 128 bits do not collide, but a wrong photo must never be told

    def _settled(self, txn: Txn, path: str, stamp: Stamp, now_s: int) -> bool:
        at = key(path, stamp.mtime_ns)
        value = txn.get(at, db=self._db["photos"])
        if value is None or not is_same(value, os.fsencode(path), stamp):
            return False
        record = unpack_record(at, value)
        if record.failed:
            return not 0 < record.retry_s <= now_s
        return txn.get(record.content, db=self._vectors) is not None
