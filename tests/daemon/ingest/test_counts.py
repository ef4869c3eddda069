import pytest

from pixkind.ingest.counts import PhotoCounts


class _Counts:
    """What the store would say of one root, /p."""

    def __init__(self, found: int, failed: int = 0) -> None:
        self.found, self.failed = found, failed

    def of(self, root: str) -> tuple[int, int]:
        return (self.found, self.failed) if root == "/p" else (0, 0)


def test_what_failed_is_counted_apart() -> None:
    """A root has what is found, what failed, and whether it has any photo at all."""
    counts = PhotoCounts(["/p", "/q"], _Counts(2, 1).of)

    assert (counts.of("/p").found, counts.of("/p").failed, counts.of("/p").all) == (2, 1, 3)
    assert counts.of("/p").all
    assert not counts.of("/q").all


def test_much_that_vanishes_is_told_until_the_second_scan_after_it() -> None:
    """Of 200 photos 100 go: that is said over one whole scan, and not for ever; 40 are no matter."""
    numbers = _Counts(200)
    counts = PhotoCounts(["/p"], numbers.of)
    counts.scanned("/p")
    before = counts.of("/p").vanished
    told = []
    for last in (40, 100):
        numbers.found = 200 - last
        counts.changed()
        told.append(counts.of("/p").vanished)
        numbers.found = 200
        counts.changed()
    numbers.found = 100
    counts.changed()
    for _ in range(3):
        counts.tell()
        counts.scanned("/p")
        told.append(counts.of("/p").vanished)

    assert before == 0
    assert told == [0, 100, 100, 0, 0]


@pytest.mark.parametrize("scans", [1, 3])
def test_what_came_since_the_last_scan_and_vanished_is_told(scans: int) -> None:
    """It is said although no scan has seen it, and however often all is scanned before it could be said."""
    numbers = _Counts(0)
    counts = PhotoCounts(["/p"], numbers.of)
    counts.scanned("/p")
    for numbers.found in (200, 0):
        counts.changed()
    for _ in range(scans):
        counts.scanned("/p")
    before = counts.of("/p").vanished
    counts.tell()
    for _ in range(2):
        counts.scanned("/p")

    assert before == 200
    assert counts.of("/p").vanished == 0
