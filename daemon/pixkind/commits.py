"""Writing what is done into the store, and what is said of that: that there is no room, and how fast it goes.

Ingest thread only; other threads read `full` and `rate`.
"""

import logging
import time
from collections import Counter
from typing import Final

from pixkind.batch import Batch, Failed
from pixkind.rate import Rate
from pixkind.store import Store, StoreFull
from pixkind.visit import Owner

_log = logging.getLogger(__name__)

FULL_S: Final = 10.0  # how often a commit is tried while there is no room for it


class Commits:
    """The commits of one pipeline."""

    def __init__(self, store: Store, owner: Owner, counters: Counter[str]) -> None:
        """Begin with none; `commits` of the counters counts them."""
        self._store = store
        self._owner = owner
        self.full = ""  # why nothing can be stored now
        self.full_until = 0.0  # monotonic
        self._counters = counters
        self.rate = Rate()

    def write(self, batch: Batch) -> bool:
        """Commit, and tell the owner; return False, and try again later, if there is no room."""
        try:
            delta = self._store.commit(batch)
        except StoreFull as error:
            if not self.full:
                text = "nothing can be stored: %s; queries go on, and it is tried again every %.0f s"
                _log.error(text, error, FULL_S)
            self.full, self.full_until = str(error), time.monotonic() + FULL_S
            return False
        self.full, self.full_until = "", 0.0
        self._owner.changed(delta)
        self._counters["commits"] += 1
        now = time.monotonic()
        self.rate.note(now, len(batch.photos))
        for change in batch.photos:
            if isinstance(change, Failed):
                _log.info("failed %s: %s", change.path, change.reason)
                if change.retry_s:
                    self._owner.try_again(change.path, now + max(0.0, change.retry_s + 1 - time.time()))
        return True
