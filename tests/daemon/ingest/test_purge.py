"""What is forgotten, when, and what never is. A photo is a path in a real folder; time is an argument."""

import errno
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.daemon.conftest import DaemonParts, mount
from tests.waiting import wait_for

from pixkind.config import Config
from pixkind.fs.interface import FileSystem
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.stamp import Stamp
from pixkind.index.vector_index import VectorIndex
from pixkind.ingest.purge import DAY_S, Purge
from pixkind.storage.environment import StoreFull
from pixkind.storage.record import UNKNOWN, Facts
from pixkind.storage.store import SLICE, Store
from pixkind.storage.write_batch import PhotoFailed, PhotoFound, PhotoGone, WriteBatch

NOW = 1_700_000_000
HOUR_S = 3600
KEEP = 30
STAMP = Stamp(1, 2, 3, 4)
ONE, TWO = b"1" * 16, b"2" * 16


def is_there(root: str) -> bool:
    """Return that every drive is plugged in."""
    return True


class Looking(LocalFileSystem):
    """The disk, looked at as a test does."""

    def __init__(self, lstat: Callable[[str], object]) -> None:
        super().__init__(Config().rules)
        self._lstat = lstat

    def look(self, path: str) -> tuple[int, Stamp]:
        """See purge.RootAccess."""
        self._lstat(path)
        return super().look(path)


@dataclass
class FakeRoots:
    """Roots whose drives come and go as a test says."""

    paths: tuple[str, ...]
    is_there: Callable[[str], bool]
    lstat: Callable[[str], object]

    def is_read(self, root: str) -> bool:
        """See purge.RootAccess."""
        return root in self.paths

    def is_online(self, root: str) -> bool:
        """See purge.RootAccess."""
        return root in self.paths

    def check(self, root: str) -> bool:
        """See purge.RootAccess."""
        return self.is_there(root)

    def file_system(self, path: str) -> FileSystem:  # noqa: ARG002
        """See purge.RootAccess."""
        return Looking(self.lstat)


@dataclass
class PurgeStore:
    """A store, and the roots in a folder."""

    folder: Path
    store: Store = field(init=False)
    root: str = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.path()
        self.open()

    def open(self, space: str = "space") -> None:
        """Open the store."""
        self.store = Store(str(self.folder / "index"), space, map_gb=1)

    def reopen(self, space: str = "space") -> None:
        """Do as a daemon that ends and starts again."""
        self.store.close()
        self.open(space)

    def path(self, name: str = "", root: str = "photos") -> str:
        """Return a path in a root; nothing stands there unless a test puts it there."""
        (self.folder / root).mkdir(exist_ok=True)
        return str(self.folder / root / name)

    def find(self, path: str, content: bytes = ONE, index: VectorIndex | None = None) -> None:
        """Index a photo, its vector made of its content id."""
        batch = WriteBatch(
            photos=[PhotoFound(path, STAMP, content)],
            contents={content: Facts(1, 1, 0, "")},
            vectors={content: np.frombuffer(content, np.uint8).astype(np.float16).tobytes()},
        )
        delta = self.store.commit(batch)
        if index is not None:
            index.apply(delta)

    def lose(self, path: str, gone_s: int) -> None:
        """Note a photo as gone."""
        self.store.commit(WriteBatch(photos=[PhotoGone(path, gone_s)]))

    def purge(
        self,
        *roots: str,
        now_s: int = NOW,
        keep_days: int = KEEP,
        is_whole: bool = True,
        is_there: Callable[[str], bool] = is_there,
        lstat: Callable[[str], object] = os.lstat,
    ) -> Purge:
        """Return a purge that has begun, as at a start of the daemon."""
        ground = FakeRoots(roots or (self.root,), is_there, lstat)
        made = Purge(self.store, ground, keep_days=keep_days, is_whole=is_whole)
        made.tick(now_s)
        drain(made)
        return made

    def paths(self) -> set[str]:
        """Return the names of all photos in the store, live and gone."""
        return {os.path.basename(record.path) for record in self.store.records()}


