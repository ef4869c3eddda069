import signal
import threading

from tests.waiting import wait_for

from pixkind.system.threads import NOTICE, ServiceThread


def test_what_a_thread_dies_of_is_kept_and_told() -> None:
    """A signal wakes the thread that waits for signals, and `failure` has the error."""
    told = threading.Event()
    signal.signal(NOTICE, lambda *_: told.set())

    def doomed() -> None:
        raise IndexError("the cause")

    thread = ServiceThread("doomed", doomed)
    before = thread.failure
    thread.start()
    wait_for(told.is_set)

    assert before is None
    assert isinstance(thread.failure, IndexError)
    assert thread.join(40)


def test_a_join_never_waits_for_ever() -> None:
    """`join` returns False for a thread that hangs, and True for one that was never started."""
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait(40)

    hangs = ServiceThread("hangs", hang)
    hangs.start()
    in_time = hangs.join(0.01)
    go_on.set()

    assert not in_time
    assert hangs.join(40)
    assert hangs.failure is None
    assert ServiceThread("never", lambda: None).join(0.01)


def test_beats_tell_a_loop_that_turns_from_one_that_hangs() -> None:
    """Each turn of the loop counts one beat."""

    def turn() -> None:
        for _ in range(3):
            thread.beat()

    thread = ServiceThread("beats", turn)
    thread.start()

    assert thread.join(40)
    assert thread.beats == 3
