"""The values that a command line names, each checked. Raises argparse.ArgumentTypeError with what is allowed."""

import argparse
import calendar
import math
import re
from typing import Final, Literal

_PERIOD: Final = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")
_WEIGHTED: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+):(.+)", re.DOTALL)
_NUMBER: Final = r"([0-9]+(?:\.[0-9]*)?)"
_REGION: Final = re.compile(rf"{_NUMBER}(%?),{_NUMBER}\2,{_NUMBER}\2,{_NUMBER}\2")
_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SPAN: Final = re.compile(rf"([0-9]{{1,9}})({'|'.join(_UNITS)})")


def add_forms(parser: argparse.ArgumentParser, *, json: str) -> None:
    """Add the options that choose a form of output for programs; `form` is None without them.

    Args:
        parser: the parser of a command.
        json: the help of `--json`, with the keys of an object.
    """
    forms = parser.add_mutually_exclusive_group()
    for flags, form, text in (
        (("--json",), "json", json),
        (("--paths",), "paths", "print the paths alone, one a line"),
        (("-0", "--null"), "null", "print the paths alone, each followed by a zero byte, for xargs -0"),
    ):
        forms.add_argument(*flags, dest="form", action="store_const", const=form, help=text)


def limit(text: str) -> int:
    """Return a number of matches."""
    if not 1 <= (n := int(text)) <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to 1000")
    return n


def score(text: str) -> float | Literal["auto"]:
    """Return a score, or that it is to be chosen."""
    if text == "auto":
        return "auto"
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


def weighted(text: str) -> tuple[float, str]:
    """Return the weight and the path of an image such as `0.5:a.jpg` or `a.jpg`, whose weight is 1."""
    if not (match := _WEIGHTED.fullmatch(text)):
        return 1.0, text
    if not 0 < (weight := float(match[1])) <= 1000:
        raise argparse.ArgumentTypeError(f"{text}: a weight is above 0 and up to 1000; a file of that name is ./{text}")
    return weight, match[2]


def region(text: str) -> tuple[float, float, float, float, bool]:
    """Return x, y, width and height, and whether they are pixels; else they were percent, and are shares from 0 to 1."""
    if not (match := _REGION.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text} is not X,Y,WIDTH,HEIGHT, all in pixels or, as 10%, all in percent")
    unit = 100 if match[2] else 1
    x, y, width, height = (float(match[number]) / unit for number in (1, 3, 4, 5))
    if not (min(width, height) > 0 and max(x, y, width, height) <= 1e9):
        raise argparse.ArgumentTypeError(f"{text} is a region without an area, or is too large")
    if not match[2] and min(width, height) < 1:
        raise argparse.ArgumentTypeError(f"{text} are pixels, and less than one; a tenth of the picture is 10%")
    if match[2] and max(x + width, y + height) > 1 + 1e-6:
        raise argparse.ArgumentTypeError(f"{text} reaches beyond the picture")
    return x, y, width, height, not match[2]


def camera(text: str) -> str:
    """Return a part of a camera's name."""
    if not 0 < len(text) <= 100:
        raise argparse.ArgumentTypeError("the name of a camera has 1 to 100 characters")
    return text


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
