from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixkind.index.dates import Cursor, DatedPictures, number_of
from pixkind.storage.record import Place

_EXTREMES = [-(1 << 63), (1 << 63) - 2, *(one + more for one in (1 << 57, 1 << 60) for more in (-1, 0)), -1, 0]


def _made(dates: list[int]) -> DatedPictures:
    """Return pictures with these dates. Their ids fall while their rows rise, and differ in both halves."""
    ids = np.array([[*[255 - at] * 3, *bytes(12), at % 3] for at in range(len(dates))], np.uint8).reshape(-1, 16)
    return DatedPictures(ids, np.arange(len(dates)), np.array(dates, np.int64))


def _all(pictures: DatedPictures, most: int) -> list[Cursor]:
    """Return all pictures, a few at a time."""
    found: list[Cursor] = []
    has_more = True
    while has_more:
        new, has_more = pictures.newest(most, found[-1] if found else None)
        assert new
        assert len(new) <= most
        found += new
    return found


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40), st.integers(1, 9))
def test_a_few_at_a_time_are_all_in_their_order(dates: list[int], most: int) -> None:
    """Whatever the dates are and wherever the cuts fall: each comes once, the newest first, ties by id."""
    pictures = _made(dates)

    assert _all(pictures, most) == sorted(
        ((date, pictures.ids[row].tobytes()) for row, date in enumerate(dates)), key=lambda one: (-one[0], one[1])
    )


@given(
    st.lists(st.integers(-3, 3), min_size=2, max_size=30),
    st.integers(1, 5),
    st.sets(st.integers(0, 29)),
    st.sets(st.integers(0, 29)),
)
def test_a_cursor_stays_right_while_pictures_come_and_go(
    dates: list[int], most: int, before: set[int], after: set[int]
) -> None:
    """Those that are there the whole time come exactly once; the picture of the cursor may be gone."""
    pictures = _made(dates)
    both = [
        DatedPictures(pictures.ids, pictures.rows[there], pictures.dates[there])
        for there in (np.isin(pictures.rows, list(some), invert=True) for some in (before, after))
    ]
    first, has_more = both[0].newest(most)
    rest = both[1].newest(99, first[-1])[0] if has_more else []
    kept = [pictures.ids[row].tobytes() for row in range(len(dates)) if row not in before | after]
    found = [content for _, content in first + rest]

    assert len(found) == len(set(found))
    assert set(found) >= {*kept} if has_more else {content for _, content in first} >= {*kept}


def test_an_empty_library_has_no_pictures() -> None:
    """Nothing is found, and there is no month."""
    pictures = DatedPictures.of(np.zeros((0, 16), np.uint8), np.zeros(0, np.uint32), np.zeros(0, np.int64))

    assert pictures.newest(5) == ([], False)
    assert pictures.between(1, 2).newest(5, (3, bytes(16))) == ([], False)
    assert pictures.months() == []


def test_a_date_counts_before_a_name_and_that_before_the_time_of_a_file_and_the_earliest_counts() -> None:
    """Copies may have been modified at any time, may have lost their date, and may have a name with another one."""
    places = [
        Place("/p", 500),
        Place("/p", 300),
        Place("/p", 0, "", 100, 200),
        Place("/p", 0, "", 100),
        Place("/r", 0, "", 10, 90),
        Place("/r", 0, "", 10, 80),
        Place("/r", 0, "", 5),
        Place("/q", 0, "", 70),
        Place("/q", 0, "", -9),
    ]
    numbers = np.array([number_of(one) for one in places])
    pictures = DatedPictures.of(_made([0, 0, 0]).ids, np.array([0, 0, 0, 0, 2, 2, 2, 1, 1], np.uint32), numbers)

    assert [date for date, _ in pictures.newest(9)[0]] == [300, 80, -9]
    assert [len(pictures.between(*span)) for span in ((300, None), (301, None), (None, -9), (None, -8), (-9, 301))] == [
        *(1, 0, 0, 1, 3)
    ]


@given(st.lists(st.integers(-(10**10), 10**11), max_size=20))
def test_months_are_those_of_the_calendar(seconds: list[int]) -> None:
    """In UTC, before 1970 too; the newest first, and none without pictures."""
    times = [datetime.fromtimestamp(one, UTC) for one in seconds]
    months = [(one.year, one.month) for one in times]

    assert _made(seconds).months() == [(*month, months.count(month)) for month in sorted({*months}, reverse=True)]


@pytest.mark.parametrize("date", _EXTREMES)
def test_a_date_that_no_camera_has_breaks_nothing(date: int) -> None:
    """A worker that was taken over may say any number."""
    number = number_of(Place("/p", date, "", 5))
    pictures = DatedPictures.of(_made([0]).ids, np.array([0]), np.array([number]))

    assert len(pictures.newest(1)[0]) == len(pictures.months()) == 1
