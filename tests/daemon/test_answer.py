import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import Gate, Library, wait_for

from pixkin.wire import Code, Failure, Hello, Reply, Report, Request, RootState, Status, Sync, Synced, Welcome, now_ms
from pixkind.answer import SYNC_MARGIN_MS, Answers
from pixkind.like import Parked


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Library]:
    """Yield a library of two roots."""
    made = Library(tmp_path, "one", "two")
    yield made
    made.stop()


class Partial:
    """A watch that cannot watch everything."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self._reasons = reasons

    def follow(self, root: str) -> None:
        """Watch what can be watched."""

    def unwatched(self) -> dict[str, str]:
        """Return what cannot."""
        return self._reasons


def _answers(library: Library) -> Answers:
    return Answers(
        library.store,
        library.territory,
        library.census,
        library.ingest,
        library.likes,
        about=lambda: Report(encoder="scripted", counters=library.ingest.counters()),
    )


def _ask(answers: Answers, request: Request) -> Reply:
    reply = answers.answer(request, [])
    while isinstance(reply, Parked):
        for future in reply.futures:
            wait_for(future.done)
        reply = reply.resume()
    return reply


def _report(answers: Answers, request: Request) -> Report:
    reply = _ask(answers, request)
    assert isinstance(reply, Report)
    return reply


def test_hello_says_who_is_there(library: Library) -> None:
    """The process that answers names itself."""
    reply = _ask(_answers(library), Hello())

    assert isinstance(reply, Welcome)
    assert reply.pid == os.getpid()


def test_a_report_counts_what_there_is(two: Library) -> None:
    """Found, failed, offline and unwatched, each root with its state; failures only when asked for."""
    for root, name in ((0, "a"), (0, "b"), (1, "c")):
        (two.roots[root] / f"{name}.jpg").write_text(name)
    (two.root / "bad.jpg").write_text("bad\nencode refuse it is torn")
    two.ingest.coverage.watch = Partial({str(two.root): "too many folders"})
    answers = _answers(two.start())
    two.sync()
    two.roots[1].rename(two.folder / "away")
    two.sync()
    report, failed = _report(answers, Status()), _report(answers, Status(failed=True))

    assert (report.photos, report.failed, report.offline, report.pending, report.doing) == (3, 1, 1, 0, "idle")
    assert [(root.path, root.state) for root in report.roots] == [
        (os.fsencode(two.roots[0]), RootState.DEGRADED),
        (os.fsencode(two.roots[1]), RootState.OFFLINE),
    ]
    assert report.counters["encodes"] == 4
    assert report.store_bytes > 0
    assert report.failures == ()
    assert [(one.path, one.reason) for one in failed.failures] == [(os.fsencode(two.root / "bad.jpg"), "it is torn")]
    assert answers.doubt().unwatched == (os.fsencode(two.root),)


def test_of_hidden_folders_nothing_is_reported(two: Library) -> None:
    """A folder that is not named in this run has neither photos nor failures."""
    for root in two.roots:
        (root / "a.jpg").write_text(root.name)
        (root / "bad.jpg").write_text(f"{root.name}\ninspect refuse it is torn")
    two.start().sync()
    two.stop()
    one = Library(two.folder, "one")
    one.start().sync()
    report = _report(_answers(one), Status(failed=True))
    one.stop()

    assert (report.photos, report.failed) == (1, 1)
    assert [failed.path for failed in report.failures] == [os.fsencode(two.root / "bad.jpg")]


def test_a_sync_of_a_link_means_what_it_points_to_but_for_its_last_name(library: Library) -> None:
    """The folder on the way is resolved, since roots are; a photo that is itself a link is not."""
    library.write("a.jpg")
    answers = _answers(library.start())
    link = library.folder / "link"
    link.symlink_to(library.root)
    reply = _ask(answers, Sync(path=os.fsencode(link / "a.jpg")))

    assert isinstance(reply, Synced)
    assert reply.photos == 1
    assert library.found() == {"a.jpg"}


@pytest.mark.parametrize("path", [b"/nowhere/a.jpg", b"/", b"/tmp/../nowhere"])
def test_a_sync_of_what_is_not_watched_is_told(library: Library, path: bytes) -> None:
    """It names the folders that are."""
    reply = _ask(_answers(library.start()), Sync(path=path))

    assert isinstance(reply, Failure)
    assert reply.code is Code.UNKNOWN_FOLDER
    assert str(library.root) in reply.hint


def test_a_sync_without_time_says_so_before_its_client_stops_listening(library: Library, tmp_path: Path) -> None:
    """The reply comes while somebody still waits for it."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    answers = _answers(library.start())
    until_ms = now_ms() + SYNC_MARGIN_MS + 100
    reply = _ask(answers, Sync(until_ms=until_ms))
    in_time = now_ms() < until_ms
    gate.open()
    library.sync()

    assert isinstance(reply, Failure)
    assert reply.code is Code.EXPIRED
    assert in_time


def test_a_sync_at_a_stop_is_told_so(library: Library, tmp_path: Path) -> None:
    """One that waits, and one that comes too late."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    answers = _answers(library.start())
    wait_for(lambda: library.jobs("encode") == ["slow"])
    parked = answers.answer(Sync(), [])
    library.ingest.stop()
    replies = [parked.resume() if isinstance(parked, Parked) else parked, _ask(answers, Sync())]
    gate.open()

    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.STOPPING] * 2
