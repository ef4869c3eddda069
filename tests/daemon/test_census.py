import itertools

from pixkind.batch import Delta
from pixkind.census import Census, Count
from pixkind.photo import Stamp
from pixkind.record import Record

_STAMP = Stamp(1, 1, 1, 1)
_FOUND = Record("/p/a.jpg", _STAMP, b"1" * 16)
_FAILED = Record("/p/b.jpg", _STAMP, failed=True)
_GONE = Record("/p/c.jpg", _STAMP, b"1" * 16, gone_s=5)
_HIDDEN = Record("/q/d.jpg", _STAMP, b"1" * 16)


def _census() -> Census:
    return Census(lambda path: "/p" if path.startswith("/p/") else None)


def test_only_live_photos_of_configured_roots_are_counted() -> None:
    """What is gone or hidden is not there; what failed is counted apart."""
    census = _census()
    census.take([_FOUND, _FAILED, _GONE, _HIDDEN])

    assert census.by_root == {"/p": Count(found=1, failed=1)}
    assert census.of("/p").any
    assert not census.of("/q").any


def test_much_that_vanishes_is_told_until_the_second_scan_after_it() -> None:
    """Of 200 photos 100 go: that is said over one whole scan, and not for ever; 40 are no matter."""
    census = _census()
    photos = [Record(f"/p/{number}.jpg", _STAMP, b"1" * 16) for number in range(200)]
    census.take(photos)
    census.scanned("/p")
    before = census.of("/p").vanished()
    told = []
    for last in (40, 100):
        census.apply(Delta(before=photos[:last], after=[]))
        told.append(census.of("/p").vanished())
        census.apply(Delta(before=[], after=photos[:last]))
    census.apply(Delta(before=photos[:100], after=[]))
    for _ in range(3):
        census.scanned("/p")
        told.append(census.of("/p").vanished())

    assert before == 0
    assert told == [0, 100, 100, 0, 0]


def test_counting_the_changes_is_counting_anew() -> None:
    """After a commit the counts are those that its records have, however a photo went over to another state."""
    census = _census()
    states = [_FOUND, Record("/p/a.jpg", _STAMP, failed=True), Record("/p/a.jpg", _STAMP, gone_s=7), _FOUND]
    census.take(states[:1])
    seen = []
    for before, after in itertools.pairwise(states):
        census.apply(Delta(before=[before], after=[after]))
        seen.append(census.of("/p"))
        anew = _census()
        anew.take([after])
        assert census.of("/p") == anew.of("/p")

    assert len(seen) == 3
