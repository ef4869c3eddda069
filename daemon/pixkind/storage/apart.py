"""Which pictures somebody said are no duplicates of each other, however alike they are.

It is said of contents, so it holds whatever becomes of their names, and in every space. Nothing else in the store cannot
be made again, so a pair is never purged: it takes a hundred bytes, and its photos may come back.
In a database of the store, in transactions of its own.

| name | key | value |
| --- | --- | --- |
| `apart` | two content ids, the lower one first | nothing |
"""

from pixkind.storage.environment import Environment
from pixkind.storage.keys import CONTENT_BYTES


class ApartPairs:
    """The pairs of contents that are to be in no group together."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database."""
        self._env = env
        self._pairs = env.database("apart")

    def pairs(self) -> set[tuple[bytes, bytes]]:
        """Return all of them, the lower content first."""
        with self._env.reading() as txn, txn.cursor(db=self._pairs) as cursor:
            return {(key[:CONTENT_BYTES], key[CONTENT_BYTES:]) for key in cursor.iternext(values=False)}

    def put(self, one: bytes, other: bytes) -> None:
        """Keep two contents apart, durably. Ingest thread only; may raise StoreFull."""
        with self._env.writing() as txn:
            txn.put(_key(one, other), b"", db=self._pairs)

    def delete(self, one: bytes, other: bytes) -> None:
        """Let two contents be together again, durably. Ingest thread only; may raise StoreFull."""
        with self._env.writing() as txn:
            txn.delete(_key(one, other), db=self._pairs)


def _key(one: bytes, other: bytes) -> bytes:
    return min(one, other) + max(one, other)
