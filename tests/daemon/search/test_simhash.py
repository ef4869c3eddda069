import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.search.simhash import SimHashes

_DIMS = 256


def _vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of length 1, most of them close to one of a few middles, so that scores of all kinds occur."""
    random = np.random.default_rng(seed)
    middles = random.standard_normal((-(-count // 8), _DIMS))
    noise = random.uniform(0.05, 1, (count, 1)) * random.standard_normal((count, _DIMS))
    vectors = middles[random.integers(0, len(middles), count)] + noise
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _close(vectors: NDArray[np.float32], least: float) -> set[tuple[int, int]]:
    scores = vectors @ vectors.T
    return {(int(one), int(other)) for one, other in np.argwhere(np.triu(scores >= least, 1))}


def _found(vectors: NDArray[np.float32], least: float, size: int, most: int = 1000) -> list[tuple[int, int]]:
    """Return the pairs that are found for batches of `size` rows, which are spread over all rows."""
    hashes = SimHashes(_DIMS, len(vectors))
    for at in range(0, len(vectors), 100):
        hashes.fill(vectors[at : at + 100])
    found: list[tuple[int, int]] = []
    while len(left := hashes.not_compared(len(vectors))):
        rows = np.sort(left[:: max(1, len(left) // size)][:size])
        ours, theirs = hashes.pairs(rows, vectors[rows], least, most, lambda: None)
        found += [(min(pair), max(pair)) for pair in zip(rows[ours].tolist(), theirs.tolist(), strict=True)]
    return found


@pytest.mark.parametrize("least", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_no_pair_that_scores_enough_is_missed_or_told_twice(least: float, size: int) -> None:
    """Whatever the batches, every close pair is found in exactly one of them, and few other pairs are."""
    vectors = _vectors(400)
    found, close = _found(vectors, least, size), _close(vectors, least)

    assert len(close) > 50
    assert len(found) == len(set(found))
    assert close <= set(found)
    assert len(found) < 400 * 399 / 2 / 4


def test_many_pairs_of_one_row_are_cut_to_the_best() -> None:
    """A thousand photos of one wall do not make a million pairs: each row keeps its nearest ones."""
    middle = _vectors(8)[:1]
    noise = np.linspace(0, 0.9, 200)[:, None] * _vectors(200, seed=1)
    vectors = (middle + noise).astype(np.float32)
    hashes = SimHashes(_DIMS, 200)
    hashes.fill(vectors)
    ours, theirs = hashes.pairs(np.array([0]), vectors[:1], 0.5, 20, lambda: None)

    assert ours.tolist() == [0] * 20
    assert np.median(theirs) < 60


def test_rows_that_are_as_empty_as_can_be_are_asked_about_once() -> None:
    """A vector that is gone (zeros) does not affect the others."""
    vectors = _vectors(300)
    vectors[::3] = 0

    assert _close(vectors, 0.8) <= set(_found(vectors, 0.8, 50))


def test_beat_can_end_the_work() -> None:
    """An exception of `beat` is passed on."""

    def stop() -> None:
        raise InterruptedError

    hashes = SimHashes(_DIMS, 10)
    hashes.fill(_vectors(10))
    with pytest.raises(InterruptedError):
        hashes.pairs(np.arange(5), _vectors(5), 0.8, 10, stop)
