"""Nothing is left of what was forgotten: the bytes of the store are searched."""

import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest

from pixkind.fs.stamp import Stamp
from pixkind.storage.contents import UNDATED
from pixkind.storage.environment import StoreFull
from pixkind.storage.keys import path_digest, record_prefix
from pixkind.storage.record import Facts
from pixkind.storage.store import Store
from pixkind.storage.traces import WIPING
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch

NOW = 1_700_000_000
COUNT = 300


def content(number: int) -> bytes:
    return (number + 1).to_bytes(4, "big") * 4


def path(number: int) -> str:
    return f"/photos/{'secret' if is_secret(number) else 'plain'}{number % 7}/{number}.jpg"


def is_secret(number: int) -> bool:
    return number % 5 == 0


def vector(number: int) -> bytes:
    return random.Random(number).randbytes(2560)


def traces(number: int) -> list[bytes]:
    """Return all by which a photo could be told."""
    own = [os.fsencode(path(number)), record_prefix(path(number)), content(number), vector(number)[:64]]
    return [*own, path_digest(os.path.dirname(path(number)))]


def put(store: Store, numbers: range) -> None:
    batch = WriteBatch()
    for number in numbers:
        stamp = Stamp(NOW * 10**9 + number, number + 1, NOW * 10**9 + 1 + number, number)
        batch.photos.append(PhotoFound(path(number), stamp, content(number)))
        batch.contents[content(number)] = Facts(1, 1, 0, "")
        batch.vectors[content(number)] = vector(number)
    store.commit(batch)


@pytest.fixture
def store() -> Iterator[Store]:
    """Yield a store whose photos came in several commits, as pages are split then. It is in memory: each commit is synced."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        made = Store(os.path.join(folder, "index"), "space", map_gb=1)
        for at in range(0, COUNT, 50):
            put(made, range(at, at + 50))
        yield made
        made.close()


def data(store: Store) -> bytes:
    return b"".join(file.read_bytes() for file in Path(store.folder).rglob("*") if file.is_file())


def forget(store: Store) -> list[int]:
    secrets = [number for number in range(COUNT) if is_secret(number)]
    for number in secrets[::2]:
        store.commit(WriteBatch(photos=[PhotoGone(path(number), NOW)]))
    store.forget(record for number in secrets if (record := store.record(path(number))) is not None)
    list(store.sweep(NOW, 30))
    store.journal.forget(store.journal.generation, store.space)
    return secrets


def test_a_wiped_store_has_no_trace_of_what_was_forgotten(store: Store) -> None:
    """No path, hash of a path, content id or vector is left in any byte; before, all of them are."""
    secrets = forget(store)
    before = data(store)
    kept = sorted(store.records(), key=lambda record: record.path)
    list(store.wipe())
    after = data(store)

    assert sum(trace in before for number in secrets for trace in traces(number)) > len(secrets)
    assert [trace for number in secrets for trace in traces(number) if trace in after] == []
    assert sorted(store.records(), key=lambda record: record.path) == kept
    assert len(kept) == COUNT - len(secrets)
    assert all(store.vector(record.content) for record in kept)
    assert [record for record in kept if store.photos_of(record.content) != [record]] == []


def test_a_compacting_copy_would_leave_traces(store: Store, tmp_path: Path) -> None:
    """LMDB copies whole pages, with the bytes in them that are no longer used: this is why every entry is copied."""
    secrets = forget(store)
    store.close()
    (tmp_path / "copy").mkdir()
    with lmdb.open(store.folder, max_dbs=32) as env:
        env.copy(str(tmp_path / "copy"), compact=True)
    left = (tmp_path / "copy/data.mdb").read_bytes()

    assert any(os.fsencode(path(number)) in left for number in secrets)


def test_what_is_written_during_the_copy_is_not_lost(store: Store) -> None:
    """The copy is made again; the new photo is there, and so is all else."""
    forget(store)
    steps = store.wipe()
    for _ in range(5):
        next(steps)
    put(store, range(COUNT + 1, COUNT + 2))
    list(steps)

    assert store.is_live(path(COUNT + 1))
    assert store.has_vector(content(COUNT + 1))
    assert os.fsencode(path(0)) not in data(store)


def test_a_reader_delays_the_end_and_sees_its_own_moment(store: Store) -> None:
    """The file is replaced when no thread reads. Nobody waits, and a thread that reads gets the old entries to the end."""
    forget(store)
    reader = store.records()
    next(reader)
    steps = store.wipe()
    for _ in range(60):
        next(steps)
    seen = [record.path for record in reader]
    list(steps)

    assert len(seen) == COUNT - COUNT // 5 - 1
    assert os.fsencode(path(0)) not in data(store)


def test_threads_read_while_the_file_is_replaced(store: Store) -> None:
    """Queries go on: no thread meets a file, a transaction or a handle that is closed."""
    forget(store)
    errors: list[BaseException] = []
    is_over = threading.Event()

    def read() -> None:
        try:
            while not is_over.wait(0.001):
                assert store.record(path(1)) is not None
                assert len(list(store.vectors([content(1), content(2)]))) == 2
                assert store.spaces.size("space")[0] == COUNT - COUNT // 5
        except BaseException as error:  # noqa: BLE001  for the test
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        list(store.wipe())
    is_over.set()
    for thread in threads:
        thread.join()

    assert errors == []


def test_a_copy_that_was_cut_off_is_removed_at_the_next_start(store: Store) -> None:
    """A power cut in the middle leaves the store as it was, and the copy takes no room for ever."""
    secrets = forget(store)
    kept = {record.path for record in store.records()}
    steps = store.wipe()
    for _ in range(5):
        next(steps)
    left = Path(store.folder) / "rewritten/data.mdb"
    saved = left.read_bytes()
    del steps
    store.close()
    left.parent.mkdir()
    left.write_bytes(saved)
    store.__init__(store.folder, "space", map_gb=1)  # type: ignore[misc]  # as the next start

    assert not left.exists()
    assert store.traces.since() == WIPING
    assert {record.path for record in store.records()} == kept
    assert len(kept) == COUNT - len(secrets)


def test_without_room_nothing_changes_and_the_traces_are_not_forgotten(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk must have room for a second file; the reason names both sizes."""
    forget(store)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    with pytest.raises(StoreFull, match=r"a copy of the store needs \d+ MiB, and .* has 0 MiB left"):
        list(store.wipe())

    assert store.traces.since() == WIPING
    assert store.is_live(path(1))


