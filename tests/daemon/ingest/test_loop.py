import os
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from tests.daemon.conftest import REST_S, DaemonParts, Gate, mount, rot, unmount
from tests.daemon.scripted_worker import DIMS, content_of, vector_of
from tests.waiting import wait_for

from pixkin.protocol.replies import Report, RootState
from pixkin.protocol.requests import Status, now_ms
from pixkind.fs.stamp import Stamp
from pixkind.ingest.committer import BATCH
from pixkind.ingest.pipeline import Pipeline
from pixkind.ingest.task import Pace
from pixkind.ingest.throttle import clock
from pixkind.storage.record import UNKNOWN
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, WriteBatch


def _live(library: DaemonParts) -> set[str]:
    """Return the paths below the library's folder of the photos that are live."""
    return {os.path.relpath(record.path, library.folder) for record in library.store.records() if record.live}


def test_what_was_written_before_a_sync_is_found_after_it(library: DaemonParts) -> None:
    """New, changed, renamed, deleted: the store says what the disk said at the call."""
    for name in ("stays.jpg", "changes.jpg", "moves.jpg", "goes.jpg", "folder/moves.jpg"):
        library.write(name)
    library.start().sync()
    library.write("changes.jpg", "new")
    library.write("comes.jpg")
    (library.root / "moves.jpg").rename(library.root / "moved.jpg")
    (library.root / "goes.jpg").unlink()
    (library.root / "folder").rename(library.root / "moved")
    synced = library.sync()
    changed = library.store.record(str(library.root / "changes.jpg"))

    assert library.found() == {"stays.jpg", "changes.jpg", "moved.jpg", "moved/moves.jpg", "comes.jpg"}
    assert changed is not None
    assert changed.content == content_of("new")
    assert (synced.photos, synced.failed, synced.open, synced.roots) == (5, (), (), ())
    assert len(library.jobs("encode")) == 7


def test_an_unchanged_photo_is_looked_at_no_more(library: DaemonParts) -> None:
    """A sync of what is known opens nothing."""
    for number in range(5):
        library.write(f"{number}.jpg")
    library.start().sync()
    before = library.ingest.counters()
    library.sync()
    after = library.ingest.counters()

    assert (after["inspects"], after["commits"]) == (before["inspects"], before["commits"])
    assert after["inspects"] == 5


def test_a_sync_of_a_path_waits_for_that_path_alone(library: DaemonParts, tmp_path: Path) -> None:
    """A folder, a photo, or what is gone: whatever else is slow does not matter."""
    gate = Gate(tmp_path)
    library.write("slow/a.jpg", "slow", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["slow"])
    paths = [library.write(f"fast/{name}.jpg") for name in "ab"]
    for path in paths:
        os.truncate(path, (library.config.decode.limit_mb << 20) + 1)  # fails without the worker, which is busy
    one, both = library.sync(str(paths[0])), library.sync(str(paths[0].parent))
    paths[0].unlink()
    library.sync(str(paths[0]))
    left = set(library.failed())
    gate.open()
    everything = library.sync()

    assert [failed.path for failed in one.failed] == [os.fsencode(paths[0])]
    assert {failed.path for failed in both.failed} == set(map(os.fsencode, paths))
    assert left == {"fast/b.jpg"}
    assert [failed.path for failed in everything.failed] == [os.fsencode(paths[1])]
    assert (one.photos, both.photos, everything.photos) == (1, 2, 2)


def test_a_file_that_is_open_for_writing_is_named_and_not_waited_for(library: DaemonParts) -> None:
    """The sync comes back; the photo follows when it is closed."""
    library.write("done.jpg")
    with (library.root / "open.jpg").open("w", encoding="ascii") as file:
        file.write("half of it")
        file.flush()
        library.start()
        synced = library.sync()
    found = library.found()
    library.sync()

    assert synced.open == (os.fsencode(library.root / "open.jpg"),)
    assert found == {"done.jpg"}
    assert library.found() == {"done.jpg", "open.jpg"}


