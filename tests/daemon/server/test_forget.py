"""What `forget` forgets, what it leaves, and that no file has a trace of it then."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.daemon.conftest import DaemonParts, Gate, mount, unmount
from tests.daemon.scripted_worker import content_of, thumbnail_of, vector_of
from tests.daemon.settled import settled
from tests.waiting import wait_for

from pixkin.protocol.replies import Code, Failure, Forgotten, Noted, Reply
from pixkin.protocol.requests import Apart, Forget, Size
from pixkind.index.filter import Filter
from pixkind.server.deferred import Deferred
from pixkind.storage.environment import StoreFull
from pixkind.storage.keys import path_digest, record_prefix

MANY = 240  # as many as have codes and a snapshot


def ask(library: DaemonParts, *paths: Path | str, dry_run: bool = False) -> Reply:
    """Return the reply to `forget`."""
    reply = library.dispatcher.answer(Forget(paths=tuple(map(os.fsencode, paths)), dry_run=dry_run), ())
    return settled(reply) if isinstance(reply, Deferred) else reply


def traces(path: Path, picture: str) -> list[bytes]:
    """Return all by which a photo could be told in a file."""
    digests = [path_digest(str(path)), path_digest(str(path.parent)), record_prefix(str(path))]
    content = content_of(picture)
    kept = [content.hex()[2:].encode(), thumbnail_of(picture)]  # a name, and what is in it
    return [*digests, path.name.encode(), content, content.hex().encode(), vector_of(picture), *kept]


def read(file: Path) -> bytes:
    """Return the bytes of a file; none if it has another name by now, as a thumbnail that has just been written."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


def left(library: DaemonParts, *wanted: bytes) -> list[tuple[str, bytes]]:
    """Return where these bytes are found, in all files that the daemon keeps."""
    names = ("index", "data_home", "thumbs")
    folders = (*(library.folder / name for name in names), *library.folder.glob("index.damaged-*"))
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [
        (file.name, trace)
        for file in files
        for trace in wanted
        if trace in os.fsencode(file.relative_to(library.folder)) + read(file)
    ]


@pytest.fixture
def filled(library: DaemonParts) -> DaemonParts:
    """Return a library with so many photos that there are codes, some of them in `secret`, and a damaged store aside."""
    for number in range(MANY):
        library.write(f"{number % 5}/{number}.jpg", f"picture {number}")
    for number in range(9):
        library.write(f"secret/secret_{number}.jpg", f"secret picture {number}")
    library.write("secret/secret_broken.jpg", "broken picture", "inspect refuse secret_reason")
    library.start().sync()
    wait_for(lambda: not library.index.is_making)
    aside = library.folder / "index.damaged-20260101T000000"
    aside.mkdir()
    (aside / "data.mdb").write_bytes(b"secret_3.jpg")
    return library


def all_traces(library: DaemonParts) -> list[bytes]:
    """Return the traces of all photos in `secret`."""
    secret = library.root / "secret"
    found = [trace for n in range(9) for trace in traces(secret / f"secret_{n}.jpg", f"secret picture {n}")]
    return [*found, b"secret"]


def test_nothing_is_left_of_what_was_forgotten(filled: DaemonParts) -> None:
    """No file has a name, a hash or a vector: not the store, the codes, the snapshot, the decisions, the thumbnails, or a damaged store."""
    secret = filled.root / "secret"
    one, other = (os.fsencode(secret / f"secret_{number}.jpg") for number in (1, 2))
    assert settled(filled.dispatcher.answer(Apart(one=one, other=other), ())) == Noted()
    wait_for(lambda: filled.daemon.thumbnails.get(content_of("secret picture 8"), Size.S) is not None)
    before = left(filled, *all_traces(filled))
    shutil.rmtree(secret)
    forgotten = ask(filled, secret)
    after = left(filled, *all_traces(filled))
    kept = filled.found()
    found = set(filled.index.contents(Filter()))
    filled.stop()

    assert forgotten == Forgotten(photos=10)
    thumbnail = f"{content_of('secret picture 8').hex()[2:]}.S.jpg"
    assert {name for name, _ in before} >= {"data.mdb", "decisions.jsonl", "rest.npz", thumbnail}
    assert after == []
    assert left(filled, *all_traces(filled)) == []
    assert kept == {f"{number % 5}/{number}.jpg" for number in range(MANY)}
    assert found == {content_of(f"picture {number}") for number in range(MANY)}


