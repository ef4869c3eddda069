"""What the last commits changed in the space that answers, for clients that show the library while it grows.

Nothing is queued for a client: it has a position, the generation that it has seen, and is told what has changed since. If that
is more than is remembered here, it is told so, and looks at everything again. The generation is that of the store's journal
plus one, because a client asks with 0 for the present one, and one more each time another space answers.
"""

import threading
from collections import deque
from collections.abc import Collection
from typing import Final, NamedTuple

from pixkind.storage.write_batch import CommitDelta

KEPT: Final = 512  # commits
SHOWN: Final = 20  # pictures that came last


class Since(NamedTuple):
    """What has changed since a generation."""

    generation: int
    came: tuple[bytes, ...] = ()  # contents, the newest first; at most SHOWN
    more: int = 0  # that came and are not among these
    gone: int = 0
    missed: bool = False  # more has changed than is known


class ChangeLog:
    """The last changes. The ingest thread notes them; any thread reads."""

    def __init__(self, generation: int) -> None:
        """Begin at a generation of the journal."""
        self._lock = threading.Lock()  # guards all below
        self._ahead = 1  # of the journal's generation
        # The present one; the first that is known; the last with a change.
        self._now = self._floor = self._news = generation + self._ahead
        self._counts: deque[tuple[int, int, int]] = deque(maxlen=KEPT)  # generation, pictures that came, and that went
        self._came: deque[tuple[int, bytes]] = deque(maxlen=SHOWN)  # generation, content

    def note(self, delta: CommitDelta, pages: Collection[bytes] = ()) -> None:
        """Note what a commit changed. `pages`: those that are further pages of a file, which is one picture."""
        if not delta.generation:
            return
        with self._lock:
            self._now = delta.generation + self._ahead
            came, gone = ([one for one in some if one not in pages] for some in (delta.appeared, delta.vanished))
            if not (came or gone):
                return
            self._news = self._now
            if len(self._counts) == KEPT:
                self._floor = self._counts[0][0]
            self._counts.append((self._now, len(came), len(gone)))
            self._came.extend((self._now, content) for content in came[-SHOWN:])

    def switch(self) -> None:
        """Note that another space answers."""
        with self._lock:
            self._ahead += 1
            self._now += 1
            self._floor = self._news = self._now
            self._counts.clear()
            self._came.clear()

    def is_news(self, after: int) -> bool:
        """Return whether something has changed since a generation, or this cannot be known."""
        return not self._news <= after <= self._now

    def since(self, after: int) -> Since:
        """Return what has changed since a generation; 0: only the present one."""
        with self._lock:
            if not after:
                return Since(self._now)
            if not self._floor <= after <= self._now:
                return Since(self._now, missed=True)
            came = sum(one for at, one, _ in self._counts if at > after)
            gone = sum(one for at, _, one in self._counts if at > after)
            shown = tuple(content for at, content in reversed(self._came) if at > after)
            return Since(self._now, shown, came - len(shown), gone)
