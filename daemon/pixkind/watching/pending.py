"""Paths that changed and have not yet rested. Used by the ingest thread alone; knows no file and no clock."""

import heapq
from dataclasses import dataclass, field


@dataclass(slots=True)
class PendingPaths:
    """Paths that are dirty, and when each will have rested.

    Level-triggered: it remembers that a path is dirty, never what happened to it.
    Times are seconds of one monotonic clock and always come from the caller.
    """

    rest_s: float  # a path is due this long after its last change
    patience_s: float  # but no later than this after its first: a folder that never rests is looked at all the same
    _dirty: dict[str, tuple[float, float]] = field(default_factory=dict)  # path -> (first change, due)
    _heap: list[tuple[float, str]] = field(default_factory=list)  # (due, path), with entries that have been overtaken

    def __len__(self) -> int:
        return len(self._dirty)

    def __contains__(self, path: str) -> bool:
        return path in self._dirty

    def add(self, path: str, now: float) -> None:
        """Note that `path` changed at `now`."""
        first, _ = self._dirty.get(path, (now, now))
        self._put(path, first, min(now + self.rest_s, first + self.patience_s))

    def add_at(self, path: str, due: float) -> None:
        """Note that `path` must be looked at when `due` has come; an earlier wish stands."""
        first, earlier = self._dirty.get(path, (due, due))
        if path not in self._dirty or due < earlier:
            self._put(path, min(first, due), due)

    def take_due(self, now: float) -> list[str]:
        """Return the paths that are due at `now`, earliest first, and forget them."""
        due: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            when, path = heapq.heappop(self._heap)
            if self._dirty.get(path, (0.0, -1.0))[1] == when:
                del self._dirty[path]
                due.append(path)
        return due

    def next_deadline(self) -> float | None:
        """Return when the next path is due; None if nothing is dirty."""
        while self._heap and self._dirty.get(self._heap[0][1], (0.0, -1.0))[1] != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _put(self, path: str, first: float, due: float) -> None:
        self._dirty[path] = (first, due)
        heapq.heappush(self._heap, (due, path))
        if len(self._heap) > 64 + 4 * len(self._dirty):  # a file written for hours must not grow the heap for hours
            self._heap = sorted((due, path) for path, (_, due) in self._dirty.items())
