"""The LMDB environment: it loses no acknowledged commit, and tells a full disk from a damaged file.

LMDB never erases what is deleted. The bytes stay in pages that are free, and in the unused parts of pages that are not:
LMDB's own compacting copy keeps the latter, and so four of five traces. Only a new file that is filled with what is still
there has no traces. `rewritten` makes such a file and lets it take the place of the old one while the store is open:

1. Every entry is copied into `rewritten/data.mdb`, some thousand in a step. The copy is only used if nothing was written
   to the store meanwhile; otherwise it is made again.
2. The copy is synced, and renamed over `data.mdb`, in a moment in which no thread reads. So a crash leaves either file
   whole. What is left of an unfinished copy is removed when the store is opened.
3. All databases are opened again. So no table may keep a handle of LMDB: it asks for `env[name]` within a transaction.

The disk must have room for both files. A store of a million photos has about 4 GB. On a virtual disk of two cores, 0.35 GB
were copied in a second, and no step took longer than 0.1 s.
"""

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final, TypeAlias

import lmdb

from pixkin.errors import PixkinError

Txn: TypeAlias = "lmdb.Transaction[bytes]"  # all begin with buffers=False: no value is memory of the map

SCHEMA: Final = b"4"
_OLD: Final = b"3"  # a record had no details; that is all that it lacks
_DATABASES: Final = 128  # two for each space that is kept, and sixteen
_DATA: Final = "data.mdb"
_ASIDE: Final = "rewritten"  # the folder of a copy that is not whole yet
_STEP: Final = 2000  # entries that are copied in a step: 8 MB of vectors
_SYNC: Final = 16  # steps after which the copy is synced: a sync of gigabytes would take too long for the watchdog


class StoreFull(Exception):
    """Nothing can be written now: the disk or the map is full, or the disk fails. What is stored can still be read."""


