"""Which failures are ignored is no derived data: it is kept beside every store."""

from pathlib import Path

import pytest
from tests.daemon.conftest import mount, unmount

from pixkind.fs.stamp import Stamp
from pixkind.storage.environment import StoreFull
from pixkind.storage.ignored import IgnoredFailures
from pixkind.storage.record import Record


def _record(path: str, mtime_ns: int = 1) -> Record:
    return Record(path, Stamp(mtime_ns, 2, 3, 4), failed=True)


def test_a_version_of_a_photo_is_ignored_until_that_is_taken_back(tmp_path: Path) -> None:
    """By this run and the next one, and for names that are not UTF-8."""
    odd = _record("/p/\udcff\n.jpg")
    ignored = IgnoredFailures(str(tmp_path / "new"))
    ignored.add([_record("/p/a.jpg"), odd])
    ignored.add([_record("/p/a.jpg")])
    again = IgnoredFailures(str(tmp_path / "new"))

    assert (tmp_path / "new/ignored.jsonl").read_bytes().count(b"\n") == 2
    for one in (ignored, again):
        assert (_record("/p/a.jpg") in one, odd in one) == (True, True)
        assert (_record("/p/a.jpg", 5) in one, _record("/p/b.jpg") in one) == (False, False)
    assert again.remove(lambda path: path.endswith("a.jpg")) == 1
    assert again.remove(lambda path: path.endswith("a.jpg")) == 0
    third = IgnoredFailures(str(tmp_path / "new"))
    assert (_record("/p/a.jpg") in third, odd in third) == (False, True)


def test_a_later_version_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    """Of two lines about one path the last one counts, in this run and the next one."""
    ignored = IgnoredFailures(str(tmp_path))
    ignored.add([_record("/p/a.jpg", 1)])
    ignored.add([_record("/p/a.jpg", 2)])

    for one in (ignored, IgnoredFailures(str(tmp_path))):
        assert (_record("/p/a.jpg", 1) in one, _record("/p/a.jpg", 2) in one) == (False, True)


@pytest.mark.parametrize("line", [b"no json\n", b'{"format": 1, "kind": "ignored", "path": 5}\n', b"\xff\xfe\n", b"\n"])
def test_a_broken_line_costs_no_other(tmp_path: Path, line: bytes) -> None:
    ignored = IgnoredFailures(str(tmp_path))
    ignored.add([_record("/p/a.jpg")])
    file = tmp_path / "ignored.jsonl"
    file.write_bytes(line + file.read_bytes())
    again = IgnoredFailures(str(tmp_path))
    again.add([_record("/p/b.jpg")])

    assert file.read_bytes().startswith(line)
    third = IgnoredFailures(str(tmp_path))
    assert (_record("/p/a.jpg") in third, _record("/p/b.jpg") in third) == (True, True)


def test_nothing_is_ignored_that_could_not_be_written(tmp_path: Path) -> None:
    """A full disk: the user hears of it, and is told of the failure again."""
    mount("-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path)
    try:
        ignored = IgnoredFailures(str(tmp_path))
        with pytest.raises(StoreFull):
            ignored.add(_record(f"/p/{number}.jpg") for number in range(200))
        assert not ignored
        assert not IgnoredFailures(str(tmp_path))
    finally:
        unmount(tmp_path)
