"""A photo without a date has the date that stands in its name, and it is said that this is where it comes from."""

import datetime as dt
import json
import os
import re
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, picture
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]


def _found(home: Home, *words: str) -> set[str]:
    found = home.like("--self", "--no-fold", *words, str(home.photos / "IMG-20230101-WA0001.jpg"))
    return {os.path.basename(match["path"]) for match in found}


def _why(home: Home, name: str) -> dict[str, object]:
    (said,) = home.pixkin("why", "--json", home.photos / name).stdout.splitlines()
    told: dict[str, object] = json.loads(said)
    return told


def test_a_name_dates_a_photo_that_no_camera_has_dated(home: Home, photos: list[Path]) -> None:
    """Filters, months and the library use it; a rename changes it, and nothing is encoded for that."""
    names = ("IMG-20230101-WA0001.jpg", "PXL_20210704_153012345.jpg", "beach.jpg")
    for number, name in enumerate(names):
        (home.photos / name).write_bytes(picture(number))
    home.index()
    client = home.client()
    found = [_found(home, "--taken", when) for when in ("2023", "2023-01-01", "july 2021")]
    months = [(one.year, one.month) for one in client.timeline().months]
    told, undated = _why(home, names[1]), _why(home, names[2])
    shown = home.pixkin("why", home.photos / names[1]).stdout
    encodes = home.encodes()
    (home.photos / names[1]).rename(home.photos / "2019-03-03 renamed.jpg")
    wait_for(lambda: bool(_found(home, "--taken", "2019")))
    home.sync()

    assert found == [{names[0]}, {names[0]}, {names[1]}]
    assert {(2023, 1), (2021, 7)} < set(months)
    moment = dt.datetime(2021, 7, 4, 15, 30, 12, tzinfo=dt.UTC)
    assert (told["taken_s"], told["by_name"]) == (int(moment.timestamp()), True)
    assert (undated["taken_s"], undated["by_name"]) == (0, False)
    assert re.search(rb"taken 2021-07-04, as its name says", shown)
    assert _found(home, "--taken", "july 2021") == set()
    assert home.encodes() == encodes
    assert [one.by_name for one in client.browse(under=home.photos, taken_before_s=1600000000).pictures] == [True]
