"""The sample of the library: kept while nothing changes, and never of an earlier mean."""

from collections.abc import Iterator

import numpy as np
import pytest

from pixkind.index.centering import RunningMean
from pixkind.index.chance import LEAST, SAMPLE, chance_of
from pixkind.index.sample import LibrarySample

DIMS = 256


class Blocks:
    """A library of random vectors that counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> Iterator[tuple[list[bytes], np.ndarray]]:
        """Yield the vectors, others each time."""
        self.reads += 1
        vectors = np.random.default_rng(self.reads).standard_normal((2 * SAMPLE, DIMS), dtype=np.float32) + 3
        yield [b"%d" % one for one in range(len(vectors))], vectors


@pytest.fixture
def mean() -> RunningMean:
    """Return the mean of a library."""
    return RunningMean(1000, np.full(DIMS, 3000.0))


def test_a_small_library_has_none(mean: RunningMean) -> None:
    """Too few photos tell nothing."""
    blocks = Blocks()
    sample = LibrarySample(blocks)

    assert sample.centred(LEAST - 1, mean) is None
    assert sample.chance(LEAST - 1, mean, "efficientnet_lite0") is None
    assert blocks.reads == 0


def test_it_is_drawn_once_until_the_library_has_doubled(mean: RunningMean) -> None:
    """What is kept is the very same; then others are drawn."""
    blocks = Blocks()
    sample = LibrarySample(blocks)
    first = sample.centred(1000, mean)

    assert sample.centred(1999, mean) is first
    assert blocks.reads == 1
    other = sample.centred(2000, mean)
    assert blocks.reads == 2
    assert first is not None
    assert other is not None
    assert first.shape == other.shape == (SAMPLE, DIMS)
    assert not np.array_equal(first, other)


def test_it_is_centred_by_the_mean_of_now(mean: RunningMean) -> None:
    """The same vectors, by another mean; the chance level goes with them, and with the size of the library."""
    sample = LibrarySample(Blocks())
    before, level = sample.centred(600, mean), sample.chance(600, mean, "efficientnet_lite0")
    moved = RunningMean(1000, np.full(DIMS, 2000.0))
    after, other = sample.centred(600, moved), sample.chance(600, moved, "efficientnet_lite0")
    grown = sample.chance(900, moved, "efficientnet_lite0")

    assert before is not None
    assert after is not None
    assert not np.allclose(before, after)
    assert level == chance_of(before, "efficientnet_lite0", 600)
    assert other == chance_of(after, "efficientnet_lite0", 600) != level
    assert grown == chance_of(after, "efficientnet_lite0", 900) != other
    assert sample.chance(900, moved, "efficientnet_lite0") is grown
