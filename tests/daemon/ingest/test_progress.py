import logging
import os
import shlex
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.daemon.conftest import DaemonParts, Gate
from tests.daemon.scripted_worker import content_of
from tests.waiting import wait_for

from pixkind.ingest.progress import BUSY_S, Progress
from pixkind.system.threads import ServiceThread


@pytest.fixture
def told(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Return the socket at which systemd would listen."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(short_tmp / "notify"))
    sock.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))
    return sock


def _progress(library: DaemonParts) -> Progress:
    return Progress(library.ingest, library.counts, library.spaces, library.roots, tells=True)


def test_while_photos_are_indexed_it_says_how_many(
    library: DaemonParts, tmp_path: Path, told: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and to systemd, now and then, and at the end what came of it."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    gate = Gate(tmp_path)
    library.write("good.jpg")
    library.write("bad.jpg", "bad", "inspect refuse it is torn")
    library.start().sync()
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    library.inbox.dirty(str(library.root / "slow.jpg"))
    wait_for(lambda: library.jobs("encode")[-1] == "slow")
    progress = _progress(library)
    patience = [progress.turn(), progress.turn()]
    gate.open()
    library.sync()
    wait_for(lambda: progress.turn() == ServiceThread.BEAT_S)
    said = [told.recv(4096).decode(), told.recv(4096).decode()]
    told.close()

    assert patience == [BUSY_S, BUSY_S]
    assert said[0].startswith("STATUS=indexing: 2 of 3 photos")
    assert said[1] == "STATUS=2 photos can be found, 1 failed: pixkin status --failed"
    assert [record.getMessage() for record in caplog.records[:2]] == [one.removeprefix("STATUS=") for one in said]


def test_what_does_not_advance_is_said_rarely(
    library: DaemonParts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is written for a day costs a line now and then; as soon as a photo is indexed, lines come again."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    library.write("done.jpg")
    growing = library.write("growing.jpg")
    library.start()
    with growing.open("r+"):
        library.sync()
        wait_for(lambda: library.ingest.doing == "waiting for files to rest")
        progress, now = _progress(library), [time.monotonic()]
        monkeypatch.setattr("pixkind.ingest.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
        lines = []
        for _ in range(24 * 3600 // 5):
            progress.turn()
            lines.append(len(caplog.records))
            now[0] += 5
        library.write("more.jpg")
        library.sync()
        progress.turn()
        again = len(caplog.records)

    assert lines[0] == 1
    assert 20 <= lines[-1] <= 40
    assert again == lines[-1] + 1


def test_a_result_that_is_the_same_is_logged_once(library: DaemonParts, caplog: pytest.LogCaptureFixture) -> None:
    """A file that changes now and then, and is no photo, does not fill the log."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    library.write("a.jpg", "a", "inspect refuse it is torn")
    library.start().sync()
    progress = _progress(library)
    for text in "bcd":
        library.write("a.jpg", text, "inspect refuse it is torn")
        library.inbox.dirty(str(library.root / "a.jpg"))
        wait_for(lambda: progress.turn() == BUSY_S)
        wait_for(lambda: progress.turn() == ServiceThread.BEAT_S)

    results = [one.getMessage() for one in caplog.records if "can be found" in one.getMessage()]
    assert results == ["0 photos can be found, 1 failed: pixkin status --failed"]


def test_what_to_try_is_said_once_and_can_be_tried(library: DaemonParts, caplog: pytest.LogCaptureFixture) -> None:
    """A command that finds its photo, however that is named; nothing while there is nothing to find."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    library.start().sync()
    progress = _progress(library)
    progress.turn()
    nothing = list(caplog.messages)
    path = library.write("it's a $HOME.jpg")
    library.write("bad.jpg", "bad", "inspect refuse it is torn")
    library.sync()
    for _ in range(3):
        wait_for(lambda: progress.turn() == ServiceThread.BEAT_S)
    tips = [message.removeprefix("try: ") for message in caplog.messages if message.startswith("try: ")]

    assert nothing == [
        f"no photo is in {library.root} yet: copy some there, or name another folder, as in `pixkind ~/Photos`"
    ]
    assert len(tips) == 1
    program, verb, named = shlex.split(tips[0])
    assert os.path.basename(program) == "pixkin"
    assert (verb, named) == ("like", str(path))


@pytest.mark.parametrize("is_own", [True, False])
def test_what_to_try_is_never_the_pixkin_of_another_environment(
    library: DaemonParts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, is_own: bool
) -> None:
    """The one on the PATH is named if it is a link to our own, as pipx makes it: it is shorter. Another may be older."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    programs = library.root.parent / "programs"
    programs.mkdir()
    own = Path(sys.executable).with_name("pixkin")
    known = programs / "pixkin"
    known.symlink_to(own if is_own else "/bin/true")
    monkeypatch.setenv("PATH", str(programs))
    library.write("a.jpg")
    library.start().sync()
    wait_for(lambda: _progress(library).turn() == ServiceThread.BEAT_S)

    assert shlex.split(caplog.messages[-1])[1] == str(known if is_own else own)


def test_a_folder_whose_drive_is_away_is_not_called_empty(
    library: DaemonParts, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is told to copy photos into the mount point of a drive."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    library.root.rmdir()
    library.start().sync()
    _progress(library).turn()

    assert caplog.messages[-1] == f"{library.root} is offline: missing, and pixkin has never seen it"


def test_what_to_try_has_kin(library: DaemonParts, caplog: pytest.LogCaptureFixture) -> None:
    """Of all photos the one that another picture is most like; the pages of one file are no kin of each other."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    for number in range(8):
        library.write(f"{number}.jpg", f"picture {number}")
    library.write("paged.jpg", "paged", "pages 3")
    library.start().sync()
    index = library.spaces.answering.index
    nearest = {}
    for content, vector in index.vectors(
        [content_of(name) for name in (*map("picture {}".format, range(8)), "paged")]
    ).items():
        own = {content, *library.store.pages.further(content)}
        nearest[content] = next(score for one, score, _ in index.rank(vector[None]) if one not in own)
    progress = _progress(library)
    wait_for(lambda: progress.turn() == ServiceThread.BEAT_S)
    (tip,) = (message for message in caplog.messages if message.startswith("try: "))
    record = library.store.record(shlex.split(tip)[-1])

    assert record is not None
    assert nearest[record.content] == pytest.approx(max(nearest.values()))
    assert min(nearest.values()) < max(nearest.values())


def test_a_photo_of_a_hidden_folder_is_not_what_to_try(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It would have no answer in this run."""
    caplog.set_level(logging.INFO, "pixkind.ingest.progress")
    two = DaemonParts(tmp_path, "one", "two")
    for root in two.folders:
        (root / "a.jpg").write_text(root.name)
    two.start().sync()
    two.stop()
    for name in ("one", "two"):
        library = DaemonParts(tmp_path, name)
        library.start().sync()
        wait_for(lambda: _progress(library).turn() == ServiceThread.BEAT_S)  # noqa: B023  # called at once
        library.stop()
    tips = [message for message in caplog.messages if message.startswith("try: ")]

    assert [tip.rsplit("/", 2)[-2] for tip in tips] == ["one", "two"]
