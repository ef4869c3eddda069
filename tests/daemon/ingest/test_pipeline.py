import os
import signal
import time
from pathlib import Path

import pytest
from tests.daemon.conftest import REST_S, DaemonParts, Gate
from tests.daemon.loose import Loose
from tests.daemon.scripted_worker import content_of, vector_of
from tests.waiting import wait_for

from pixkind.ingest.pipeline import STRIKES, WAIT_S
from pixkind.ingest.task import next_try
from pixkind.storage.record import UNKNOWN, unpack_vector
from pixkind.storage.write_batch import WriteBatch


def _vector(library: DaemonParts, picture: str) -> bytes | None:
    """Return the stored vector of a picture."""
    value = library.store.vector(content_of(picture))
    vector = unpack_vector(value) if value else None
    return None if vector is None else vector.tobytes()


def test_a_strike_is_stored_while_the_photo_is_in_the_worker(library: DaemonParts, tmp_path: Path) -> None:
    """It is durable before the worker sees the photo, and gone with the outcome: a crash of everything finds it."""
    gate = Gate(tmp_path)
    library.write("red.jpg", "red", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["red"])
    during = library.store.strikes(content_of("red"))
    gate.open()
    library.sync()

    assert (during, library.store.strikes(content_of("red"))) == (1, 0)
    assert library.found() == {"red.jpg"}


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_of_good_photos_and_one_that_crashes_only_that_fails(library: DaemonParts, kind: str) -> None:
    """Those that were in the worker beside it are encoded alone, and found."""
    for number in range(10):
        library.write(f"{number}.jpg")
    library.write("bad.jpg", "bad", f"{kind} signal 11")
    library.start().sync()

    assert library.failed() == {"bad.jpg": "crashes the decoder (SIGSEGV)"}
    assert [record.retry_s for record, _ in library.store.failures(1)] == [0]
    assert library.found() == {f"{number}.jpg" for number in range(10)}
    assert library.jobs(kind).count("bad") <= 2
    assert library.store.strikes(content_of("bad")) == 0


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_after_five_deaths_that_nobody_is_blamed_for_a_photo_waits_a_day(library: DaemonParts, kind: str) -> None:
    """A SIGKILL condemns nothing, but neither does it repeat for ever; the other photos go on."""
    library.write("heavy.jpg", "heavy", f"{kind} signal 9")
    library.write("good.jpg")
    now = int(time.time())
    library.start().sync()
    record = library.store.record(str(library.root / "heavy.jpg"))

    assert library.found() == {"good.jpg"}
    assert library.jobs(kind).count("heavy") == STRIKES
    assert record is not None
    assert WAIT_S <= record.retry_s - now <= WAIT_S + 240


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_a_photo_that_takes_for_ever_goes_last_and_waits_a_day(hurried: DaemonParts, kind: str) -> None:
    """It is tried twice. The others are encoded once, though they were in the same worker; its copies are not tried."""
    for number in range(10):
        hurried.write(f"{number}.jpg", mtime_s=1_000_000_000)
    hurried.write("bad.jpg", "bad", f"{kind} spin")
    if kind == "encode":
        hurried.write("copy.jpg", "bad", f"{kind} spin")
    now = int(time.time())
    hurried.start().sync()
    retries = [record.retry_s - now for record, _ in hurried.store.failures(2)]

    assert set(hurried.failed().values()) == {"takes too long to decode"}
    assert all(WAIT_S <= retry_s <= WAIT_S + 240 for retry_s in retries)
    assert hurried.found() == {f"{number}.jpg" for number in range(10)}
    assert hurried.jobs(kind).count("bad") == 2
    assert hurried.store.strikes(content_of("bad")) == 0


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_a_photo_that_is_only_slow_is_found(hurried: DaemonParts, kind: str) -> None:
    """It takes longer than a photo may while others wait, and then has the time that it needs."""
    hurried.write("slow.jpg", "slow", f"{kind} compute 0.6")
    hurried.write("good.jpg")
    hurried.start().sync()

    assert hurried.found() == {"slow.jpg", "good.jpg"}