@pytest.fixture(scope="module")
def memory() -> Iterator[str]:
    """Yield a folder in memory: a month has many commits, and each would wait for the disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


@pytest.fixture
def purge_store(memory: str) -> Iterator[PurgeStore]:
    made = PurgeStore(Path(tempfile.mkdtemp(dir=memory)))
    yield made
    made.store.close()


def drain(purge: Purge, index: VectorIndex | None = None) -> int:
    """Forget all that is due, as ingest does, and return in how many slices."""
    count = 0
    while (delta := purge.turn()) is not None:
        count += 1
        if index is not None:
            index.apply(delta)
    return count


def scan(purge: Purge, root: str, now_s: int) -> None:
    """Do as after a complete scan."""
    purge.scanned(root, now_s)
    drain(purge)


def scan_daily(purge: Purge, root: str, days: int, *, after: int = 0) -> int:
    """Do as after `days` scans, a day apart, the first a day after the day `after`; return the time of the last."""
    for day in range(after + 1, after + days + 1):
        scan(purge, root, NOW + day * DAY_S)
    return NOW + (after + days) * DAY_S


def tick_daily(purge: Purge, days: int, *, after: int = 0, index: VectorIndex | None = None) -> None:
    """Let days pass."""
    for day in range(after + 1, after + days + 1):
        purge.tick(NOW + day * DAY_S)
        drain(purge, index)


def entries(purge_store: PurgeStore) -> dict[str, int]:
    """Return how many entries each database has, without those of photos and contents that have none."""
    purge_store.store.close()
    with lmdb.open(str(purge_store.folder / "index"), max_dbs=32) as env, env.begin() as txn:
        names = [name for name, _ in txn.cursor()]
        counts = {name.decode(): txn.stat(env.open_db(name, txn=txn, create=False))["entries"] for name in names}
    purge_store.open()
    return {name: count for name, count in counts.items() if count or name in {"roots", "clocks", "meta"}}


def use_up(store: Store) -> None:
    """Write until no page is left that could be used again."""
    for number in itertools.count():
        store.commit(WriteBatch(vectors={number.to_bytes(16, "big"): bytes(1000)}))


def test_a_photo_is_forgotten_when_its_time_is_over_and_not_before(purge_store: PurgeStore) -> None:
    """A second short of 30 days all of it is there; then record, facts, strikes and vector go."""
    purge_store.find(purge_store.path("a.jpg"))
    purge_store.store.commit(WriteBatch(strikes=[ONE]))
    purge = purge_store.purge()
    purge_store.lose(purge_store.path("a.jpg"), purge.clock_s(purge_store.root, NOW))
    last = scan_daily(purge, purge_store.root, KEEP - 1)
    scan(purge, purge_store.root, last + DAY_S - 1)
    before = (purge_store.paths(), purge_store.store.has_vector(ONE), purge_store.store.strikes(ONE), purge.forgotten)
    scan(purge, purge_store.root, last + DAY_S)

    assert before == ({"a.jpg"}, True, 1, 0)
    assert (
        purge_store.paths(),
        purge_store.store.has_vector(ONE),
        purge_store.store.strikes(ONE),
        purge.forgotten,
    ) == (
        set(),
        False,
        0,
        1,
    )
    assert entries(purge_store) == {"roots": 0, "clocks": 1, "meta": 6, "journal": 2}


def test_live_photos_of_a_configured_root_are_never_forgotten(purge_store: PurgeStore) -> None:
    """Only absence starts the time; what stands on a drive stays for as long as it does."""
    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge()
    scan_daily(purge, purge_store.root, 3 * KEEP)
    tick_daily(purge, 3 * KEEP)

    assert purge_store.paths() == {"a.jpg"}
    assert purge_store.store.has_vector(ONE)


def test_time_without_the_drive_counts_a_day_at_most(purge_store: PurgeStore) -> None:
    """A drive that lies in a drawer for years, or a daemon that does not run, forgets nothing."""
    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge()
    purge_store.lose(purge_store.path("a.jpg"), purge.clock_s(purge_store.root, NOW))
    for year in range(1, KEEP):
        purge_store.reopen()
        scan(purge_store.purge(now_s=NOW + year * 365 * DAY_S), purge_store.root, NOW + year * 365 * DAY_S)
    before = purge_store.paths()
    scan(purge_store.purge(), purge_store.root, NOW + KEEP * 365 * DAY_S)

    assert before == {"a.jpg"}
    assert purge_store.paths() == set()


def test_a_root_that_is_not_there_forgets_nothing(purge_store: PurgeStore) -> None:
    """A scan whose drive went before its end neither advances the clock nor forgets."""
    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge(is_there=lambda _: False)
    purge_store.lose(purge_store.path("a.jpg"), purge.clock_s(purge_store.root, NOW))
    scan_daily(purge, purge_store.root, 2 * KEEP)

    assert purge_store.paths() == {"a.jpg"}
    assert purge_store.store.roots.clocks()[purge_store.root].clock_s == NOW


def test_the_mount_point_of_a_drive_that_went_is_no_witness(purge_store: PurgeStore) -> None:
    """A photo is forgotten only if its drive is there after its path was found empty."""
    answers = {"there": True}
    looked: list[str] = []

    def unplug(path: str) -> object:
        answers["there"] = False
        looked.append(path)
        return os.lstat(path)

    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge(is_there=lambda _: answers["there"], lstat=unplug)
    purge_store.lose(purge_store.path("a.jpg"), NOW)
    scan_daily(purge, purge_store.root, KEEP)

    assert looked == [purge_store.path("a.jpg")]
    assert purge_store.paths() == {"a.jpg"}


def test_a_clock_set_wrong_costs_a_day(purge_store: PurgeStore) -> None:
    """Ten years ahead and back again: nothing is forgotten, and time goes on."""
    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge()
    purge_store.lose(purge_store.path("a.jpg"), NOW)
    scan(purge, purge_store.root, NOW + 3650 * DAY_S)
    scan(purge, purge_store.root, NOW)
    scan_daily(purge, purge_store.root, KEEP - 2)
    before = purge_store.paths()
    scan_daily(purge, purge_store.root, 1, after=KEEP - 2)

    assert before == {"a.jpg"}
    assert purge_store.paths() == set()


def test_two_scans_a_day_apart_miss_a_photo_before_it_is_forgotten(purge_store: PurgeStore) -> None:
    """The scan that misses a photo never forgets it, however long the drive was away before."""
    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge(keep_days=1)
    later = NOW + 100 * DAY_S
    purge_store.lose(purge_store.path("a.jpg"), purge.clock_s(purge_store.root, later))
    scan(purge, purge_store.root, later + HOUR_S)
    scan(purge, purge_store.root, later + HOUR_S + DAY_S - 1)
    before = purge_store.paths()
    scan(purge, purge_store.root, later + HOUR_S + DAY_S)

    assert before == {"a.jpg"}
    assert purge_store.paths() == set()


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_seen_is_kept(purge_store: PurgeStore, code: int) -> None:
    """Only ENOENT and ENOTDIR say that nothing stands there."""

    def blind(path: str) -> object:
        raise OSError(code, os.strerror(code), path)

    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge(lstat=blind)
    purge_store.lose(purge_store.path("a.jpg"), NOW)
    scan_daily(purge, purge_store.root, KEEP)

    assert purge_store.paths() == {"a.jpg"}


def test_a_photo_that_stands_again_is_kept(purge_store: PurgeStore) -> None:
    """What stands at the path, though no scan may look at it, is not gone; a folder that became a file is empty."""
    Path(purge_store.path("a.jpg")).touch()
    Path(purge_store.path("folder")).touch()
    names = ["a.jpg", "b.jpg", "folder/c.jpg"]
    purge = purge_store.purge()
    for name in names:
        purge_store.find(purge_store.path(name))
        purge_store.lose(purge_store.path(name), NOW)
    scan_daily(purge, purge_store.root, KEEP)

    assert purge_store.paths() == {"a.jpg"}


def test_a_copy_anywhere_keeps_the_vector(purge_store: PurgeStore) -> None:
    """A vector stays while any record names its content: a live photo's, or one that is gone for a shorter time."""
    first, live, later = (
        purge_store.path("first.jpg"),
        purge_store.path("live.jpg", "other"),
        purge_store.path("later.jpg"),
    )
    purge = purge_store.purge(purge_store.root, purge_store.path(root="other"))
    for path, content in [(first, ONE), (live, ONE), (purge_store.path("x.jpg"), TWO), (later, TWO)]:
        purge_store.find(path, content)
    purge_store.lose(first, NOW)
    purge_store.lose(purge_store.path("x.jpg"), NOW)
    purge_store.lose(later, NOW + DAY_S)
    scan_daily(purge, purge_store.root, KEEP)

    assert purge_store.paths() == {"live.jpg", "later.jpg"}
    assert purge_store.store.has_vector(ONE)
    assert purge_store.store.has_vector(TWO)


