"""What the store knows of contents: their photos, facts and strikes, and the contents that no photo has any more.

The databases are the store's, and are used inside its transactions. Values are packed as record.py says.

| name | key | value |
| --- | --- | --- |
| `contents` | content id | facts |
| `holders` | content id, many values | keys.key of each live photo of this content |
| `ghosts` | content id, many values | keys.key of each gone photo of this content |
| `orphans` | content id that is in neither of these two | int64: s since the epoch since when; 0: not dated yet; 1: due |
| `strikes` | content id | uint32: how often the worker died with this content in it |
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from pixkind.encoder.messages import UNSEEN, Look
from pixkind.storage.environment import Environment, Txn
from pixkind.storage.record import UNKNOWN, Facts, Record, pack_facts, unpack_facts

UNDATED: Final = 0
DUE: Final = 1
_COUNT: Final = struct.Struct("<I")
_SINCE: Final = struct.Struct("<q")


class ContentTable:
    """The contents of all photos, live and gone."""

    def __init__(self, env: Environment) -> None:
        """Open or create the databases."""
        self._env = env
        for name in ("contents", "strikes", "orphans"):
            env.database(name)
        for name in ("holders", "ghosts"):
            env.database(name, dupsort=True)

    # Their photos.

    def link(self, txn: Txn, record: Record) -> None:
        """Note that a record names its content."""
        if record.content != UNKNOWN:
            txn.put(record.content, record.key, db=self._env["holders" if record.live else "ghosts"])
            txn.delete(record.content, db=self._env["orphans"])

    def unlink(self, txn: Txn, record: Record) -> None:
        """Note that a record that was linked no longer names its content."""
        if record.content != UNKNOWN:
            txn.delete(record.content, record.key, db=self._env["holders" if record.live else "ghosts"])

    def note_orphan(self, txn: Txn, content: bytes, since_s: int) -> None:
        """Note a content as an orphan if no record names it; `since_s`: epoch seconds, or UNDATED, or DUE."""
        if content != UNKNOWN and not self.is_named(txn, content):
            txn.put(content, _SINCE.pack(since_s), db=self._env["orphans"])

    def holders(self, txn: Txn, content: bytes) -> list[bytes]:
        """Return the keys of the live photos of a content."""
        with txn.cursor(db=self._env["holders"]) as cursor:
            return list(cursor.iternext_dup()) if cursor.set_key(content) else []

    def keys(self, txn: Txn, content: bytes) -> Iterator[bytes]:
        """Yield the keys of all photos of a content, live and gone."""
        for name in ("holders", "ghosts"):
            with txn.cursor(db=self._env[name]) as cursor:
                yield from cursor.iternext_dup() if cursor.set_key(content) else ()

    def live(self, block: int, start: bytes = UNKNOWN) -> Iterator[bytes]:
        """Yield the contents of live photos from `start` on, sorted; each `block` is read in one short transaction."""
        while start:
            with self._env.reading() as txn, txn.cursor(db=self._env["holders"]) as cursor:
                found = list(islice(cursor.iternext_nodup(), block)) if cursor.set_range(start) else []
            yield from found
            start = _next(found, block)

    def gone_contents(self, txn: Txn, after: tuple[bytes, bytes], most: int) -> list[tuple[bytes, bytes]]:
        """Return the next (content, keys.key) of gone photos, sorted: at most `most`, all above the pair `after`."""
        content, at = after
        with txn.cursor(db=self._env["ghosts"]) as cursor:
            found = cursor.set_range_dup(content, at + b"\0") or cursor.set_range(content + b"\0")
            return list(islice(cursor.iternext(), most)) if found else []

    # What is known of them.

    def is_live(self, txn: Txn, content: bytes) -> bool:
        """Return whether a live photo has a content."""
        return txn.get(content, db=self._env["holders"]) is not None

    def facts(self, txn: Txn, content: bytes) -> Facts | None:
        """Return the facts of a content; None if there are none."""
        value = txn.get(content, db=self._env["contents"])
        return None if value is None else unpack_facts(value)

    def put(self, txn: Txn, facts: Mapping[bytes, Facts]) -> None:
        """Store facts. The look of a content that is known stays if they do not tell it."""
        for content, fact in facts.items():
            if fact.look == UNSEEN and (known := self.facts(txn, content)) is not None:
                fact = replace(fact, look=known.look)  # noqa: PLW2901  the same facts
            txn.put(content, pack_facts(fact), db=self._env["contents"])

    def note_looks(self, txn: Txn, looks: Mapping[bytes, Look]) -> None:
        """Store how contents look that have facts."""
        for content, look in looks.items():
            if (fact := self.facts(txn, content)) is not None:
                txn.put(content, pack_facts(replace(fact, look=look)), db=self._env["contents"])

    def strikes(self, txn: Txn, content: bytes) -> int:
        """Return how many strikes a content has."""
        return int(_COUNT.unpack(txn.get(content, bytes(4), db=self._env["strikes"]))[0])

    def strike(self, txn: Txn, contents: Iterable[bytes]) -> None:
        """Give each of these contents one more strike."""
        for content in contents:
            txn.put(content, _COUNT.pack(self.strikes(txn, content) + 1), db=self._env["strikes"])

    def clear_strikes(self, txn: Txn, contents: Iterable[bytes]) -> None:
        """Clear the strikes of these contents."""
        for content in contents:
            txn.delete(content, db=self._env["strikes"])

    # Orphans: contents that no photo has any more.

    def sweep(
        self, txn: Txn, after: bytes, most: int, now_s: int, keep_s: int, forget: Callable[[bytes], None]
    ) -> bytes:
        """Forget each content that has been an orphan for `keep_s`, and date the new orphans; with 0, forget all orphans.

        Args:
            txn: a write transaction.
            after: the key to begin with.
            most: how many orphans to look at.
            now_s: epoch seconds.
            keep_s: how long an orphan is kept.
            forget: deletes the vectors of a content.

        Returns:
            The key to go on with; empty after the last orphan.
        """
        with txn.cursor(db=self._env["orphans"]) as cursor:
            block = list(islice(cursor.iternext(), most)) if cursor.set_range(after) else []
        for content, value in block:
            (since_s,) = _SINCE.unpack(value)
            if keep_s and since_s == UNDATED:
                txn.put(content, _SINCE.pack(now_s), db=self._env["orphans"])
            elif not keep_s or now_s - since_s >= keep_s:
                for name in ("contents", "strikes", "orphans"):
                    txn.delete(content, db=self._env[name])
                forget(content)
        return _next([content for content, _ in block], most)

    def is_named(self, txn: Txn, content: bytes) -> bool:
        """Return whether a photo, live or gone, has a content."""
        return any(txn.get(content, db=self._env[name]) is not None for name in ("holders", "ghosts"))


def _next(found: Sequence[bytes], most: int) -> bytes:
    """Return the key to go on with after a block; empty if this block was the last."""
    return found[-1] + b"\0" if len(found) == most else b""
