"""Tests which pictures are one shot."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pixkind.fs.stamp import Stamp
from pixkind.search.folding import FoundPicture, contradict, folded, is_one_shot
from pixkind.storage.record import Facts, Record

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
    ],
    ids=["saved again", "export", "export that was turned", "raw file with its margins", "without a date"],
)
def test_the_less_the_headers_say_the_more_alike_versions_must_be(other: Facts, least: float) -> None:
    """The same second with another size needs the lowest score, the same size the highest, since a burst looks like that."""
    assert is_one_shot(WHOLE, other, least)
    assert is_one_shot(other, WHOLE, least)
    assert not is_one_shot(WHOLE, other, least - 1e-6)


@pytest.mark.parametrize(
    "other",
    [
        Facts(1024, 683, 1_001, ""),
        Facts(1024, 768, 1_000, ""),
        Facts(1000, 1000, 0, ""),
        Facts(0, 0, 0, ""),
        Facts(6000, 4000, 0, ""),
        Facts(5990, 3993, 0, ""),
    ],
    ids=[
        "another second",
        "another shape",
        "a square",
        "unknown",
        "undated, of its size",
        "undated, nearly of its size",
    ],
)
def test_what_the_headers_contradict_is_two_shots(other: Facts) -> None:
    """This holds however alike the vectors are: photos of a burst, crops and pages of text are as alike."""
    assert not is_one_shot(WHOLE, other, 1.0)


@pytest.mark.parametrize(
    ("dates", "is_one"),
    [({1_000}, True), ({500, 1_000}, True), ({500, 2_000}, False), (set(), False)],
    ids=["the same", "one of two", "neither of two", "none"],
)
def test_copies_with_several_dates_contradict_only_if_none_is_that_of_the_other(
    dates: set[int], *, is_one: bool
) -> None:
    """The date of a file decides: that of the content, which one of its files had, does not count if all are known."""
    other = Facts(1024, 683, 1_000, "", frozenset(dates))

    assert is_one_shot(WHOLE, other, 0.98) is is_one
    assert contradict(WHOLE, other) is bool(dates and not is_one)


def _turned(degrees: float) -> NDArray[np.float32]:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))], np.float32)


def _folded(*pictures: tuple[str, float, Facts], query: float = 0) -> set[frozenset[str]]:
    """Return the shots of pictures, each given by name, direction of its vector in degrees, and facts."""
    vectors = {name: _turned(degrees) for name, degrees, _ in pictures}
    found = [
        FoundPicture(rank, name.encode(), math.cos(math.radians(degrees - query)), 0.0, facts, [_photo(name)])
        for rank, (name, degrees, facts) in enumerate(sorted(pictures, key=lambda one: abs(one[1] - query)))
    ]
    shots = folded(found, lambda contents: np.stack([vectors[content.decode()] for content in contents]))
    scores = [shot[0].score for shot in shots]

    assert scores == sorted(scores, reverse=True)
    assert all(shot[0].pixels == max(one.pixels for one in shot) for shot in shots)
    return _sets([picture.content.decode() for picture in shot] for shot in shots)


def _photo(name: str) -> Record:
    return Record(f"/{name}", Stamp(0, 0, 0, 0), name.encode())


def _sets(shots: Iterable[Iterable[str]]) -> set[frozenset[str]]:
    return set(map(frozenset, shots))


def test_versions_fold_whatever_comes_between_them() -> None:
    """Another picture may be more like the query than the second version."""
    between = Facts(500, 500, 0, "")

    assert _folded(("a", 20, SMALL), ("other", 22, between), ("b", 25, WHOLE)) == _sets(["ab", ["other"]])


def test_a_chain_of_likenesses_leads_nowhere() -> None:
    """A picture that is like a version, but not like the largest picture, does not belong to the shot."""
    half, quarter = Facts(3000, 2000, 1_000, ""), Facts(1500, 1000, 1_000, "")

    assert _folded(("a", 0, WHOLE), ("b", 10, half), ("c", 20, quarter)) == _sets(["ab", "c"])


@pytest.mark.parametrize("query", [10, 19, 21, 30])
def test_the_largest_brings_its_versions_together_in_any_order(query: float) -> None:
    """Two small versions need not be as alike as each of them and the whole picture."""
    small = Facts(1500, 1000, 1_000, "")

    assert _folded(("a", 20, WHOLE), ("b", 10, SMALL), ("c", 30, small), query=query) == _sets(["abc"])


def test_a_picture_without_a_date_goes_to_the_shot_that_it_is_most_like() -> None:
    """It does not join two shots with different dates, neither as an export of both nor as the original of both."""
    later = Facts(6000, 4000, 2_000, "Brownie")
    undated = Facts(1024, 683, 0, "")
    huge = Facts(12_000, 8000, 0, "")

    assert _folded(("a", 0, WHOLE), ("b", 5, later), ("c", 3, undated)) == _sets(["a", "bc"])
    assert _folded(("a", 1, WHOLE), ("b", 5, later), ("c", 2, huge)) == _sets(["ac", "b"])


def test_a_small_version_does_not_bring_two_large_pictures_together() -> None:
    """Two photos of one second may each be like an export, while they are not like each other."""
    assert _folded(("a", 0, WHOLE), ("b", 10, WHOLE), ("c", 4, SMALL)) == _sets(["ac", "b"])


def test_a_content_without_a_vector_is_a_shot_of_its_own() -> None:
    """It was deleted while the reply was made."""
    found = [FoundPicture(0, name.encode(), 1.0, 0.0, WHOLE, [_photo(name)]) for name in "ab"]

    assert len(folded(found, lambda contents: np.zeros((len(contents), 2), np.float32))) == 2


def test_nothing_is_read_of_what_can_be_no_version() -> None:
    """For most photos of a camera there is no other one of the same second."""
    facts = [Facts(6000, 4000, second, "Brownie") for second in range(1, 40)]
    found = [FoundPicture(one.taken_s, b"%d" % one.taken_s, 1.0, 0.0, one, [_photo("a")]) for one in facts]

    def centred(contents: Sequence[bytes]) -> NDArray[np.float32]:
        raise AssertionError(contents)

    assert folded([], centred) == []
    assert len(folded(found, centred)) == len(found)


def test_a_thousand_matches_fold_as_few_do() -> None:
    """No date tells them apart and all have one shape, so each is compared with each."""
    random = np.random.default_rng(1)
    vectors = random.normal(size=(1020, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1::2] = vectors[::2]
    facts = (WHOLE, Facts(1024, 683, 0, ""))
    found = [FoundPicture(row, b"%d" % row, 0.0, 0.0, facts[row % 2], [_photo("a")]) for row in range(1020)]
    shots = folded(found, lambda contents: vectors[[int(content) for content in contents]])

    assert [[one.rank for one in shot] for shot in shots] == [[row, row + 1] for row in range(0, 1020, 2)]
