"""The scans that are running, one after the other, in slices. Runs in the ingest thread."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pixkin.protocol.replies import Root
from pixkind.watching.coverage import Coverage
from pixkind.watching.scan import Scan, Step
from pixkind.watching.sync import SyncRequest

SLICE_S: Final = 0.05  # a scan of a million files must not keep the finished photos waiting


@dataclass(slots=True)
class _Running:
    top: str
    steps: Iterator[Step]
    sync: SyncRequest | None
    has_begun: bool = False


class ScanQueue:
    """All scans."""

    def __init__(
        self,
        scan: Scan,
        coverage: Coverage,
        *,
        take: Callable[[Step, SyncRequest | None], None],
        ended: Callable[[str], None],
        has_room: Callable[[], bool],
    ) -> None:
        """Begin with none.

        Args:
            scan: compares disk and store.
            coverage: is told what was scanned.
            take: does what a scan found, for a sync or nobody.
            ended: called with what a scan was about that no sync asked for.
            has_room: whether more may be found before what was found is dealt with.
        """
        self._scan = scan
        self._coverage = coverage
        self._take = take
        self._ended = ended
        self._has_room = has_room
        self._running: deque[_Running] = deque()
        self.rescans = 0  # of whole roots, since the start

    def __bool__(self) -> bool:
        return bool(self._running)

    def rescan(self, root: str) -> None:
        """Scan a whole root, unless that is about to be done: a storm of overflows costs two scans."""
        if not any(scan.sync is None and scan.top == root and not scan.has_begun for scan in self._running):
            self.rescans += 1
            self.begin(root, None)

    def begin(self, top: str, sync: SyncRequest | None) -> None:
        """Scan a photo, a folder or a root, for a sync if one asks."""
        if sync is not None:
            sync.scans += 1
        self._running.append(_Running(top, self._scan.steps(top), sync))

    def drop(self, is_meant: Callable[[str], bool], root: Root) -> None:
        """End scans of a root before they are through."""
        for scan in [scan for scan in self._running if is_meant(scan.top)]:
            self._running.remove(scan)
            self._coverage.scanned(scan.top)
            if scan.sync is not None:
                scan.sync.scans -= 1
                scan.sync.leave_root(root)

    def advance(self) -> None:
        """Go on with the first of them for a moment."""
        until = time.monotonic() + SLICE_S
        while self._running and time.monotonic() < until and self._has_room():
            running = self._running[0]
            if not running.has_begun:
                self._coverage.scan_began(running.top)
            running.has_begun = True
            step = next(running.steps, None)
            if step is not None:
                self._take(step, running.sync)
                continue
            self._running.popleft()
            self._coverage.scanned(running.top)
            if running.sync is not None:
                running.sync.scans -= 1
            else:
                self._ended(running.top)
