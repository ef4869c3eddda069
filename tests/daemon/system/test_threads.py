import signal
import threading

from tests.daemon.conftest import wait_for

from pixkind.system.threads import NOTICE, ServiceThread


def test_what_a_thread_dies_of_is_kept_and_told() -> None:
    """Whoever waits for signals is woken by one, and finds the error."""
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
    """A thread that hangs is left behind; one that was never started has ended."""
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
    """Each turn counts one."""

    def turn() -> None:
        for _ in range(3):
            thread.beat()

    thread = ServiceThread("beats", turn)
    thread.start()

    assert thread.join(40)
    assert thread.beats == 3
