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
    bursts = folded(found, lambda contents: np.stack([vectors[content.decode()] for content in contents]))
    shots = [shot for burst in bursts for shot in burst]
    scores = [burst[0][0].score for burst in bursts]

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
    """For most photos of a camera there is no other one within two seconds."""
    facts = [Facts(6000, 4000, second, "Brownie") for second in range(3, 120, 3)]
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

    assert [[one.rank for one in shot] for (shot,) in shots] == [[row, row + 1] for row in range(0, 1020, 2)]


# Files of one name


def _shots(*pictures: tuple[str, float, Facts]) -> set[frozenset[str]]:
    """Return the shots of pictures, each given by path, direction of its vector in degrees, and facts."""
    return _sets((one.photos[0].path[1:] for one in shot) for burst in _bursts(*pictures) for shot in burst)


def _bursts(*pictures: tuple[str, float, Facts]) -> list[list[list[FoundPicture]]]:
    """Return the same, grouped by burst. The first picture is the most like the query."""
    found = [
        FoundPicture(rank, b"%d" % rank, 0.0, 0.0, facts, [_photo(path)])
        for rank, (path, _, facts) in enumerate(pictures)
    ]
    return folded(found, lambda contents: np.stack([_turned(pictures[int(content)][1]) for content in contents]))


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("p/IMG_1.JPG", Facts(6000, 4000, 1_000, "Brownie")),
        ("p/IMG_1.heic", Facts(4000, 3000, 1_000, "Brownie")),
        ("p/img_1.jpg", Facts(3000, 3000, 1_000, "")),
        ("p/IMG_1.jpeg", Facts(0, 0, 1_000, "")),
    ],
    ids=["of its size", "another shape", "square, in lower case", "unknown size"],
)
def test_a_raw_file_and_its_jpeg_fold_however_the_camera_developed_it(name: str, facts: Facts) -> None:
    """One name, one folder and one second are enough: the JPEG may be black and white, or cut to a square."""
    raw = ("p/IMG_1.CR2", 0.0, Facts(6048, 4024, 1_000, "Brownie"))

    assert _shots(raw, (name, 170, facts)) == _sets([[raw[0], name]])


@pytest.mark.parametrize(
    "other",
    [
        ("p/IMG_1.JPG", 0, Facts(6048, 4024, 1_010, "Brownie")),
        ("q/IMG_1.JPG", 50, Facts(6048, 4024, 1_000, "Brownie")),
        ("p/IMG_7.JPG", 50, Facts(6048, 4024, 1_000, "Brownie")),
        ("p/IMG_1.cr2", 50, Facts(6048, 4024, 1_000, "Brownie")),
        ("p/IMG_1.JPG", 70, Facts(6048, 4024, 0, "")),
    ],
    ids=["another second", "another folder", "another name", "the same suffix", "without a date, and unlike"],
)
def test_a_name_alone_is_not_enough(other: tuple[str, float, Facts]) -> None:
    """The counter of a camera begins again, and folders have equal names in them."""
    assert len(_shots(("p/IMG_1.CR2", 0, Facts(6048, 4024, 1_000, "Brownie")), other)) == 2


@pytest.mark.parametrize("dates", [(0, 0), (1_000, 0), (0, 1_000), (1_000, 1_001)])
def test_files_of_one_name_without_one_date_fold_if_they_are_alike(dates: tuple[int, int]) -> None:
    """A scan as TIFF and JPEG, a raw file whose date cannot be read, or a phone that needs a second for two files."""
    raw, jpeg = (Facts(6048, 4024, taken_s, "") for taken_s in dates)

    assert _shots(("p/a.tif", 0, raw), ("p/a.jpg", 59, jpeg)) == _sets([["p/a.tif", "p/a.jpg"]])


def test_a_file_without_a_date_does_not_join_two_shots_of_its_name() -> None:
    """Nothing says to which of them it belongs."""
    one, other, undated = (Facts(6000, 4000, taken_s, "") for taken_s in (1_000, 2_000, 0))

    assert len(_shots(("p/a.jpg", 0, one), ("p/a.heic", 10, other), ("p/a.dng", 5, undated))) == 3


