"""What the store remembers of each root: the identity of its drive, and its clock.

The databases are the store's. Each change is a transaction of its own, and may raise StoreFull.

| name | key | value |
| --- | --- | --- |
| `roots` | keys.path_digest of a path | identity, MessagePack |
| `clocks` | keys.path_digest of a path | clock of a root, see record.py |
"""

import os
from collections.abc import Iterable

from pixkind.storage.environment import Environment
from pixkind.storage.keys import path_digest
from pixkind.storage.record import Clock, pack_clock, unpack_clock


class RootTable:
    """All roots that were ever watched."""

    def __init__(self, env: Environment) -> None:
        """Open or create the databases."""
        self._env = env
        for name in ("roots", "clocks"):
            env.database(name)

    def identity(self, root: str) -> bytes | None:
        """Return the stored identity of a root."""
        with self._env.reading() as txn:
            return txn.get(path_digest(root), db=self._env["roots"])

    def put_identity(self, root: str, identity: bytes) -> None:
        """Store the identity of a root, durably."""
        with self._env.writing() as txn:
            txn.put(path_digest(root), identity, db=self._env["roots"])

    def clocks(self) -> dict[str, Clock]:
        """Return the clocks of all roots that were ever watched, by path."""
        with self._env.reading() as txn, txn.cursor(db=self._env["clocks"]) as cursor:
            clocks = [unpack_clock(value) for value in cursor.iternext(keys=False)]
        return {os.fsdecode(clock.path): clock for clock in clocks}

    def put_clocks(self, clocks: Iterable[Clock]) -> None:
        """Store the clocks of some roots, durably."""
        with self._env.writing() as txn:
            for clock in clocks:
                txn.put(path_digest(os.fsdecode(clock.path)), pack_clock(clock), db=self._env["clocks"])

    def forget(self, root: str) -> None:
        """Delete the clock and the identity of a root, durably."""
        with self._env.writing() as txn:
            for name in ("clocks", "roots"):
                txn.delete(path_digest(root), db=self._env[name])
