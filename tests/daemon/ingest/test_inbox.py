from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from pixkin.protocol.replies import Code
from pixkind.ingest.inbox import DirtyPath, Inbox, LostEvents
from pixkind.search.errors import RequestError


def _turn(inbox: Inbox) -> None:
    """Do what is there, as one turn of the loop does."""
    for message in inbox.take():
        assert callable(message)
        message()


def test_messages_come_out_in_their_order_and_what_they_post_a_turn_later() -> None:
    """So a storm of posts cannot keep the loop from turning."""
    inbox, done = Inbox(), list[str]()
    inbox.post(lambda: inbox.post(lambda: done.append("later")))
    inbox.post(lambda: done.append("now"))
    _turn(inbox)
    first = list(done)
    _turn(inbox)
    inbox.dirty("/p/a.jpg")
    inbox.rescan("/p", "overflow")

    assert (first, done) == (["now"], ["now", "later"])
    assert list(inbox.take()) == [DirtyPath("/p/a.jpg"), LostEvents("/p")]
    assert inbox.is_empty


def test_a_future_has_the_result_or_the_error_that_a_request_may_end_with() -> None:
    """Any other error is a defect: it ends the thread, and with it the daemon."""

    def refuse() -> None:
        raise RequestError(Code.REFUSED, "no")

    def fail() -> None:
        raise ZeroDivisionError

    inbox = Inbox()
    good, bad = inbox.submit(lambda: 5), inbox.submit(refuse)
    _turn(inbox)
    inbox.submit(fail)

    assert good.result(0) == 5
    with pytest.raises(RequestError):
        bad.result(0)
    with pytest.raises(ZeroDivisionError):
        _turn(inbox)


def test_steps_are_done_one_a_turn() -> None:
    """The future is done with the last, or has the error that ended them."""

    def steps(*, is_good: bool) -> Iterator[None]:
        yield
        if not is_good:
            raise RequestError(Code.REFUSED, "no")
        yield

    inbox = Inbox()
    good, bad = (inbox.submit_steps(steps(is_good=is_good)) for is_good in (True, False))
    done = []
    for _ in range(3):
        _turn(inbox)
        done.append((good.done(), bad.done()))

    assert done == [(False, False), (False, True), (True, True)]
    assert isinstance(bad.exception(0), RequestError)


def test_no_future_outlives_the_loop() -> None:
    """Neither one that was asked for before its end, nor one that is asked for later; a late result harms nobody."""
    inbox = Inbox()
    before, kept = inbox.submit(lambda: 5), inbox.keep(Future[None]())
    inbox.end()
    after = inbox.submit(lambda: 5)
    _turn(inbox)

    for future in (before, kept, after):
        with pytest.raises(CancelledError):
            future.result(0)
