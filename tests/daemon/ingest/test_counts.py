from pixkind.ingest.counts import PhotoCounts


class _Counts:
    """What the store would say of one root, /p."""

    def __init__(self, found: int, failed: int = 0) -> None:
        self.found, self.failed = found, failed

    def of(self, root: str) -> tuple[int, int]:
        return (self.found, self.failed) if root == "/p" else (0, 0)


def test_what_failed_is_counted_apart() -> None:
    """A root has what is found, what failed, and whether it has any photo at all."""
    census = PhotoCounts(["/p", "/q"], _Counts(2, 1).of)

    assert (census.of("/p").found, census.of("/p").failed, census.of("/p").all) == (2, 1, 3)
    assert census.of("/p").all
    assert not census.of("/q").all


def test_much_that_vanishes_is_told_until_the_second_scan_after_it() -> None:
    """Of 200 photos 100 go: that is said over one whole scan, and not for ever; 40 are no matter."""
    counts = _Counts(200)
    census = PhotoCounts(["/p"], counts.of)
    census.scanned("/p")
    before = census.of("/p").vanished
    told = []
    for last in (40, 100):
        counts.found = 200 - last
        census.changed()
        told.append(census.of("/p").vanished)
        counts.found = 200
        census.changed()
    counts.found = 100
    census.changed()
    for _ in range(3):
        census.scanned("/p")
        told.append(census.of("/p").vanished)

    assert before == 0
    assert told == [0, 100, 100, 0, 0]
