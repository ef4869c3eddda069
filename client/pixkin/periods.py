"""Reads dates as people write them: `2019-06-30`, `july 2019`, `summer 2019`, `last week`.

Seasons are those of the northern hemisphere, by whole months: winter 2019 begins in December 2019. A week begins on Monday.
"""

import calendar
import re
from datetime import date, timedelta
from typing import Final

_PERIOD: Final = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}  # their first months
_UNITS: Final = {"day": (0, 1), "week": (0, 7), "month": (1, 0), "year": (12, 0)}  # in months and days
_FORMS: Final = "a date such as 2019, 2019-06, 2019-06-30, july 2019, summer 2019, yesterday or last week"


def period(text: str, today: date | None = None) -> tuple[int, int]:
    """Return the begin and end of a period in UTC, in s since the epoch: the clock of a camera counts as UTC.

    Args:
        text: what people write, in upper or lower case; words may be joined with `-`.
        today: for `last week` and the like; None: the day that it is here.

    Raises:
        ValueError: it is none; the text says why.
    """
    if not (match := _PERIOD.fullmatch(text)):
        try:
            begin, end = _worded(re.findall(r"\w+", text.lower()), text, today)
        except OverflowError as error:  # behind the last day that Python knows
            raise ValueError(f"{text} is not a day of the calendar") from error
        return _second(begin), _second(end)
    if not 1 <= int(match[2] or 1) <= 12:
        raise ValueError(f"{text} is not {_FORMS}")
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise ValueError(f"{text} is not a day of the calendar")
    begin_s = calendar.timegm((year, month, day, 0, 0, 0))
    if match[3]:
        return begin_s, begin_s + 86400
    end_month = (year, month + 1) if match[2] and month < 12 else (year + 1, 1)
    return begin_s, calendar.timegm((*end_month, 1, 0, 0, 0))


def _second(day: date) -> int:
    return calendar.timegm((day.year, day.month, day.day, 0, 0, 0))


def _worded(words: list[str], text: str, today: date | None) -> tuple[date, date]:
    """Return the first day of a period, and the day after its last one."""
    today = today or date.today()  # noqa: DTZ011  the user's own day
    day = timedelta(days=1)
    match words:
        case ["today"]:
            return today, today + day
        case ["yesterday"]:
            return today - day, today
        case ["this" | "last" as which, "week" | "month" | "year" as unit]:
            firsts = {
                "week": today - today.weekday() * day,
                "month": today.replace(day=1),
                "year": date(today.year, 1, 1),
            }
            months, days = _UNITS[unit]
            begin = firsts[unit]
            return (begin, _later(begin, months, days)) if which == "this" else (_later(begin, -months, -days), begin)
        case ["last", count, units] if re.fullmatch("[1-9][0-9]{,2}", count) and units.rstrip("s") in _UNITS:
            months, days = (-int(count) * one for one in _UNITS[units.rstrip("s")])
            return _later(today + day, months, days), today + day
        case [one, other] if {one, other} & _SEASONS.keys():
            season, year = (one, other) if one in _SEASONS else (other, one)
            if re.fullmatch("[0-9]{4}", year) and int(year):
                begin = date(int(year), _SEASONS[season], 1)
                return begin, _later(begin, 3)
    return _named(words, text)


def _named(words: list[str], text: str) -> tuple[date, date]:
    """Return the same of a month or a day of a year, such as `july 2019` or `25 december 2019`."""
    numbers = [int(word) for word in words if re.fullmatch("[0-9]{1,4}", word)]
    months = [number for word in words for number in range(1, 13) if _is_month(word, number)]
    if len(months) != 1 or len(numbers) + 1 != len(words) or not 1 <= len(numbers) <= 2 or max(numbers) < 1000:
        raise ValueError(f"{text} is not {_FORMS}")
    year, day = max(numbers), min(numbers) if len(numbers) == 2 else None
    try:
        begin = date(year, months[0], 1 if day is None else day)
    except ValueError as error:
        raise ValueError(f"{text} is not a day of the calendar") from error
    return begin, _later(begin, 1) if day is None else _later(begin, 0, 1)


def _is_month(word: str, number: int) -> bool:
    return len(word) >= 3 and _MONTHS[number - 1].startswith(word)


def _later(day: date, months: int, days: int = 0) -> date:
    """Return the day so many months and days later; of a shorter month the last one."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return day.replace(year=year, month=month + 1, day=min(day.day, last)) + timedelta(days=days)