def test_a_dry_run_counts_and_changes_nothing(filled: DaemonParts) -> None:
    """What lies there stays, and is told; what is gone would be forgotten."""
    secret = filled.root / "secret"
    for number in range(4):
        (secret / f"secret_{number}.jpg").unlink()
    before = filled.found()
    counted = ask(filled, secret, dry_run=True)

    assert counted == Forgotten(photos=4, there=6)
    assert filled.found() == before


def test_what_lies_in_a_watched_folder_stays(library: DaemonParts) -> None:
    """It would be indexed again at once. What is gone beside it is forgotten, whether the index knows that it is gone or not."""
    paths = [library.write(f"a/{name}.jpg") for name in ("here", "gone", "lost")]
    library.start().sync()
    paths[1].unlink()
    library.sync()
    paths[2].unlink()
    forgotten = ask(library, library.root)
    records = [record.path for record in library.store.records()]

    assert forgotten == Forgotten(photos=2, there=1)
    assert records == [str(paths[0])]
    assert ask(library, *paths) == Forgotten(there=1)
    assert len(library.jobs("encode")) == 3


def test_a_photo_of_a_paused_folder_stays(library: DaemonParts) -> None:
    """Nothing there may be touched, so nobody knows whether it is gone."""
    path = library.write("a.jpg")
    library.write("b.jpg")  # an empty folder would count as a drive that is away
    library.start().sync()
    library.ingest.pause(str(library.root), 0).result(60)
    path.unlink()

    assert ask(library, path) == Forgotten(there=1)
    library.ingest.resume(str(library.root))
    assert ask(library, path) == Forgotten(photos=1)


def test_photos_of_a_drive_that_is_away_are_forgotten(point: Path) -> None:
    """A drive may be lost for ever. When it comes back its photos are new ones."""
    mount("-t", "tmpfs", "none", point)
    made = DaemonParts(point.parent, "point")
    try:
        made.write("a.jpg")
        made.start().sync()
        unmount(point)
        made.ingest.recheck()
        wait_for(lambda: not made.roots.is_online(str(point)))

        assert ask(made, point, dry_run=True) == Forgotten(photos=1, away=1)
        assert ask(made, point) == Forgotten(photos=1, away=1)
        assert made.found() == set()
    finally:
        made.stop()


def test_a_folder_that_is_no_longer_configured_is_forgotten_with_its_clock(tmp_path: Path) -> None:
    """Its photos are still there, but hidden, and no scan comes to them."""
    made = DaemonParts(tmp_path, "one", "two")
    made.write("a.jpg")
    (tmp_path / "two/secret.jpg").write_text("secret picture")
    made.start().sync()
    made.stop()
    again = DaemonParts(tmp_path, "one").start()
    try:
        again.sync()
        forgotten = ask(again, tmp_path / "two")

        assert forgotten == Forgotten(photos=1)
        assert left(again, b"secret.jpg", os.fsencode(tmp_path / "two")) == []
        assert again.found() == {"a.jpg"}
    finally:
        again.stop()


def test_a_link_is_no_hiding_place(library: DaemonParts) -> None:
    """Users name a folder as they reach it, and the index knows it without links."""
    path = library.write("a/b.jpg")
    library.start().sync()
    (library.folder / "link").symlink_to(library.root)
    path.unlink()

    assert ask(library, library.folder / "link/a") == Forgotten(photos=1)


