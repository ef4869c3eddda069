import inspect
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers import inotify_c
from watchdog.version import VERSION_INFO

from pixkind.watching.inotify import InotifyWatcher

WATCHES = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text(encoding="ascii"))


class Seen:
    """A listener that records the reports, lets a test wait for them, and can block the reporting thread."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.rescans: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self._told = threading.Condition()

    def dirty(self, path: str) -> None:
        """Record the path; wait while the gate is closed."""
        with self._told:
            self.paths.append(path)
            self._told.notify_all()
        self.gate.wait(50)

    def rescan(self, root: str, why: str) -> None:
        """Record root and reason."""
        with self._told:
            self.rescans.append((root, why))
            self._told.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Return whether `condition` came true in time."""
        with self._told:
            return self._told.wait_for(condition, timeout=240)

    def wait_dirty(self, *paths: str | Path) -> bool:
        """Return whether all `paths` became dirty in time."""
        return self.wait_for(lambda: {str(path) for path in paths} <= set(self.paths))

    def take(self) -> set[str]:
        """Return the dirty paths so far, and forget them."""
        with self._told:
            taken = set(self.paths)
            self.paths.clear()
        return taken


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def watch(seen: Seen) -> Iterator[InotifyWatcher]:
    service = InotifyWatcher(seen)
    service.start()
    yield service
    seen.gate.set()
    service.stop()
    assert service.failure() is None


@pytest.fixture
def queue() -> int:
    """Return how many events the kernel queues before it drops the rest."""
    places = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    if places > 1 << 17:
        pytest.skip(f"a queue of {places} events takes too long to fill")
    return places


