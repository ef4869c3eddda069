"""From which score on a match means something."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.index.chance import LEAST, ChanceLevel, chance_of

_DIMS = 24  # of made-up photos; so few, that their scores spread as those of real ones do


def _centred(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return directions that have nothing to do with each other."""
    vectors = np.random.default_rng(seed).standard_normal((count, _DIMS)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _drawn(centred: NDArray[np.float32]) -> ChanceLevel:
    chance = chance_of(centred)
    assert chance is not None
    return chance


def test_too_few_photos_tell_nothing() -> None:
    """A distribution needs pairs."""
    assert chance_of(_centred(LEAST - 1)) is None
    assert chance_of(_centred(LEAST)) is not None


def test_the_scores_are_those_of_the_pairs() -> None:
    """Where there are many pairs it is what they say: the median, a tenth, a fiftieth, and in between."""
    centred = _centred(400)
    scores = (centred @ centred.T)[np.triu_indices(400, 1)]
    chance = _drawn(centred)

    assert chance.half == pytest.approx(np.median(scores), abs=1e-6)
    for share in (0.1, 0.05, 0.02):
        assert np.mean(scores > chance.above(share)) == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize("count", [100, 400, 1000])
def test_the_best_of_unrelated_photos_is_what_chance_says(count: int) -> None:
    """The mean of the best score, over queries that none of the photos has to do with."""
    photos, queries = _centred(count), _centred(200, seed=1)
    best = (queries @ photos.T).max(axis=1)

    assert _drawn(photos).best_of(count) == pytest.approx(best.mean(), abs=0.07)


def test_copies_and_bursts_are_no_chance() -> None:
    """Of each photo there are two edited copies: a count takes them for chance, for one pair in 450 is such a one; this does not."""
    photos, random = _centred(300), np.random.default_rng(2)
    copies = photos.repeat(2, axis=0) + 0.1 * random.standard_normal((600, _DIMS)).astype(np.float32)
    library = np.concatenate([photos, copies / np.linalg.norm(copies, axis=1, keepdims=True)])
    scores = (library @ library.T)[np.triu_indices(900, 1)]
    chance = _drawn(random.permutation(library))

    assert np.quantile(scores, 1 - 1 / 900) > 0.8
    assert chance.best_of(900) == pytest.approx(_drawn(photos).best_of(900), abs=0.05)
    assert chance.best_of(900) < 0.75


def test_the_rarer_the_higher_and_never_one() -> None:
    """However many photos, a match with the same picture is better than chance; so it is where all photos are alike."""
    alike = np.repeat(_centred(1), 60, axis=0)
    for chance in (_drawn(_centred(300)), _drawn(alike), ChanceLevel(0.4, 0.9, 0.99)):
        scores = [chance.above(share) for share in (0.1, 0.01, 1e-3, 1e-6, 1e-9)]

        assert all(one <= other for one, other in itertools.pairwise(scores))
        assert scores[-1] < 1
