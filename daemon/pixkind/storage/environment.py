"""The LMDB environment: it loses no acknowledged commit, and tells a full disk from a damaged file."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import lmdb

from pixkin.errors import PixkinError

Txn: TypeAlias = "lmdb.Transaction[bytes]"  # all begin with buffers=False: no value is memory of the map

SCHEMA: Final = b"4"
_OLD: Final = b"3"  # a record had no details; that is all that it lacks
_DATABASES: Final = 128  # two for each space that is kept, and fifteen


class StoreFull(Exception):
    """Nothing can be written now: the disk or the map is full, or the disk fails. What is stored can still be read."""


class Environment:
    """The environment and its transactions."""

    def __init__(self, folder: str, map_gb: int) -> None:
        """Open or create it; arguments and errors are those of `store.Store`."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self._open: dict[str, lmdb._Database] = {}
        # No readahead: vectors are read in no order. With sync and without writemap a power cut loses no acknowledged
        # commit, and a full disk is an error instead of a SIGBUS.
        self._env = lmdb.open(
            folder, map_size=map_gb << 30, max_dbs=_DATABASES, mode=0o600, readahead=False, metasync=True, sync=True
        )
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
        return os.stat(os.path.join(self._folder, "data.mdb")).st_blocks * 512

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

    def sizes(self, db: lmdb._Database) -> Counter[int]:
        """Return how many values of each size a database has. Large values are not read from the disk."""
        with self._env.begin(buffers=True) as txn, txn.cursor(db=db) as cursor:
            return Counter(map(len, cursor.iternext(keys=False)))

    def reading(self) -> Txn:
        """Begin a read transaction, for a `with`."""
        return self._env.begin(buffers=False)

    @contextmanager
    def writing(self) -> Iterator[Txn]:
        """Begin a write transaction, for a `with`. It is durable once the `with` has ended without an error.

        Raises:
            StoreFull: nothing was written; the transaction can be tried again.
        """
        try:
            with self._env.begin(write=True, buffers=False) as txn:
                yield txn
        except lmdb.MapFullError as error:
            raise StoreFull("the store is full: raise limits.map_gb") from error
        except lmdb.Error as error:
            if type(error) not in {lmdb.DiskError, lmdb.Error}:
                raise  # a damaged store: LMDB has a subclass for each kind
            # LMDB reports a full disk as EIO, and nothing tells it from a failing one.
            raise StoreFull(f"{self._folder} cannot be written ({error})") from error
