"""One thing that was looked at, and what was found."""

from __future__ import annotations

from typing import NamedTuple

OK, NOTE, PROBLEM = "ok", "note", "problem"


class Finding(NamedTuple):
    """One thing that was looked at."""

    level: str  # OK; NOTE: worth knowing; PROBLEM: something does not work
    area: str  # one word for what was looked at, such as `disk`
    what: str  # a sentence
    fix: str = ""  # the command that mends it, or what to do; empty: nothing is wrong
