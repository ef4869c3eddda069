import os
import shutil
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.mounts import read_mounts
from pixkin.protocol.replies import (
    Code,
    Failure,
    Groups,
    Holdings,
    Matches,
    Reply,
    Report,
    Root,
    Roots,
    RootState,
    Sandbox,
    Synced,
    Welcome,
)
from pixkin.protocol.requests import (
    Boost,
    Dupes,
    Have,
    Hello,
    Image,
    Like,
    Pause,
    Request,
    Resume,
    Status,
    Sync,
    now_ms,
)
from pixkind.encoder.formats import FORMATS
from pixkind.encoder.messages import Confined
from pixkind.fs.identity import identify
from pixkind.ingest.throttle import clock
from pixkind.server.deferred import Deferred
from pixkind.server.dispatch import Dispatcher


class Partial:
    """A watch that cannot watch everything."""

    def __init__(self, reasons: dict[str, str]) -> None:
        self._reasons = reasons

    def follow(self, root: str) -> None:
        """Watch what can be watched."""

    def unwatched(self) -> dict[str, str]:
        """Return what cannot."""
        return self._reasons


def _ask(dispatcher: Dispatcher, request: Request) -> Reply:
    return settled(dispatcher.answer(request, []))


def _turned(dispatcher: Dispatcher, request: Request) -> str:
    """Return what the daemon is doing after a request that concerns all indexing."""
    reply = _ask(dispatcher, request)
    assert isinstance(reply, Roots)
    assert reply.roots == ()
    return reply.doing


def _report(dispatcher: Dispatcher, request: Request) -> Report:
    reply = _ask(dispatcher, request)
    assert isinstance(reply, Report)
    return reply


def test_a_report_says_how_the_worker_is_confined(library: DaemonParts) -> None:
    """What this machine lacks is told, as the last worker said it; nothing before one has run."""
    before = _report(library.dispatcher, Status()).sandbox
    library.encoder.confined = Confined(("seccomp",), ("Landlock: this kernel has none, or it is disabled",))

    assert before is None
    assert _report(library.dispatcher, Status()).sandbox == Sandbox(
        ("seccomp",), ("Landlock: this kernel has none, or it is disabled",)
    )


def test_hello_says_who_is_there(library: DaemonParts) -> None:
    """The reply has the process id of the daemon."""
    reply = _ask(library.dispatcher, Hello())

    assert isinstance(reply, Welcome)
    assert reply.pid == os.getpid()


def test_a_report_counts_what_there_is(tmp_path: Path) -> None:
    """It counts found, failed, offline and unwatched photos, and has the state of each root. Failures come on request."""
    two = DaemonParts(tmp_path, "one", "two", watching=Partial({str(tmp_path / "one"): "too many folders"}))
    for root, name in ((0, "a"), (0, "b"), (1, "c")):
        (two.folders[root] / f"{name}.jpg").write_text(name)
    (two.root / "bad.jpg").write_text("bad\nencode refuse it is torn")
    dispatcher = two.start().dispatcher
    two.sync()
    two.folders[1].rename(two.folder / "away")
    two.sync()
    report, failed = _report(dispatcher, Status()), _report(dispatcher, Status(failed=True))
    doubt = dispatcher.status_handler.doubt()
    two.stop()

    assert (report.photos, report.failed, report.offline, report.pending, report.doing) == (3, 1, 1, 0, "idle")
    assert [(root.path, root.state) for root in report.roots] == [
        (os.fsencode(two.folders[0]), RootState.DEGRADED),
        (os.fsencode(two.folders[1]), RootState.OFFLINE),
    ]
    assert report.counters["encodes"] == 4
    assert report.store_bytes > 0
    assert report.failures == ()
    assert [(one.path, one.reason) for one in failed.failures] == [(os.fsencode(two.root / "bad.jpg"), "it is torn")]
    assert doubt.unwatched == (os.fsencode(two.root),)


def test_a_report_says_what_reads_each_format(library: DaemonParts) -> None:
    """On request each format has a row. A format with an installed decoder is live; for any other a hint names the decoder."""
    bare, full = (_report(library.dispatcher, Status(formats=formats)).formats for formats in (False, True))
    rows = {row.name: row for row in full}

    assert bare == ()
    assert list(rows) == [one.name for one in FORMATS]
    assert rows["JPEG"].decoder == f"pillow {version('pillow')}"
    assert all(row.live == (row.hint == "") == (" " in row.decoder) and row.licence for row in full)


