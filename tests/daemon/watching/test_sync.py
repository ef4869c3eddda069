import pytest

from pixkin.protocol.replies import Root, RootState
from pixkind.watching.sync import MOST, Failures, SyncRequest

_OFFLINE = Root(b"/p", RootState.OFFLINE, "missing")


def _no_failures(_top: str, _known: object) -> Failures:
    return Failures()


def test_a_sync_is_done_when_its_scans_are_and_all_they_met_has_an_outcome() -> None:
    """A sync needs both: its scans have ended, and every photo has been indexed or has failed."""
    sync = SyncRequest("/p", scans=1)
    sync.wait_for("/p/a.jpg")
    while_scanning = sync.conclude(0, _no_failures)
    sync.scans = 0
    while_waiting = sync.conclude(0, _no_failures)
    sync.settle("/p/other.jpg")
    still = sync.conclude(0, _no_failures)
    sync.settle("/p/a.jpg")

    assert (while_scanning, while_waiting, still) == (False, False, False)
    assert sync.conclude(0, _no_failures)
    assert sync.future.result(0).open == ()


def test_only_what_it_waits_for_is_named() -> None:
    """A sync reports an open file or an absent root only if it waits for the path."""
    sync = SyncRequest("/p/a.jpg")
    sync.wait_for("/p/a.jpg")
    sync.leave("/p/b.jpg")
    sync.leave_root(_OFFLINE, "/p/b.jpg")
    before = sync.conclude(0, _no_failures)
    sync.leave("/p/a.jpg")
    sync.conclude(0, _no_failures)

    assert not before
    assert sync.future.result(0).open == (b"/p/a.jpg",)
    assert sync.future.result(0).roots == ()


def test_a_root_that_is_away_takes_the_photo_with_it() -> None:
    """An absent root is named once, and the sync does not wait for its photos."""
    sync = SyncRequest("")
    for name in "ab":
        sync.wait_for(f"/p/{name}.jpg")
        sync.leave_root(_OFFLINE, f"/p/{name}.jpg")
    sync.leave_root(_OFFLINE)

    assert sync.conclude(0, _no_failures)
    assert sync.future.result(0).roots == (_OFFLINE,)


def test_names_are_bounded() -> None:
    """A reply stays small however many files are being written, and says how many it leaves out."""
    sync = SyncRequest("")
    for number in range(MOST + 10):
        sync.wait_for(f"/p/{number}.jpg")
        sync.leave(f"/p/{number}.jpg")

    assert sync.conclude(0, _no_failures)
    assert len(sync.future.result(0).open) == MOST
    assert sync.future.result(0).more_open == 10


def test_a_deadline_ends_it_and_none_never_does() -> None:
    """At the deadline the error says how many photos are not indexed yet."""
    never, soon = SyncRequest(""), SyncRequest("", until_ms=100)
    for sync in (never, soon):
        sync.wait_for("/p/a.jpg")
        sync.wait_for("/p/b.jpg")

    assert not never.conclude(10**12, _no_failures)
    assert not soon.conclude(99, _no_failures)
    assert soon.conclude(100, _no_failures)
    with pytest.raises(TimeoutError, match=r"^2 photos are not indexed yet"):
        soon.future.result(0)


def test_a_cancelled_sync_is_done() -> None:
    """A cancelled sync is done at once."""
    sync = SyncRequest("", scans=1)
    sync.future.cancel()

    assert sync.conclude(0, _no_failures)


def test_a_request_that_is_cancelled_while_it_is_answered_ends() -> None:
    """The main thread cancels whatever waits when the loop does not stop in time; the loop must still commit."""
    sync = SyncRequest("/p")

    def failures(_: str, _known: object) -> Failures:
        sync.future.cancel()
        return Failures()

    assert sync.conclude(0, failures)
    assert sync.future.cancelled()