@pytest.fixture
def memory() -> Iterator[Path]:
    """Yield a new folder, in memory if possible, because 17,000 folders take long on a busy disk."""
    with tempfile.TemporaryDirectory(prefix="pixkin-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        yield Path(folder)


@pytest.fixture
def root(short_tmp: Path) -> Path:
    folder = short_tmp / "root"
    folder.mkdir()
    return folder


def dirt(seen: Seen, root: Path) -> set[str]:
    """Return the dirty paths so far. Events of one reader come in order, so a last file proves that the others are in."""
    with tempfile.NamedTemporaryFile(dir=root, prefix="last-") as last:
        assert seen.wait_dirty(last.name)
    return {path for path in seen.take() if os.path.basename(path)[:5] != "last-"}


def test_every_hook_into_watchdog_exists() -> None:
    """The private API of watchdog that is used or replaced exists, with the expected parameters."""
    reader = inotify_c.InotifyFD()
    reader.start()
    attributes = vars(reader).keys()
    reader.stop()
    reader.join()

    assert VERSION_INFO[:2] == (7, 1)
    assert {"_inotify_fd", "_kill_r", "_lock", "_closed", "_watch_for_wd"} <= attributes
    for name, parameters in {
        "run": ["self"],
        "handle_event": ["self", "event"],
        "remove_callbacks": ["self", "callbacks"],
        "add_callback": ["self", "path", "mask", "callback", "id_"],
        "_add_callback": ["self", "path", "mask", "callback", "id_"],
        "_check_inotify_fd": ["self"],
        "_close_resources": ["self"],
    }.items():
        assert list(inspect.signature(getattr(inotify_c.InotifyFD, name)).parameters) == parameters
    assert {"on_event", "on_watch_deleted", "on_queue_overflow"} <= vars(inotify_c.WatchCallback).keys()


CHANGES: dict[str, tuple[Callable[[Path, Path], object], set[str]]] = {
    "create": (lambda root, _: (root / "new.jpg").write_bytes(b"x"), {"new.jpg"}),
    "create without writing": (lambda root, _: (root / "new.jpg").touch(), {"new.jpg"}),
    "overwrite": (lambda root, _: (root / "old.jpg").write_bytes(b"x"), {"old.jpg"}),
    "delete": (lambda root, _: (root / "old.jpg").unlink(), {"old.jpg"}),
    "rename": (lambda root, _: (root / "old.jpg").rename(root / "new.jpg"), {"old.jpg", "new.jpg"}),
    "move in": (lambda root, out: (out / "out.jpg").rename(root / "new.jpg"), {"new.jpg"}),
    "move out": (lambda root, out: (root / "old.jpg").rename(out / "new.jpg"), {"old.jpg"}),
    "replace": (lambda root, out: (out / "out.jpg").replace(root / "old.jpg"), {"old.jpg"}),
    "hard link": (lambda root, out: (root / "new.jpg").hardlink_to(out / "out.jpg"), {"new.jpg"}),
    "symlink": (lambda root, out: (root / "new.jpg").symlink_to(out / "out.jpg"), {"new.jpg"}),
    "touch": (lambda root, _: os.utime(root / "old.jpg"), {"old.jpg"}),
    "chmod": (lambda root, _: (root / "old.jpg").chmod(0o600), {"old.jpg"}),
    "mkdir": (lambda root, _: (root / "d").mkdir(), {"d"}),
    "rmdir": (lambda root, _: (root / "full/empty").rmdir(), {"full/empty"}),
    "rmtree": (lambda root, _: shutil.rmtree(root / "full"), {"full", "full/a.jpg", "full/empty"}),
    "folder renamed": (lambda root, _: (root / "full").rename(root / "d"), {"full", "d"}),
    "folder moved in": (lambda root, out: (out / "dir").rename(root / "d"), {"d"}),
    "folder moved out": (lambda root, out: (root / "full").rename(out / "d"), {"full"}),
    "no UTF-8": (lambda root, _: os.close(os.open(os.fsencode(root) + b"/\xff.jpg", os.O_CREAT)), {"\udcff.jpg"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_dirty(name: str, seen: Seen, watch: InotifyWatcher, root: Path, short_tmp: Path) -> None:
    """Each kind of change makes exactly the changed paths dirty, with both ends of a move."""
    change, expected = CHANGES[name]
    (root / "full/empty").mkdir(parents=True)
    (root / "old.jpg").touch()
    (root / "full/a.jpg").touch()
    (short_tmp / "out.jpg").touch()
    (short_tmp / "dir").mkdir()
    watch.follow(str(root))
    change(root, short_tmp)

    assert dirt(seen, root) == {f"{root}/{path}" for path in expected}
    assert watch.unwatched() == {}


def test_a_nameless_file_is_dirty_when_it_gets_its_name(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """A file made by O_TMPFILE and linked into place is reported, although no file of that name is closed."""
    watch.follow(str(root))
    try:
        descriptor = os.open(root, os.O_TMPFILE | os.O_WRONLY)
    except OSError as error:
        pytest.skip(f"no O_TMPFILE here: {error.strerror}")
    os.write(descriptor, b"x")
    folder = os.open(
        root, os.O_PATH
    )  # with a descriptor Python takes linkat, which follows the link to the nameless file
    os.link(f"/proc/self/fd/{descriptor}", "new.jpg", dst_dir_fd=folder)
    os.close(folder)
    os.close(descriptor)

    assert str(root / "new.jpg") in dirt(seen, root)


def test_reading_is_no_change(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """Opening, reading, mapping and listing 500 photos makes nothing dirty: our own reading must not feed itself."""
    for i in range(500):
        (root / f"{i}.jpg").write_bytes(b"x")
    watch.follow(str(root))
    for path in sorted(root.iterdir()):
        path.read_bytes()
        path.stat()

    assert dirt(seen, root) == set()


def test_a_file_is_dirty_when_it_is_closed_not_at_each_write(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """A long download causes two reports, not one for every block."""
    (root / "long.jpg").touch()
    watch.follow(str(root))
    with open(root / "long.jpg", "wb", buffering=0) as file:
        file.writelines(b"x" for _ in range(200))
        while_open = dirt(seen, root)

    assert while_open == set()
    assert dirt(seen, root) == {str(root / "long.jpg")}


def test_new_nested_folders_are_watched_at_once(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """In a tree that is created at once, every folder lies below some dirty path and is watched when that is reported."""
    watch.follow(str(root))
    for i in range(100):
        (root / f"{i}/b/c").mkdir(parents=True)
        (root / f"{i}/b/c/first.jpg").touch()
    first = dirt(seen, root)
    for i in range(100):
        (root / f"{i}/b/c/second.jpg").touch()

    assert {f"{root}/{i}" for i in range(100)} <= first
    assert dirt(seen, root) == {f"{root}/{i}/b/c/second.jpg" for i in range(100)}


def test_a_folder_moved_in_is_watched(seen: Seen, watch: InotifyWatcher, root: Path, short_tmp: Path) -> None:
    """A file that is added later to a folder from outside is reported, at any depth."""
    (short_tmp / "album/deep").mkdir(parents=True)
    watch.follow(str(root))
    (short_tmp / "album").rename(root / "album")
    dirt(seen, root)
    (root / "album/deep/late.jpg").touch()

    assert dirt(seen, root) == {f"{root}/album/deep/late.jpg"}


def test_a_folder_moved_out_is_no_longer_watched(
    seen: Seen, watch: InotifyWatcher, root: Path, short_tmp: Path
) -> None:
    """Changes in a folder that has left the root are not reported under its old path."""
    (root / "album/deep").mkdir(parents=True)
    watch.follow(str(root))
    (root / "album").rename(short_tmp / "album")
    left = dirt(seen, root)
    (short_tmp / "album/deep/ghost.jpg").touch()

    assert left == {f"{root}/album"}
    assert dirt(seen, root) == set()


def test_a_folder_that_comes_back_goes_by_its_new_name(
    seen: Seen, watch: InotifyWatcher, root: Path, short_tmp: Path
) -> None:
    """After a folder was moved out and back under another name, or renamed, later events have the right path."""
    (root / "album/deep").mkdir(parents=True)
    watch.follow(str(root))
    (root / "album").rename(short_tmp / "album")
    (short_tmp / "album").rename(root / "back")
    came = dirt(seen, root)
    (root / "back/deep/late.jpg").touch()
    late = dirt(seen, root)
    (root / "back").rename(root / "again")
    dirt(seen, root)
    (root / "again/deep/later.jpg").touch()

    assert came == {f"{root}/album", f"{root}/back"}
    assert late == {f"{root}/back/deep/late.jpg"}
    assert dirt(seen, root) == {f"{root}/again/deep/later.jpg"}


def test_a_folder_that_moves_between_roots_follows(seen: Seen, watch: InotifyWatcher, short_tmp: Path) -> None:
    """A move from one root into another makes both dirty, and later events have the new path."""
    a, b = short_tmp / "a", short_tmp / "b"
    (a / "album").mkdir(parents=True)
    b.mkdir()
    watch.follow(str(a))
    watch.follow(str(b))
    (a / "album").rename(b / "album")
    moved = dirt(seen, b)
    (b / "album/late.jpg").touch()

    assert moved == {f"{a}/album", f"{b}/album"}
    assert dirt(seen, b) == {f"{b}/album/late.jpg"}


def all_below(top: Path) -> set[str]:
    return {str(path) for path in top.rglob("*")}


def act(chance: random.Random, root: Path, out: Path) -> None:
    """Make one random change below `root`, such as a move out of it or into it."""
    folders = [path for path in root.rglob("*") if path.is_dir()]
    things = [*root.rglob("*"), *out.glob("*")]
    target = chance.choice([root, *folders, out]) / str(chance.randrange(8))
    match chance.randrange(6):
        case 0 if not target.exists():
            (target / "x/y").mkdir(parents=True)
        case 1 if not target.is_dir():
            target.touch()
        case 2 if things:
            thing = chance.choice(things)
            shutil.rmtree(thing) if thing.is_dir() else thing.unlink()
        case _ if things and not target.exists():
            thing = chance.choice(things)
            if thing not in target.parents:
                thing.rename(target)
        case _:
            pass


@pytest.mark.parametrize("seed", range(12))
def test_looking_where_it_is_dirty_finds_every_change(
    seed: int, seen: Seen, watch: InotifyWatcher, root: Path, short_tmp: Path
) -> None:
    """After any 150 changes, scanning only the dirty paths finds what a full scan finds, and every folder is watched.

    The changes run as fast as they can, so the reader is always behind them. Another thread keeps calling `follow`.
    """
    chance = random.Random(seed)
    out = short_tmp / "out"
    out.mkdir()
    watch.follow(str(root))

    def follow() -> None:
        for _ in range(20):
            watch.follow(str(root))

    follower = threading.Thread(target=follow)
    follower.start()
    for _ in range(150):
        act(chance, root, out)
    follower.join()
    known: set[str] = set()
    for path in dirt(seen, root):
        known |= {path} | all_below(Path(path)) if os.path.lexists(path) else set()
    folders = [str(root), *(path for path in known if os.path.isdir(path))]
    for folder in folders:
        Path(folder, "sentinel").touch()
    sentinels = dirt(seen, root)

    assert known == all_below(root) - {f"{folder}/sentinel" for folder in folders}
    assert sentinels == {f"{folder}/sentinel" for folder in folders}


def overflow(seen: Seen, root: Path, queue: int) -> None:
    """Block the reader and overflow the kernel's queue; the gate stays closed."""
    seen.gate.clear()
    files = root / "one.jpg", root / "two.jpg"
    for file in files:
        file.touch()
    assert seen.wait_dirty(files[0])
    for i in range(queue + 1):  # alternating, because the kernel merges two equal events in a row
        os.utime(files[i % 2])


def test_an_overflow_is_told_for_every_root_and_cured(
    seen: Seen, watch: InotifyWatcher, memory: Path, queue: int
) -> None:
    """An overflow is counted, every root is rescanned, and every watch has the right path afterwards."""
    a, b, outside = memory / "a", memory / "b", memory / "outside"
    for folder in (a, b / "left", b / "old", outside):
        folder.mkdir(parents=True)
    watch.follow(str(a))
    watch.follow(str(b))
    overflow(seen, a, queue)
    (b / "lost/deep").mkdir(parents=True)
    (b / "left").rename(outside / "left")
    (b / "old").rename(b / "new")
    seen.gate.set()
    was_told = seen.wait_for(lambda: len(seen.rescans) == 2)
    (b / "old").mkdir()
    dirt(seen, b)
    for file in (b / "lost/deep/x.jpg", b / "new/x.jpg", b / "old/x.jpg", outside / "left/ghost.jpg"):
        file.touch()

    assert was_told
    assert set(seen.rescans) == {(str(a), "overflow"), (str(b), "overflow")}
    assert watch.overflows == 1
    assert dirt(seen, b) == {f"{b}/lost/deep/x.jpg", f"{b}/new/x.jpg", f"{b}/old/x.jpg"}
    assert watch.unwatched() == {}


def test_the_cure_of_an_overflow_causes_no_overflow(
    seen: Seen, watch: InotifyWatcher, memory: Path, queue: int
) -> None:
    """With more folders than the queue has places, recovering from an overflow causes no second one."""
    if 2 * queue > WATCHES:
        pytest.skip(f"only {WATCHES} watches are allowed here")
    for i in range(queue + 500):
        (memory / str(i)).mkdir()
    watch.follow(str(memory))
    overflow(seen, memory, queue)
    seen.gate.set()

    was_told = seen.wait_for(lambda: bool(seen.rescans))
    dirt(seen, memory)  # the events of the recovery are in by now

    assert was_told
    assert watch.overflows == 1


def follow_with(seen: Seen, root: Path, meanwhile: Callable[[InotifyWatcher], object]) -> InotifyWatcher:
    """Return a watch that follows `root`; while that lists it, `meanwhile` happens."""
    (root / "listed").mkdir()

    def is_walked(name: str) -> bool:
        if name == "listed" and not is_done.is_set():
            is_done.set()
            meanwhile(watch)
        return True

    is_done = threading.Event()
    watch = InotifyWatcher(seen, is_walked=is_walked)
    watch.start()
    watch.follow(str(root))
    return watch


def test_a_folder_made_while_its_parent_is_listed_is_watched(seen: Seen, root: Path) -> None:
    """A change between the listing of a folder and its watch is not missed."""
    watch = follow_with(seen, root, lambda _: (root / "between").mkdir())
    dirt(seen, root)
    (root / "between/x.jpg").touch()
    found = dirt(seen, root)
    watch.stop()

    assert found == {f"{root}/between/x.jpg"}


def test_a_folder_swapped_for_a_link_while_it_is_listed_is_not_left_through(seen: Seen, root: Path) -> None:
    """No watch is outside the root, even with the worst timing."""
    outside = root.with_name("outside")
    outside.mkdir()

    def swap(_: InotifyWatcher) -> None:
        (root / "listed").rmdir()
        (root / "listed").symlink_to(outside)

    watch = follow_with(seen, root, swap)
    dirt(seen, root)
    (outside / "x.jpg").touch()
    found = dirt(seen, root)
    watch.stop()

    assert found == set()


def test_a_root_forgotten_while_it_is_listed_stays_forgotten(seen: Seen, root: Path) -> None:
    """A walk that is under way adds no watches to a root that is not followed any more."""
    watch = follow_with(seen, root, lambda watch: watch.forget(str(root)))
    other = root.with_name("other")
    other.mkdir()
    watch.follow(str(other))
    (root / "listed/x.jpg").touch()
    found = dirt(seen, other)
    watch.stop()

    assert found == set()


def test_a_root_lost_while_it_is_listed_is_unwatched(seen: Seen, root: Path) -> None:
    """A walk that finishes does not hide that the root went away in the meantime."""

    def lose(_: InotifyWatcher) -> None:
        root.rename(root.with_name("elsewhere"))
        seen.wait_for(lambda: bool(seen.rescans))

    watch = follow_with(seen, root, lose)
    unwatched = watch.unwatched()
    watch.stop()

    assert unwatched == {str(root): "renamed"}


def test_following_again_keeps_the_watches_and_finds_what_is_missing(
    seen: Seen, watch: InotifyWatcher, root: Path
) -> None:
    """A second `follow` adds no double watches, and watches a file system that was mounted over a folder."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    (root / "card").mkdir()
    watch.follow(str(root))
    mount_tmpfs(root / "card")
    try:
        watch.follow(str(root))
        (root / "card/new.jpg").touch()
        found = dirt(seen, root)
    finally:
        subprocess.run(["umount", root / "card"], check=True)
    gone = dirt(seen, root)
    watch.follow(str(root))
    (root / "card/new.jpg").touch()

    assert found == {f"{root}/card/new.jpg"}
    assert gone == {f"{root}/card"}
    assert dirt(seen, root) == {f"{root}/card/new.jpg"}


def mount_tmpfs(point: Path) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "pixkin", point], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")


def comes_back(seen: Seen, watch: InotifyWatcher, root: Path) -> bool:
    """Return whether a lost root is watched again after `follow`."""
    watch.follow(str(root))
    seen.take()
    (root / "back.jpg").touch()
    return f"{root}/back.jpg" in dirt(seen, root) and watch.unwatched() == {}


def test_an_unmounted_root_is_told_and_may_come_back(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """After an unmount the root is rescanned and unwatched; when it is back it is watched again."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount_tmpfs(root)
    (root / "album").mkdir()
    watch.follow(str(root))
    subprocess.run(["umount", root], check=True)
    was_told = seen.wait_for(lambda: (str(root), "unmounted") in seen.rescans)
    unwatched = watch.unwatched()
    mount_tmpfs(root)
    try:
        is_back = comes_back(seen, watch, root)
    finally:
        subprocess.run(["umount", "-l", root], check=True)

    assert was_told
    assert unwatched == {str(root): "unmounted"}
    assert is_back


def test_a_renamed_root_is_told_and_may_come_back(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """A renamed root is not followed to its new name, and causes no events under its old one."""
    (root / "album").mkdir()
    watch.follow(str(root))
    elsewhere = root.rename(root.with_name("elsewhere"))
    was_told = seen.wait_for(lambda: seen.rescans == [(str(root), "renamed")])
    unwatched = watch.unwatched()
    seen.take()
    (elsewhere / "album/ghost.jpg").touch()
    elsewhere.rename(root)
    is_back = comes_back(seen, watch, root)

    assert was_told
    assert unwatched == {str(root): "renamed"}
    assert is_back
    assert not any("ghost" in path for path in seen.paths)


def test_a_deleted_root_is_told_and_may_come_back(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """A root that is deleted and created again is watched again."""
    watch.follow(str(root))
    root.rmdir()
    was_told = seen.wait_for(lambda: seen.rescans == [(str(root), "deleted")])
    unwatched = watch.unwatched()
    root.mkdir()

    assert was_told
    assert unwatched == {str(root): "deleted"}
    assert comes_back(seen, watch, root)


def test_a_missing_root_is_unwatched_until_it_is_there(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """Following a path that is missing or not a folder raises nothing; `unwatched` says so."""
    root.rmdir()
    watch.follow(str(root))
    missing = watch.unwatched()
    root.touch()
    watch.follow(str(root))
    no_folder = watch.unwatched()
    root.unlink()
    root.mkdir()

    assert missing == {str(root): "missing"}
    assert no_folder == {str(root): "Not a directory"}
    assert comes_back(seen, watch, root)


def test_a_root_that_is_opened_or_closed_is_dirty(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """The root reports its own permissions, because no parent is watched; the folders below do not report theirs twice."""
    (root / "album").mkdir()
    watch.follow(str(root))
    root.chmod(0o755)
    (root / "album").chmod(0o755)

    assert dirt(seen, root) == {str(root), f"{root}/album"}
    assert seen.rescans == []


def test_a_forgotten_root_is_silent(seen: Seen, watch: InotifyWatcher, short_tmp: Path) -> None:
    """Forgetting one root does not affect the others, and the root may be followed again."""
    a, b = short_tmp / "a", short_tmp / "b"
    for root in (a, b):
        root.mkdir()
        watch.follow(str(root))
    watch.forget(str(a))
    watch.forget("/never/followed")
    (a / "x.jpg").touch()
    (b / "x.jpg").touch()

    assert dirt(seen, b) == {f"{b}/x.jpg"}
    assert seen.rescans == []
    assert comes_back(seen, watch, a)


def test_a_root_may_be_a_symlink_and_a_folder_below_may_not(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """A root that is a link is followed to its target, under its own name; links below it are not."""
    (root / "real").mkdir()
    outside = root.with_name("outside")
    outside.mkdir()
    (root / "link").symlink_to(outside)
    alias = root.with_name("alias")
    alias.symlink_to(root)
    watch.follow(str(alias))
    (outside / "out.jpg").touch()
    (root / "real/in.jpg").touch()

    assert dirt(seen, alias) == {f"{alias}/real/in.jpg"}
    assert watch.unwatched() == {}


def test_a_folder_that_is_not_walked_costs_nothing(seen: Seen, root: Path) -> None:
    """Skipped folders are neither watched nor reported; one that is renamed to an ordinary name is both."""
    (root / ".trash/deep").mkdir(parents=True)
    watch = InotifyWatcher(seen, is_walked=lambda name: not name.startswith("."))
    watch.start()
    watch.follow(str(root))
    (root / ".trash/deep/x.jpg").touch()
    (root / ".new").mkdir()
    (root / ".new/x.jpg").touch()
    ignored = dirt(seen, root)
    (root / ".new").rename(root / "new")
    came = dirt(seen, root)
    (root / "new/y.jpg").touch()
    late = dirt(seen, root)
    watch.stop()

    assert ignored == set()
    assert came == {f"{root}/new"}
    assert late == {f"{root}/new/y.jpg"}


def test_a_folder_that_opens_is_watched(short_tmp: Path) -> None:
    """A folder that is closed to us is no gap, and is watched and reported as soon as it can be read."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    script = """
        os.setuid(65534)
        root, closed = sys.argv[1] + "/r", sys.argv[1] + "/r/closed"
        os.makedirs(closed)
        os.chmod(closed, 0)
        watch.follow(root)
        print(watch.unwatched())
        os.chmod(closed, 0o700)
        wait_dirty(closed)
        open(closed + "/x.jpg", "w").close()
        wait_dirty(closed + "/x.jpg")
    """
    short_tmp.chmod(0o777)

    assert run_alone(script, str(short_tmp), unshare=False) == ["{}"]


ALONE = """
import logging, os, sys, textwrap, threading
from pixkind.watching.inotify import InotifyWatcher
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
class Inbox:
    def __init__(self):
        self.paths, self.told = set(), threading.Condition()
    def dirty(self, path):
        with self.told:
            self.paths.add(path)
            self.told.notify_all()
    def rescan(self, root, why): print("rescan", root, why)
inbox = Inbox()
watch = InotifyWatcher(inbox)
def wait_dirty(path):
    with inbox.told:
        if not inbox.told.wait_for(lambda: path in inbox.paths, 40): sys.exit(path + " was not told")
def limit(name, number):
    try:
        open("/proc/sys/user/max_inotify_" + name, "w").write(str(number))
    except OSError as error:
        print("SKIP", error)
        sys.exit()
exec(textwrap.dedent(sys.argv.pop(1)))
watch.stop()
"""


def run_alone(script: str, *words: str, unshare: bool) -> list[str]:
    """Return the lines that `script` prints in a process of its own, in a user namespace if `unshare`."""
    command = [sys.executable, "-c", ALONE, script, *words]
    done = subprocess.run(
        ["unshare", "-Ur", *command] if unshare else command, capture_output=True, text=True, check=False
    )
    if "unshare failed" in done.stderr or done.stdout.startswith("SKIP"):
        pytest.skip(f"limits cannot be set here: {done.stderr}{done.stdout}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_at_the_watch_limit_the_rest_goes_on_and_it_is_said(root: Path) -> None:
    """With too few watches there is one warning with the command that helps, and the existing watches work."""
    script = """
        limit("watches", 10)
        watch.start()
        root = sys.argv[1]
        for i in range(20): os.makedirs(f"{root}/{i}/deep")
        watch.follow(root)
        watch.follow(root)
        for i in range(20): os.mkdir(f"{root}/new{i}")
        for i in range(20): wait_dirty(f"{root}/new{i}")
        print(watch.failure(), watch.unwatched()[root])
        limit("watches", 100)
        watch.follow(root)
        print(watch.unwatched())
        open(f"{root}/7/deep/x.jpg", "w").close()
        wait_dirty(f"{root}/7/deep/x.jpg")
    """
    reason = f"inotify watch limit reached: sysctl fs.inotify.max_user_watches={max(524288, 2 * WATCHES)}"

    assert run_alone(script, str(root), unshare=True) == [
        f"WARNING {root} is not fully watched; changes wait for the next scan: {reason}",
        f"None {reason}",
        "{}",
    ]


def test_without_an_inotify_instance_the_daemon_lives(root: Path) -> None:
    """Without an inotify instance there is one warning and every root is unwatched, until an instance is available."""
    script = """
        limit("instances", 0)
        watch.start()
        root = sys.argv[1]
        watch.follow(root)
        watch.follow(root + "/b")
        print(watch.failure(), watch.beat(), watch.overflows, sorted(watch.unwatched()))
        print(watch.unwatched()[root])
        limit("instances", 5)
        os.mkdir(root + "/b")
        watch.follow(root)
        watch.follow(root + "/b")
        print(watch.unwatched())
        open(f"{root}/x.jpg", "w").close()
        wait_dirty(f"{root}/x.jpg")
    """
    lines = run_alone(script, str(root), unshare=True)

    assert lines[0].startswith(f"WARNING {root} is not watched; changes wait for the next scan: inotify instance limit")
    assert lines[1] == f"None None 0 {[str(root), f'{root}/b']}"
    assert lines[2].startswith("inotify instance limit reached: sysctl fs.inotify.max_user_instances=")
    assert lines[3:] == ["{}"]


def test_the_beat_stops_when_the_thread_hangs(seen: Seen, watch: InotifyWatcher, root: Path) -> None:
    """`beat` grows as long as the thread answers, but not while it is stuck in a call."""
    watch.follow(str(root))
    first = watch.beat()
    while watch.beat() == first:  # the limit is the test's own
        pass
    seen.gate.clear()
    (root / "x.jpg").touch()
    assert seen.wait_dirty(root / "x.jpg")
    stuck = [watch.beat() for _ in range(1000)]

    assert len(set(stuck)) == 1


def test_what_kills_the_thread_is_the_failure(root: Path) -> None:
    """`failure` returns the exception that ended the thread, and stopping still works."""
    died = threading.Event()

    class Refusing(Seen):
        def dirty(self, path: str) -> None:
            """Refuse."""
            died.set()
            raise LookupError(path)

    watch = InotifyWatcher(Refusing())
    watch.start()
    watch.follow(str(root))
    (root / "x.jpg").touch()
    was_told = died.wait(40)
    watch.stop()

    assert was_told
    assert isinstance(watch.failure(), LookupError)


def test_stopping_leaves_nothing_behind(seen: Seen, root: Path) -> None:
    """After `stop` there is no thread, no descriptor and no call, and following does nothing."""
    descriptors = len(os.listdir("/proc/self/fd"))
    watch = InotifyWatcher(seen)
    watch.start()
    watch.follow(str(root))
    watch.stop()
    watch.follow(str(root))
    (root / "x.jpg").touch()

    assert "watch" not in {thread.name for thread in threading.enumerate()}
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert (seen.paths, seen.rescans, watch.failure()) == ([], [], None)
