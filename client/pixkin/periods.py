"""Reads dates as people write them: a year, a month or a day."""

import calendar
import re
from typing import Final

_PERIOD: Final = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")


def period(text: str) -> tuple[int, int]:
    """Return the begin and end of a year, month or day in UTC, in s since the epoch.

    Raises:
        ValueError: it is none; the text says why.
    """
    if not (match := _PERIOD.fullmatch(text)) or not 1 <= int(match[2] or 1) <= 12:
        raise ValueError(f"{text} is not a date such as 2019, 2019-06 or 2019-06-30")
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise ValueError(f"{text} is not a day of the calendar")
    begin = calendar.timegm((year, month, day, 0, 0, 0))
    if match[3]:
        return begin, begin + 86400
    end = (year, month + 1) if match[2] and month < 12 else (year + 1, 1)
    return begin, calendar.timegm((*end, 1, 0, 0, 0))
