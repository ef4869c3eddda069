"""The values that a command line names, each checked. Raises argparse.ArgumentTypeError with what is allowed."""

import argparse
import math
import re
from typing import Final

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


def distance(text: str) -> float:
    """Return a distance."""
    if not (distance := float(text)) >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return distance


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
