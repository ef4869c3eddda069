"""Dates as people write them."""

from datetime import UTC, date, datetime

import pytest

from pixkin.periods import period

TODAY = date(2024, 3, 31)  # a Sunday


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2019", "2019-01-01", "2020-01-01"),
        ("2019-12", "2019-12-01", "2020-01-01"),
        ("2020-2-29", "2020-02-29", "2020-03-01"),
        ("july 2019", "2019-07-01", "2019-08-01"),
        ("2019 Dec", "2019-12-01", "2020-01-01"),
        ("sept-2019", "2019-09-01", "2019-10-01"),
        ("25 december 2019", "2019-12-25", "2019-12-26"),
        ("December 31, 2019", "2019-12-31", "2020-01-01"),
        ("spring 2019", "2019-03-01", "2019-06-01"),
        ("SUMMER 2019", "2019-06-01", "2019-09-01"),
        ("2019 fall", "2019-09-01", "2019-12-01"),
        ("autumn-2019", "2019-09-01", "2019-12-01"),
        ("winter 2019", "2019-12-01", "2020-03-01"),
        ("today", "2024-03-31", "2024-04-01"),
        ("yesterday", "2024-03-30", "2024-03-31"),
        ("this week", "2024-03-25", "2024-04-01"),
        ("last week", "2024-03-18", "2024-03-25"),
        ("this month", "2024-03-01", "2024-04-01"),
        ("last month", "2024-02-01", "2024-03-01"),
        ("this year", "2024-01-01", "2025-01-01"),
        ("last-year", "2023-01-01", "2024-01-01"),
        ("last 1 day", "2024-03-31", "2024-04-01"),
        ("last 7 days", "2024-03-25", "2024-04-01"),
        ("last 2 weeks", "2024-03-18", "2024-04-01"),
        ("last 1 month", "2024-03-01", "2024-04-01"),
        ("last 10 years", "2014-04-01", "2024-04-01"),
    ],
)
def test_a_date_is_a_period(text: str, begin: str, end: str) -> None:
    """From the first second to the one after the last."""
    assert [datetime.fromtimestamp(one, UTC).isoformat() for one in period(text, TODAY)] == [
        f"{one}T00:00:00+00:00" for one in (begin, end)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "19",
        "2019-13",
        "june",
        "ju 2019",
        "july",
        "31",
        "july 19",
        "summer",
        "last",
        "last x days",
        "last 3 moons",
        "july june 2019",
        "1 2 july 2019",
        "summer summer",
        "summer 0000",
        "last 9999 years",
        "last 0 days",
        "last 99999999999999999999 days",
        "٢٥ july 2019",
        "dog",
    ],
)
def test_other_words_are_refused_with_examples(text: str) -> None:
    """A month without a year is no period, as it comes every year."""
    with pytest.raises(ValueError, match="is not a date such as 2019, 2019-06, 2019-06-30, july 2019"):
        period(text)


@pytest.mark.parametrize("text", ["2019-02-29", "30 february 2020", "32 july 2019", "31 december 9999"])
def test_days_that_no_calendar_has_are_refused(text: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=f"{text} is not a day of the calendar"):
        period(text)


def test_the_words_mean_the_day_that_it_is_here() -> None:
    """Not a day somewhere else."""
    before = datetime.now().astimezone().date()
    begin, end = period("today")
    after = datetime.now().astimezone().date()

    assert datetime.fromtimestamp(begin, UTC).date() in {before, after}
    assert end - begin == 86400
