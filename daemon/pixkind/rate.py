"""How fast photos are indexed. Ingest notes, any thread reads."""

from collections import deque
from typing import Final

FEW: Final = 16  # photos from which on a rate is no guess
RECENT_S: Final = 30.0


class Rate:
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