def test_traces_are_noted_until_they_are_wiped(store: Store) -> None:
    """Only what deletes a photo leaves traces that count; those that come while the file is wiped are not lost."""
    before = store.traces.since()
    store.commit(WriteBatch(photos=[PhotoFailed("/photos/a.jpg", Stamp(1, 2, 3, 4), bytes(16), "broken", 0)]))
    indexed = store.traces.since()
    store.commit(WriteBatch(photos=[PhotoGone("/photos/a.jpg", NOW)]))
    gone = store.traces.since()
    list(store.wipe())
    wiped = store.traces.since()
    steps = store.wipe()
    next(steps)
    store.forget([record for record in [store.record(path(0))] if record is not None])
    list(steps)

    assert (before, indexed, gone, wiped, store.traces.since()) == (None, None, UNDATED, None, UNDATED)


_WIPING = """
import sys
from pixkind.storage.store import Store
store = Store(sys.argv[1], "space", map_gb=1)
print(flush=True)
while True:
    for _ in store.wipe():
        pass
"""


def test_a_kill_at_any_moment_loses_nothing(store: Store) -> None:
    """The store is the old one or the new one, and whole."""
    secrets = forget(store)
    kept = {record.path for record in store.records()}
    store.close()
    moments = random.Random(1)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", _WIPING, store.folder], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"\n"
            threading.Event().wait(moments.random() / 10)
            child.kill()
        store.__init__(store.folder, "space", map_gb=1)  # type: ignore[misc]  # as the next start
        assert {record.path for record in store.records()} == kept
        assert all(store.vector(record.content) for record in store.records())
        assert os.listdir(store.folder).count("rewritten") == 0
        store.close()
    store.__init__(store.folder, "space", map_gb=1)  # type: ignore[misc]  # as the next start

    assert len(kept) == COUNT - len(secrets)


def test_pairs_of_an_older_pixkind_are_forgotten_with_their_pictures(store: Store) -> None:
    """They stand in the store; other pairs stay."""
    pairs = [(content(0), content(5)), (content(2), content(7))]
    store.close()
    with lmdb.open(store.folder, max_dbs=32) as env, env.begin(write=True) as txn:
        for one, other in pairs:
            txn.put(one + other, b"", db=env.open_db(b"apart", txn=txn))
    store.__init__(store.folder, "space", map_gb=1)  # type: ignore[misc]  # as the next start
    store.apart.forget([content(5), content(9)])
    list(store.wipe())

    assert store.apart.pairs() == {pairs[1]}
    assert content(0) + content(5) not in data(store)
