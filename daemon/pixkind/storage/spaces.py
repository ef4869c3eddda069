"""What the store knows of spaces: their names, weights and sizes, and which space answers queries.

In databases of the store; values are MessagePack.

| name | key | value |
| --- | --- | --- |
| `spaces` | name of a space | map of the fields of `Space`: its network, its kind, its weights, and where they were when it was last filled |
| `meta` | `answers` | map of the fields of `ActiveSpace` |

Spaces that were written before there were kinds have no field `kind`. They read as `image`, and are not written again for that.
A pixkind from before there were kinds ignores the field.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from pixkind.encoder.space import Space
from pixkind.storage.environment import Environment, Txn

_VECTORS: Final = "vectors/"


class ActiveSpace(Struct, frozen=True):
    """Which space answers queries."""

    space: str
    configured: str  # the space that the configuration meant when this was written
    is_pinned: bool = False  # a user chose it: it answers until the user chooses again or the configuration changes


class SpaceTable:
    """All spaces in the store."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database, and those of the vectors."""
        self._env = env
        for name in ("spaces", *env.names(_VECTORS)):
            env.database(name)  # it cannot be opened within a transaction, nor by any other thread

    def names(self) -> list[str]:
        """Return the names of all spaces, sorted."""
        return sorted(name.removeprefix(_VECTORS) for name in self._env.opened(_VECTORS))

    def space(self, name: str) -> Space:
        """Return a space; its `weights` are empty if their path is not known."""
        with self._env.reading() as txn:
            value = txn.get(name.encode(), db=self._env["spaces"])
        return Space(name, name.rsplit("-", 2)[0], "") if value is None else msgspec.msgpack.decode(value, type=Space)

    def put(self, space: Space) -> None:
        """Remember a space, durably. May raise StoreFull."""
        if self.space(space.name) != space:
            with self._env.writing() as txn:
                txn.put(space.name.encode(), msgspec.msgpack.encode(space), db=self._env["spaces"])

    def chosen(self) -> ActiveSpace | None:
        """Return which space was last chosen to answer; None before the first choice."""
        with self._env.reading() as txn:
            value = txn.get(b"answers", db=self._env["meta"])
        return None if value is None else msgspec.msgpack.decode(value, type=ActiveSpace)

    def choose(self, choice: ActiveSpace) -> None:
        """Remember which space answers, durably. May raise StoreFull."""
        if self.chosen() != choice:
            with self._env.writing() as txn:
                txn.put(b"answers", msgspec.msgpack.encode(choice), db=self._env["meta"])

    def size(self, name: str) -> tuple[int, int]:
        """Return how many vectors a space has, and how many bytes they take on disk."""
        with self._env.reading() as txn:
            if (db := self._env.find(_VECTORS + name)) is None:
                return 0, 0
            stat = txn.stat(db)
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return stat["entries"], pages * stat["psize"]

    def has_vector(self, txn: Txn, name: str, content: bytes) -> bool:
        """Return whether a space has a vector of a content."""
        db = self._env.find(_VECTORS + name)
        return db is not None and txn.get(content, db=db) is not None

    def forget(self, txn: Txn, content: bytes) -> None:
        """Forget the vectors of a content in every space."""
        for name in self._env.opened(_VECTORS):
            txn.delete(content, db=self._env.database(name))

    def drop(self, name: str, most: int) -> Iterator[None]:
        """Delete a space that is not open, `most` vectors a step. Each step is durable, and may raise StoreFull."""
        for database in (f"tally/{name}", _VECTORS + name):
            db, is_through = self._env.database(database), False
            while not is_through:
                with self._env.writing() as txn, txn.cursor(db=db) as cursor:
                    cursor.first()
                    is_through = not all(cursor.delete() for _ in range(most))
                    if is_through:
                        txn.delete(name.encode(), db=self._env["spaces"])
                yield
            with self._env.writing() as txn:
                self._env.remove(txn, database)
