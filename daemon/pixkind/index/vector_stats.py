"""The mean of all vectors while there are no codes: the library is small, or its codes are being made.

One thread at a time changes it; any thread reads it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pixkind.index.centering import RunningMean
from pixkind.index.rescoring import Blocks
from pixkind.system import sd_notify

_SIGN: Final = 16  # blocks between two messages to systemd: 0.1 s, or seconds on a cold disk


@dataclass(slots=True)
class VectorStats:
    """The mean of all vectors."""

    blocks: Callable[[Iterable[bytes] | None], Blocks]  # reads the vectors of these contents; None: of all
    mean: RunningMean = field(default_factory=RunningMean)

    def count(self) -> None:
        """Read every vector, and compute the mean."""
        mean = RunningMean()
        for number, (_, block) in enumerate(self.blocks(None)):
            if number % _SIGN == 0:
                sd_notify.patience(sd_notify.START_S)
            mean = mean.plus(block)
        self.mean = mean

    def change(self, appeared: Sequence[bytes], vanished: Sequence[bytes]) -> None:
        """Add the contents that can be found now, and subtract those that no longer can."""
        before = self.mean.count
        for _, block in self.blocks(vanished):
            self.mean = self.mean.plus(block, -1)
        # A vector that is damaged or deleted cannot be subtracted from the sum.
        if before - self.mean.count < len(vanished):
            self.count()
            return
        for _, block in self.blocks(appeared):
            self.mean = self.mean.plus(block)