def test_of_hidden_folders_nothing_is_reported(two: DaemonParts) -> None:
    """The photos and failures of a folder that this run does not watch are not counted."""
    for root in two.folders:
        (root / "a.jpg").write_text(root.name)
        (root / "bad.jpg").write_text(f"{root.name}\ninspect refuse it is torn")
    two.start().sync()
    two.stop()
    one = DaemonParts(two.folder, "one")
    one.start().sync()
    report = _report(one.dispatcher, Status(failed=True))
    one.stop()

    assert (report.photos, report.failed) == (1, 1)
    assert [failed.path for failed in report.failures] == [os.fsencode(two.root / "bad.jpg")]


def test_a_sync_of_a_link_means_what_it_points_to_but_for_its_last_name(library: DaemonParts) -> None:
    """The folder of a path is resolved, since roots are resolved. A photo that is itself a link is not."""
    library.write("a.jpg")
    dispatcher = library.start().dispatcher
    link = library.folder / "link"
    link.symlink_to(library.root)
    reply = _ask(dispatcher, Sync(path=os.fsencode(link / "a.jpg")))

    assert isinstance(reply, Synced)
    assert reply.photos == 1
    assert library.found() == {"a.jpg"}


@pytest.mark.parametrize("path", [b"/nowhere/a.jpg", b"/", b"/tmp/../nowhere"])
def test_a_sync_of_what_is_not_watched_is_told(library: DaemonParts, path: bytes) -> None:
    """The failure names the watched folders."""
    reply = _ask(library.start().dispatcher, Sync(path=path))

    assert isinstance(reply, Failure)
    assert reply.code is Code.UNKNOWN_FOLDER
    assert str(library.root) in reply.hint


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("none.jpg", Code.UNREADABLE, "no such file or folder"),
        ("none/none.jpg", Code.UNREADABLE, "no such file or folder"),
        ("a.jpg/b.jpg", Code.UNREADABLE, "no such file or folder"),
        ("notes.txt", Code.REFUSED, "not a photo"),
        ("a.jpg.part", Code.REFUSED, "not a photo"),
        ("link.jpg", Code.REFUSED, "a symbolic link"),
        ("linked", Code.REFUSED, "a symbolic link"),
        ("pipe.jpg", Code.REFUSED, "neither a photo nor a folder"),
        (".hidden.jpg", Code.UNKNOWN_FOLDER, "not indexed"),
        ("@Recycle/a.jpg", Code.UNKNOWN_FOLDER, "not indexed"),
        ("linked/a.jpg", Code.UNKNOWN_FOLDER, "not in a watched folder"),
    ],
)
def test_a_sync_of_what_is_no_photo_is_told(library: DaemonParts, name: str, code: Code, said: str) -> None:
    """It does not look like a success: the sentence says what is there instead."""
    for one in ("a.jpg", "notes.txt", "a.jpg.part", ".hidden.jpg", "@Recycle/a.jpg", "../outside/a.jpg"):
        library.write(one)
    (library.root / "link.jpg").symlink_to("a.jpg")
    (library.root / "linked").symlink_to("../outside")
    os.mkfifo(library.root / "pipe.jpg")
    reply = _ask(library.start().dispatcher, Sync(path=os.fsencode(library.root / name)))

    assert isinstance(reply, Failure)
    assert reply.code is code
    assert reply.what.startswith(said)
    assert reply.path


def test_a_sync_of_a_photo_that_went_hides_it_and_says_that_it_is_gone(library: DaemonParts) -> None:
    """A path that was right once is told like one that never was."""
    path, _ = library.write("a.jpg"), library.write("b.jpg")
    library.start().sync()
    path.unlink()
    reply = _ask(library.dispatcher, Sync(path=os.fsencode(path)))

    assert isinstance(reply, Failure)
    assert (reply.code, reply.what) == (Code.UNREADABLE, "no such file or folder")
    assert library.found() == {"b.jpg"}


