from hypothesis import given
from hypothesis import strategies as st

from pixkind.watching.pending import PendingPaths


def test_a_path_that_keeps_changing_waits_until_it_rests() -> None:
    """A path is due `rest_s` after its last change, not its first."""
    pending = PendingPaths(rest_s=2.0, patience_s=60.0)
    pending.add("/p/a.jpg", now=0.0)
    pending.add("/p/a.jpg", now=1.5)

    assert pending.take_due(now=3.0) == []
    assert pending.next_deadline() == 3.5
    assert pending.take_due(now=3.5) == ["/p/a.jpg"]
    assert len(pending) == 0


def test_a_path_that_never_rests_is_due_when_patience_ends() -> None:
    """However often a path changes, it is due `patience_s` after the first change."""
    pending = PendingPaths(rest_s=2.0, patience_s=10.0)
    for tenth in range(100):
        pending.add("/p", now=tenth / 10)

    assert pending.next_deadline() == 10.0


def test_a_wish_to_look_later_does_not_delay_an_earlier_one() -> None:
    """The earlier of two deadlines counts."""
    pending = PendingPaths(rest_s=2.0, patience_s=60.0)
    pending.add_at("/p/a.jpg", due=5.0)
    pending.add_at("/p/a.jpg", due=9.0)
    pending.add_at("/p/b.jpg", due=9.0)
    pending.add_at("/p/b.jpg", due=4.0)

    assert pending.take_due(now=5.0) == ["/p/b.jpg", "/p/a.jpg"]


_STEPS = st.lists(st.tuples(st.sampled_from(["add", "at", "take"]), st.integers(0, 5), st.floats(0, 5)), max_size=200)


@given(_STEPS)
def test_every_path_is_taken_exactly_once_after_its_last_wish(steps: list[tuple[str, int, float]]) -> None:
    """Nothing that is dirty is lost, nothing is due twice, and nothing is due before its deadline."""
    pending = PendingPaths(rest_s=1.0, patience_s=4.0)
    dirty: set[str] = set()
    now = 0.0
    for step, number, seconds in steps:
        now += seconds / 10
        path = f"/p/{number}"
        if step == "take":
            deadline = pending.next_deadline()
            taken = pending.take_due(now)
            assert bool(taken) == (deadline is not None and deadline <= now)
            assert len(taken) == len(set(taken))
            assert set(taken) <= dirty
            dirty.difference_update(taken)
        else:
            dirty.add(path)
            pending.add(path, now) if step == "add" else pending.add_at(path, now + seconds)
        assert len(pending) == len(dirty)

    assert set(pending.take_due(now + 100)) == dirty


def test_a_file_that_is_written_for_hours_costs_no_memory() -> None:
    """The length of the queue follows the number of dirty paths, not of changes."""
    pending = PendingPaths(rest_s=2.0, patience_s=1e9)
    for second in range(100_000):
        pending.add("/p/a.jpg", now=float(second))

    assert len(pending._heap) < 100
