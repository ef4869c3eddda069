"""Runs scans one after the other, in short slices. The ingest thread uses it."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pixkin.mounts import lies_in
from pixkin.protocol.replies import Root
from pixkind.watching.coverage import Coverage
from pixkind.watching.scan import Scan, Step
from pixkind.watching.sync import SyncRequest

SLICE_S: Final = 0.05  # a scan of a million files must not delay the photos that are finished


@dataclass(slots=True)
class _Running:
    top: str
    steps: Iterator[Step]
    sync: SyncRequest | None
    has_begun: bool = False


class ScanQueue:
    """The queue of scans; the first one is running."""

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
            scan: compares the file system with the store.
            coverage: records what was scanned.
            take: handles one step of a scan, with the sync that asked for the scan or None.
            ended: called with the path of each finished scan that no sync asked for.
            has_room: returns whether the pipeline can take more photos.
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

    def covers(self, path: str) -> bool:
        """Return whether a path is scanned now, or will be."""
        return any(lies_in(path, scan.top) for scan in self._running)

    def rescan(self, root: str) -> None:
        """Scan a whole root, unless such a scan is still waiting to begin; so a storm of overflows costs two scans."""
        if not any(scan.sync is None and scan.top == root and not scan.has_begun for scan in self._running):
            self.rescans += 1
            self.begin(root, None)

    def begin(self, top: str, sync: SyncRequest | None) -> None:
        """Queue the scan of a photo, a folder or a root; `sync` is the request that asked for it."""
        if sync is not None:
            sync.scans += 1
        self._running.append(_Running(top, self._scan.steps(top), sync))

    def drop(self, is_meant: Callable[[str], bool], root: Root) -> None:
        """Cancel the scans whose path `is_meant`, all of them in `root`."""
        for scan in [scan for scan in self._running if is_meant(scan.top)]:
            self._running.remove(scan)
            self._coverage.scanned(scan.top)
            if scan.sync is not None:
                scan.sync.scans -= 1
                scan.sync.leave_root(root)

    def advance(self) -> None:
        """Run the scans for one slice of time, the first one first."""
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
            self._coverage.scan_ended()
            self._coverage.scanned(running.top)
            if running.sync is not None:
                running.sync.scans -= 1
            else:
                self._ended(running.top)
