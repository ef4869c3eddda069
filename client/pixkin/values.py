"""The values that a command line names, each checked. Raises argparse.ArgumentTypeError with what is allowed."""

import argparse
import calendar
import math
import re
from typing import Final

_PERIOD: Final = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SPAN: Final = re.compile(rf"([0-9]{{1,9}})({'|'.join(_UNITS)})")


def limit(text: str) -> int:
    """Return a number of matches."""
    if not 1 <= (n := int(text)) <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return n


def score(text: str) -> float:
    """Return a score."""
    if not -1 <= (score := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from -1 to 1")
    return score


def closeness(text: str) -> float:
    """Return the lowest score of near-duplicates."""
    if not 0.5 <= (score := float(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0.5 to 1")
    return score


def distance(text: str) -> float:
    """Return a distance."""
    if not (distance := float(text)) >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return distance


def period(text: str) -> tuple[int, int]:
    """Return when a year, month or day begins and ends, in s since the epoch, as if it were in UTC."""
    if not (match := _PERIOD.fullmatch(text)) or not 1 <= int(match[2] or 1) <= 12:
        raise argparse.ArgumentTypeError(f"{text} is not a date such as 2019, 2019-06 or 2019-06-30")
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        raise argparse.ArgumentTypeError(f"{text} is no day of the calendar")
    begin = calendar.timegm((year, month, day, 0, 0, 0))
    if match[3]:
        return begin, begin + 86400
    end = (year, month + 1) if match[2] and month < 12 else (year + 1, 1)
    return begin, calendar.timegm((*end, 1, 0, 0, 0))


def span(text: str) -> int:
    """Return the seconds that a text such as `90s`, `30min`, `30m`, `2h` or `1d` stands for, up to a year."""
    if not (match := _SPAN.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 90s, 30min, 2h or 1d")
    if not 0 < (seconds := int(match[1]) * _UNITS[match[2]]) <= 365 * 86400:
        raise argparse.ArgumentTypeError(f"{text} is not from 1s to 365d")
    return seconds


def span_or_path(text: str) -> int | str:
    """Return the seconds if it is a span, else the text itself."""
    return span(text) if _SPAN.fullmatch(text) else text


def seconds(text: str) -> float:
    """Return a number of seconds."""
    if not 0 < (seconds := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds
