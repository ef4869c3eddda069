"""When a photo was taken, as an argument of `like` and `browse`."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from tests.client.test_client import record

from pixkin import Client
from pixkin.dates import Taken, within
from pixkin.errors import UsageError
from pixkin.protocol import replies, requests

SHOWN = datetime(2019, 6, 30, 12)  # noqa: DTZ001  as a camera shows it
NOON = 1561896000  # the same in s, as if it were UTC
DAY = (NOON - 43200, NOON + 43200)


def bounds(
    taken: Taken | None, since_s: int | None = None, before_s: int | None = None
) -> tuple[int | None, int | None]:
    """Return the begin and the end."""
    keys = within(taken, since_s, before_s)
    return keys["taken_since_s"], keys["taken_before_s"]


@pytest.mark.parametrize(
    ("taken", "wanted"),
    [
        (None, (None, None)),
        (date(2019, 6, 30), DAY),
        ("2019-06-30", DAY),
        ("june 2019", (DAY[1] - 30 * 86400, DAY[1])),
        (date(1969, 12, 31), (-86400, 0)),
        (SHOWN, (NOON, NOON + 1)),
        ((None, None), (None, None)),
        ((date(2019, 6, 30), None), (DAY[0], None)),
        ((None, SHOWN), (None, NOON)),
        ((SHOWN.replace(tzinfo=UTC), SHOWN.replace(tzinfo=timezone(timedelta(hours=-2)))), (NOON, NOON + 7200)),
        ((SHOWN.replace(microsecond=1), SHOWN.replace(microsecond=1)), (NOON + 1, NOON + 1)),
    ],
)
def test_a_period_has_a_begin_and_an_end(taken: Taken | None, wanted: tuple[int | None, int | None]) -> None:
    """A day has all its hours, a text means what it means to the command, and without a zone a time is the camera's."""
    assert bounds(taken) == wanted


def test_the_narrowest_bounds_count() -> None:
    """The arguments in seconds hold, too."""
    assert bounds("2019", NOON, NOON + 5) == (NOON, NOON + 5)
    assert bounds("2019-06-30", 0, 1 << 40) == DAY
    assert bounds(None, 0) == (0, None)


def test_a_text_that_is_no_period_is_wrong_usage() -> None:
    """The sentence is that of the command."""
    with pytest.raises(UsageError, match="no day is not a date such as 2019"):
        within("no day", None, None)


@pytest.mark.parametrize("taken", [2019, ("2019", "2020"), (2019, None), (None, 2020), (None, None, None), b"2019"])
def test_what_is_no_date_is_wrong_usage(taken: object) -> None:
    """The sentence says what it can be."""
    with pytest.raises(UsageError, match="taken is a date, a text, or a begin and an end"):
        within(taken, None, None)  # type: ignore[arg-type]  # that is the mistake


def test_like_and_browse_ask_for_the_seconds(serve: Callable[..., str]) -> None:
    """The daemon knows only seconds."""
    log: list[tuple[requests.Request, list[bytes]]] = []
    client = Client(serve(record(log, replies.Matches(), replies.Library())))
    client.like(b"image", taken=(SHOWN, None), taken_before_s=NOON + 9)
    client.browse(taken=date(2019, 6, 30), taken_since_s=0)

    (like, _), (browse, _) = log
    assert isinstance(like, requests.Like)
    assert isinstance(browse, requests.Browse)
    assert (like.taken_since_s, like.taken_before_s) == (NOON, NOON + 9)
    assert (browse.taken_since_s, browse.taken_before_s) == DAY