def test_a_content_goes_from_every_space(purge_store: PurgeStore) -> None:
    """The vectors that another encoder made of it go too; those of other contents stay."""
    spaces = [f"space {number}" for number in range(40)]
    for space in spaces:
        purge_store.reopen(space)
        purge_store.find(purge_store.path("a.jpg"), ONE)
        purge_store.find(purge_store.path("b.jpg"), TWO)
    purge = purge_store.purge()
    purge_store.lose(purge_store.path("a.jpg"), NOW)
    scan_daily(purge, purge_store.root, KEEP)
    kept = []
    for space in spaces:
        purge_store.reopen(space)
        kept.append((purge_store.store.has_vector(ONE), purge_store.store.has_vector(TWO)))

    assert kept == [(False, True)] * len(spaces)


def test_each_root_has_its_own_time(purge_store: PurgeStore) -> None:
    """A root that is seen ages; one that is away meanwhile does not, though its name begins alike."""
    other = purge_store.path(root="photos2")
    purge = purge_store.purge(purge_store.root, other)
    for root in (purge_store.root, other):
        path = os.path.join(root, f"{os.path.basename(root.rstrip('/'))}.jpg")
        purge_store.find(path)
        purge_store.lose(path, purge.clock_s(root, NOW))
    scan_daily(purge, purge_store.root, KEEP)

    assert purge_store.paths() == {"photos2.jpg"}


