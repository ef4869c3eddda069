"""The LMDB environment: opened so that no acknowledged commit is lost, and a full disk told from a damaged file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import lmdb

from pixkin.errors import PixkinError

Txn: TypeAlias = "lmdb.Transaction[bytes]"  # none of ours hands out memory of the map (buffers=False)

SCHEMA: Final = b"3"
_DATABASES: Final = 128  # one for each space that there ever was, and a dozen


class StoreFull(Exception):
    """Nothing can be written now: the disk or the map is full, or the disk is sick. What is stored can still be read."""


class Environment:
    """The environment and its transactions."""

    def __init__(self, folder: str, map_gb: int) -> None:
        """Open or create it; arguments and errors are those of `store.Store`."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder
        self._open: dict[str, lmdb._Database] = {}
        # readahead off: vectors are read here and there. sync on and no writemap: a power cut loses no acknowledged
        # commit, and a full disk is an error instead of a SIGBUS.
        self._env = lmdb.open(
            folder, map_size=map_gb << 30, max_dbs=_DATABASES, mode=0o600, readahead=False, metasync=True, sync=True
        )
        meta = self.database("meta")
        with self._env.begin(write=True, buffers=False) as txn:
            schema = txn.get(b"schema", db=meta)
            if schema is None:
                txn.put(b"schema", SCHEMA, db=meta)
                txn.put(b"born", os.urandom(16), db=meta)  # tells this store from any other
            elif schema != SCHEMA:
                what = f"{folder} has schema {schema.decode(errors='replace')}, this pixkind reads {SCHEMA.decode()}"
                raise PixkinError(what, "upgrade pixkin, or move that folder aside")

    def close(self) -> None:
        """Close it. No transaction may be open."""
        self._env.close()

    @property
    def size(self) -> int:
        """What it takes on disk, in bytes."""
        return os.stat(os.path.join(self._folder, "data.mdb")).st_blocks * 512

    def database(self, name: str, *, dupsort: bool = False) -> lmdb._Database:
        """Open or create a database; one that is open already costs nothing, within a transaction too."""
        if (db := self._open.get(name)) is None:
            db = self._open[name] = self._env.open_db(name.encode(), dupsort=dupsort)
        return db

    def remove(self, txn: Txn, name: str) -> None:
        """Delete a database, which nobody may use any more; if it is large, empty it first, in several transactions."""
        txn.drop(self._open.pop(name))

    def names(self, start: str) -> list[str]:
        """Return the names of all databases that begin so."""
        with self.reading() as txn, txn.cursor() as cursor:
            return [name.decode() for name in cursor.iternext(values=False) if name.startswith(start.encode())]

    def opened(self, start: str) -> list[str]:
        """Return the names of all open databases that begin so."""
        return [name for name in list(self._open) if name.startswith(start)]

    def find(self, name: str) -> lmdb._Database | None:
        """Return an open database; None: it is not open, or was removed."""
        return self._open.get(name)

    def reading(self) -> Txn:
        """Begin a read transaction, to be used in a `with`."""
        return self._env.begin(buffers=False)

    @contextmanager
    def writing(self) -> Iterator[Txn]:
        """Begin a write transaction; it is durable when it ends well.

        Raises:
            StoreFull: nothing of it was written; it can be tried again.
        """
        try:
            with self._env.begin(write=True, buffers=False) as txn:
                yield txn
        except lmdb.MapFullError as error:
            raise StoreFull("the store is full: raise limits.map_gb") from error
        except lmdb.Error as error:
            if type(error) not in {lmdb.DiskError, lmdb.Error}:
                raise  # a damaged store: a subclass each
            # LMDB reports a disk that is full as EIO, and says no more.
            raise StoreFull(f"{self._folder} cannot be written ({error})") from error
