"""The arguments of `Client` that say when a photo was taken."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pixkin.errors import UsageError
from pixkin.periods import period

# A day; a text as `--taken` has it: "2019", "2019-06-30", "summer 2019", "last week"; or a begin and an end.
Taken = date | str | tuple[date | None, date | None]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def within(taken: Taken | None, since_s: int | None, before_s: int | None) -> dict[str, Any]:
    """Return the keys of a request that say when a photo was taken; all arguments must hold.

    Args:
        taken: a `datetime` alone is one second.
        since_s: only photos taken then or later, in s since the epoch; the camera's clock counts as UTC.
        before_s: only photos taken before then, likewise.

    Raises:
        UsageError: the text is no period, or `taken` is nothing of these.
    """
    begin_s, end_s = _bounds(taken)
    return {
        "taken_since_s": max((one for one in (begin_s, since_s) if one is not None), default=None),
        "taken_before_s": min((one for one in (end_s, before_s) if one is not None), default=None),
    }


def _bounds(taken: Taken | None) -> tuple[int | None, int | None]:
    match taken:
        case None:
            return None, None
        case str():
            try:
                return period(taken)
            except ValueError as error:
                raise UsageError(str(error)) from error
        case date():
            begin_s = _second(taken)
            return begin_s, begin_s + (1 if isinstance(taken, datetime) else 86400)
        case (date() | None as since, date() | None as before):
            return None if since is None else _second(since), None if before is None else _second(before)
        case _:
            raise UsageError(f"taken is a date, a text, or a begin and an end that are dates or None, not {taken!r}")


def _second(when: date) -> int:
    """Return the next full second; of a day its midnight. Without a time zone it is one of UTC."""
    moment = when if isinstance(when, datetime) else datetime(when.year, when.month, when.day, tzinfo=UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return -((_EPOCH - moment) // timedelta(seconds=1))
