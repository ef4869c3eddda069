"""Paths that changed and have not been left alone for long enough. Only the ingest thread uses it.

The module touches no file and reads no clock.
"""

import heapq
from dataclasses import dataclass, field


@dataclass(slots=True)
class PendingPaths:
    """Dirty paths, and when each is due to be scanned.

    It is level-triggered: it remembers that a path is dirty, never what happened to it.
    Times are seconds of one monotonic clock and always come from the caller.
    """

    rest_s: float  # a path is due this long after its last change
    patience_s: (
        float  # but no later than this after its first change, so that a folder that keeps changing is scanned too
    )
    _dirty: dict[str, tuple[float, float]] = field(default_factory=dict)  # path -> (first change, due)
    _heap: list[tuple[float, str]] = field(default_factory=list)  # (due, path); some entries are outdated
    _photos: set[str] = field(default_factory=set)  # the dirty paths at which there is a photo

    def __len__(self) -> int:
        return len(self._dirty)

    def __contains__(self, path: str) -> bool:
        return path in self._dirty

    @property
    def photos(self) -> int:
        """How many of the paths are photos: neither folders nor gone."""
        return len(self._photos)

    def add(self, path: str, now: float, *, is_photo: bool = True) -> None:
        """Note that `path` changed at `now`; `is_photo`: a photo is there."""
        (self._photos.add if is_photo else self._photos.discard)(path)
        first, _ = self._dirty.get(path, (now, now))
        self._put(path, first, min(now + self.rest_s, first + self.patience_s))

    def add_at(self, path: str, due: float) -> None:
        """Note that the photo at `path` is due at `due`, unless it is due earlier already."""
        self._photos.add(path)
        first, earlier = self._dirty.get(path, (due, due))
        if path not in self._dirty or due < earlier:
            self._put(path, min(first, due), due)

    def due(self, path: str) -> float | None:
        """Return when a path is due; None: it is not dirty."""
        return self._dirty[path][1] if path in self._dirty else None

    def take_due(self, now: float) -> list[str]:
        """Return the paths that are due at `now`, the earliest first, and forget them."""
        due: list[str] = []
        while self._heap and self._heap[0][0] <= now:
            when, path = heapq.heappop(self._heap)
            if self._dirty.get(path, (0.0, -1.0))[1] == when:
                del self._dirty[path]
                self._photos.discard(path)
                due.append(path)
        return due

    def next_deadline(self) -> float | None:
        """Return when the next path is due; None: no path is dirty."""
        while self._heap and self._dirty.get(self._heap[0][1], (0.0, -1.0))[1] != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _put(self, path: str, first: float, due: float) -> None:
        self._dirty[path] = (first, due)
        heapq.heappush(self._heap, (due, path))
        if len(self._heap) > 64 + 4 * len(self._dirty):  # a file written for hours must not grow the heap for hours
            self._heap = sorted((due, path) for path, (_, due) in self._dirty.items())