def test_an_offline_root_is_named_and_not_waited_for(two: DaemonParts) -> None:
    """Its photos stay as they are."""
    for root in two.folders:
        (root / "a.jpg").write_text(root.name)
    two.start().sync()
    two.root.rename(two.folder / "away")
    synced = two.sync()

    assert [(root.path, root.state, root.reason) for root in synced.roots] == [
        (os.fsencode(two.root), RootState.OFFLINE, "missing")
    ]
    assert synced.photos == 1
    assert _live(two) == {"one/a.jpg", "two/a.jpg"}
    assert len(two.index) == 2


def test_a_sync_past_its_deadline_says_how_many_still_wait(library: DaemonParts, tmp_path: Path) -> None:
    """It does not hang; and the photos are indexed all the same."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["slow"])
    with pytest.raises(TimeoutError, match=r"^1 photo is not indexed yet$"):
        library.sync(timeout_s=0.5)
    gate.open()
    library.sync()

    assert library.found() == {"slow.jpg"}


def test_a_root_that_goes_while_its_photos_are_encoded_loses_nothing(library: DaemonParts, tmp_path: Path) -> None:
    """Nothing is written on the word of a root that is not there: no loss, no failure; later all is as it was."""
    gate = Gate(tmp_path)
    library.write("known.jpg")
    library.start().sync()
    library.write("new.jpg", "new", f"encode gate {gate.path}")
    library.write("gone.jpg")
    library.inbox.dirty(str(library.root))
    library.inbox.dirty(str(library.root / "new.jpg"))
    wait_for(lambda: "new" in library.jobs("encode"))
    library.root.rename(library.folder / "away")
    gate.open()
    synced = library.sync()
    wait_for(lambda: library.ingest.doing == "idle")
    during = [(os.path.basename(one.path), one.live, one.failed) for one in library.store.records()]
    (library.folder / "away" / "gone.jpg").unlink()
    (library.folder / "away").rename(library.root)
    library.sync()

    assert [root.reason for root in synced.roots] == ["missing"]
    assert {name for name, live, failed in during if live and not failed} == {name for name, _, _ in during}
    assert "known.jpg" in {name for name, _, _ in during}
    assert library.found() == {"known.jpg", "new.jpg"}
    assert library.failed() == {}


def test_a_photo_that_is_left_out_while_it_is_encoded_is_not_found(library: DaemonParts, tmp_path: Path) -> None:
    """Its folder said so after a scan had found it; the vector is not written."""
    gate = Gate(tmp_path)
    library.start().sync()
    library.write("a/slow.jpg", "slow", f"encode gate {gate.path}")
    library.inbox.dirty(str(library.root / "a"))
    wait_for(lambda: "slow" in library.jobs("encode"))
    (library.root / ".pixkinignore").write_text("/a/")
    library.inbox.dirty(str(library.root / ".pixkinignore"))
    wait_for(lambda: library.roots.exclusions.rule_of(str(library.root / "a"), is_folder=True) is not None)
    gate.open()
    library.sync()
    wait_for(lambda: library.ingest.doing == "idle")

    assert _live(library) == set()


def test_a_photo_of_a_folder_that_is_left_out_no_more_is_synced(library: DaemonParts) -> None:
    """Its marker has gone, and a sync of the photo is the first to notice."""
    path = library.write("a/b.jpg")
    (path.parent / ".nomedia").touch()
    library.start().sync()
    before, why = library.found(), library.ingest.nothing_at(str(path))
    (path.parent / ".nomedia").unlink()
    library.sync(str(path))

    assert before == set()
    assert why == f"left out by {path.parent}/.nomedia"
    assert library.roots.left_out(str(path), str(library.root)) == ""
    assert library.found() == {"a/b.jpg"}
    assert library.ingest.nothing_at(str(path)) == ""


def test_a_photo_that_goes_with_its_root_is_not_lost(library: DaemonParts) -> None:
    """Looking at the path alone, it is gone; looking at the root, nothing can be said."""
    path = library.write("a.jpg")
    library.start().sync()
    library.root.rename(library.folder / "away")
    library.inbox.dirty(str(path))
    wait_for(lambda: not library.roots.is_online(str(library.root)))
    wait_for(lambda: library.ingest.doing == "idle")

    assert library.found() == {"a.jpg"}
    assert len(library.index) == 1


def test_no_photo_fails_on_the_word_of_a_root_that_is_away(tmp_path: Path) -> None:
    """Its failure was seen in time and is written too late: then it is not written."""
    library = DaemonParts(tmp_path, pace=Pace(commit_s=60.0))  # the commit comes with the gate
    gate = Gate(tmp_path)
    path = library.write("a.jpg")
    library.start().sync()
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    library.inbox.dirty(str(library.root / "slow.jpg"))
    wait_for(lambda: "slow" in library.jobs("encode"))
    os.truncate(path, (library.config.decode.limit_mb << 20) + 1)
    library.inbox.dirty(str(path))
    wait_for(lambda: time.time() > path.stat().st_ctime + 5 * REST_S)
    for _ in range(2):  # two turns after it has rested it must have been opened
        turned = threading.Event()
        library.inbox.post(turned.set)
        wait_for(turned.is_set)
    library.root.rename(library.folder / "away")
    gate.open()
    synced = library.sync()
    wait_for(lambda: library.ingest.doing == "idle")

    failed, found = library.failed(), library.found()
    library.stop()

    assert [root.reason for root in synced.roots] == ["missing"]
    assert failed == {}
    assert found == {"a.jpg"}


def test_a_root_that_comes_back_is_scanned(library: DaemonParts) -> None:
    """What changed while it was away is seen, though nobody told of it."""
    library.write("a.jpg")
    library.start().sync()
    library.root.rename(library.folder / "away")
    library.sync()
    (library.folder / "away" / "b.jpg").write_text("b")
    (library.folder / "away").rename(library.root)
    library.ingest.recheck()
    wait_for(lambda: library.found() == {"a.jpg", "b.jpg"})

    assert library.roots.is_online(str(library.root))


def test_an_empty_folder_in_a_roots_place_is_not_believed(library: DaemonParts) -> None:
    """It is the mount point without its drive."""
    library.write("a.jpg")
    library.start().sync()
    library.root.rename(library.folder / "away")
    library.root.mkdir()
    synced = library.sync()

    assert [root.state for root in synced.roots] == [RootState.OFFLINE]
    assert library.found() == {"a.jpg"}


def test_a_dirty_path_is_indexed_and_forgotten_without_a_sync(library: DaemonParts) -> None:
    """This is what an event does: somebody says where to look, and looking finds what there is."""
    library.write("stays.jpg")
    library.start().sync()
    path = library.write("a.jpg")
    library.inbox.dirty(str(path))
    wait_for(lambda: library.found() == {"stays.jpg", "a.jpg"})
    path.unlink()
    library.inbox.dirty(str(path))
    wait_for(lambda: library.found() == {"stays.jpg"})

    assert library.ingest.counters()["rescans"] == 1


@pytest.mark.parametrize("name", [".hidden", "@eaDir", "sub/.Trash-1000/files"])
def test_folders_that_are_left_out_stay_invisible(library: DaemonParts, name: str) -> None:
    """However somebody points at them: by a scan, by an event below or at them, or by a sync of them."""
    path = library.write(f"{name}/a.jpg")
    library.start().sync()
    synced = library.sync(str(path.parent))
    for one in (path, path.parent, library.root / name.split("/", maxsplit=1)[0]):
        library.inbox.dirty(str(one))
        library.sync(str(one))
    wait_for(lambda: library.ingest.doing == "idle")

    assert synced.photos == 0
    assert library.found() == set()


def test_the_failures_of_hidden_folders_stay_hidden(two: DaemonParts) -> None:
    """Of a folder that is not named in this run nothing is told."""
    for root in two.folders:
        (root / "bad.jpg").write_text(f"{root.name}\ninspect refuse it is torn")
    two.start().sync()
    two.stop()
    one = DaemonParts(two.folder, "one")
    synced = one.start().sync()
    one.stop()

    assert [failed.path for failed in synced.failed] == [os.fsencode(two.root / "bad.jpg")]


def test_a_failure_of_an_earlier_run_is_tried_again_when_it_is_due(library: DaemonParts) -> None:
    """A restart forgets no try; until then the photo has its outcome, and nothing is pending."""
    path = library.write("late.jpg")
    stamp = Stamp.of(path.lstat())
    library.store.commit(
        WriteBatch(photos=[PhotoFailed(str(path), stamp, UNKNOWN, "it was torn", int(time.time()) + 5)])
    )
    library.start()
    first, pending = library.sync(), library.ingest.pending
    wait_for(lambda: library.found() == {"late.jpg"})

    assert [failed.reason for failed in first.failed] == ["it was torn"]
    assert pending == 0


def test_a_vector_that_has_rotted_before_the_start_is_made_again(tmp_path: Path) -> None:
    """It is met while the index is made, before the loop runs, which deals with it first."""
    before = DaemonParts(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        before.write(name)
    before.start().sync()
    before.stop()
    rot(before, vector_of("a.jpg"))
    library = DaemonParts(tmp_path)
    at_first = len(library.index)
    library.start().sync()
    library.sync()
    found, encodes, at_last = library.found(), library.jobs("encode").count("a.jpg"), len(library.index)
    library.stop()

    assert at_first == 1
    assert found == {"a.jpg", "b.jpg"}
    assert (encodes, at_last) == (2, 2)


@pytest.mark.parametrize(
    "poison", [b"\0\x3c" * 2, b"\0\x7e" * DIMS, b"\0\xfc" * DIMS, bytes(2 * DIMS), b"\0\x3c" * DIMS + b"\0"]
)
def test_a_store_that_a_worker_has_poisoned_heals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, poison: bytes
) -> None:
    """An older version stored vectors of other dimensions, not finite or zero. They are made again, and queries answer."""
    before = DaemonParts(tmp_path)
    names = ["a.jpg", "b.jpg", "c.jpg"]
    for name in names:
        before.write(name)
    before.start().sync()
    before.store.commit(WriteBatch(vectors={content_of("a.jpg"): poison}))
    before.stop()
    library = DaemonParts(tmp_path)
    at_first = len(library.index)
    library.start().sync()
    library.sync()
    query = np.frombuffer(vector_of("a.jpg"), "<f2").astype(np.float32)[None]
    found = [(content, bool(np.isfinite(score))) for content, score, _ in library.index.rank(query)]
    stored = dict(library.store.vectors())
    library.stop()

    assert at_first == 2
    assert found[0] == (content_of("a.jpg"), True)
    assert {content: value[:-4] for content, value in stored.items()} == {
        content_of(name): vector_of(name) for name in names
    }
    assert "1 stored vectors in the space space are damaged, or no vectors" in caplog.text


def test_a_vector_that_rots_is_made_again_by_the_query_that_reads_it(library: DaemonParts) -> None:
    """Its photo is not in that answer; it is encoded again at once, without a new start, and is found then."""
    for name in ("a.jpg", "b.jpg"):
        library.write(name)
    library.start().sync()
    vector = vector_of("a.jpg")
    rot(library, vector)
    query = np.frombuffer(vector, "<f2").astype(np.float32)[None]
    before = {content for content, _, _ in library.index.rank(query)}
    wait_for(lambda: library.jobs("encode").count("a.jpg") == 2)
    wait_for(lambda: len(library.index) == 2)  # a moment after the store has it

    assert before == {content_of("b.jpg")}
    assert content_of("a.jpg") == next(library.index.rank(query))[0]
    assert library.counts.of(str(library.root)).found == 2


def test_photos_that_an_older_pixkind_indexed_are_read_after_all_others_and_are_no_doubt(library: DaemonParts) -> None:
    """They are found as before. Each is read once for its details, and none is encoded."""
    old = [library.write(name) for name in ("a.jpg", "b.jpg")]
    photos = [PhotoFound(str(path), Stamp.of(path.stat()), content_of(path.name)) for path in old]
    vectors = {content_of(path.name): vector_of(path.name) for path in old}
    library.index.apply(library.store.commit(WriteBatch(photos=[*photos], vectors=vectors)))
    new = library.write("new.jpg", mtime_s=1)
    wait_for(lambda: time.time() > new.stat().st_ctime + 2 * REST_S)  # so that the first scan sees them all at rest
    library.ingest.throttle.pause(clock(), 0)
    library.start()
    wait_for(lambda: (library.ingest.pending, library.ingest.reread) == (3, 2))
    doubt, report = library.dispatcher.status_handler.doubt(), library.dispatcher.status_handler.status(Status())
    library.ingest.throttle.resume()
    library.sync()
    library.sync()
    after = library.dispatcher.status_handler.doubt()

    assert isinstance(report, Report)
    assert (doubt.pending, report.pending, after.pending) == (1, 3, 0)
    assert (library.jobs("inspect")[0], len(library.jobs("inspect")), library.jobs("encode")) == (
        "new.jpg",
        3,
        ["new.jpg"],
    )
    assert all(record.details is not None for record in library.store.records())


def test_stop_cancels_every_sync(library: DaemonParts, tmp_path: Path) -> None:
    """Those that wait, and those that come too late: nobody waits for ever."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["slow"])
    futures = [library.ingest.sync("", 0)]
    library.ingest.stop()
    futures.append(library.ingest.sync("", now_ms() + 8000))

    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)


