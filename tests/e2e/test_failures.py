"""A photo that failed is told of once, then it is a number; and users can say that they know."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_TOLD = b"could not be indexed"


@pytest.fixture
def home(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with two good photos and two broken ones, in a folder of their own."""
    with new_home() as made:
        for photo in photos[:2]:
            made.copy(photo)
        for name in ("one.jpg", "other.jpg"):
            _break(made, name)
        yield made


def _break(home: Home, name: str, data: bytes = b"no photo") -> Path:
    path = home.photos / "broken" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def _query(home: Home, photos: list[Path]) -> bytes:
    """Return what a query says beside its answer."""
    done = home.pixkin("like", photos[2])
    assert done.returncode == 0
    return done.stderr


def test_it_is_told_once(home: Home, photos: list[Path]) -> None:
    """By the first answer, and by the sync that saw it fail; afterwards `status` counts it."""
    home.index()
    first, second = _query(home, photos), _query(home, photos)
    again = home.pixkin("sync")  # `index` has synced
    _break(home, "third.jpg")
    new = home.pixkin("sync")
    third, fourth = _query(home, photos), _query(home, photos)
    named = home.pixkin("sync", home.photos / "broken/one.jpg")

    assert b"2 photos " + _TOLD in first
    assert _TOLD not in second
    assert (b"failed: " in again.stderr, b"2 failed" in again.stdout) == (False, True)
    assert (new.stderr.count(b"failed: "), b"third.jpg" in new.stderr, b"3 failed" in new.stdout) == (1, True, True)
    assert b"1 photo " + _TOLD in third
    assert _TOLD not in fourth
    assert (named.returncode, b"one.jpg" in named.stderr) == (66, True)  # whoever names a photo wants to know
    assert home.status()["failed"] == 3


def test_what_is_ignored_is_told_no_more(home: Home, photos: list[Path]) -> None:
    """Even in another index, until the photo changes or the user takes it back."""
    daemon = home.index()
    done = home.pixkin("status", "--failed", "--ignore", home.photos / "broken")
    ignored = home.status("--failed")
    shown = home.pixkin("status", "--failed").stdout
    daemon.stop()
    shutil.rmtree(Path(home.env["XDG_STATE_HOME"]) / "pixkin")
    home.index()
    rebuilt, said = home.status("--failed"), _query(home, photos)
    _break(home, "one.jpg", b"no photo either")
    wait_for(lambda: home.client().status().failed == 1)
    changed = home.status("--failed")
    told = _query(home, photos)
    undone = home.pixkin("status", "--unignore", home.photos / "broken/other.jpg")

    assert (done.returncode, done.stdout, done.stderr) == (0, b"ignored: 2 photos\n", b"")
    for report in (ignored, rebuilt):
        assert (report["failed"], report["ignored"]) == (0, 2)
        assert [one["ignored"] for one in report["failures"]] == [True, True]
    assert (b"2 more are ignored" in shown, shown.count(b"\nignored: ")) == (True, 2)
    assert _TOLD not in said
    assert b"1 photo " + _TOLD in told
    assert {Path(one["path"]).name for one in changed["failures"] if not one["ignored"]} == {"one.jpg"}
    assert (undone.returncode, undone.stdout) == (0, b"told of again: 1 photo\n")
    assert (home.status()["failed"], home.status()["ignored"]) == (2, 0)


def test_only_a_photo_that_failed_can_be_ignored(home: Home) -> None:
    """Each path that names none is told; saying it twice is no error."""
    home.index()
    good = next(path for path in home.photos.iterdir() if path.is_file())
    done = home.pixkin("status", "--ignore", good, home.photos / "broken/one.jpg", home.folder / "log")
    twice = home.pixkin("status", "--ignore", home.photos / "broken/one.jpg")
    wrong = home.pixkin("status", "--unignore", home.photos / "broken/other.jpg")

    assert (done.returncode, done.stdout) == (66, b"ignored: 1 photo\n")
    assert done.stderr.count(b"no photo there has failed") == 2
    assert (twice.returncode, twice.stdout) == (0, b"ignored: 0 photos\n")
    assert (wrong.returncode, b"no photo there is ignored" in wrong.stderr) == (66, True)


def test_the_name_of_an_ignored_photo_goes_when_it_is_forgotten(home: Home) -> None:
    """The index drops a broken photo at once when it is deleted; its name may return with it until then."""
    home.index()
    file = Path(home.env["XDG_DATA_HOME"]) / "pixkin/ignored.jsonl"
    home.pixkin("status", "--ignore", home.photos)
    before = file.read_bytes()
    (home.photos / "broken/one.jpg").unlink()
    wait_for(lambda: home.client().status().ignored == 1)
    done = home.pixkin("forget", "--yes", home.photos / "broken/one.jpg")

    assert (before.count(b"one.jpg"), before.count(b"other.jpg")) == (1, 1)
    assert done.stdout == b"forgot 0 photos\n"
    assert home.pixkin("forget", "--yes", home.photos / "broken").returncode == 1
    assert home.status()["ignored"] == 1  # that one stays
    assert (file.read_bytes().count(b"one.jpg"), file.read_bytes().count(b"other.jpg")) == (0, 1)
    assert os.stat(file).st_mode & 0o777 == 0o600
