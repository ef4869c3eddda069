"""The score of a query of several images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.index.centering import Centering
from pixkind.index.combining import combined
from pixkind.index.rescoring import NothingLeft, Rescorer

_PLAIN = Centering(np.zeros(4, np.float32))  # subtracts nothing
_A, _B, _C, _ = np.eye(4, dtype=np.float32)


def _scores(images: dict[str, float], photos: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Return the score of each photo for a query of these images, with their weights."""
    vectors = {"a": _A, "b": _B, "c": _C}
    queries = np.array([vectors[name] for name in images])
    rescorer = Rescorer(queries, _PLAIN, weights=np.array([*images.values()]))
    return dict(zip(photos, rescorer.scores(np.array([*photos.values()], np.float32)).tolist(), strict=True))


def test_what_is_near_to_both_beats_what_is_near_to_one() -> None:
    """The mean of the vectors would put a copy of one image first: 0.71 against 0.64."""
    photos = {"both": 0.45 * _A + 0.45 * _B + 0.77 * _C, "a": _A}
    found = _scores({"a": 1, "b": 1}, photos)

    assert found["both"] > found["a"]
    assert found["both"] == pytest.approx(0.45, abs=0.01)
    assert found["a"] < 0.05


def test_the_score_lies_between_the_smallest_and_the_mean() -> None:
    """For any scores and weights; equal scores keep their value, so one image given twice counts as one."""
    random = np.random.default_rng(0)
    for count in (1, 2, 3, 8):
        scores, shares = random.uniform(-1, 1, (500, count)), random.dirichlet(np.ones(count))
        found = combined(scores, shares)

        assert (found >= scores.min(axis=1) - 1e-9).all()
        assert (found <= scores @ shares + 1e-9).all()
    assert combined(np.full((1, 3), 0.4), np.array([0.2, 0.3, 0.5])) == pytest.approx(0.4)
    assert _scores({"a": 1}, {"x": 0.6 * _A + 0.8 * _C})["x"] == pytest.approx(0.6, abs=1e-6)


def test_a_photo_may_score_lower_for_an_image_of_a_small_weight() -> None:
    """The lower its weight, the less it matters; near zero it is as if it were not there."""
    photos = {"x": 0.6 * _A + 0.3 * _B + 0.74 * _C}
    found = [_scores({"a": 1, "b": weight}, photos)["x"] for weight in (1000, 1, 0.1, 1e-6)]

    assert found == sorted(found)
    assert found[0] == pytest.approx(0.3, abs=0.01)
    assert found[-1] == pytest.approx(0.6, abs=0.01)


def test_an_unwanted_image_counts_against_a_photo_for_each_wanted_one() -> None:
    """With one wanted image the score is the cosine with the difference, as a formula of its own."""
    photos = {"a": 0.9 * _A + 0.43 * _B, "a and c": 0.7 * _A + 0.714 * _C, "b and c": 0.7 * _B + 0.714 * _C}
    one, both = _scores({"a": 1, "c": -0.5}, photos), _scores({"a": 1, "b": 1, "c": -0.5}, photos)
    target = (_A - 0.5 * _C) / np.linalg.norm(_A - 0.5 * _C)

    assert one["a and c"] == pytest.approx(float(photos["a and c"] @ target), abs=1e-3)
    assert both["a"] > both["a and c"]
    assert both["a"] > both["b and c"]


def test_images_cancel_out_only_if_nothing_of_a_wanted_one_is_left() -> None:
    """Two opposite images that are wanted are a question without a good answer, but a question."""
    opposite = np.array([_A, -_A])

    assert Rescorer(opposite, _PLAIN).scores(_C[None])[0] == pytest.approx(0, abs=1e-6)
    with pytest.raises(NothingLeft):
        Rescorer(np.array([_A, _B, _A]), _PLAIN, weights=np.array([1.0, 1.0, -2.0]))
