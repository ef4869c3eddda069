"""Says where a photo waits that is known to have changed, for `pixkin why`."""

import time
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pixkind.ingest.dirty import DirtyPaths
from pixkind.ingest.inbox import Inbox
from pixkind.ingest.pipeline import Pipeline
from pixkind.ingest.throttle import Throttle, clock
from pixkind.watching.scan_queue import ScanQueue


class WaitingPlace(NamedTuple):
    """Where a photo waits."""

    what: str  # a sentence for people
    ahead: int = 0  # photos that are read before it


@dataclass(frozen=True, slots=True)
class WaitingPlaces:
    """All places at which photos wait."""

    inbox: Inbox
    dirty: DirtyPaths
    pipeline: Pipeline
    scans: ScanQueue
    throttle: Throttle

    def of(self, path: str) -> "Future[WaitingPlace | None]":
        """Return where a photo waits; None: nowhere, because it is settled, or nobody has noticed it. Any thread."""
        return self.inbox.submit(partial(self._of, path))

    def _of(self, path: str) -> WaitingPlace | None:
        if path in self.pipeline:
            if (ahead := self.pipeline.ahead_of(path)) is None:
                return WaitingPlace("it is being read")
            why = self.pipeline.committer.full or self.throttle.why(clock())
            return WaitingPlace(f"it waits to be read{f': {why}' if why else ''}", ahead)
        if (due := self.dirty.due(path)) is not None:
            wait_s = max(1, round(due - time.monotonic()))
            return WaitingPlace(
                f"it changed a moment ago, or a program still writes to it: pixkind looks at it again in {wait_s} s"
            )
        return WaitingPlace("its folder is being scanned") if self.scans.covers(path) else None
