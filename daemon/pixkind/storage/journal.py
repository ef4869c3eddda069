"""Which contents the last commits touched, so that a snapshot of an index can catch up with the store.

The databases are the store's, and are used inside its transactions.

| name | key | value |
| --- | --- | --- |
| `journal` | generation of a commit, uint64, big endian | the content ids that it touched, one behind the other |
| `meta` | `generation` | of the last commit, int64: decimal digits |
| `meta` | `journal from` | the last generation that the journal has forgotten: decimal digits |
"""

import struct
from collections.abc import Iterable
from typing import Final

from pixkind.storage.environment import Environment, Txn
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import UNKNOWN

_AT: Final = struct.Struct(">Q")


class Journal:
    """The journal of one store."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database."""
        self._env = env
        env.database("journal")
        self.readers: dict[str, int] = {}  # by space: the generation that its index no longer needs

    def note(self, txn: Txn, contents: Iterable[bytes]) -> int:
        """Note the contents that a commit touches, and return its generation; 0 if it touches none."""
        touched = sorted(set(contents) - {UNKNOWN})
        if not touched:
            return 0
        generation = self._generation(txn) + 1
        txn.put(b"generation", b"%d" % generation, db=self._env["meta"])
        txn.put(_AT.pack(generation), b"".join(touched), db=self._env["journal"], append=True)
        return generation

    @property
    def born(self) -> str:
        """An identifier of this store: generations of different stores cannot be compared."""
        with self._env.reading() as txn:
            return txn.get(b"born", b"", db=self._env["meta"]).hex()

    @property
    def generation(self) -> int:
        """The generation of the last commit that touched a content."""
        with self._env.reading() as txn:
            return self._generation(txn)

    def since(self, generation: int) -> set[bytes] | None:
        """Return the contents that were touched after a generation; None if the journal does not reach back so far."""
        with self._env.reading() as txn, txn.cursor(db=self._env["journal"]) as cursor:
            if not int(txn.get(b"journal from", b"0", db=self._env["meta"])) <= generation <= self._generation(txn):
                return None
            values = list(cursor.iternext(keys=False)) if cursor.set_range(_AT.pack(generation + 1)) else []
        return {value[at : at + CONTENT_BYTES] for value in values for at in range(0, len(value), CONTENT_BYTES)}

    def forget(self, generation: int, reader: str = "") -> None:
        """Note that a reader needs nothing up to a generation, and forget what no reader needs, durably. Ingest thread only.

        Raises:
            StoreFull: nothing was forgotten; it can be tried again.
        """
        self.readers[reader] = generation
        with self._env.writing() as txn, txn.cursor(db=self._env["journal"]) as cursor:
            # Never back: a new reader begins with 0, and entries that are forgotten do not return.
            generation = max(min(self.readers.values()), int(txn.get(b"journal from", b"0", db=self._env["meta"])))
            txn.put(b"journal from", b"%d" % generation, db=self._env["meta"])
            while cursor.first() and _AT.unpack(cursor.key())[0] <= generation:
                cursor.delete()

    def _generation(self, txn: Txn) -> int:
        return int(txn.get(b"generation", b"0", db=self._env["meta"]))
