import os
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from tests.daemon.conftest import DaemonParts, Gate, wait_for
from tests.daemon.settled import settled

from pixkin.protocol.replies import Code, Failure, Reply, Report, Root, Roots, RootState, Synced, Welcome
from pixkin.protocol.requests import Boost, Hello, Pause, Request, Resume, Status, Sync, now_ms
from pixkind.encoder.formats import FORMATS
from pixkind.fs.identity import identify
from pixkind.fs.mounts import read_mounts
from pixkind.server.deferred import Deferred
from pixkind.server.dispatch import SYNC_MARGIN_MS, Dispatcher
from pixkind.server.spaces import SpaceHandler


class Partial:
    """A watch that cannot watch everything."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self._reasons = reasons

    def follow(self, root: str) -> None:
        """Watch what can be watched."""

    def unwatched(self) -> dict[str, str]:
        """Return what cannot."""
        return self._reasons


def _answers(library: DaemonParts) -> Dispatcher:
    return Dispatcher(
        library.store,
        library.roots,
        library.counts,
        library.ingest,
        library.like_handler,
        library.haves,
        library.duplicates,
        SpaceHandler(library.spaces, library.ingest.call, library.ingest.post),
        library.config,
        about=lambda: Report(encoder="scripted", counters=library.ingest.counters()),
    )


def _ask(answers: Dispatcher, request: Request) -> Reply:
    return settled(answers.answer(request, []))


def _turned(answers: Dispatcher, request: Request) -> str:
    """Return what the daemon says that it does after a request that concerns all indexing."""
    reply = _ask(answers, request)
    assert isinstance(reply, Roots)
    assert reply.roots == ()
    return reply.doing


def _report(answers: Dispatcher, request: Request) -> Report:
    reply = _ask(answers, request)
    assert isinstance(reply, Report)
    return reply


def test_hello_says_who_is_there(library: DaemonParts) -> None:
    """The process that answers names itself."""
    reply = _ask(_answers(library), Hello())

    assert isinstance(reply, Welcome)
    assert reply.pid == os.getpid()


def test_a_report_counts_what_there_is(two: DaemonParts) -> None:
    """Found, failed, offline and unwatched, each root with its state; failures only when asked for."""
    for root, name in ((0, "a"), (0, "b"), (1, "c")):
        (two.folders[root] / f"{name}.jpg").write_text(name)
    (two.root / "bad.jpg").write_text("bad\nencode refuse it is torn")
    two.ingest.coverage.watch = Partial({str(two.root): "too many folders"})
    answers = _answers(two.start())
    two.sync()
    two.folders[1].rename(two.folder / "away")
    two.sync()
    report, failed = _report(answers, Status()), _report(answers, Status(failed=True))

    assert (report.photos, report.failed, report.offline, report.pending, report.doing) == (3, 1, 1, 0, "idle")
    assert [(root.path, root.state) for root in report.roots] == [
        (os.fsencode(two.folders[0]), RootState.DEGRADED),
        (os.fsencode(two.folders[1]), RootState.OFFLINE),
    ]
    assert report.counters["encodes"] == 4
    assert report.store_bytes > 0
    assert report.failures == ()
    assert [(one.path, one.reason) for one in failed.failures] == [(os.fsencode(two.root / "bad.jpg"), "it is torn")]
    assert answers.doubt().unwatched == (os.fsencode(two.root),)


def test_a_report_says_what_reads_each_format(library: DaemonParts) -> None:
    """Each format that is a photo has its row when asked for: what is installed is live, and a hint names the rest."""
    bare, full = (_report(_answers(library), Status(formats=formats)).formats for formats in (False, True))
    rows = {row.name: row for row in full}

    assert bare == ()
    assert list(rows) == [one.name for one in FORMATS]
    assert rows["JPEG"].decoder == f"pillow {version('pillow')}"
    assert all(row.live == (row.hint == "") == (" " in row.decoder) and row.licence for row in full)


def test_of_hidden_folders_nothing_is_reported(two: DaemonParts) -> None:
    """A folder that is not named in this run has neither photos nor failures."""
    for root in two.folders:
        (root / "a.jpg").write_text(root.name)
        (root / "bad.jpg").write_text(f"{root.name}\ninspect refuse it is torn")
    two.start().sync()
    two.stop()
    one = DaemonParts(two.folder, "one")
    one.start().sync()
    report = _report(_answers(one), Status(failed=True))
    one.stop()

    assert (report.photos, report.failed) == (1, 1)
    assert [failed.path for failed in report.failures] == [os.fsencode(two.root / "bad.jpg")]


def test_a_sync_of_a_link_means_what_it_points_to_but_for_its_last_name(library: DaemonParts) -> None:
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
def test_a_sync_of_what_is_not_watched_is_told(library: DaemonParts, path: bytes) -> None:
    """It names the folders that are."""
    reply = _ask(_answers(library.start()), Sync(path=path))

    assert isinstance(reply, Failure)
    assert reply.code is Code.UNKNOWN_FOLDER
    assert str(library.root) in reply.hint


def test_a_sync_without_time_says_so_before_its_client_stops_listening(library: DaemonParts, tmp_path: Path) -> None:
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


def test_a_sync_at_a_stop_is_told_so(library: DaemonParts, tmp_path: Path) -> None:
    """One that waits, and one that comes too late."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    answers = _answers(library.start())
    wait_for(lambda: library.jobs("encode") == ["slow"])
    parked = answers.answer(Sync(), [])
    library.ingest.stop()
    replies = [parked.resume() if isinstance(parked, Deferred) else parked, _ask(answers, Sync())]
    gate.open()

    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.STOPPING] * 2


