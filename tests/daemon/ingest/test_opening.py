"""How photos are opened, on a file system that may hang too: ramfs is none that we know, so it counts as one."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts, Gate, mount
from tests.e2e.conftest import children
from tests.waiting import wait_for

from pixkin.protocol.replies import RootState
from pixkin.protocol.requests import Image, Like, now_ms
from pixkind.fs.exclusions import Markers
from pixkind.fs.remote import RemoteFileSystem
from pixkind.fs.stamp import Stamp
from pixkind.ingest.opening import NothingThere, NotReadable, Opened, OpenQueue, OpenRefused, StillWritten, UnmountGap
from pixkind.ingest.task import PACE, Pace
from pixkind.server.deferred import Deferred


@pytest.fixture
def library(tmp_path: Path, point: Path, request: pytest.FixtureRequest) -> Iterator[DaemonParts]:
    """Yield a library of a local root and one that may hang, `share`; indirectly at another pace."""
    mount("-t", "ramfs", "ramfs", point)
    made = DaemonParts(tmp_path, "photos", str(point), pace=getattr(request, "param", PACE))
    yield made
    made.stop()
    made.roots.close()
    assert made.ingest.failure() is None
    assert made.encoder.failure() is None


def _helpers(library: DaemonParts) -> list[int]:
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


@pytest.mark.parametrize("library", [Pace(copies_mb=0)], indirect=True)
def test_copies_are_few_at_once(library: DaemonParts, point: Path) -> None:
    """Where one fills the room, none is copied before the one ahead of it is through; the newest is the first."""
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
    for probe in _helpers(library):
        os.kill(probe, signal.SIGSTOP)
    library.write("local.jpg")
    for future in library.ingest.refresh():
        future.result()
    state = library.roots.root(str(point)).state
    skipped = library.sync(str(library.root)).photos, library.sync().roots
    (point / "b.jpg").write_text("two")
    for probe in _helpers(library):
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
    reader = max(_helpers(library))  # the one that looks was there before
    os.kill(reader, signal.SIGSTOP)
    (point / "b.jpg").write_text("two")
    library.inbox.rescan(str(point), "test")
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
        for probe in _helpers(library):
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
    parked = library.like_handler.like(Like(images=(Image(path=os.fsencode(path)),)), ())
    wait_for(lambda: "x" in library.jobs("inspect"))  # somebody stands at the gate
    pause = library.ingest.pause(str(library.root), now_ms() + 300)
    with pytest.raises(TimeoutError):
        pause.result()
    assert isinstance(parked, Deferred)
    parked.abandon()

    library.ingest.pause(str(library.root), 0)
    gate.open()
    assert not library.daemon.queried


def test_nothing_is_opened_when_a_gap_is_due_and_until_everything_was_closed_for_so_long() -> None:
    """Busy for five seconds, nothing more is opened; once all is closed it lasts the gap; then the time begins anew."""
    gap = UnmountGap(every_s=5.0, gap_s=0.3)
    first = gap.is_closed(0.0, is_open=False), gap.is_closed(0.4, is_open=False)
    busy = [gap.is_closed(now, is_open=True) for now in (1.0, 5.3, 5.5, 7.0)]
    draining = gap.deadline()
    empty = [gap.is_closed(now, is_open=False) for now in (7.1, 7.3)]
    over = gap.deadline()
    after = [gap.is_closed(7.5, is_open=False), gap.is_closed(8.0, is_open=True), gap.is_closed(12.6, is_open=True)]

    assert first == (True, False)
    assert (busy, draining) == ([False, False, True, True], None)
    assert empty == [True, True]
    assert over == pytest.approx(7.4)
    assert after == [False, False, True]


def test_after_a_quiet_hour_no_gap_is_due() -> None:
    """The photo that comes then is opened at once."""
    gap = UnmountGap(every_s=5.0, gap_s=0.3)
    gap.is_closed(0.0, is_open=False)

    assert not gap.is_closed(3600.0, is_open=False)
    assert not gap.is_closed(3601.0, is_open=True)


def test_whatever_becomes_of_a_photo_is_told_in_words(two: DaemonParts) -> None:
    """A refusal has the stamp of the file that was refused, which may have changed since the scan."""
    readable, paused = map(str, two.folders)
    for root in (readable, paused):
        two.roots.check(root)
    two.roots.pause(paused)
    queue = OpenQueue(two.config, two.roots, two.inbox, copies_mb=128)
    paths = {name: f"{readable}/{name}.jpg" for name in ("good", "large", "gone", "open")} | {"late": f"{paused}/x.jpg"}
    for path in paths.values():
        Path(path).write_text(path)
        queue.add(path, os.lstat(path).st_mtime_ns, 0, is_found=False)
    os.truncate(paths["large"], (two.config.decode.limit_mb << 20) + 1)
    seen = Stamp.of(os.lstat(paths["large"]))
    os.unlink(paths["gone"])
    with open(paths["open"], "ab"):
        outcomes = list(queue.advance(lambda: True))
    refused = [one for one in outcomes if isinstance(one, OpenRefused)]
    opened = [one for one in outcomes if isinstance(one, Opened)]
    for one in opened:
        queue.rest(one.photo)

    assert [(one.photo.path, one.root) for one in opened] == [(paths["good"], readable)]
    assert [(one.path, one.stamp, one.retry_s) for one in refused] == [(paths["large"], seen, None)]
    assert NothingThere(paths["gone"]) in outcomes
    assert StillWritten(paths["open"]) in outcomes
    assert NotReadable(paths["late"]) in outcomes
    assert len(outcomes) == len(paths)
    assert not queue


def test_a_photo_that_waits_twice_is_opened_twice(library: DaemonParts) -> None:
    """It went and came back with its mtime while it waited: what went stays in the queue, and does no harm there."""
    library.roots.check(str(library.root))
    path = library.write("a.jpg")
    queue = OpenQueue(library.config, library.roots, library.inbox, copies_mb=128)
    for _ in range(2):
        queue.add(str(path), path.stat().st_mtime_ns, 0, is_found=False)
    opened = [one for one in queue.advance(lambda: True) if isinstance(one, Opened)]
    for one in opened:
        queue.rest(one.photo)

    assert [one.photo.path for one in opened] == [str(path)] * 2


def test_a_photo_that_is_left_out_while_it_waits_is_not_opened(library: DaemonParts) -> None:
    """Its folder said so after a scan had found it."""
    library.roots.check(str(library.root))
    path = library.write("a/b.jpg")
    queue = OpenQueue(library.config, library.roots, library.inbox, copies_mb=128)
    queue.add(str(path), path.stat().st_mtime_ns, 0, is_found=False)
    library.roots.exclusions.note(str(library.root), Markers(b"/a/"))

    assert list(queue.advance(lambda: True)) == [NotReadable(str(path))]
