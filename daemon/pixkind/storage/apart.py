"""Pairs of pictures that a user marked as no duplicates of each other, however alike they are.

A pair names contents, so it stays true when photos are renamed, and in every space. Pairs are the only data in the store
that cannot be rebuilt. So they are never purged: a pair takes a hundred bytes, and its photos may come back.
The pairs are in a database of the store. Each change is a transaction of its own.

| name | key | value |
| --- | --- | --- |
| `apart` | two content ids, the lower one first | empty |
"""

from pixkind.storage.environment import Environment
from pixkind.storage.keys import CONTENT_BYTES


class ApartPairs:
    """The pairs of contents that no group may have together."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database."""
        self._env = env
        self._pairs = env.database("apart")

    def pairs(self) -> set[tuple[bytes, bytes]]:
        """Return all pairs, the lower content first."""
        with self._env.reading() as txn, txn.cursor(db=self._pairs) as cursor:
            return {(key[:CONTENT_BYTES], key[CONTENT_BYTES:]) for key in cursor.iternext(values=False)}

    def put(self, one: bytes, other: bytes) -> None:
        """Keep two contents apart, durably. Ingest thread only; may raise StoreFull."""
        with self._env.writing() as txn:
            txn.put(_key(one, other), b"", db=self._pairs)

    def delete(self, one: bytes, other: bytes) -> None:
        """Forget that two contents are to be kept apart, durably. Ingest thread only; may raise StoreFull."""
        with self._env.writing() as txn:
            txn.delete(_key(one, other), db=self._pairs)


def _key(one: bytes, other: bytes) -> bytes:
    return min(one, other) + max(one, other)