# Pauses


def _roots(answers: Dispatcher, request: Request) -> tuple[Root, ...]:
    reply = _ask(answers, request)
    assert isinstance(reply, Roots)
    return reply.roots


def _state(answers: Dispatcher, root: Path) -> RootState:
    return next(one.state for one in _report(answers, Status()).roots if one.path == os.fsencode(root))


def _held(folder: Path) -> list[str]:
    """Return what this process has open under a folder."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [path for path in map(os.path.realpath, links) if path.startswith(f"{folder}/")]


def test_a_pause_is_told_when_nothing_is_open(two: DaemonParts, tmp_path: Path) -> None:
    """Until then it waits; the other root goes on, and the paused one is answered, not offline, and in doubt."""
    gate = Gate(tmp_path)
    paused, other = two.folders
    slow = two.write("slow.jpg", "slow", f"encode gate {gate.path}")
    answers = _answers(two.start())
    wait_for(lambda: two.jobs("encode") == ["slow"])
    during = _held(paused)
    reply = answers.answer(Pause(root=os.fsencode(paused)), [])
    assert isinstance(reply, Deferred)
    was_told_at_once = reply.futures[0].done()
    gate.open()
    told = _roots(answers, Pause(root=os.fsencode(paused)))
    after = _held(paused)
    (paused / "new.jpg").write_text("new")
    (other / "new.jpg").write_text("another")
    two.sync(str(other))

    assert (during, was_told_at_once) == ([str(slow)], False)
    assert [(root.path, root.state) for root in told] == [(os.fsencode(paused), RootState.PAUSED)]
    assert told[0].reason
    assert told[0].hint.endswith(f"pixkin resume {paused}")
    assert after == []
    assert "new" not in two.jobs("inspect")
    assert "another" in two.jobs("inspect")
    assert (answers.doubt().offline, answers.doubt().unwatched) == (0, (os.fsencode(paused),))
    assert (_state(answers, paused), _state(answers, other)) == (RootState.PAUSED, RootState.ONLINE)


def test_what_came_in_a_pause_is_found_after_it(library: DaemonParts) -> None:
    """A sync names the root instead of waiting; the photo is looked at when the pause is over."""
    answers = _answers(library.start())
    _roots(answers, Pause(root=os.fsencode(library.root)))
    library.write("new.jpg")
    synced = _ask(answers, Sync())
    before = library.found()
    _roots(answers, Resume(root=os.fsencode(library.root)))
    wait_for(lambda: library.found() == {"new.jpg"})
    assert isinstance(synced, Synced)

    assert [(root.state, bool(root.hint)) for root in synced.roots] == [(RootState.PAUSED, True)]
    assert before == set()
    assert _state(answers, library.root) is RootState.ONLINE


def test_a_root_that_is_paused_before_it_was_scanned_is_paused(library: DaemonParts) -> None:
    """It is not said to be looked through, for nobody does."""
    library.write("a.jpg")
    answers = _answers(library)
    reply = answers.answer(Pause(root=os.fsencode(library.root)), [])
    library.start()
    assert isinstance(reply, Deferred)
    wait_for(reply.futures[0].done)
    wait_for(lambda: library.roots.is_online(str(library.root)))

    assert _state(answers, library.root) is RootState.PAUSED
    assert library.jobs("inspect") == []


@pytest.mark.parametrize("form", ["{}", "{}/", "{0}/../photos/.", "{0}/../link", "{0}/../link/"])
def test_a_root_has_many_names(library: DaemonParts, form: str) -> None:
    """With a slash at its end, through a link, or the long way round, it is the same."""
    (library.folder / "link").symlink_to(library.root)
    answers = _answers(library.start())
    library.sync()
    path = os.fsencode(form.format(library.root))
    paused, resumed = _roots(answers, Pause(root=path)), _roots(answers, Resume(root=path))

    assert [root.path for root in (*paused, *resumed)] == [os.fsencode(library.root)] * 2
    assert isinstance(_ask(answers, Sync(path=path, accept_drive=True)), Synced)


def test_without_a_root_all_indexing_stops(two: DaemonParts) -> None:
    """No root is paused by it, status says so and for how long, and a sync names how many photos wait, and why."""
    answers = _answers(two.start())
    two.sync()
    told = [_turned(answers, request) for request in (Pause(), Pause(for_s=7200))]
    for root in two.folders:
        (root / "new.jpg").write_text(root.name)
    (two.root / "large.jpg").touch()
    synced = _ask(answers, Sync())
    doing, states = _report(answers, Status()).doing, {_state(answers, root) for root in two.folders}
    before = two.jobs("inspect")
    boosted = _turned(answers, Boost(for_s=60))
    wait_for(lambda: len(two.jobs("encode")) == 2)
    after = _ask(answers, Sync())

    assert told == ["paused by pixkin pause, until pixkin resume", "paused by pixkin pause for 2 h"]
    assert isinstance(synced, Synced)
    assert (synced.photos, synced.held, synced.why) == (3, 3, told[1])
    assert (doing, states, before) == (told[1], {RootState.ONLINE}, [])
    assert boosted.endswith("boosted for 60 s")
    assert isinstance(after, Synced)
    assert (after.held, after.why, len(after.failed)) == (0, "", 1)
    assert _turned(answers, Resume()) == "idle"


def test_to_resume_everything_ends_the_pauses_of_roots(two: DaemonParts) -> None:
    """Whoever names none means all."""
    answers = _answers(two.start())
    two.sync()
    for root in two.folders:
        _roots(answers, Pause(root=os.fsencode(root)))
    paused = {_state(answers, root) for root in two.folders}
    _turned(answers, Resume())
    wait_for(lambda: all(_state(answers, root) is RootState.ONLINE for root in two.folders))

    assert paused == {RootState.PAUSED}


@pytest.mark.parametrize("request_", [Pause, Resume, Sync])
@pytest.mark.parametrize("below", ["..", "folder", "a.jpg", "nothing"])
def test_what_is_no_root_is_told_with_those_that_are(library: DaemonParts, request_: type[Request], below: str) -> None:
    """A folder in a root is none, and nothing happens to the root that it lies in."""
    (library.write("a.jpg").parent / "folder").mkdir()
    answers = _answers(library.start())
    library.sync()
    path = os.path.normpath(library.root / below)
    keys = {"path": path.encode(), "accept_drive": True} if request_ is Sync else {"root": path.encode()}
    reply = _ask(answers, request_(**keys))

    assert isinstance(reply, Failure)
    assert (reply.code, reply.path) == (Code.UNKNOWN_FOLDER, path.encode())
    assert str(library.root) in reply.hint
    assert _state(answers, library.root) is RootState.ONLINE


def test_a_pause_without_time_says_so_before_its_client_stops_listening(library: DaemonParts, tmp_path: Path) -> None:
    """A sentence, in time; it stays in force, for whoever asks again."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    answers = _answers(library.start())
    wait_for(lambda: library.jobs("encode") == ["slow"])
    until_ms = now_ms() + SYNC_MARGIN_MS + 100
    reply = _ask(answers, Pause(root=os.fsencode(library.root), until_ms=until_ms))
    in_time = now_ms() < until_ms
    state = _state(answers, library.root)
    gate.open()
    again = _roots(answers, Pause(root=os.fsencode(library.root)))

    assert isinstance(reply, Failure)
    assert reply.code is Code.EXPIRED
    assert reply.what
    assert in_time
    assert state is RootState.PAUSED
    assert again[0].state is RootState.PAUSED


