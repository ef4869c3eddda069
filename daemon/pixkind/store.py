"""The LMDB store: photos, contents, vectors, strikes. Only it and environment.py, content.py and tree.py below it know LMDB.

One process opens it, one thread (ingest) writes, any thread reads through short read transactions and copies what it
takes. Values are as in record.py. The databases:

| name | key | value |
| --- | --- | --- |
| `photos` | photo.key, 24 bytes | record |
| `tree` | see tree.py | empty; the live photos, so that a scan finds what is gone |
| `failed` | photo.key | reason, UTF-8 |
| `journal` | see journal.py | what the last commits touched |
| all of contents | see content.py | their photos, facts, vectors and strikes |
| `roots` | photo.prefix of a path | identity, MessagePack |
| `clocks` | photo.prefix of a path | clock of a root |
| `meta` | name | schema version, decoder |
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import lmdb

from pixkind.batch import Batch, Delta, Failed, Found, Lost
from pixkind.content import DUE, UNDATED, Contents
from pixkind.environment import Environment, StoreFull, Txn
from pixkind.journal import Journal
from pixkind.photo import Stamp, key, prefix
from pixkind.record import (
    UNKNOWN,
    Clock,
    Record,
    folder_of,
    outcome,
    pack_clock,
    pack_record,
    unpack_clock,
    unpack_record,
)
from pixkind.tree import Tree

__all__ = ["SLICE", "Store", "StoreFull"]

_PLAIN: Final = ("photos", "tree", "failed", "roots", "clocks", "meta")
_BLOCK: Final = 2048  # vectors read in one transaction: 5 MB at 1,280 dimensions
SLICE: Final = 1000  # photos that are forgotten in one transaction, so that nothing waits for it long


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
        self.folder = folder
        self.space = space
        self._env = Environment(folder, map_gb)
        self._db = {name: self._env.database(name) for name in _PLAIN}
        self._tree = Tree(self._db["tree"])
        self._contents = Contents(self._env, space)
        self.journal = Journal(self._env)

    def close(self) -> None:
        """Close it. No transaction may be open."""
        self._env.close()

    @property
    def size(self) -> int:
        """What it takes on disk, in bytes."""
        return self._env.size

    # What reconcile asks (scan.Known).

    def changed(self, photos: Iterable[tuple[str, Stamp]], now_s: int) -> list[tuple[str, Stamp]]:
        """Return those that have no settled record with exactly this stamp."""
        with self._env.reading() as txn, self._contents.having(txn) as has_vector:
            return [photo for photo in photos if not self._settled(txn, photo, has_vector, now_s)]

    def children(self, folder: str) -> tuple[set[str], set[str]]:
        """Return the names directly below `folder` of live photos, and of folders with live photos under them."""
        with self._env.reading() as txn:
            return self._tree.children(txn, folder)

    def is_live(self, path: str) -> bool:
        """Return whether a live photo is recorded at exactly `path`."""
        record = self.record(path)
        return record is not None and record.live

    # What ingest and answers ask.

    def record(self, path: str) -> Record | None:
        """Return the record of `path`, live or gone."""
        with self._env.reading() as txn:
            return self._record(txn, path)

    def records(self) -> Iterator[Record]:
        """Yield every record, in no useful order. For start-up and tests: it holds a read transaction meanwhile."""
        with self._env.reading() as txn, txn.cursor(db=self._db["photos"]) as cursor:
            for at, value in cursor:
                yield unpack_record(at, value)

    def counted(self) -> Iterator[Record]:
        """Yield the live photos that can be found in this space, and those that failed; otherwise like `records`."""
        with self._env.reading() as txn, self._contents.having(txn) as has_vector:
            yield from (one for one in self.records() if one.live and (one.failed or has_vector(one.content)))

    def failures(self, most: int, is_meant: Callable[[str], bool] = bool) -> list[tuple[Record, str]]:
        """Return at most `most` live photos that failed, with the reason; only those whose path `is_meant`."""
        found: list[tuple[Record, str]] = []
        with self._env.reading() as txn, txn.cursor(db=self._db["failed"]) as cursor:
            for at, reason in cursor:
                record = self._at(txn, at)
                if record.live and is_meant(record.path):
                    found.append((record, reason.decode()))
                if len(found) == most:
                    break
        return found

    def reason(self, path: str) -> str:
        """Return why the photo at `path` failed; empty if it did not."""
        with self._env.reading() as txn:
            record = self._record(txn, path)
            return "" if record is None else txn.get(record.key, b"", db=self._db["failed"]).decode()

    def photos_of(self, content: bytes) -> list[Record]:
        """Return the live photos of a content."""
        with self._env.reading() as txn:
            return [self._at(txn, at) for at in self._contents.holders(txn, content)]

    def gone(self) -> Iterator[list[Record]]:
        """Yield the gone photos whose content is known, in blocks of one short read transaction each."""
        after = (UNKNOWN, b"")
        while True:
            with self._env.reading() as txn:
                block = self._contents.ghosts(txn, after, SLICE)
                records = [self._at(txn, at) for _, at in block]
            if not block:
                return
            yield records
            after = block[-1]

    def vector(self, content: bytes) -> bytes | None:
        """Return the stored vector of a content (record.unpack_vector reads it); None if there is none."""
        with self._env.reading() as txn:
            return self._contents.vector(txn, content)

    def has_vector(self, content: bytes) -> bool:
        """Return whether the vector of a content is stored."""
        with self._env.reading() as txn:
            return self._contents.has_vector(txn, content)

    def drop_vectors(self, contents: Iterable[bytes]) -> Delta:
        """Forget the vectors of these contents, durably, and return what that changed. Raises as `commit`."""
        delta = Delta()
        with self._env.writing() as txn:
            delta.vanished = [content for content in contents if self._contents.is_searchable(txn, content)]
            photos = (self._at(txn, at) for content in delta.vanished for at in self._contents.holders(txn, content))
            delta.before = [record for record in photos if not record.failed]
            self._contents.drop_vectors(txn, contents)
            delta.generation = self.journal.note(txn, delta.vanished)
        return delta

    def searchable(self, contents: Iterable[bytes]) -> set[bytes]:
        """Return those contents that can be found."""
        with self._env.reading() as txn:
            return {content for content in contents if self._contents.is_searchable(txn, content)}

    def places(self, contents: Sequence[bytes]) -> Iterator[tuple[bytes, list[str]]]:
        """Yield each content with the folders of its live photos that have not failed; in blocks as `vectors`."""
        for at in range(0, len(contents), _BLOCK):
            with self._env.reading() as txn:
                found = [(content, self._folders(txn, content)) for content in contents[at : at + _BLOCK]]
            yield from found

    def vectors(self, among: Iterable[bytes] | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Yield (content, stored vector) of every content that a live photo has, or of those `among` that one has.

        In blocks of one short read transaction each: a reader that dawdles must not keep old pages alive.
        """
        source = iter(among) if among is not None else self._contents.held(_BLOCK)
        while block := list(islice(source, _BLOCK)):
            with self._env.reading() as txn:
                found = self._contents.vectors(txn, block)
            yield from found

    def strikes(self, content: bytes) -> int:
        """Return how often the worker died with this content in it and no outcome came since."""
        with self._env.reading() as txn:
            return self._contents.strikes(txn, content)

    def root(self, path: str) -> bytes | None:
        """Return the stored identity of a root."""
        with self._env.reading() as txn:
            return txn.get(prefix(path), db=self._db["roots"])

    def put_root(self, path: str, identity: bytes) -> None:
        """Store the identity of a root, durably."""
        with self._env.writing() as txn:
            txn.put(prefix(path), identity, db=self._db["roots"])

    def clocks(self) -> dict[str, Clock]:
        """Return the clock of every root that there ever was, by path."""
        with self._env.reading() as txn, txn.cursor(db=self._db["clocks"]) as cursor:
            clocks = [unpack_clock(value) for value in cursor.iternext(keys=False)]
        return {os.fsdecode(clock.path): clock for clock in clocks}

    def retry_failed(self, decoder: str) -> int:
        """Mark every failed photo to be looked at again if `decoder` is not the one that refused them; return how many."""
        with self._env.writing() as txn:
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
        with self._env.writing() as txn:
            found = {content: self._contents.is_searchable(txn, content) for content in self._touched(txn, batch)}
            self._contents.put(txn, batch.contents, batch.vectors)
            self._contents.acquit(txn, batch.acquitted)
            self._contents.strike(txn, batch.strikes)
            for change in batch.photos:
                before = self._record(txn, change.path)
                if before is not None and (before.failed or found.get(before.content)):
                    delta.before.append(before)
                self._apply(txn, change, before, delta)
            for content, was in found.items():
                if self._contents.is_searchable(txn, content) is not was:
                    (delta.vanished if was else delta.appeared).append(content)
            delta.generation = self.journal.note(txn, delta.touched)
        return delta

    def forget(self, records: Iterable[Record]) -> Delta:
        """Delete those records that are still as given, live or gone, durably, and return what that changed.

        The vectors of contents that no other record names are there until the next `sweep`: who keeps a sum of all vectors
        has to subtract them. Raises as `commit`.
        """
        delta = Delta()
        with self._env.writing() as txn:
            same = [record for record in records if self._record(txn, record.path) == record]
            found = {record.content for record in same if self._contents.is_searchable(txn, record.content)}
            for record in same:
                self._unlink(txn, record)
                self._contents.abandon(txn, record.content, DUE)
                if record.live and (record.failed or record.content in found):
                    delta.before.append(record)
            delta.vanished = [content for content in found if not self._contents.is_searchable(txn, content)]
            delta.generation = self.journal.note(txn, delta.touched)
        return delta

    def sweep(self, now_s: int, keep_s: int) -> Iterator[None]:
        """Forget what was made of contents that no record has named for `keep_s`, a slice a step. Raises as `commit`."""
        after = UNKNOWN
        while after:
            with self._env.writing() as txn:
                after = self._contents.sweep(txn, after, SLICE, now_s=now_s, keep_s=keep_s)
            yield

    def put_clocks(self, clocks: Iterable[Clock]) -> None:
        """Store the clocks of some roots, durably. Raises as `commit`."""
        with self._env.writing() as txn:
            for clock in clocks:
                txn.put(prefix(os.fsdecode(clock.path)), pack_clock(clock), db=self._db["clocks"])

    def forget_root(self, path: str) -> None:
        """Delete the clock and the identity of a root, durably. Raises as `commit`."""
        with self._env.writing() as txn:
            for name in ("clocks", "roots"):
                txn.delete(prefix(path), db=self._db[name])

    def _touched(self, txn: Txn, batch: Batch) -> set[bytes]:
        touched = set(batch.vectors)
        for change in batch.photos:
            if not isinstance(change, Lost):
                touched.add(change.content)
            before = self._record(txn, change.path)
            if before is not None:
                touched.add(before.content)
        return touched - {UNKNOWN}

    def _apply(self, txn: Txn, change: Found | Failed | Lost, before: Record | None, delta: Delta) -> None:
        if isinstance(change, Lost):
            if before is None or not before.live:
                return
            if before.content == UNKNOWN:  # nothing was made of it that could be kept
                self._unlink(txn, before)
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
        if before is not None:
            self._contents.abandon(txn, before.content, UNDATED)
        if isinstance(change, Failed):
            txn.put(after.key, change.reason.encode("utf-8", "replace"), db=self._db["failed"])

    def _unlink(self, txn: Txn, record: Record) -> None:
        txn.delete(record.key, db=self._db["photos"])
        txn.delete(record.key, db=self._db["failed"])
        self._contents.unlink(txn, record)
        if record.live:
            self._tree.cut(txn, record.path)

    def _link(self, txn: Txn, record: Record) -> None:
        txn.put(record.key, pack_record(record), db=self._db["photos"])
        self._contents.link(txn, record)
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

    def _folders(self, txn: Txn, content: bytes) -> list[str]:
        values = (txn.get(at, db=self._db["photos"]) for at in self._contents.holders(txn, content))
        return [folder for value in values if value is not None and (folder := folder_of(value)) is not None]

    def _record(self, txn: Txn, path: str) -> Record | None:
        start = prefix(path)
        with txn.cursor(db=self._db["photos"]) as cursor:
            if not cursor.set_range(start) or not cursor.key().startswith(start):
                return None
            record = unpack_record(cursor.key(), cursor.value())
        return record if record.path == path else None  # 128 bits do not collide, but a wrong photo must never be told

    def _settled(self, txn: Txn, photo: tuple[str, Stamp], has_vector: Callable[[bytes], bool], now_s: int) -> bool:
        path, stamp = photo
        value = txn.get(key(path, stamp.mtime_ns), db=self._db["photos"])
        if value is None or (known := outcome(value, os.fsencode(path), stamp)) is None:
            return False
        content, failed, retry_s = known
        return not 0 < retry_s <= now_s if failed else has_vector(content)