def test_what_it_does_is_told_in_words(library: DaemonParts, tmp_path: Path) -> None:
    """`pixkin status` shows photos on their way, and none when all is done."""
    gate = Gate(tmp_path)
    library.write("slow.jpg", "slow", f"encode gate {gate.path}")
    library.start()
    wait_for(lambda: library.jobs("encode") == ["slow"])
    during = (library.ingest.doing, library.ingest.pending)
    gate.open()
    library.sync()

    assert during == ("indexing", 1)
    assert (library.ingest.doing, library.ingest.pending, library.ingest.rate()) == ("idle", 0, 0.0)


def test_a_renamed_folder_is_taken_in_without_reading_a_photo(library: DaemonParts) -> None:
    """The worker is not asked about photos that are known by their stamps, and all of them are found in the new place."""
    for number in range(5):
        library.write(f"a/{number}.jpg")
    library.start().sync()
    before = library.jobs("inspect")
    (library.root / "a").rename(library.root / "b")
    library.sync()

    assert library.found() == {f"b/{number}.jpg" for number in range(5)}
    assert library.jobs("inspect") == before
    assert len(before) == 5


def test_a_renamed_photo_is_looked_at_again_before_its_commit(
    library: DaemonParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read, but what became of it since the scan counts: here its folder has become a link."""
    library.write("a/1.jpg")
    library.start().sync()
    recognise = Pipeline.recognise

    def swap_before(pipeline: Pipeline, found: PhotoFound) -> None:
        (library.root / "b").rename(tmp_path / "elsewhere")
        (library.root / "b").symlink_to(tmp_path / "elsewhere")
        monkeypatch.undo()
        recognise(pipeline, found)

    monkeypatch.setattr(Pipeline, "recognise", swap_before)
    (library.root / "a").rename(library.root / "b")
    library.sync()

    assert (library.root / "b/1.jpg").exists()
    assert library.found() == set()


def test_however_much_a_scan_finds_is_written_in_small_commits(library: DaemonParts) -> None:
    """LMDB keeps the memory of its largest transaction: a folder of 1,000 that went is no reason for one of 1,000."""
    stamp, content = Stamp(1, 2, 3, 4), b"1" * 16
    photos = [PhotoFound(str(library.root / f"a/{number}.jpg"), stamp, content) for number in range(1000)]
    library.index.apply(library.store.commit(WriteBatch(photos=list(photos), vectors={content: vector_of("gone")})))
    library.write("b.jpg")
    library.start().sync()

    assert library.found() == {"b.jpg"}
    assert library.ingest.counters()["commits"] >= 1000 / (4 * BATCH)


def test_a_second_name_that_was_mounted_just_now_is_not_recorded(
    short_tmp: Path, point: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that was opened through it, before the mount was noticed, is dropped. A sync does not wait for it."""
    gate = Gate(short_tmp)
    library = DaemonParts(short_tmp, "point")
    library.write("2020/a.jpg", "slow", f"encode gate {gate.path}")
    (point / "best").mkdir()
    with monkeypatch.context() as unnoticed:
        unnoticed.setattr("pixkind.fs.roots.second_names", lambda *_: {})
        mount("--bind", point / "2020", point / "best")
        try:
            library.start()
            future = library.ingest.sync("", now_ms() + 30_000)
            wait_for(lambda: library.jobs("encode") == ["slow"] and library.ingest.pending == 2)
            unnoticed.undo()
            library.roots._mounts = ()
            gate.open()
            synced = future.result(40)
            found = library.found()
        finally:
            library.stop()
            unmount(point / "best")

    assert synced.open == ()
    assert found == {"2020/a.jpg"}