def test_a_pause_at_a_stop_is_told_so(library: DaemonParts, tmp_path: Path) -> None:
    """One that waits, and one that comes too late."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    answers = _answers(library.start())
    wait_for(lambda: library.jobs("encode") == ["slow"])
    pause = Pause(root=os.fsencode(library.root))
    parked = answers.answer(pause, [])
    library.ingest.stop()
    replies = [parked.resume() if isinstance(parked, Deferred) else parked, _ask(answers, pause)]
    gate.open()

    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.STOPPING] * 2


# Another drive


def _on_another_drive(library: DaemonParts) -> None:
    """Make the store remember another folder than the root, as if it were on another drive now."""
    known = msgspec.structs.replace(identify(str(library.root), read_mounts()), folder="/elsewhere")
    library.store.roots.put_identity(str(library.root), msgspec.msgpack.encode(known))


def test_another_drive_is_taken_only_when_it_is_accepted(tmp_path: Path) -> None:
    """Before, sync and status name the command, quoted for the shell; after it, its photos are indexed."""
    library = DaemonParts(tmp_path, "my photos")
    library.write("a.jpg")
    answers, path = _answers(library.start()), os.fsencode(library.root)
    library.sync()
    _on_another_drive(library)
    library.write("b.jpg")
    refused, before = _ask(answers, Sync(path=path)), _report(answers, Status())
    accepted, after = _ask(answers, Sync(path=path, accept_drive=True)), _report(answers, Status())
    again = _ask(answers, Sync(path=path))
    found = library.found()
    library.stop()
    assert isinstance(refused, Synced)

    assert refused.roots == before.roots
    assert before.roots[0].state is RootState.OFFLINE
    assert before.roots[0].hint.endswith(f"pixkin sync '{library.root}' --accept-drive")
    assert accepted == again == Synced(photos=2)
    assert found == {"a.jpg", "b.jpg"}
    assert (after.roots[0].state, after.roots[0].hint) == (RootState.ONLINE, "")


def test_a_drive_that_is_accepted_while_it_is_online_changes_nothing(library: DaemonParts) -> None:
    """What is known of it stays known: a drive that stands there later is another one."""
    library.write("a.jpg")
    answers, path = _answers(library.start()), os.fsencode(library.root)
    library.sync()
    known = library.store.roots.identity(str(library.root))
    accepted = _ask(answers, Sync(path=path, accept_drive=True))
    still_known = library.store.roots.identity(str(library.root))
    _on_another_drive(library)
    refused = _ask(answers, Sync(path=path))

    assert accepted == Synced(photos=1)
    assert still_known == known
    assert isinstance(refused, Synced)
    assert [root.state for root in refused.roots] == [RootState.OFFLINE]


# File systems that may hang


def test_a_report_waits_until_the_roots_that_may_hang_were_looked_at(
    library: DaemonParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says holds now; that a look was in vain, or was never taken, keeps nobody from a report."""
    answers = _answers(library.start())
    library.sync()
    looks: list[Future[None]] = [Future() for _ in range(3)]
    monkeypatch.setattr(library.ingest, "refresh", lambda: looks)
    reply = answers.answer(Status(), [])
    assert isinstance(reply, Deferred)
    library.folders[0].rename(library.folder / "away")
    library.sync()
    looks[0].set_result(None)
    looks[1].set_exception(OSError())
    looks[2].cancel()
    report = reply.resume()

    assert reply.futures == looks
    assert isinstance(report, Report)
    assert [root.state for root in report.roots] == [RootState.OFFLINE]