def test_links_are_counted_as_of_the_last_scan_of_their_folders(library: DaemonParts) -> None:
    """A link to a photo, to a folder, and to nothing; what goes, and what a folder that goes had, counts no more."""
    library.write("a/a.jpg")
    dispatcher = library.start().dispatcher

    def links(name: str = "") -> tuple[int, int]:
        synced = _ask(dispatcher, Sync(path=os.fsencode(library.root / name)))
        assert isinstance(synced, Synced)
        return synced.links, sum(root.links for root in _report(dispatcher, Status()).roots)

    counts = [links()]
    for name, aim in (("a/b.jpg", "a.jpg"), ("a/c", "../a"), ("a/d", "/nowhere"), ("e.jpg", "a/a.jpg"), ("a/.f", "a")):
        (library.root / name).symlink_to(aim)
    (library.root / "g").mkdir()
    (library.root / "g/h.jpg").symlink_to("../a/a.jpg")
    counts += [links("a"), links(), links("g")]
    (library.root / "a/c").unlink()
    counts.append(links("a"))
    shutil.rmtree(library.root / "g")
    counts.append(links())

    assert counts == [(0, 0), (3, 3), (5, 5), (1, 5), (2, 4), (3, 3)]
    assert library.found() == {"a/a.jpg"}


def test_a_sync_counts_all_failures_and_names_some(library: DaemonParts) -> None:
    """A reply names 1,000 of them, and says how many more there are, below the folder that was asked about."""
    (library.root / "many").mkdir()
    for number in range(1003):
        (library.root / f"many/{number}.jpg").touch()
        os.truncate(library.root / f"many/{number}.jpg", (library.config.decode.limit_mb << 20) + 1)
    library.write("few/a.jpg")
    os.truncate(library.root / "few/a.jpg", (library.config.decode.limit_mb << 20) + 1)
    dispatcher = library.start().dispatcher
    replies = [
        _ask(dispatcher, Sync(path=os.fsencode(path))) for path in ("", library.root / "many", library.root / "few")
    ]
    synced = [one for one in replies if isinstance(one, Synced)]

    assert [(one.photos, len(one.failed), one.more_failed) for one in synced] == [
        (1004, 1000, 4),
        (1003, 1000, 3),
        (1, 1, 0),
    ]


