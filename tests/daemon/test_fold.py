"""Which pictures are one shot."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.fold import Picture, Shots, is_one_shot
from pixkind.photo import Stamp
from pixkind.record import Facts, Record

WHOLE = Facts(6000, 4000, 1_000, "Brownie")
SMALL = Facts(1024, 683, 1_000, "")


@pytest.mark.parametrize(
    ("other", "least"),
    [
        (WHOLE, 0.995),
        (SMALL, 0.97),
        (Facts(683, 1024, 1_000, ""), 0.97),
        (Facts(6048, 4024, 1_000, "Brownie"), 0.97),
        (Facts(1024, 683, 0, ""), 0.99),
        (Facts(6000, 4000, 0, ""), 0.995),
    ],
    ids=["saved again", "export", "export that was turned", "raw file with its margins", "without a date", "both"],
)
def test_the_less_the_headers_say_the_more_alike_versions_must_be(other: Facts, least: float) -> None:
    """Another size and the same second need least likeness, the same size most: so do all of a burst look."""
    assert is_one_shot(WHOLE, other, least)
    assert is_one_shot(other, WHOLE, least)
    assert not is_one_shot(WHOLE, other, least - 1e-6)


@pytest.mark.parametrize(
    "other",
    [Facts(1024, 683, 1_001, ""), Facts(1024, 768, 1_000, ""), Facts(1000, 1000, 0, ""), Facts(0, 0, 0, "")],
    ids=["another second", "another shape", "a square", "unknown"],
)
def test_what_the_headers_contradict_is_two_shots(other: Facts) -> None:
    """However alike the vectors are: they know only the middle of a picture, and the next of a burst is as like."""
    assert not is_one_shot(WHOLE, other, 1.0)


def _turned(degrees: float) -> NDArray[np.float32]:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], np.float32)


def _folded(*pictures: tuple[str, float, Facts], query: float = 0) -> set[frozenset[str]]:
    """Return the shots of pictures: name, where its vector points to, as that of the `query`, in degrees, and facts."""
    vectors = {name.encode(): _turned(degrees) for name, degrees, _ in pictures}
    shots = Shots(vectors.get)
    for name, degrees, facts in sorted(pictures, key=lambda one: abs(one[1] - query)):
        photo = Record(f"/{name}", Stamp(0, 0, 0, 0), name.encode())
        shots.add(Picture(name.encode(), math.cos(math.radians(degrees - query)), 0.0, facts, [photo]))

    scores = [shot[0].score for shot in shots]
    assert scores == sorted(scores, reverse=True)
    assert all(shot[0].pixels == max(one.pixels for one in shot) for shot in shots)
    return _sets([picture.content.decode() for picture in shot] for shot in shots)


def _sets(shots: Iterable[Iterable[str]]) -> set[frozenset[str]]:
    return set(map(frozenset, shots))


def test_versions_fold_whatever_comes_between_them() -> None:
    """Another picture may be more like the query than the second version."""
    between = Facts(500, 500, 0, "")

    assert _folded(("a", 20, SMALL), ("other", 22, between), ("b", 25, WHOLE)) == _sets(["ab", ["other"]])


def test_a_chain_of_likenesses_leads_nowhere() -> None:
    """What is like a version, but not like the largest, is not of the shot."""
    half, quarter = Facts(3000, 2000, 1_000, ""), Facts(1500, 1000, 1_000, "")

    assert _folded(("a", 0, WHOLE), ("b", 10, half), ("c", 20, quarter)) == _sets(["ab", "c"])


@pytest.mark.parametrize("query", [10, 19, 21, 30])
def test_the_largest_brings_its_versions_together_in_any_order(query: float) -> None:
    """Two small versions need not be as like each other as each is like the whole picture."""
    small = Facts(1500, 1000, 1_000, "")

    assert _folded(("a", 20, WHOLE), ("b", 10, SMALL), ("c", 30, small), query=query) == _sets(["abc"])


def test_a_picture_without_a_date_does_not_fold_two_that_have_one() -> None:
    """It goes to one of them, and the two stay two shots."""
    later = Facts(6000, 4000, 2_000, "Brownie")
    undated = Facts(1024, 683, 0, "")
    folded = _folded(("a", 1, WHOLE), ("export", 2, undated), ("b", 3, later))

    assert not any({"a", "b"} <= shot for shot in folded)
    assert len(folded) == 2


def test_a_content_without_a_vector_is_a_shot_of_its_own() -> None:
    """It was forgotten while the answer was made."""
    shots = Shots(lambda _: None)
    for name in "ab":
        shots.add(Picture(name.encode(), 1.0, 0.0, WHOLE, [Record(f"/{name}", Stamp(0, 0, 0, 0))]))

    assert len(shots) == 2