def test_what_an_edit_replaced_is_kept_as_long(purge_store: PurgeStore) -> None:
    """The old picture's vector stays for 30 days after the edit, then it goes; the new one stays."""
    purge_store.find(purge_store.path("a.jpg"), ONE)
    purge = purge_store.purge()
    purge_store.find(purge_store.path("a.jpg"), TWO)
    tick_daily(purge, 1, after=-1)
    tick_daily(purge, KEEP - 1)
    before = purge_store.store.has_vector(ONE)
    tick_daily(purge, 1, after=KEEP - 1)

    assert before
    assert (purge_store.store.has_vector(ONE), purge_store.store.has_vector(TWO)) == (False, True)


def test_an_edit_that_is_undone_starts_the_time_anew(purge_store: PurgeStore) -> None:
    """A content that a record names again is no orphan, and its next 30 days begin when it becomes one again."""
    purge = purge_store.purge()
    purge_store.find(purge_store.path("a.jpg"), ONE)
    purge_store.find(purge_store.path("a.jpg"), TWO)
    tick_daily(purge, KEEP - 1)
    purge_store.find(purge_store.path("a.jpg"), ONE)
    tick_daily(purge, KEEP, after=KEEP - 1)
    while_named = purge_store.store.has_vector(ONE)
    purge_store.find(purge_store.path("a.jpg"), TWO)
    tick_daily(purge, KEEP - 1, after=2 * KEEP - 1)

    assert while_named
    assert purge_store.store.has_vector(ONE)


def test_undoing_an_edit_costs_no_encode(library: DaemonParts) -> None:
    """A daemon whose photo is edited and restored within the time encodes the two pictures once each."""
    purge = Purge(library.store, library.roots, keep_days=KEEP, is_whole=True)
    library.start()
    for day, picture in enumerate(["one", "two", "one", "two"]):
        library.write("a.jpg", picture, mtime_s=NOW + day)
        library.sync()
        purge.tick(NOW + day * DAY_S)
        drain(purge)

    assert library.jobs("encode") == ["one", "two"]


def test_a_photo_of_which_nothing_is_known_is_forgotten_at_once(purge_store: PurgeStore) -> None:
    """What failed before its content was known has cost nothing that could be kept; the counts lose it."""
    path = purge_store.path("a.jpg")
    purge_store.store.commit(WriteBatch(photos=[PhotoFailed(path, STAMP, UNKNOWN, "unreadable", 0)]))
    before = purge_store.store.count("/")
    purge_store.store.commit(WriteBatch(photos=[PhotoGone(path, NOW)]))

    assert purge_store.paths() == set()
    assert (before, purge_store.store.count("/")) == ((0, 1), (0, 0))
    assert purge_store.store.failures(9) == []
    assert purge_store.store.children(os.path.dirname(path)) == (set(), set())