def test_a_slow_photo_whose_worker_was_killed_from_outside_is_found(tmp_path: Path) -> None:
    """Somebody else's SIGKILL shortens no deadline: alone, it has as much time as any slow photo."""
    gate = Gate(tmp_path)
    library = DaemonParts(tmp_path, cpu_s=30.0, slow_cpu_s=30.0)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}", "encode compute 0.6")
    library.write("good.jpg")
    try:
        library.start()
        wait_for(lambda: "slow" in library.jobs("encode"))
        os.kill(library.encoder.pid, signal.SIGKILL)
        gate.open()
        library.sync()

        assert library.found() == {"slow.jpg", "good.jpg"}
    finally:
        library.stop()


def test_a_photo_with_a_strike_of_an_earlier_run_goes_alone(library: DaemonParts) -> None:
    """The daemon itself died while it was in the worker: it is not sent among others again."""
    library.store.commit(WriteBatch(strikes=[content_of("red")]))
    library.write("red.jpg", "red", "encode linger 0.3")
    for number in range(5):
        library.write(f"{number}.jpg")
    library.start().sync()

    assert len(library.found()) == 6
    assert "encode red" not in library.jobs("company")
    assert library.store.strikes(content_of("red")) == 0


def test_a_clean_stop_is_no_strike(library: DaemonParts, tmp_path: Path) -> None:
    """What was in the worker when the daemon was stopped did nobody any harm; what was done is stored."""
    gate = Gate(tmp_path)
    library.write("red.jpg", "red", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["red"])
    library.ingest.stop()

    assert library.store.strikes(content_of("red")) == 0
    assert library.found() == set()


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_a_photo_edited_on_its_way_never_gets_the_old_vector(library: DaemonParts, tmp_path: Path, kind: str) -> None:
    """Between being read and being committed it is looked at again; what changed begins anew."""
    gate = Gate(tmp_path)
    library.write("a.jpg", "red", f"{kind} gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs(kind) == ["red"])
    library.write("a.jpg", "blue")
    gate.open()
    library.sync()
    record = library.store.record(str(library.root / "a.jpg"))

    assert record is not None
    assert record.content == content_of("blue")
    assert _vector(library, "blue") == vector_of("blue")
    assert _vector(library, "red") is None
    assert len(library.index) == 1


def test_a_photo_deleted_on_its_way_leaves_nothing(library: DaemonParts, tmp_path: Path) -> None:
    """What the worker made of a file that is gone is not stored."""
    gate = Gate(tmp_path)
    path = library.write("a.jpg", "red", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["red"])
    path.unlink()
    gate.open()
    library.sync()

    assert list(library.store.records()) == []
    assert len(library.index) == 0


@pytest.mark.parametrize("kind", ["inspect", "encode"])
def test_a_photo_that_gets_another_case_on_its_way_has_one_path(
    library: DaemonParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Where case is ignored and a rename changes no time, the old path still finds the photo; only the new one is stored."""
    gate, loose = Gate(tmp_path), Loose(library.root)
    monkeypatch.setattr(library.roots, "_local", loose)
    photo = library.write("IMG.jpg", "red", f"{kind} gate {gate.path}")
    loose.look(str(photo))
    library.start()
    wait_for(lambda: library.jobs(kind) == ["red"])
    photo.rename(library.root / "img.jpg")
    gate.open()
    wait_for(lambda: not library.ingest.pending)
    first = library.found()
    monkeypatch.undo()  # its ctimes are frozen
    library.sync()

    assert first == set()
    assert library.found() == {"img.jpg"}


def test_twenty_copies_of_a_new_picture_cost_one_encode(library: DaemonParts) -> None:
    """All are inspected, one is encoded, all are found."""
    for number in range(20):
        library.write(f"{number}.jpg", "red")
    library.start().sync()

    assert library.found() == {f"{number}.jpg" for number in range(20)}
    assert library.jobs("encode") == ["red"]
    assert library.ingest.counters()["encodes"] == 1


@pytest.mark.parametrize(("order", "tries"), [("refuse it is torn", 1), ("signal 11", 2)])
def test_copies_of_a_picture_that_fails_fail_with_it(library: DaemonParts, order: str, tries: int) -> None:
    """What the picture does it does in every file: it is not tried with each of them."""
    for number in range(20):
        library.write(f"{number}.jpg", "bad", f"encode {order}")
    library.start().sync()

    assert len(library.failed()) == 20
    assert len(set(library.failed().values())) == 1
    assert library.jobs("encode").count("bad") <= tries


def test_copies_outlive_the_one_that_was_edited_on_its_way(library: DaemonParts, tmp_path: Path) -> None:
    """A copy that waited for the vector of a file that changed meanwhile is encoded itself."""
    gate = Gate(tmp_path)
    library.write("first.jpg", "red", f"encode gate {gate.path}", mtime_s=2_000_000_000)
    library.write("copy.jpg", "red", mtime_s=1_000_000_000)
    library.start()
    wait_for(lambda: library.jobs("encode") == ["red"] and library.jobs("inspect") == ["red", "red"])
    library.write("first.jpg", "blue")
    gate.open()
    library.sync()

    assert library.found() == {"first.jpg", "copy.jpg"}
    assert _vector(library, "red") == vector_of("red")
    assert _vector(library, "blue") == vector_of("blue")


def test_a_known_picture_costs_no_encode(library: DaemonParts) -> None:
    """A copy, a rename and a rewrite of the same picture are inspected, no more."""
    path = library.write("a.jpg", "red")
    library.start().sync()
    path.rename(library.root / "b.jpg")
    library.write("copy.jpg", "red")
    library.sync()
    library.write("copy.jpg", "red", "another file of the same picture")
    library.sync()

    assert library.found() == {"b.jpg", "copy.jpg"}
    assert library.jobs("encode") == ["red"]


def test_the_newest_photos_come_first(library: DaemonParts) -> None:
    """Whoever just took pictures wants to find those."""
    for number in range(20):
        path = library.write(f"{number}.jpg", mtime_s=1_000_000_000 + number * 7 % 20)
    wait_for(lambda: time.time() > path.stat().st_ctime + 2 * REST_S)  # so that the first scan sees them all at rest
    library.start().sync()
    order = [(int(name.partition(".")[0]) * 7) % 20 for name in library.jobs("inspect")]

    assert order == sorted(order, reverse=True)


def test_a_failure_is_tried_again_while_the_file_is_young(library: DaemonParts) -> None:
    """The first time half a minute after the file was born: it may still have been copied."""
    path = library.write("torn.jpg", "torn", "inspect refuse it is torn")
    library.start()
    synced = library.sync()
    record = library.store.record(str(path))

    assert [(failed.path, failed.reason) for failed in synced.failed] == [(os.fsencode(path), "it is torn")]
    assert record is not None
    assert record.retry_s == synced.failed[0].retry_at == int(path.stat().st_ctime) + 30
    assert record.content == UNKNOWN


@pytest.mark.parametrize(
    ("age_s", "next_s"), [(0, 30), (29, 30), (30, 120), (119, 120), (120, 600), (599, 600), (600, None), (10**9, None)]
)
def test_tries_come_at_half_a_minute_two_and_ten_minutes(age_s: int, next_s: int | None) -> None:
    """Counted from the file's birth; then only a change of the file brings another."""
    assert next_try(1_000, 1_000 + age_s) == (0 if next_s is None else 1_000 + next_s)


def test_a_photo_over_the_limit_fails_unread(library: DaemonParts) -> None:
    """Its size alone refuses it, for as long as the file and the limit stay as they are."""
    path = library.write("large.jpg")
    os.truncate(path, (library.config.decode.limit_mb << 20) + 1)
    library.start().sync()

    assert "over the limit" in library.failed()["large.jpg"]
    assert library.jobs("inspect") == []


def test_nothing_stays_open_when_all_is_done(library: DaemonParts) -> None:
    """No descriptor under a root outlives its photo's outcome, or the drive could not be unmounted."""
    for number in range(5):
        library.write(f"{number}.jpg")
    for name, line in [
        ("torn", "inspect refuse it is torn"),
        ("late", "encode refuse it is torn"),
        ("bad", "encode signal 11"),
        ("worse", "inspect signal 11"),
    ]:
        library.write(f"{name}.jpg", name, line)
    for copy in ("a", "b"):
        library.write(f"{copy}.jpg", "twin", "encode refuse it is torn")
    library.start().sync()
    opened = [os.readlink(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd") if _is_open(number)]

    assert len(library.failed()) == 6
    assert [path for path in opened if path.startswith(str(library.root))] == []


def _is_open(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")
