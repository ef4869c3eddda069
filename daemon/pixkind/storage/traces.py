"""Since when the store's file has traces of what was forgotten: deleted bytes stay in it until it is rewritten.

In a database of the store, used inside its transactions or in one of its own.

| name | key | value |
| --- | --- | --- |
| `meta` | `traces` | decimal digits: s since the epoch since when; 0: not dated yet; 1: to be wiped at once; 2: being wiped. No key: there are none |
"""

from typing import Final

from pixkind.storage.contents import UNDATED
from pixkind.storage.environment import Environment, Txn

WIPING: Final = 2
_KEY: Final = b"traces"


class Traces:
    """The traces of one store."""

    def __init__(self, env: Environment) -> None:
        """Keep the environment, whose database `meta` is open."""
        self._env = env

    def leave(self, txn: Txn) -> None:
        """Note that something is forgotten in this transaction."""
        if txn.get(_KEY, db=self._env["meta"]) in {None, b"%d" % WIPING}:
            txn.put(_KEY, b"%d" % UNDATED, db=self._env["meta"])

    def since(self) -> int | None:
        """Return since when there are traces: epoch s, or UNDATED, DUE or WIPING; None: there are none."""
        with self._env.reading() as txn:
            value = txn.get(_KEY, db=self._env["meta"])
        return None if value is None else int(value)

    def note(self, since_s: int | None) -> None:
        """Note since when there are traces, durably. May raise StoreFull."""
        with self._env.writing() as txn:
            if since_s is None:
                txn.delete(_KEY, db=self._env["meta"])
            else:
                txn.put(_KEY, b"%d" % since_s, db=self._env["meta"])
