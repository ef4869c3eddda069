"""Vectors of the library at random: what a query scores with them is chance (`chance`)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pixkind.index.centering import RunningMean
from pixkind.index.chance import LEAST, SAMPLE, ChanceLevel, chance_of
from pixkind.index.rescoring import Blocks


class LibrarySample:
    """512 vectors, which are drawn again when the library has doubled or halved. Any thread."""

    def __init__(self, blocks: Callable[[], Blocks]) -> None:
        """Draw none yet. `blocks` yields all vectors of the library."""
        self._blocks = blocks
        self._drawn: tuple[int, NDArray[np.float16]] = (0, np.zeros((0, 0), np.float16))  # with the number of contents
        # Both take longer than all else in a query or a status of a small library, and the mean rests while nothing is indexed.
        self._centred: tuple[RunningMean, NDArray[np.float16], NDArray[np.float32]] | None = None
        self._chance: tuple[NDArray[np.float32], int, ChanceLevel] | None = None

    def centred(self, count: int, mean: RunningMean) -> NDArray[np.float32] | None:
        """Return the sample by this mean, (n, dims) of length 1; None if the library is too small to tell anything.

        Args:
            count: the number of contents in the library.
            mean: of their vectors.
        """
        if count < LEAST:
            return None
        drawn_from, drawn = self._drawn
        if not drawn_from / 2 < count < 2 * drawn_from:
            # The store yields contents in the order of their ids, hence at random.
            drawn = next((block[:SAMPLE].astype(np.float16) for _, block in self._blocks()), drawn)
            self._drawn = count, drawn
        if len(drawn) < LEAST:
            return None
        kept = self._centred
        if kept is None or kept[0] is not mean or kept[1] is not drawn:
            kept = self._centred = mean, drawn, mean.centering().centred(drawn.astype(np.float32))
        return kept[2]

    def chance(self, count: int, mean: RunningMean, network: str) -> ChanceLevel | None:
        """Return what unrelated photos score; None if the library is too small. `network`: the name of the model."""
        if (sample := self.centred(count, mean)) is None:
            return None
        kept = self._chance
        if kept is None or kept[0] is not sample or kept[1] != count:
            kept = self._chance = sample, count, chance_of(sample, network, count)
        return kept[2]