class Environment:
    """The environment and its transactions."""

    def __init__(self, folder: str, map_gb: int) -> None:
        """Open or create it; arguments and errors are those of `store.Store`."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self._map_size = map_gb << 30
        self._gate = threading.Lock()  # guards the next two
        self._readers = 0  # open read transactions
        self._open: dict[str, lmdb._Database] = {}
        shutil.rmtree(os.path.join(folder, _ASIDE), ignore_errors=True)
        self._env = self._opened(folder)
        meta = self.database("meta")
        with self._env.begin(write=True, buffers=False) as txn:
            schema = txn.get(b"schema", db=meta)
            if schema in {None, _OLD}:
                txn.put(b"schema", SCHEMA, db=meta)
            if schema is None:
                txn.put(b"born", os.urandom(16), db=meta)  # distinguishes this store from all others
            elif schema not in {_OLD, SCHEMA}:
                what = f"{folder} has schema {schema.decode(errors='replace')}, this pixkind reads {SCHEMA.decode()}"
                raise PixkinError(what, "upgrade pixkin, or move that folder aside")

    def close(self) -> None:
        """Close the environment. No transaction may be open."""
        self._env.close()

    @property
    def size(self) -> int:
        """Its size on disk in bytes."""
        return os.stat(os.path.join(self._folder, _DATA)).st_blocks * 512

    def __getitem__(self, name: str) -> lmdb._Database:
        """Return an open database. To be called within a transaction: another one has another handle after `rewritten`."""
        return self._open[name]

    def database(self, name: str, *, dupsort: bool = False) -> lmdb._Database:
        """Open or create a database. A database that is open already is returned at once, within a transaction too."""
        if (db := self._open.get(name)) is None:
            db = self._open[name] = self._env.open_db(name.encode(), dupsort=dupsort)
        return db

    def remove(self, txn: Txn, name: str) -> None:
        """Delete a database that is no longer used. A large one is to be emptied first, in several transactions."""
        txn.drop(self._open.pop(name))

    def names(self, start: str) -> list[str]:
        """Return the names of all databases that begin with `start`."""
        with self.reading() as txn, txn.cursor() as cursor:
            return [name.decode() for name in cursor.iternext(values=False) if name.startswith(start.encode())]

    def opened(self, start: str) -> list[str]:
        """Return the names of all open databases that begin with `start`."""
        return [name for name in list(self._open) if name.startswith(start)]

    def find(self, name: str) -> lmdb._Database | None:
        """Return an open database; None if it is not open, or was removed."""
        return self._open.get(name)

    def sizes(self, name: str) -> Counter[int]:
        """Return how many values of each size a database has. Large values are not read from the disk."""
        with self.reading(), self._env.begin(buffers=True) as txn, txn.cursor(db=self._open[name]) as cursor:
            return Counter(map(len, cursor.iternext(keys=False)))

    @contextmanager
    def reading(self) -> Iterator[Txn]:
        """Begin a read transaction, for a `with`."""
        with self._gate:
            self._readers += 1
        try:
            with self._env.begin(buffers=False) as txn:
                yield txn
        finally:
            with self._gate:
                self._readers -= 1

    @contextmanager
    def writing(self) -> Iterator[Txn]:
        """Begin a write transaction, for a `with`. It is durable once the `with` has ended without an error.

        Raises:
            StoreFull: nothing was written; the transaction can be tried again.
        """
        try:
            with self._env.begin(write=True, buffers=False) as txn:
                yield txn
        except lmdb.Error as error:
            self._check_full(error)
            raise

    def rewritten(self) -> Iterator[None]:
        """Replace the file by one that holds only what is there now, a step at a time. The thread that writes must call it.

        Raises:
            StoreFull: there is no room for a copy; the store is unchanged.
        """
        aside = os.path.join(self._folder, _ASIDE)
        is_replaced = False
        try:
            while not is_replaced:
                before = self._last()
                yield from self._copied(aside)
                while self._last() == before and not (is_replaced := self._replaced(aside)):
                    yield  # a thread reads
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def check_room(self) -> None:
        """Raise StoreFull if the disk has no room for a second file."""
        need, free = self.size >> 20, shutil.disk_usage(self._folder).free >> 20
        if free <= need:
            raise StoreFull(f"a copy of the store needs {need:,} MiB, and {self._folder} has {free:,} MiB left")

    def _copied(self, aside: str) -> Iterator[None]:
        """Copy all entries into a folder of their own, durably."""
        self.check_room()
        for name in self.names(""):
            self.database(name)
        try:
            shutil.rmtree(aside, ignore_errors=True)
            os.mkdir(aside, 0o700)
            with self._opened(aside, sync=False) as copy, self._env.begin(buffers=False) as txn:
                for name in self._open:
                    yield from _copied(txn, self._open[name], copy, name)
        except OSError as error:
            raise StoreFull(f"{self._folder} cannot be written ({error.strerror})") from error
        except lmdb.Error as error:
            self._check_full(error)
            raise

    def _replaced(self, aside: str) -> bool:
        """Put the copy in the place of the file, unless a thread reads; return whether that was done."""
        with self._gate:
            if self._readers:
                return False
            self._env.close()
            os.replace(os.path.join(aside, _DATA), os.path.join(self._folder, _DATA))
            sync(self._folder)
            self._env = self._opened(self._folder)
            self._open = {name: self._env.open_db(name.encode(), create=False) for name in self._open}
            return True

    def _check_full(self, error: lmdb.Error) -> None:
        """Raise StoreFull for an error that means so. LMDB has a subclass for each kind of damage."""
        if isinstance(error, lmdb.MapFullError):
            raise StoreFull("the store is full: raise limits.map_gb") from error
        if type(error) in {lmdb.DiskError, lmdb.Error}:
            # LMDB reports a full disk as EIO, and nothing tells it from a failing one.
            raise StoreFull(f"{self._folder} cannot be written ({error})") from error

    def _last(self) -> int:
        """Return the number of the last write transaction that has changed something."""
        return int(self._env.info()["last_txnid"])

    def _opened(self, folder: str, *, sync: bool = True) -> lmdb.Environment:
        # No readahead: vectors are read in no order. With sync and without writemap a power cut loses no acknowledged
        # commit, and a full disk is an error instead of a SIGBUS.
        return lmdb.open(
            folder,
            map_size=self._map_size,
            max_dbs=_DATABASES,
            mode=0o600,
            readahead=False,
            metasync=sync,
            sync=sync,
        )


def _copied(txn: Txn, db: lmdb._Database, copy: lmdb.Environment, name: str) -> Iterator[None]:
    """Copy a database into another environment, some entries a step."""
    into = copy.open_db(name.encode(), dupsort=db.flags()["dupsort"])
    with txn.cursor(db=db) as cursor:
        entries, step, is_through = cursor.iternext(), 0, False
        while not is_through:
            step += 1
            with copy.begin(write=True) as into_txn, into_txn.cursor(db=into) as target:
                taken, added = target.putmulti(islice(entries, _STEP), append=True)
            if added != taken:
                raise lmdb.Error(f"{taken - added} entries of {name} are missing")
            is_through = taken < _STEP
            if is_through or not step % _SYNC:
                sync(os.path.join(copy.path(), _DATA))
            yield


def sync(path: str) -> None:
    """Bring a file or a folder to the disk. LMDB would hold up all other threads meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
