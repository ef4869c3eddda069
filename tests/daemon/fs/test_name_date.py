"""Many programs write the date of a photo into its name; a number that looks like one is none."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixkind.fs.name_date import date_in_name

_DAY = datetime(2023, 7, 4, tzinfo=UTC)
_TIME = datetime(2023, 7, 4, 15, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("IMG-20230704-WA0001.jpg", _DAY),
        ("IMG_20230704_153012.jpg", _TIME),
        ("IMG_20230704_153012_1.jpg", _TIME),
        ("IMG_20230704_153012345_HDR.jpg", _TIME),
        ("IMG20230704153012.jpg", None),  # 14 digits are too like a number
        ("MVIMG_20230704_153012.jpg", _TIME),
        ("PXL_20230704_153012345.jpg", _TIME),
        ("PXL_20230704_153012345.PORTRAIT.jpg", _TIME),
        ("PXL_20230704_153012345~2.jpg", _TIME),
        ("20230704_153012.jpg", _TIME),
        ("20230704-153012(1).jpg", _TIME),
        ("20230704.jpg", _DAY),
        ("Screenshot_20230704-153012.png", _TIME),
        ("Screenshot_20230704-153012_Some App.png", _TIME),
        ("Screenshot_2023-07-04-15-30-12-123_com.app.png", _TIME),
        ("Screenshot from 2023-07-04 15-30-12.png", _TIME),
        ("Screenshot 2023-07-04 at 15.30.12.png", _TIME),
        ("WhatsApp Image 2023-07-04 at 15.30.12.jpeg", _TIME),
        ("WhatsApp Image 2023-07-04 at 3.30.12 PM.jpeg", _TIME),
        ("Screenshot 2023-07-04 at 3.30.12\u202fPM.png", _TIME),
        ("Screenshot 2023-07-04 at 12.30.12 AM.png", _TIME - timedelta(hours=15)),
        ("Screenshot 2023-07-04 at 12.30.12 PM.png", _TIME - timedelta(hours=3)),
        ("photo_2023-07-04_15-30-12.jpg", _TIME),
        ("photo_5@04-07-2023_15-30-12.jpg", None),  # the day first is the month first elsewhere
        ("signal-2023-07-04-153012.jpg", _TIME),
        ("signal-2023-07-04-15-30-12-123.jpg", _TIME),
        ("2023-07-04 15.30.12.jpg", _TIME),
        ("2023-07-04 15.30.12-2.jpg", _TIME),
        ("2023_07_04 Picnic.jpg", _DAY),
        ("Picnic 2023.07.04.jpg", _DAY),
        ("FB_IMG_1688484612345.jpg", _TIME),
        ("mmexport1688484612345.jpg", _TIME),
        ("1985-07-04 Grandma.jpg", datetime(1985, 7, 4, tzinfo=UTC)),
        ("1899-12-31.jpg", datetime(1899, 12, 31, tzinfo=UTC)),
        # Numbers.
        ("DSC_0001.jpg", None),
        ("IMG_1234.jpg", None),
        ("IMG_20231.jpg", None),
        ("12345678.jpg", None),
        ("scan 20230704 page.jpg", None),
        ("20230704 20230705.jpg", None),
        ("102938475620230704.jpg", None),
        ("7920230704_o.jpg", None),
        ("IMG_20231304_153012.jpg", None),
        ("IMG_20230231_153012.jpg", None),
        ("2023-02-31.jpg", None),
        ("2023-07_04.jpg", None),
        ("2023-07.jpg", None),
        ("1688484612345.jpg", None),
        ("beach.jpg", None),
        ("", None),
        ("\udcff2023-07-04\udcfe.jpg", _DAY),
        ("2023-02-31 2023-07-04.jpg", _DAY),
    ],
)
def test_the_date_in_a_name(name: str, date: datetime | None) -> None:
    assert date_in_name(name) == (int(date.timestamp()) if date else 0)


@given(st.text(alphabet="0123456789-_. atIMGPXL\udcff", max_size=40))
def test_every_name_is_read(name: str) -> None:
    """A date of the calendar, or none."""
    date = date_in_name(name)
    assert date == 0 or 1800 <= datetime.fromtimestamp(date, UTC).year < 2100


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2099, 12, 31)))  # noqa: DTZ001  a camera's clock
def test_what_phones_write_is_read_back(moment: datetime) -> None:
    stamp = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp())

    assert date_in_name(f"IMG_{moment:%Y%m%d_%H%M%S}.jpg") == stamp
    assert date_in_name(f"photo_{moment:%Y-%m-%d_%H-%M-%S}.jpg") == stamp
