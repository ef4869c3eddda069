"""Pairs of pictures that a user marked as no duplicates, in stores of an older pixkind. `decisions` has all later ones.

No pair is added. Pairs stay in the store, unless the user forgets a picture: a second copy of them costs nothing.

| name | key | value |
| --- | --- | --- |
| `apart` | two content ids, the lower one first | empty |
"""

from collections.abc import Collection

from pixkind.storage.environment import Environment
from pixkind.storage.keys import CONTENT_BYTES


class OldApartPairs:
    """The pairs of contents that no group may have together."""

    def __init__(self, env: Environment) -> None:
        """Open the database if there is one."""
        self._env = env
        self._is_there = "apart" in env.names("apart")
        if self._is_there:
            env.database("apart")

    def pairs(self) -> set[tuple[bytes, bytes]]:
        """Return all pairs, the lower content first."""
        if not self._is_there:
            return set()
        with self._env.reading() as txn, txn.cursor(db=self._env["apart"]) as cursor:
            return {(key[:CONTENT_BYTES], key[CONTENT_BYTES:]) for key in cursor.iternext(values=False)}

    def forget(self, contents: Collection[bytes]) -> None:
        """Delete all pairs with one of these contents, durably. May raise StoreFull."""
        if gone := [pair for pair in self.pairs() if not set(pair).isdisjoint(contents)]:
            with self._env.writing() as txn:
                for one, other in gone:
                    txn.delete(one + other, db=self._env["apart"])