def test_a_removed_root_is_kept_then_forgotten_then_new(purge_store: PurgeStore) -> None:
    """Its records stay for 30 days of a daemon without it, then live and gone ones go, and the index loses their sum."""
    index = VectorIndex(purge_store.store)
    removed = purge_store.path(root="removed")
    names = ["removed/a.jpg", "removed/b/c.jpg", "removed/gone.jpg", "photos/d.jpg", "photos/copy.jpg"]
    for number, name in enumerate(names[:-1]):
        purge_store.find(str(purge_store.folder / name), bytes([number + 1]) * 16, index)
    purge_store.find(purge_store.path("copy.jpg"), bytes([1]) * 16, index)
    purge_store.store.commit(WriteBatch(photos=[PhotoFailed(f"{removed}/bad.jpg", STAMP, UNKNOWN, "no image", 0)]))
    index.apply(purge_store.store.commit(WriteBatch(photos=[PhotoGone(f"{removed}/gone.jpg", NOW)])))
    purge_store.purge(purge_store.root, removed)
    purge = purge_store.purge(purge_store.root)
    tick_daily(purge, KEEP - 1, index=index)
    before = purge_store.paths()
    tick_daily(purge, 1, after=KEEP - 1, index=index)
    anew = VectorIndex(purge_store.store)
    left = [purge_store.store.has_vector(bytes([number]) * 16) for number in range(1, 5)]

    assert before == {"a.jpg", "c.jpg", "gone.jpg", "d.jpg", "copy.jpg", "bad.jpg"}
    assert purge_store.paths() == {"d.jpg", "copy.jpg"}
    assert left == [True, False, False, True]  # a.jpg has a copy
    assert len(index) == len(anew) == 2
    np.testing.assert_array_equal(index.centering().offset, anew.centering().offset)
    assert set(purge_store.store.roots.clocks()) == {purge_store.root}
    again = purge_store.purge(purge_store.root, removed, now_s=NOW + KEEP * DAY_S)
    assert again.clock_s(removed, NOW + KEEP * DAY_S) == NOW + KEEP * DAY_S
    assert purge_store.store.changed([(f"{removed}/b/c.jpg", STAMP)], NOW) == [(f"{removed}/b/c.jpg", STAMP)]


def test_a_root_that_is_configured_again_in_time_loses_nothing(purge_store: PurgeStore) -> None:
    """Naming a root again stops its time, and taking it out again begins it anew; its own clock stood still meanwhile."""
    removed = purge_store.path(root="removed")
    purge_store.find(f"{removed}/a.jpg")
    purge_store.purge(purge_store.root, removed)
    tick_daily(purge_store.purge(purge_store.root), KEEP - 1)
    purge_store.purge(purge_store.root, removed, now_s=NOW + KEEP * DAY_S)
    clock_s = purge_store.store.roots.clocks()[removed].clock_s
    tick_daily(purge_store.purge(purge_store.root, now_s=NOW + KEEP * DAY_S), KEEP - 1, after=KEEP)

    assert purge_store.paths() == {"a.jpg"}
    assert clock_s == NOW


def test_folders_of_one_run_remove_nothing(purge_store: PurgeStore) -> None:
    """Folders on the command line hide the configured ones, whose time does not pass."""
    purge_store.find(purge_store.path("a.jpg"))
    purge_store.purge()
    tick_daily(purge_store.purge(purge_store.path(root="other"), is_whole=False), 3 * KEEP)

    assert purge_store.paths() == {"a.jpg"}
    assert purge_store.store.roots.clocks()[purge_store.root].removed_s is None


def test_a_day_without_a_daemon_is_no_day_without_a_root(purge_store: PurgeStore) -> None:
    """Between two runs a removed root ages by a day at most."""
    purge_store.find(purge_store.path("a.jpg"))
    purge_store.purge()
    for year in range(KEEP):
        purge_store.purge(purge_store.path(root="other"), now_s=NOW + year * 365 * DAY_S)
    before = purge_store.paths()
    purge_store.purge(purge_store.path(root="other"), now_s=NOW + KEEP * 365 * DAY_S)

    assert before == {"a.jpg"}
    assert purge_store.paths() == set()


def test_a_root_within_or_around_a_removed_one_keeps_what_is_its_own(purge_store: PurgeStore) -> None:
    """Only what lies in no configured root is forgotten, live or gone; names that merely begin alike lie elsewhere."""
    outer, inner, alike = purge_store.path(), purge_store.path("inner"), purge_store.path(root="photos2")
    for path in (f"{outer}/a.jpg", f"{inner}/b.jpg", f"{inner}/gone.jpg", f"{alike}/c.jpg"):
        purge_store.find(path, os.path.basename(path).ljust(16).encode())
    purge_store.lose(f"{inner}/gone.jpg", NOW)
    purge_store.purge(outer, alike)
    tick_daily(purge_store.purge(inner, alike), KEEP)
    narrowed = purge_store.paths()
    tick_daily(purge_store.purge(outer, alike, now_s=NOW + KEEP * DAY_S), 2 * KEEP, after=KEEP)

    assert narrowed == {"b.jpg", "gone.jpg", "c.jpg"}
    assert purge_store.paths() == narrowed