def test_an_export_folds_with_the_raw_file_of_its_jpeg() -> None:
    """The export is like the JPEG, which is black and white. The raw file is in colour."""
    raw, jpeg = ("p/a.nef", 0.0, Facts(6048, 4024, 1_000, "")), ("p/a.jpg", 80.0, Facts(6000, 4000, 1_000, ""))
    export = ("web/small.jpg", 82.0, Facts(1024, 683, 1_000, ""))

    assert _shots(raw, jpeg, export) == _shots(export, jpeg, raw) == _sets([[raw[0], jpeg[0], export[0]]])


@pytest.mark.parametrize(
    ("rival", "folds"),
    [
        (("p/b.jpg", 40, Facts(6000, 4000, 2_000, "")), True),
        (("p/b.jpg", 26, Facts(6000, 4000, 2_000, "")), False),
        (("p/b.jpg", 26, Facts(1400, 933, 2_000, "")), False),
        (("p/b.jpg", 26, Facts(6000, 4000, 0, "")), False),
        (("p/b.jpg", -14, SMALL), True),
        (("p/b.jpg", 14, SMALL), True),
        (("p/b.jpg", 26, Facts(6000, 4000, 1_001, "Brownie")), True),
    ],
    ids=[
        "another photo",
        "a page",
        "a small page",
        "a page without a date",
        "a version",
        "alike",
        "the next of a burst",
    ],
)
def test_what_a_chat_app_made_folds_if_no_other_picture_is_nearly_as_like(
    rival: tuple[str, float, Facts],
    folds: bool,  # noqa: FBT001
) -> None:
    """It has no date, is smaller and coarse. A page of text is as like the other pages, its own page may be missing."""
    photo, chat = ("p/a.jpg", 0.0, WHOLE), ("w/IMG-20240101-WA0001.jpg", 12.0, Facts(1600, 1067, 0, ""))
    shots = _shots(photo, rival, chat)

    assert any({photo[0], chat[0]} <= shot for shot in shots) is folds


# Bursts


def _frame(number: int, taken_s: int, degrees: float, camera: str = "Brownie") -> tuple[str, float, Facts]:
    return (f"p/IMG_{number:04}.JPG", degrees, Facts(6000, 4000, taken_s, camera))


def test_a_burst_is_one_place_and_its_best_shot_stands_for_it() -> None:
    """Each frame is like the next, and was taken soon after it. The first and the last may be unlike."""
    frames = [_frame(number, 1_000 + number // 3, 6.0 * number) for number in range(12)]
    raw = ("p/IMG_0004.CR2", 100.0, Facts(6048, 4024, 1_001, "Brownie"))
    burst, other = _bursts(*frames[5:], ("p/other.jpg", 90, Facts(6000, 4000, 9_000, "Brownie")), *frames[:5], raw)

    assert [shot[0].photos[0].path[1:] for shot in burst] == [
        *(path for path, _, _ in (*frames[5:], *frames[:4])),
        "p/IMG_0004.CR2",
    ]
    assert [len(shot) for shot in burst] == [1] * 11 + [2]
    assert [shot[0].photos[0].path for shot in other] == ["/p/other.jpg"]


@pytest.mark.parametrize(
    "other",
    [_frame(2, 1_003, 5), _frame(2, 1_001, 40), _frame(2, 1_001, 5, "Leica"), _frame(2, 0, 10, "Brownie")],
    ids=["later", "unlike", "another camera", "without a date"],
)
def test_what_is_no_burst_takes_two_places(other: tuple[str, float, Facts]) -> None:
    """Two photos of one place, two cameras at one time, or two pages of text."""
    assert len(_bursts(_frame(1, 1_000, 0), other)) == 2


def test_frames_of_one_second_that_look_the_same_are_counted_as_frames() -> None:
    """A camera on a tripod: the names say that they are no versions of each other. An export of one is its version."""
    frames = [_frame(number, 1_000, 0.1 * number) for number in range(4)]
    (burst,) = _bursts(*frames, ("web/IMG_0001.jpg", 0.1, SMALL))

    assert sorted(len(shot) for shot in burst) == [1, 1, 1, 2]
