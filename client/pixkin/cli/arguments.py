"""Checks and converts the values on the command line. Each error says which values are allowed."""

import argparse
import math
import re
from typing import Final

from pixkin import periods

_WEIGHTED: Final = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+):(.+)", re.DOTALL)
_NUMBER: Final = r"([0-9]+(?:\.[0-9]*)?)"
_REGION: Final = re.compile(rf"{_NUMBER}(%?),{_NUMBER}\2,{_NUMBER}\2,{_NUMBER}\2")
_BANDS: Final = ("same photo", "same shot", "alike", "loosely")
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
        (("--paths",), "paths", "print only the paths, one on each line"),
        (("-0", "--null"), "null", "print only the paths, each followed by a zero byte, for xargs -0"),
    ):
        forms.add_argument(*flags, dest="form", action="store_const", const=form, help=text)


def limit(text: str) -> int:
    """Return a number of matches."""
    if not 1 <= (n := int(text)) <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1000")
    return n


def score(text: str) -> float | str:
    """Return a score, the name of a band, or `auto`."""
    if (name := text.replace("-", " ")) in ("auto", *_BANDS):
        return name
    try:
        score = _number(text)
    except ValueError:
        score = math.nan
    if not -1 <= score <= 1:
        names = ", ".join(one.replace(" ", "-") for one in _BANDS)
        raise argparse.ArgumentTypeError(f"{text} is not between -1 and 1, and not one of auto, {names}")
    return score


def closeness(text: str) -> float:
    """Return the lowest score of near-duplicates."""
    if not 0.5 <= (score := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0.5 and 1")
    return score


def _number(text: str) -> float:
    """Return a number, or a percentage as a share."""
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


def distance(text: str) -> float:
    """Return a distance."""
    if not (distance := float(text)) >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return distance


def period(text: str) -> tuple[int, int]:
    """Return the begin and end of a year, month or day in UTC, in s since the epoch."""
    try:
        return periods.period(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def weighted(text: str) -> tuple[float, str]:
    """Return the weight and the path of an image such as `0.5:a.jpg`; without a weight it is 1."""
    if not (match := _WEIGHTED.fullmatch(text)):
        return 1.0, text
    if not 0 < (weight := float(match[1])) <= 1000:
        raise argparse.ArgumentTypeError(
            f"{text}: a weight is above 0 and at most 1000; for a file of that name write ./{text}"
        )
    return weight, match[2]


def region(text: str) -> tuple[float, float, float, float, bool]:
    """Return x, y, width, height, and whether they are pixels; percent become shares from 0 to 1."""
    if not (match := _REGION.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text} is not X,Y,WIDTH,HEIGHT, all in pixels or all in percent (10%)")
    unit = 100 if match[2] else 1
    x, y, width, height = (float(match[number]) / unit for number in (1, 3, 4, 5))
    if not (min(width, height) > 0 and max(x, y, width, height) <= 1e9):
        raise argparse.ArgumentTypeError(f"the region {text} is empty or too large")
    if not match[2] and min(width, height) < 1:
        raise argparse.ArgumentTypeError(
            f"the region {text} is smaller than a pixel; for a tenth of the picture write 10%"
        )
    if match[2] and max(x + width, y + height) > 1 + 1e-6:
        raise argparse.ArgumentTypeError(f"the region {text} extends beyond the picture")
    return x, y, width, height, not match[2]


def camera(text: str) -> str:
    """Return a part of a camera's name."""
    if not 0 < len(text) <= 100:
        raise argparse.ArgumentTypeError("a camera name has 1 to 100 characters")
    return text


def span(text: str) -> int:
    """Return the seconds of a duration such as `90s`, `30min`, `30m`, `2h` or `1d`, at most a year."""
    if not (match := _SPAN.fullmatch(text)):
        raise argparse.ArgumentTypeError(f"{text} is not a duration such as 90s, 30min, 2h or 1d")
    if not 0 < (seconds := int(match[1]) * _UNITS[match[2]]) <= 365 * 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 1s and 365d")
    return seconds


def span_or_path(text: str) -> int | str:
    """Return the seconds of a duration, or else the text itself."""
    return span(text) if _SPAN.fullmatch(text) else text


def command(text: str) -> list[str]:
    """Return the words of a command, split as a shell splits them."""
    import shlex
    import shutil

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a command: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise argparse.ArgumentTypeError(f"there is no program {words[0] if words else text!r}")
    return words


def seconds(text: str) -> float:
    """Return a number of seconds."""
    if not 0 < (seconds := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds
