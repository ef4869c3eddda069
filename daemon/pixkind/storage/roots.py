"""What the store remembers of each root: the identity of its drive, its clock, and whether its first run goes on.

The databases are the store's. Each change is a transaction of its own, and may raise StoreFull.

| name | key | value |
| --- | --- | --- |
| `roots` | keys.path_digest of a path | identity, MessagePack |
| `clocks` | keys.path_digest of a path | clock of a root, see record.py |
| `meta` | `first/`, keys.path_digest of a path | nothing; there while the first run of a root goes on |
"""

import os
from collections.abc import Iterable
from typing import Final

from pixkind.storage.environment import Environment
from pixkind.storage.keys import path_digest
from pixkind.storage.record import Clock, pack_clock, unpack_clock

_FIRST: Final = b"first/"


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

    def is_first_run(self, root: str) -> bool:
        """Return whether the first run of a root has begun, and has not ended."""
        with self._env.reading() as txn:
            return txn.get(_FIRST + path_digest(root), db=self._env["meta"]) is not None

    def begin_first_run(self, root: str) -> None:
        """Note that the first run of a root begins, durably."""
        with self._env.writing() as txn:
            txn.put(_FIRST + path_digest(root), b"", db=self._env["meta"])

    def end_first_run(self, root: str) -> None:
        """Note that the first run of a root has ended, durably."""
        with self._env.writing() as txn:
            txn.delete(_FIRST + path_digest(root), db=self._env["meta"])

    def forget(self, root: str) -> None:
        """Delete all that is remembered of a root, durably."""
        with self._env.writing() as txn:
            for name in ("clocks", "roots"):
                txn.delete(path_digest(root), db=self._env[name])
            txn.delete(_FIRST + path_digest(root), db=self._env["meta"])