def test_a_copy_elsewhere_keeps_its_picture_and_its_decision(library: DaemonParts) -> None:
    """Only the path goes: the picture is still there, and what the user has said of it holds."""
    for name, picture in (("a", "one"), ("b", "one"), ("c", "two")):
        library.write(f"{name}.jpg", picture)
    library.start().sync()
    two = [os.fsencode(library.root / name) for name in ("a.jpg", "c.jpg")]
    settled(library.dispatcher.answer(Apart(one=two[0], other=two[1]), ()))
    (library.root / "a.jpg").unlink()
    forgotten = ask(library, library.root / "a.jpg")
    (line,) = (library.folder / "data_home/decisions.jsonl").read_text().splitlines()
    photos = json.loads(line)["photos"]

    assert forgotten == Forgotten(photos=1)
    assert photos[0] == {"content": content_of("one").hex(), "path": "", "size": 0, "mtime_ns": 0}
    assert photos[1]["path"] == str(library.root / "c.jpg")
    assert library.store.has_vector(content_of("one"))


def test_a_version_before_an_edit_goes_too(library: DaemonParts) -> None:
    """The index keeps the vector of a replaced picture for a while; no record says whose it was."""
    path = library.write("a.jpg", "secret before")
    library.start().sync()
    path.write_text("secret after")
    library.sync()
    path.unlink()
    ask(library, path)

    assert left(library, content_of("secret before"), content_of("secret after"), vector_of("secret before")) == []


def test_photos_that_wait_do_not_delay_it(library: DaemonParts) -> None:
    """Photos in the worker are finished, and those that wait go on afterwards."""
    path = library.write("a.jpg")
    library.start().sync()
    path.unlink()
    gate = Gate(library.folder)
    library.write("first.jpg", "first", f"encode gate {gate.path}")
    for number in range(100):
        library.write(f"{number}.jpg")
    synced = library.ingest.sync("", 0)
    wait_for(lambda: "first" in library.jobs("encode"))
    reply = library.dispatcher.answer(Forget(paths=(os.fsencode(path),)), ())
    wait_for(lambda: library.ingest.doing == "wiping what was forgotten")
    gate.open()

    assert isinstance(reply, Deferred)
    assert settled(reply) == Forgotten(photos=1)
    assert synced.result(240).photos == 101


def test_without_room_the_photos_are_forgotten_and_the_traces_told(
    library: DaemonParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy needs as much room as the store. The next start wipes."""
    path = library.write("secret.jpg")
    library.start().sync()
    path.unlink()
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    forgotten = ask(library, path)
    monkeypatch.undo()
    before = left(library, b"secret.jpg")
    library.stop()
    again = DaemonParts(library.folder).start()
    try:
        wait_for(lambda: again.store.traces.since() is None)
        after = left(again, b"secret.jpg")
    finally:
        again.stop()

    assert isinstance(forgotten, Forgotten)
    assert (forgotten.photos, "has 0 MiB left" in forgotten.traces) == (1, True)
    assert before
    assert after == []


def test_on_a_full_disk_nothing_is_forgotten_and_that_is_said(
    library: DaemonParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told, and may ask again."""
    path = library.write("a.jpg")
    library.start().sync()
    path.unlink()
    library.sync()

    def full(_: object) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(library.store, "forget", full)
    reply = ask(library, path)

    assert isinstance(reply, Failure)
    assert (reply.code, "no room" in reply.what) == (Code.BUSY, True)
    assert [record.path for record in library.store.records()] == [str(path)]


def test_what_the_index_knows_no_more_is_wiped_too(library: DaemonParts) -> None:
    """The record of a photo that could not be read goes with its file. Without traces nothing is written."""
    path = library.write("secret.jpg", "broken", "inspect refuse it is torn")
    library.write("b.jpg")  # an empty folder would count as a drive that is away
    library.start().sync()
    path.unlink()
    library.sync()
    before = left(library, b"secret.jpg")
    forgotten = ask(library, path)
    inode = (library.folder / "index/data.mdb").stat().st_ino
    again = ask(library, path)

    assert before
    assert forgotten == again == Forgotten()
    assert left(library, b"secret.jpg") == []
    assert (library.folder / "index/data.mdb").stat().st_ino == inode