def test_a_root_that_takes_over_ghosts_takes_over_their_time(purge_store: PurgeStore) -> None:
    """A clock that stood still for a year does not jump when the folder above is configured instead."""
    inner = purge_store.path("inner")
    purge_store.find(f"{inner}/a.jpg")
    purge = purge_store.purge(inner)
    purge_store.lose(f"{inner}/a.jpg", purge.clock_s(inner, NOW))
    later = NOW + 365 * DAY_S
    outer = purge_store.purge(purge_store.root, now_s=later)
    scan(outer, purge_store.root, later)
    before = purge_store.paths()
    for day in range(1, KEEP + 1):
        scan(outer, purge_store.root, later + day * DAY_S)

    assert before == {"a.jpg"}
    assert purge_store.paths() == set()


@pytest.mark.parametrize("removed", [False, True])
def test_many_are_forgotten_in_slices(purge_store: PurgeStore, *, removed: bool) -> None:
    """No transaction forgets more than SLICE photos, gone or of a removed root; the others stay."""
    count, root = 5000, purge_store.path(root="many")
    photos = [(f"{root}/{number}.jpg", (number // 3 + 1).to_bytes(16, "big")) for number in range(count)]
    purge_store.store.commit(
        WriteBatch(
            photos=[PhotoFound(path, STAMP, content) for path, content in photos],
            vectors={content: b"vvvv" for _, content in photos},
        )
    )
    purge_store.purge(root)
    if not removed:
        purge_store.store.commit(WriteBatch(photos=[PhotoGone(path, NOW) for path, _ in photos[:-10]]))
    purge = purge_store.purge(purge_store.root if removed else root)
    for day in range(1, KEEP + 1):
        purge.tick(NOW + day * DAY_S)
        if not removed:
            purge.scanned(root, NOW + day * DAY_S)
    slices = []
    while purge.turn() is not None:
        slices.append(purge.forgotten)
    left = 0 if removed else 10

    assert purge.forgotten == count - left
    assert max(after - before for before, after in itertools.pairwise([0, *slices])) == SLICE
    assert sum(1 for _ in purge_store.store.records()) == left
    assert (
        sum(purge_store.store.has_vector(content) for content in {content for _, content in photos}) == (left + 2) // 3
    )


def test_what_was_interrupted_is_forgotten_after_the_next_start(purge_store: PurgeStore) -> None:
    """A daemon that ends between the slices leaves contents that nobody names; the next one sweeps them."""
    purge_store.find(purge_store.path("a.jpg"))
    purge = purge_store.purge()
    purge_store.lose(purge_store.path("a.jpg"), NOW)
    for day in range(1, KEEP + 1):
        purge.scanned(purge_store.root, NOW + day * DAY_S)
    purge.turn()
    purge_store.reopen()
    between = (purge_store.paths(), purge_store.store.has_vector(ONE))
    purge_store.purge()

    assert between == (set(), True)
    assert not purge_store.store.has_vector(ONE)


def test_a_full_disk_forgets_nothing_and_ends_nothing(point: Path) -> None:
    """Without room nothing is due any more until the next scan, which forgets it once there is room."""
    mount("-t", "tmpfs", "-o", "size=4M", "tmpfs", point)
    purge_store = PurgeStore(point)
    names = {f"{number}.jpg" for number in range(200)}
    purge_store.store.commit(
        WriteBatch(photos=[PhotoFound(purge_store.path(name), STAMP, name.ljust(16).encode()) for name in names])
    )
    purge = purge_store.purge(keep_days=1)
    purge_store.store.commit(WriteBatch(photos=[PhotoGone(purge_store.path(name), NOW) for name in names]))
    filler = point / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(4 << 20))
    with pytest.raises(StoreFull):
        use_up(purge_store.store)
    scan(purge, purge_store.root, NOW + DAY_S)
    full = (purge_store.paths(), bool(purge))
    filler.unlink()
    scan(purge, purge_store.root, NOW + DAY_S)
    left = purge_store.paths()
    purge_store.store.close()

    assert full == (names, False)
    assert left == set()


_PATHS = st.sampled_from(["a.jpg", "b.jpg", "d/c.jpg"])
_MODEL_DAYS = 3


@settings(max_examples=60)
@given(st.lists(st.dictionaries(_PATHS, st.sampled_from([ONE, TWO, None])), max_size=12))
def test_what_is_left_is_what_a_model_has(memory: str, days: list[dict[str, bytes | None]]) -> None:
    """However photos come, change and go day by day, records and vectors are those of a plain dictionary."""
    purge_store = PurgeStore(Path(tempfile.mkdtemp(dir=memory)))
    purge = purge_store.purge(keep_days=_MODEL_DAYS)
    model: dict[str, tuple[bytes, int | None]] = {}  # path -> content, day on which it went
    vectors: dict[bytes, int] = {}  # content -> day on which a record last named it
    for day, changes in enumerate(days):
        now_s = NOW + day * DAY_S
        for name, content in changes.items():
            path = purge_store.path(name)
            if content is not None:
                purge_store.find(path, content)
                vectors |= {model[path][0]: day} if path in model else {}
                model[path] = (content, None)
                vectors[content] = day
            elif path in model and model[path][1] is None:
                purge_store.lose(path, purge.clock_s(purge_store.root, now_s))
                model[path] = (model[path][0], day)
        purge.scanned(purge_store.root, now_s)
        purge.tick(now_s)
        drain(purge)
        over = {path for path, (_, gone) in model.items() if gone is not None and day - gone >= _MODEL_DAYS}
        freed = {model.pop(path)[0] for path in over}
        named = {content for content, _ in model.values()}
        vectors |= dict.fromkeys(named, day)
        vectors = {
            content: last
            for content, last in vectors.items()
            if content in named or (content not in freed and day - last < _MODEL_DAYS)
        }
    records = {record.path: (record.content, record.live) for record in purge_store.store.records()}
    stored = {content for content in (ONE, TWO) if purge_store.store.has_vector(content)}
    purge_store.store.close()

    assert records == {path: (content, gone is None) for path, (content, gone) in model.items()}
    assert stored == set(vectors)


def test_a_photo_that_stays_away_is_forgotten_by_the_scans(
    library: DaemonParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a scan a day: on the 29th it comes back for nothing, after the 30th it is forgotten, and costs an encode."""
    real, days, scans = time.time, [0.0], itertools.count(2)
    monkeypatch.setattr(time, "time", lambda: real() + days[0] * DAY_S)

    def scan(after_days: float) -> set[str]:
        days[0] = after_days
        library.inbox.rescan(str(library.root), "test")
        number = next(scans)
        wait_for(lambda: library.ingest.counters()["rescans"] == number)
        library.sync()  # its scan comes after that one
        wait_for(lambda: not library.purge)
        return {os.path.basename(record.path) for record in library.store.records()}

    for name in ("a.jpg", "b.jpg", "c.jpg"):
        library.write(name)
    library.start().sync()
    wait_for(lambda: library.ingest.counters()["rescans"] == 1)
    for name in ("a.jpg", "b.jpg"):
        (library.root / name).unlink()
    library.sync()
    kept = [scan(day) for day in range(1, 29)]
    library.write("b.jpg")
    kept.append(scan(29.0))
    scan(30.0)  # a second too early or too late
    left = scan(31.0)
    library.write("d.jpg", "a.jpg")
    library.sync()

    assert all(names == {"a.jpg", "b.jpg", "c.jpg"} for names in kept)
    assert left == {"b.jpg", "c.jpg"}
    assert library.jobs("encode").count("b.jpg") == 1
    assert library.jobs("encode").count("a.jpg") == 2


def test_a_root_that_was_only_named_for_a_run_does_not_age(purge_store: PurgeStore) -> None:
    """Neither while it is named, nor in runs from the configuration; once configured, a removal counts."""
    named = purge_store.path("a.jpg", "named")
    root = purge_store.path(root="named")
    tick_daily(purge_store.purge(root, is_whole=False), 2)
    purge_store.find(named)
    tick_daily(purge_store.purge(), 3 * KEEP)
    kept = purge_store.store.record(named)
    tick_daily(purge_store.purge(root), 2)
    tick_daily(purge_store.purge(), KEEP + 2)

    assert kept is not None
    assert purge_store.store.record(named) is None
