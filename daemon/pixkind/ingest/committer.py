"""Writing what is done into the store, what is said of that, and what is done about vectors that have rotted there.

Ingest thread only; other threads read `full` and `rate`.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pixkind.ingest.task import Loop
from pixkind.storage.environment import StoreFull
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFailed, WriteBatch

_log = logging.getLogger(__name__)

FULL_S: Final = 10.0  # how often a commit is tried while there is no room for it


class Committer:
    """The commits of one pipeline."""

    def __init__(self, store: Store, loop: Loop, counters: Counter[str]) -> None:
        """Begin with none; `commits` of the counters counts them."""
        self._store = store
        self._loop = loop
        self.full = ""  # why nothing can be stored now
        self.full_until = 0.0  # monotonic
        self._counters = counters
        self.rate = Throughput()

    def write(self, batch: WriteBatch) -> bool:
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
        self._loop.changed(delta)
        self._counters["commits"] += 1
        now = time.monotonic()
        self.rate.note(now, len(batch.photos))
        for change in batch.photos:
            if isinstance(change, PhotoFailed):
                _log.info("failed %s: %s", change.path, change.reason)
                if change.retry_s:
                    self._loop.try_again(change.path, now + max(0.0, change.retry_s + 1 - time.time()))
        return True


def drop_rotten_vectors(store: Store, loop: Loop, contents: Sequence[bytes]) -> None:
    """Forget the vectors of these contents, and have their photos looked at: they are encoded again."""
    with suppress(StoreFull):  # whoever comes across them next tells again
        loop.changed(store.drop_vectors(contents))
    for record in (record for content in contents for record in store.photos_of(content)):
        _log.error("the vector of %s had rotted on the disk; it is made again", record.path)
        loop.look_at(record.path, time.monotonic())


FEW: Final = 16  # photos from which on a rate is no guess
RECENT_S: Final = 30.0


class Throughput:
    """Photos a second over the last commits."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._commits: deque[tuple[float, int]] = deque(maxlen=64)

    def note(self, now: float, photos: int) -> None:
        """Note a commit of so many photos, at a monotonic time."""
        self._commits.append((now, photos))

    def per_s(self, now: float) -> float:
        """Return how many photos a second were written lately; 0: too few to tell."""
        recent = [(when, photos) for when, photos in list(self._commits) if when > now - RECENT_S]
        written = sum(photos for _, photos in recent[1:])
        return written / max(recent[-1][0] - recent[0][0], 1e-3) if written >= FEW else 0.0
