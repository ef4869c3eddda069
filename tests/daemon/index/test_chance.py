"""From which score on a match means something."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkin.protocol.replies import Relation
from pixkind.index.chance import Bounds, ChanceLevel, bounds_of, chance_of, least, relation

_DIMS = 200  # of made-up photos; unrelated ones score 0.07 then, with real ones it is 0.05 to 0.07
_NETWORK = "efficientnet_lite0"


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _centred(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return directions that have nothing to do with each other."""
    return _unit(np.random.default_rng(seed).standard_normal((count, _DIMS)))


def _kind(count: int, score: float, seed: int = 5) -> NDArray[np.float32]:
    """Return photos of one kind: each two of them score about this."""
    random = np.random.default_rng(seed)
    middle = _unit(random.standard_normal((1, _DIMS)))
    apart = _unit(random.standard_normal((count, _DIMS)))
    return _unit(np.sqrt(score) * middle + np.sqrt(1 - score) * apart)


def _bounds(query: NDArray[np.float32], library: NDArray[np.float32]) -> Bounds:
    """Return the bounds of a query, with the library for its sample."""
    own = library @ query
    best = np.argsort(-own)[:10]
    return bounds_of(own, library[best] @ library.T, _NETWORK, 500)


def test_a_relative_is_above_the_bound_and_unrelated_photos_are_not() -> None:
    """Of photos that have nothing to do with the query hardly one is above, and no photo of its kind is below."""
    queries, others, relatives = _centred(50, seed=1), _centred(500), _kind(30, 0.45)
    above = [float(np.mean(others @ query >= _bounds(query, others).loosely)) for query in queries]
    library = np.concatenate([relatives[1:], others])
    kept = library @ relatives[0] >= _bounds(relatives[0], library).loosely

    assert np.mean(above) < 0.005
    assert kept[:29].all()
    assert kept[29:].mean() < 0.005


@pytest.mark.parametrize("count", [5, 50, 120])
def test_what_is_related_hardly_moves_the_bound(count: int) -> None:
    """With five relatives among 505 photos, and with 120 among 620: these are still above the bound."""
    others, relatives = _centred(500), _kind(121, 0.45)
    alone = _bounds(relatives[0], others)
    among = _bounds(relatives[0], np.concatenate([others, relatives[1 : count + 1]]))
    kept = relatives[1 : count + 1] @ relatives[0] >= among.loosely

    assert abs(among.loosely - alone.loosely) < 0.08
    assert kept.mean() > 0.97
    assert alone.loosely < alone.alike


def test_copies_and_bursts_do_not_move_what_unrelated_photos_score() -> None:
    """Each photo has seven edited copies: one pair in 570 scores more than 0.9."""
    photos, random = _centred(60), np.random.default_rng(2)
    copies = photos.repeat(7, axis=0) + 0.02 * random.standard_normal((420, _DIMS))
    library = np.concatenate([photos, _unit(copies)])
    plain, full = chance_of(_centred(480), _NETWORK, 480), chance_of(library, _NETWORK, 480)

    assert full.loosely == pytest.approx(plain.loosely, abs=0.03)
    assert full.above(1 / 1000) == pytest.approx(plain.above(1 / 1000), abs=0.05)
    assert full.loosely < 0.3


def test_a_photo_with_a_wide_range_of_scores_has_a_higher_bound() -> None:
    """One bound for all would call most of its matches related."""
    random, others = np.random.default_rng(7), _centred(500)
    wide = random.normal(0, 0.1, 500)
    narrow = random.normal(0, 0.05, 500)
    best = others[:10] @ others[10:].T

    assert bounds_of(wide, best, _NETWORK, 500).loosely > bounds_of(narrow, best, _NETWORK, 500).loosely + 0.05


def test_the_bound_is_lower_in_a_small_library_and_stays_in_a_large_one() -> None:
    """In a small one, photos of one kind are among the ten best that are less alike."""
    own = np.random.default_rng(7).normal(0, 0.05, 500)
    found = [bounds_of(own, own[None], _NETWORK, count).loosely for count in (50, 150, 1000, 1_000_000)]

    assert found[0] < found[1] < found[2] == found[3]


@pytest.mark.parametrize("bounds", [None, Bounds(0.2, 0.4), Bounds(0.85, 0.85)])
def test_bands_follow_each_other(bounds: Bounds | None) -> None:
    """The higher the score, the nearer the band; and a score of a band passes for that band."""
    order = [*Relation]
    bands = [relation(score, bounds) for score in (-1, 0, 0.19, 0.2, 0.39, 0.4, 0.84, 0.85, 0.98, 0.99, 1)]

    assert all(order.index(one) >= order.index(other) for one, other in itertools.pairwise(bands))
    assert bands[-2:] == [Relation.SAME_PHOTO] * 2
    assert bands[-4] == Relation.SAME_SHOT
    assert bands[0] == (Relation.UNKNOWN if bounds is None else Relation.NO_RELATION)
    for score in (-0.3, 0.3, 0.5, 0.9, 1):
        assert score >= least(relation(score, bounds), bounds)


def test_the_rarer_the_higher_and_never_one() -> None:
    """What one pair in a million exceeds is below 1, also if all photos are alike."""
    alike = np.repeat(_centred(1), 60, axis=0)
    for level in (chance_of(_centred(300), _NETWORK, 300), chance_of(alike, _NETWORK, 60), ChanceLevel(0.4, 0.9, 0.85)):
        scores = [level.above(share) for share in (0.25, 0.1, 0.01, 1e-3, 1e-6)]

        assert all(one <= other for one, other in itertools.pairwise(scores))
        assert scores[-1] < 1
        assert level.loosely <= 0.85
