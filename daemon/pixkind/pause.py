"""One `pixkin pause`: waiting until nothing of a root is open. Used by the ingest thread alone."""

from concurrent.futures import Future
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """Done when the drive can go."""

    root: str
    until_ms: int  # CLOCK_MONOTONIC in ms; 0: no limit
    future: "Future[None]"

    def conclude(self, now_ms: int, *, is_open: bool) -> bool:
        """Answer if nothing is open any more, or there is no time left; return whether that is so."""
        if self.future.cancelled():
            return True
        if not is_open:
            self.future.set_result(None)
        elif self.until_ms and now_ms >= self.until_ms:
            self.future.set_exception(TimeoutError(f"files in {self.root} are still open"))
        else:
            return False
        return True
