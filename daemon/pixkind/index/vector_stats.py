"""What is known of a library that has no codes, be it because it is small or because they are being made.

One thread at a time changes it; any thread asks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pixkind.index.centering import RunningMean
from pixkind.index.chance import ChanceLevel, chance_of
from pixkind.index.rescoring import Blocks
from pixkind.system import sd_notify

_SIGN: Final = 16  # blocks between two signs of life: 0.1 s, or seconds on a cold disk


@dataclass(slots=True)
class VectorStats:
    """The mean of all vectors, and what unrelated ones score."""

    blocks: Callable[[Iterable[bytes] | None], Blocks]  # reads the vectors of these contents; None: of all
    mean: RunningMean = field(default_factory=RunningMean)
    _chance: tuple[RunningMean | None, ChanceLevel | None] = (None, None)  # of which contents, and what it is

    def count(self) -> None:
        """Read every vector, for the mean."""
        mean = RunningMean()
        for number, (_, block) in enumerate(self.blocks(None)):
            if number % _SIGN == 0:
                sd_notify.patience(sd_notify.START_S)
            mean = mean.plus(block)
        self.mean = mean

    def change(self, appeared: Sequence[bytes], vanished: Sequence[bytes]) -> None:
        """Take in which contents can be found from now on, and which cannot any more."""
        before = self.mean.count
        for _, block in self.blocks(vanished):
            self.mean = self.mean.plus(block, -1)
        if before - self.mean.count < len(
            vanished
        ):  # one has rotted, or is forgotten: it cannot be taken out of the sum
            self.count()
            return
        for _, block in self.blocks(appeared):
            self.mean = self.mean.plus(block)

    def chance(self) -> ChanceLevel | None:
        """Return what unrelated photos score: of all, so there must be few."""
        mean, (known, chance) = self.mean, self._chance
        if known is not mean:
            blocks = [mean.centering().centred(block) for _, block in self.blocks(None)]
            chance = chance_of(np.concatenate(blocks)) if blocks else None
            self._chance = mean, chance
        return chance
