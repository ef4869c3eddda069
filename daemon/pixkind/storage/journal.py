"""Which contents the last commits touched, so that a snapshot of an index can catch up with the store.

The databases are the store's, and are used inside its transactions.

| name | key | value |
| --- | --- | --- |
| `journal` | generation of a commit, uint64, big endian | the content ids that it touched, one behind the other, and a uint32, little endian: the CRC-32 of key and ids |
| `meta` | `generation` | of the last commit, int64: decimal digits |
| `meta` | `journal from` | the last generation that the journal has forgotten: decimal digits |
| `meta` | `journal sums` | the last generation without a CRC-32: decimal digits |

LMDB has no checksums. A damaged journal would make an index lack a photo for ever, so no index begins with a part of one.
"""

import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from pixkind.storage.environment import Environment, StoreFull, Txn
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import UNKNOWN

_AT: Final = struct.Struct(">Q")
_CRC: Final = struct.Struct("<I")
_DIGITS: Final = 18  # of the largest generation; more fit into no key


class Journal:
    """The journal of one store."""

    def __init__(self, env: Environment) -> None:
        """Open or create the database."""
        self._env = env
        env.database("journal")
        self.readers: dict[str, int] = {}  # by space: the generation that its index no longer needs
        with suppress(StoreFull), env.writing() as txn:  # the next start tries again; until then none needs a CRC-32
            if txn.get(b"journal sums", db=self._env["meta"]) is None:
                txn.put(b"journal sums", b"%d" % self._generation(txn), db=self._env["meta"])

    def note(self, txn: Txn, contents: Iterable[bytes]) -> int:
        """Note the contents that a commit touches, and return its generation; 0 if it touches none."""
        touched = sorted(set(contents) - {UNKNOWN})
        if not touched:
            return 0
        generation = self._generation(txn) + 1
        key, ids = _AT.pack(generation), b"".join(touched)
        txn.put(b"generation", b"%d" % generation, db=self._env["meta"])
        txn.put(key, ids + _CRC.pack(zlib.crc32(key + ids)), db=self._env["journal"], append=True)
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
            latest = self._generation(txn)
            if not self._forgotten(txn) <= generation <= latest:
                return None
            entries = list(cursor.iternext()) if cursor.set_range(_AT.pack(generation + 1)) else []
            without = _AT.pack(self._number(txn, b"journal sums", latest))
        whole = [_ids(key, value, is_old=key <= without) for key, value in entries]
        if len(entries) != latest - generation or None in whole:
            return None
        return {ids[at : at + CONTENT_BYTES] for ids in whole if ids for at in range(0, len(ids), CONTENT_BYTES)}

    def forget(self, generation: int, reader: str = "") -> None:
        """Note that a reader needs nothing up to a generation, and forget what no reader needs, durably. Ingest thread only.

        Raises:
            StoreFull: nothing was forgotten; it can be tried again.
        """
        self.readers[reader] = generation
        with self._env.writing() as txn, txn.cursor(db=self._env["journal"]) as cursor:
            # Never back: a new reader begins with 0, and entries that are forgotten do not return.
            generation = max(min(self.readers.values()), self._forgotten(txn))
            txn.put(b"journal from", b"%d" % generation, db=self._env["meta"])
            while cursor.first() and cursor.key() <= _AT.pack(generation):
                cursor.delete()

    def _generation(self, txn: Txn) -> int:
        with txn.cursor(db=self._env["journal"]) as cursor:
            latest = int.from_bytes(cursor.key()) if cursor.last() and len(cursor.key()) == _AT.size else 0
        return max(latest, self._number(txn, b"generation"), self._forgotten(txn))

    def _forgotten(self, txn: Txn) -> int:
        return self._number(txn, b"journal from")

    def _number(self, txn: Txn, name: bytes, missing: int = 0) -> int:
        """Return a number; 0 if it is damaged."""
        digits = txn.get(name, b"%d" % missing, db=self._env["meta"])
        return int(digits) if digits.isdigit() and len(digits) <= _DIGITS else 0


def _ids(key: bytes, value: bytes, *, is_old: bool) -> bytes | None:
    """Return the content ids of an entry, which may be an old one; None if it is damaged."""
    if is_old and value and len(value) % CONTENT_BYTES == 0:
        return value
    ids = value[: -_CRC.size]
    is_whole = len(ids) % CONTENT_BYTES == 0 and value.endswith(_CRC.pack(zlib.crc32(key + ids)))
    return ids if is_whole else None
