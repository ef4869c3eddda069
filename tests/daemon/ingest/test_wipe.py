"""What a purge has forgotten is wiped within a week. This test is the ingest thread; time is an argument."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts
from tests.daemon.scripted_worker import content_of, vector_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.requests import Forget
from pixkind.fs.stamp import Stamp
from pixkind.ingest.purge import DAY_S
from pixkind.ingest.wipe import LEFT_S
from pixkind.storage.contents import UNDATED
from pixkind.storage.decisions import Decisions
from pixkind.storage.keys import record_prefix
from pixkind.storage.record import Facts, Record
from pixkind.storage.write_batch import PhotoFound, PhotoGone, WriteBatch

NOW_S = 1_700_000_000
NAMES = [f"{'secret' if number % 4 == 0 else 'plain'}_{number}.jpg" for number in range(240)]
SECRET = NAMES[::4]


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[DaemonParts]:
    """Yield a library whose threads do not run: photos that are gone, and others."""
    made = DaemonParts(tmp_path)
    made.write("plain_1.jpg")
    batch = WriteBatch()
    for number, name in enumerate(NAMES):
        batch.photos.append(PhotoFound(str(made.root / name), Stamp(number, 2, 3, number), content_of(name)))
        batch.contents[content_of(name)] = Facts(1, 1, 0, "")
        batch.vectors[content_of(name)] = vector_of(name)
    made.ingest.changed(made.store.commit(batch))
    made.roots.check(str(made.root))
    yield made
    made.spaces.stop()
    made.store.close()


def record(library: DaemonParts, name: str) -> Record:
    found = library.store.record(str(library.root / name))
    assert found is not None
    return found


def purge(library: DaemonParts) -> int:
    """Let a month pass after which the photos in SECRET are forgotten; return when that was."""
    clock_s = library.purge.clock_s(str(library.root), NOW_S)
    gone = WriteBatch(photos=[PhotoGone(str(library.root / name), clock_s) for name in SECRET])
    library.ingest.changed(library.store.commit(gone))
    for day in range(1, 32):
        library.purge.scanned(str(library.root), NOW_S + day * DAY_S)
        while (delta := library.purge.turn()) is not None:
            library.ingest.changed(delta)
    return NOW_S + 31 * DAY_S


def wipe(library: DaemonParts, now: float, now_s: int) -> bool:
    """Do what the ingest loop does until nothing is left to do; return whether anything was done."""
    library.ingest.wipe.turn(now, now_s, is_still=True, full="")
    was_busy = library.ingest.wipe.is_busy
    while library.ingest.wipe.is_busy:
        library.ingest.wipe.turn(now, now_s, is_still=True, full="")
    return was_busy


def left(library: DaemonParts) -> set[str]:
    """Return the names of the files with a trace of what was forgotten."""
    wanted = [b"secret", *(content_of(name) for name in SECRET), *(vector_of(name) for name in SECRET)]
    wanted += [record_prefix(str(library.root / name)) for name in SECRET]
    files = [file for file in (library.folder / "index").rglob("*") if file.is_file()]
    return {file.name for file in files for trace in wanted if trace in file.read_bytes()}


def test_a_purge_is_wiped_after_a_week(stopped: DaemonParts) -> None:
    """Until then its traces are left, since each time all of the store is written."""
    then_s = purge(stopped)
    paths = {item.path for item in stopped.store.records()}
    undated = stopped.store.traces.since()
    former = stopped.folder / "index/codes/former/rest.npz"
    former.parent.mkdir(parents=True)
    former.write_bytes(b"secret")
    early = [wipe(stopped, hour * 3600.0, then_s + hour * 3600) for hour in range(1, 24)]
    dated, before = stopped.store.traces.since(), left(stopped)
    is_wiped = wipe(stopped, LEFT_S + 7200.0, then_s + LEFT_S + 7200)

    assert paths == {str(stopped.root / name) for name in NAMES if name not in SECRET}
    assert (undated, dated) == (UNDATED, then_s + 3600)
    assert not any(early)
    assert "data.mdb" in before
    assert is_wiped
    assert left(stopped) == set()
    assert stopped.store.traces.since() is None
    assert not wipe(stopped, 10.0 * LEFT_S, then_s + 10 * LEFT_S)


def test_both_open_spaces_are_wiped(stopped: DaemonParts) -> None:
    """After a change of the model two spaces are open, each with codes and a snapshot, and the journal serves both."""
    old = stopped.store.beside("old")
    names = {content_of(name): vector_of(name) for name in NAMES}
    stopped.store.commit(WriteBatch(beside={"old": names}))
    old.leave()
    stopped.spaces.use("old")
    wait_for(lambda: not stopped.spaces.answering.index.is_making)
    then_s = purge(stopped)
    wipe(stopped, 0.0, then_s)
    before = left(stopped)
    wipe(stopped, LEFT_S + 7200.0, then_s + LEFT_S + 7200)

    assert stopped.spaces.answering is not stopped.spaces.filling
    assert {path.name for path in (stopped.folder / "index/codes").iterdir()} == {"old", "space"}
    assert before >= {"data.mdb", "rest.npz"}
    assert left(stopped) == set()


def test_a_clock_that_was_set_back_delays_nothing(stopped: DaemonParts) -> None:
    """Then nobody knows how old the traces are."""
    then_s = purge(stopped)
    wipe(stopped, 0.0, then_s)

    assert wipe(stopped, 3600.0, then_s - DAY_S)
    assert left(stopped) == set()


def test_a_decision_loses_the_path_of_a_purged_photo(stopped: DaemonParts) -> None:
    """The pictures stay apart, should they come back from a backup; lines of others stay as they are."""
    decisions = Decisions(str(stopped.folder / "data_home"))
    decisions.note("apart", record(stopped, SECRET[0]), record(stopped, NAMES[1]))
    file = Path(decisions.path)
    other = b'{"format": 7, "kind": "of a later pixkind"}\n'
    file.write_bytes(file.read_bytes() + other)
    pairs = decisions.apart(stopped.store)
    purge(stopped)
    first, second = file.read_bytes().splitlines(keepends=True)
    photos = json.loads(first)["photos"]

    assert [photo["path"] for photo in photos] == ["", str(stopped.root / NAMES[1])]
    assert decisions.apart(stopped.store) == pairs
    assert second == other
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_log_names_no_photo_unless_asked(library: DaemonParts, caplog: pytest.LogCaptureFixture) -> None:
    """It outlives the photos. At its usual level it counts them; only warnings name what somebody should look at."""
    caplog.set_level(logging.DEBUG, "pixkind")
    library.write("secret/a.jpg")
    library.write("secret/broken.jpg", "broken", "inspect refuse it is torn")
    library.start().sync()
    (library.root / "secret/a.jpg").rename(library.root / "secret/b.jpg")
    library.sync()
    shutil.rmtree(library.root / "secret")
    library.sync()
    request = Forget(paths=(os.fsencode(library.root / "secret"),))
    settled(library.dispatcher.answer(request, ()))
    named = [one for one in caplog.records if "secret" in one.getMessage()]

    assert {one.levelname for one in named} == {"DEBUG"}
    assert "failed" in named[0].getMessage()