@pytest.fixture
def margin_ms(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how long before its client stops listening a request says that its time is up: so long that no machine is too busy."""
    monkeypatch.setattr("pixkind.server.control.SYNC_MARGIN_MS", 60_000)
    return 60_000


def test_a_sync_without_time_says_so_before_its_client_stops_listening(
    library: DaemonParts, tmp_path: Path, margin_ms: int
) -> None:
    """The reply comes while the client still waits for it."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    dispatcher = library.start().dispatcher
    until_ms = now_ms() + margin_ms + 100
    reply = _ask(dispatcher, Sync(until_ms=until_ms))
    in_time = now_ms() < until_ms
    gate.open()
    library.sync()

    assert isinstance(reply, Failure)
    assert reply.code is Code.EXPIRED
    assert in_time


def test_a_sync_at_a_stop_is_told_so(library: DaemonParts, tmp_path: Path) -> None:
    """A sync that waits, and one that comes after the stop, both hear `stopping`."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    dispatcher = library.start().dispatcher
    wait_for(lambda: library.jobs("encode") == ["slow"])
    deferred = dispatcher.answer(Sync(), [])
    library.ingest.stop()
    replies = [deferred.resume() if isinstance(deferred, Deferred) else deferred, _ask(dispatcher, Sync())]
    gate.open()

    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.STOPPING] * 2


def test_every_answer_about_photos_carries_the_doubt(library: DaemonParts) -> None:
    """Matches, holdings and the last groups tell that a photo waits to be indexed."""
    path = os.fsencode(library.write("a.jpg"))
    dispatcher = library.start().dispatcher
    library.sync()
    library.ingest.throttle.pause(clock(), 0)
    library.write("new.jpg")
    library.sync()
    (library.folder / "foreign.jpg").write_text("foreign")
    images = (Image(path=path), Image(path=os.fsencode(library.folder / "foreign.jpg")))
    replies = [_ask(dispatcher, Like(images=images)), _ask(dispatcher, Have(images=images)), _ask(dispatcher, Dupes())]
    while isinstance(replies[-1], Groups) and not replies[-1].done:
        replies[-1] = _ask(dispatcher, Dupes(search=replies[-1].search))

    assert [reply.doubt.pending for reply in replies if isinstance(reply, Matches | Holdings | Groups)] == [1] * 3


# Pauses


def _roots(dispatcher: Dispatcher, request: Request) -> tuple[Root, ...]:
    reply = _ask(dispatcher, request)
    assert isinstance(reply, Roots)
    return reply.roots


def _state(dispatcher: Dispatcher, root: Path) -> RootState:
    return next(one.state for one in _report(dispatcher, Status()).roots if one.path == os.fsencode(root))


def _open_below(folder: Path) -> list[str]:
    """Return what this process has open under a folder."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return [path for path in map(os.path.realpath, links) if path.startswith(f"{folder}/")]


def test_a_pause_is_told_when_nothing_is_open(two: DaemonParts, tmp_path: Path) -> None:
    """Until then the request waits. The other root goes on. The paused root is part of the doubt, but not offline."""
    gate = Gate(tmp_path)
    paused, other = two.folders
    slow = two.write("slow.jpg", "slow", f"encode gate {gate.path}")
    dispatcher = two.start().dispatcher
    wait_for(lambda: two.jobs("encode") == ["slow"])
    during = _open_below(paused)
    reply = dispatcher.answer(Pause(root=os.fsencode(paused)), [])
    assert isinstance(reply, Deferred)
    was_told_at_once = reply.futures[0].done()
    gate.open()
    told = _roots(dispatcher, Pause(root=os.fsencode(paused)))
    after = _open_below(paused)
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
    assert (dispatcher.status_handler.doubt().offline, dispatcher.status_handler.doubt().unwatched) == (
        0,
        (os.fsencode(paused),),
    )
    assert (_state(dispatcher, paused), _state(dispatcher, other)) == (RootState.PAUSED, RootState.ONLINE)


def test_what_came_in_a_pause_is_found_after_it(library: DaemonParts) -> None:
    """A sync names the paused root instead of waiting. The photo is indexed when the pause is over."""
    dispatcher = library.start().dispatcher
    _roots(dispatcher, Pause(root=os.fsencode(library.root)))
    library.write("new.jpg")
    synced = _ask(dispatcher, Sync())
    before = library.found()
    _roots(dispatcher, Resume(root=os.fsencode(library.root)))
    wait_for(lambda: library.found() == {"new.jpg"})
    assert isinstance(synced, Synced)

    assert [(root.state, bool(root.hint)) for root in synced.roots] == [(RootState.PAUSED, True)]
    assert before == set()
    assert _state(dispatcher, library.root) is RootState.ONLINE


def test_a_root_that_is_paused_before_it_was_scanned_is_paused(library: DaemonParts) -> None:
    """Its state is `paused`, not `scanning`, since no scan runs."""
    library.write("a.jpg")
    dispatcher = library.dispatcher
    reply = dispatcher.answer(Pause(root=os.fsencode(library.root)), [])
    library.start()
    assert isinstance(reply, Deferred)
    wait_for(reply.futures[0].done)
    wait_for(lambda: library.roots.is_online(str(library.root)))

    assert _state(dispatcher, library.root) is RootState.PAUSED
    assert library.jobs("inspect") == []


@pytest.mark.parametrize("form", ["{}", "{}/", "{0}/../photos/.", "{0}/../link", "{0}/../link/"])
def test_a_root_has_many_names(library: DaemonParts, form: str) -> None:
    """A slash at the end, a link on the way, or `..` in the path make no difference."""
    (library.folder / "link").symlink_to(library.root)
    dispatcher = library.start().dispatcher
    library.sync()
    path = os.fsencode(form.format(library.root))
    paused, resumed = _roots(dispatcher, Pause(root=path)), _roots(dispatcher, Resume(root=path))

    assert [root.path for root in (*paused, *resumed)] == [os.fsencode(library.root)] * 2
    assert isinstance(_ask(dispatcher, Sync(path=path, accept_drive=True)), Synced)


def test_without_a_root_all_indexing_stops(two: DaemonParts) -> None:
    """No root is paused by it. Status tells for how long, and a sync tells how many photos wait, and why."""
    dispatcher = two.start().dispatcher
    two.sync()
    told = [_turned(dispatcher, request) for request in (Pause(), Pause(for_s=7200))]
    for root in two.folders:
        (root / "new.jpg").write_text(root.name)
    (two.root / "large.jpg").touch()
    synced = _ask(dispatcher, Sync())
    doing, states = _report(dispatcher, Status()).doing, {_state(dispatcher, root) for root in two.folders}
    before = two.jobs("inspect")
    boosted = _turned(dispatcher, Boost(for_s=60))
    wait_for(lambda: len(two.jobs("encode")) == 2)
    after = _ask(dispatcher, Sync())

    assert told == ["paused by pixkin pause, until pixkin resume", "paused by pixkin pause for 2 h"]
    assert isinstance(synced, Synced)
    assert (synced.photos, synced.held, synced.why) == (3, 3, told[1])
    assert (doing, states, before) == (told[1], {RootState.ONLINE}, [])
    assert boosted.endswith("boosted for 60 s")
    assert isinstance(after, Synced)
    assert (after.held, after.why, len(after.failed)) == (0, "", 1)
    assert _turned(dispatcher, Resume()) == "idle"


def test_to_resume_everything_ends_the_pauses_of_roots(two: DaemonParts) -> None:
    """A request without a root means all of them."""
    dispatcher = two.start().dispatcher
    two.sync()
    for root in two.folders:
        _roots(dispatcher, Pause(root=os.fsencode(root)))
    paused = {_state(dispatcher, root) for root in two.folders}
    _turned(dispatcher, Resume())
    wait_for(lambda: all(_state(dispatcher, root) is RootState.ONLINE for root in two.folders))

    assert paused == {RootState.PAUSED}


@pytest.mark.parametrize("request_", [Pause, Resume, Sync])
@pytest.mark.parametrize("below", ["..", "folder", "a.jpg", "nothing"])
def test_what_is_no_root_is_told_with_those_that_are(library: DaemonParts, request_: type[Request], below: str) -> None:
    """A folder in a root is no root. The root that it lies in stays as it is."""
    (library.write("a.jpg").parent / "folder").mkdir()
    dispatcher = library.start().dispatcher
    library.sync()
    path = os.path.normpath(library.root / below)
    keys = {"path": path.encode(), "accept_drive": True} if request_ is Sync else {"root": path.encode()}
    reply = _ask(dispatcher, request_(**keys))

    assert isinstance(reply, Failure)
    assert (reply.code, reply.path) == (Code.UNKNOWN_FOLDER, path.encode())
    assert str(library.root) in reply.hint
    assert _state(dispatcher, library.root) is RootState.ONLINE


def test_a_pause_without_time_says_so_before_its_client_stops_listening(
    library: DaemonParts, tmp_path: Path, margin_ms: int
) -> None:
    """The reply is a sentence, and comes in time. The pause stays in force."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    dispatcher = library.start().dispatcher
    wait_for(lambda: library.jobs("encode") == ["slow"])
    until_ms = now_ms() + margin_ms + 100
    reply = _ask(dispatcher, Pause(root=os.fsencode(library.root), until_ms=until_ms))
    in_time = now_ms() < until_ms
    state = _state(dispatcher, library.root)
    gate.open()
    again = _roots(dispatcher, Pause(root=os.fsencode(library.root)))

    assert isinstance(reply, Failure)
    assert reply.code is Code.EXPIRED
    assert reply.what
    assert in_time
    assert state is RootState.PAUSED
    assert again[0].state is RootState.PAUSED


def test_a_pause_at_a_stop_is_told_so(library: DaemonParts, tmp_path: Path) -> None:
    """A pause that waits, and one that comes after the stop, both hear `stopping`."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    dispatcher = library.start().dispatcher
    wait_for(lambda: library.jobs("encode") == ["slow"])
    pause = Pause(root=os.fsencode(library.root))
    deferred = dispatcher.answer(pause, [])
    library.ingest.stop()
    replies = [deferred.resume() if isinstance(deferred, Deferred) else deferred, _ask(dispatcher, pause)]
    gate.open()

    assert [reply.code for reply in replies if isinstance(reply, Failure)] == [Code.STOPPING] * 2


# Another drive


def _on_another_drive(library: DaemonParts) -> None:
    """Make the store remember another drive than the one at the root."""
    known = msgspec.structs.replace(identify(str(library.root), read_mounts()), folder="/elsewhere")
    library.store.roots.put_identity(str(library.root), msgspec.msgpack.encode(known))


def test_another_drive_is_taken_only_when_it_is_accepted(tmp_path: Path) -> None:
    """Before that, sync and status name the command, quoted for the shell. After it, its photos are indexed."""
    library = DaemonParts(tmp_path, "my photos")
    library.write("a.jpg")
    dispatcher, path = library.start().dispatcher, os.fsencode(library.root)
    library.sync()
    _on_another_drive(library)
    library.write("b.jpg")
    refused, before = _ask(dispatcher, Sync(path=path)), _report(dispatcher, Status())
    accepted, after = _ask(dispatcher, Sync(path=path, accept_drive=True)), _report(dispatcher, Status())
    again = _ask(dispatcher, Sync(path=path))
    found = library.found()
    library.stop()
    assert isinstance(refused, Synced)

    assert refused.roots == before.roots
    assert before.roots[0].state is RootState.OFFLINE
    assert before.roots[0].hint.endswith(f"pixkin sync '{library.root}' --accept-drive")
    assert accepted == again == Synced(photos=2)
    assert found == {"a.jpg", "b.jpg"}
    assert (after.roots[0].state, after.roots[0].hint) == (RootState.ONLINE, "")


@pytest.mark.parametrize(("is_another", "left"), [(True, ()), (False, ()), (True, ("notes.txt", "sub/.hidden.jpg"))])
def test_a_drive_without_photos_is_accepted_only_when_that_is_meant(
    library: DaemonParts,
    is_another: bool,  # noqa: FBT001
    left: tuple[str, ...],
) -> None:
    """It would hide all photos of the root, so the refusal says how many, and how to accept it all the same."""
    dispatcher, path = library.start().dispatcher, os.fsencode(library.root)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        library.write(name)
    library.sync()
    for photo in list(library.root.iterdir()):
        photo.rename(library.folder / photo.name)
    for name in left:
        library.write(name)
    if is_another:
        _on_another_drive(library)
    refused = _ask(dispatcher, Sync(path=path, accept_drive=True))
    during, state = library.found(), _state(dispatcher, library.root)
    accepted = _ask(dispatcher, Sync(path=path, accept_drive=True, accept_empty=True))

    assert isinstance(refused, Failure)
    assert (refused.code, refused.path) == (Code.REFUSED, path)
    assert refused.what.endswith("would hide all photos that the index has of it: 3")
    assert refused.hint.endswith(f"pixkin sync {library.root} --accept-drive --accept-drive")
    assert (during, state) == ({"a.jpg", "b.jpg", "c.jpg"}, RootState.OFFLINE)
    assert accepted == Synced()
    assert library.found() == set()


def test_a_photo_deep_in_a_drive_is_enough_to_accept_it(library: DaemonParts) -> None:
    """All folders are searched for it. A drive that is emptied after that is not believed."""
    dispatcher, path = library.start().dispatcher, os.fsencode(library.root)
    library.write("a.jpg")
    library.sync()
    (library.root / "a.jpg").unlink()
    photo = library.write("2020/may/b.jpg")
    _on_another_drive(library)
    accepted, found = _ask(dispatcher, Sync(path=path, accept_drive=True)), library.found()
    shutil.rmtree(library.root / "2020")
    emptied = _ask(dispatcher, Sync(path=path))

    assert (accepted, found) == (Synced(photos=1), {os.path.relpath(photo, library.root)})
    assert isinstance(emptied, Synced)
    assert [root.reason for root in emptied.roots] == ["empty, but the index has photos of it"]


def test_a_missing_root_is_not_accepted(library: DaemonParts) -> None:
    """Nothing is there that could be accepted, so that it is offline as before."""
    dispatcher, path = library.start().dispatcher, os.fsencode(library.root)
    library.write("a.jpg")
    library.sync()
    library.root.rename(library.folder / "away")
    accepted = _ask(dispatcher, Sync(path=path, accept_drive=True))

    assert isinstance(accepted, Synced)
    assert [root.reason for root in accepted.roots] == ["missing"]
    assert library.found() == {"a.jpg"}


def test_a_drive_that_is_accepted_while_it_is_online_changes_nothing(library: DaemonParts) -> None:
    """Its identity stays known, so a drive that comes later counts as another one."""
    library.write("a.jpg")
    dispatcher, path = library.start().dispatcher, os.fsencode(library.root)
    library.sync()
    known = library.store.roots.identity(str(library.root))
    accepted = _ask(dispatcher, Sync(path=path, accept_drive=True))
    still_known = library.store.roots.identity(str(library.root))
    _on_another_drive(library)
    refused = _ask(dispatcher, Sync(path=path))

    assert accepted == Synced(photos=1)
    assert still_known == known
    assert isinstance(refused, Synced)
    assert [root.state for root in refused.roots] == [RootState.OFFLINE]


# File systems that may hang


def test_a_report_waits_until_the_roots_that_may_hang_were_looked_at(
    library: DaemonParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is up to date. A check that fails, or is cancelled, does not hold it up for ever."""
    dispatcher = library.start().dispatcher
    library.sync()
    looks: list[Future[None]] = [Future() for _ in range(3)]
    monkeypatch.setattr(library.ingest, "refresh", lambda: looks)
    reply = dispatcher.answer(Status(), [])
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
