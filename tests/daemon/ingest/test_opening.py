"""How photos are opened, on a file system that may hang too: ramfs is none that we know, so it counts as one."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate, mount, wait_for
from tests.e2e.conftest import children

from pixkin.protocol.replies import RootState
from pixkin.protocol.requests import Image, Like, now_ms
from pixkind.fs.remote import RemoteFileSystem
from pixkind.server.deferred import Deferred

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def library(tmp_path: Path, point: Path) -> Iterator[DaemonParts]:
    """Yield a library of a local root and one that may hang, `share`."""
    mount("-t", "ramfs", "ramfs", point)
    made = DaemonParts(tmp_path, "photos", str(point))
    yield made
    made.stop()
    made.roots.close()
    assert made.ingest.failure() is None
    assert made.encoder.failure() is None


def _probes(library: DaemonParts) -> list[int]:
    worker = library.encoder.pid
    return [child for child in children(os.getpid()) if child != worker]


def test_photos_of_a_share_are_indexed_as_all_others(library: DaemonParts, point: Path) -> None:
    """New, changed, moved and removed ones; a move costs nothing."""
    (point / "a.jpg").write_text("one")
    (point / "b.jpg").write_text("two")
    library.start().sync()
    first = library.jobs("encode")
    shutil.move(point / "a.jpg", library.root / "c.jpg")
    (point / "b.jpg").write_text("three")
    library.sync()

    assert sorted(first) == ["one", "two"]
    assert library.jobs("encode") == [*first, "three"]
    assert library.found() == {"c.jpg", os.path.relpath(point / "b.jpg", library.root)}
    assert isinstance(library.roots.file_system(str(point)), RemoteFileSystem)


def test_copies_are_few_at_once(library: DaemonParts, point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one fills the room, none is copied before the one ahead of it is through; the newest is the first."""
    monkeypatch.setattr("pixkind.ingest.opening.COPIES_MB", 0)
    for number in range(5):
        (point / f"{number}.jpg").write_text(f"{number}")
        os.utime(point / f"{number}.jpg", (number, number))
    library.start().sync()

    one_by_one = [f"{kind} {number}" for number in (4, 3, 2, 1, 0) for kind in ("inspect", "encode")]
    assert [line for line in library.log.read_text().splitlines() if not line.startswith("company")] == one_by_one


def test_a_share_that_does_not_answer_is_suspect_and_nobody_else_waits(library: DaemonParts, point: Path) -> None:
    """Its photos are kept; a local photo is indexed meanwhile; when it answers, what is new is found."""
    (point / "a.jpg").write_text("one")
    library.start().sync()
    for probe in _probes(library):
        os.kill(probe, signal.SIGSTOP)
    library.write("local.jpg")
    for future in library.ingest.refresh():
        future.result()
    state = library.roots.root(str(point)).state
    skipped = library.sync(str(library.root)).photos, library.sync().roots
    (point / "b.jpg").write_text("two")
    for probe in _probes(library):
        os.kill(probe, signal.SIGCONT)
    wait_for(lambda: library.roots.is_online(str(point)))
    library.sync()

    assert state is RootState.SUSPECT
    assert skipped[0] == 1
    assert [root.state for root in skipped[1]] == [RootState.SUSPECT]
    assert sorted(library.jobs("encode")) == ["local.jpg", "one", "two"]
    assert len(library.found()) == 3


def test_a_pause_is_over_when_nothing_is_open(library: DaemonParts) -> None:
    """It waits for the photo that is in the worker, opens no other, and the resumed root is whole."""
    gate = Gate(library.folder)
    library.write("slow.jpg", "slow", f"inspect gate {gate.path}", mtime_s=1 << 33)
    library.start()
    wait_for(lambda: library.jobs("inspect") == ["slow"])
    library.write("later.jpg")
    pause = library.ingest.pause(str(library.root), 0)
    left = library.sync().roots
    was_done = pause.done()
    gate.open()
    pause.result()
    opened = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _exists(fd)]
    met = library.jobs("inspect")
    library.ingest.resume(str(library.root))
    library.sync()

    assert not was_done
    assert [root.state for root in left] == [RootState.PAUSED]
    assert not [path for path in opened if path.startswith(str(library.root))]
    assert met == ["slow"]
    assert library.found() == {"slow.jpg", "later.jpg"}


def _exists(descriptor: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


def test_a_pause_that_takes_too_long_says_so(library: DaemonParts) -> None:
    """A photo that is open keeps the drive; the root stays paused."""
    gate = Gate(library.folder)
    library.write("slow.jpg", "slow", f"inspect gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("inspect") == ["slow"])
    pause = library.ingest.pause(str(library.root), 1)
    with pytest.raises(TimeoutError, match="still open"):
        pause.result()
    state = library.roots.root(str(library.root)).state
    gate.open()

    assert state is RootState.PAUSED


def test_a_read_that_does_not_answer_costs_nothing(
    library: DaemonParts, point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file of a share that cannot be read is tried again now and then; all others are indexed."""
    (point / "a.jpg").write_text("one")
    library.start().sync()
    monkeypatch.setattr("pixkind.fs.remote.READ_S", 0.3)
    reader = max(_probes(library))  # the one that looks was there before
    os.kill(reader, signal.SIGSTOP)
    (point / "b.jpg").write_text("two")
    library.ingest.rescan(str(point), "test")
    wait_for(lambda: library.roots.file_system(str(point)).is_stuck())  # type: ignore[attr-defined]
    library.write("local.jpg")
    library.sync(str(library.root))
    turns = library.ingest.beat()
    with pytest.raises(TimeoutError):
        library.ingest.sync(str(point), now_ms() + 1000).result()
    turns = library.ingest.beat() - turns
    os.kill(reader, signal.SIGCONT)

    assert turns < 100
    assert library.roots.is_online(str(point))
    assert sorted(library.jobs("encode")) == ["local.jpg", "one"]


def test_a_pause_outlives_a_silence(library: DaemonParts, point: Path) -> None:
    """A share that does not answer for a moment was not away."""
    (point / "a.jpg").write_text("one")
    library.start().sync()
    library.ingest.pause(str(point), 0).result()
    states = []
    for how in (signal.SIGSTOP, signal.SIGCONT):
        for probe in _probes(library):
            os.kill(probe, how)
        for future in library.ingest.refresh():
            future.result()
        if how is signal.SIGCONT:
            wait_for(lambda: library.roots.is_online(str(point)))
        states.append(library.roots.root(str(point)).state)

    assert states == [RootState.SUSPECT, RootState.PAUSED]


def test_a_pause_waits_for_a_query(library: DaemonParts) -> None:
    """A photo that is open for somebody who asks about it keeps the drive, too."""
    gate = Gate(library.folder)
    path = library.write("x.jpg", "x", f"inspect gate {gate.path}")
    library.start()
    wait_for(lambda: library.roots.is_online(str(library.root)))
    library.ingest.is_asked_about = library.like_handler.holds
    parked = library.like_handler.like(Like(images=(Image(path=os.fsencode(path)),)), ())
    pause = library.ingest.pause(str(library.root), now_ms() + 300)
    with pytest.raises(TimeoutError):
        pause.result()
    assert isinstance(parked, Deferred)
    parked.abandon()

    library.ingest.pause(str(library.root), 0)
    gate.open()
    assert not library.like_handler.holds(str(library.root))
