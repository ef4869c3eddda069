import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixkind.config import Config
from pixkind.encoder.messages import Details
from pixkind.fs.exclusions import SIGNATURE, Exclusions
from pixkind.fs.interface import Listing
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.spelling import Spelling
from pixkind.fs.stamp import Stamp
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, PhotoGone, WriteBatch
from pixkind.watching.scan import Changed, FolderDone, Gone, Moved, Scan, Step, TooYoung, Unreadable, may_exist

_VECTOR = bytes(8)


def _content(path: str) -> bytes:
    return Stamp.of(os.lstat(path)).inode.to_bytes(16, "little")


def _details(path: str) -> Details:
    return Details(Stamp.of(os.lstat(path)).ctime_ns)


class _World:
    """A folder, and a store that scans bring up to date, as the ingest loop does it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.store = Store(str(folder / "index"), "space", map_gb=1)
        self.file_system = LocalFileSystem(Config().rules, roots=(str(self.root),))
        self.start_anew()

    def start_anew(self) -> None:
        """Forget what folders have said, as a new daemon."""
        self.exclusions = Exclusions([str(self.root)])
        self.scan = Scan(
            self.store,
            Config().rules,
            lambda _: self.file_system,
            time.time_ns,
            0,
            lambda _: str(self.root),
            exclusions=self.exclusions,
        )

    def steps(self, top: Path | None = None) -> list[Step]:
        return list(self.scan.steps(str(top or self.root)))

    def reconcile(self, top: Path | None = None) -> None:
        batch = WriteBatch()
        for step in self.steps(top):
            match step:
                case Changed():
                    content = _content(step.path)
                    stamp = Stamp.of(os.lstat(step.path))
                    batch.photos.append(PhotoFound(step.path, stamp, content, _details(step.path)))
                    batch.vectors[content] = _VECTOR
                case Moved():
                    assert (step.stamp, step.content) == (Stamp.of(os.lstat(step.path)), _content(step.path))
                    details = self.store.details_of(step.content, step.stamp)
                    assert details == _details(step.path)
                    batch.photos.append(PhotoFound(step.path, step.stamp, step.content, details))
                case Gone():
                    batch.photos.append(PhotoGone(step.path, 1))
                case TooYoung() | Unreadable():
                    pytest.fail(f"{step} although nothing rests and everything can be seen")
                case FolderDone():
                    pass
        self.store.commit(batch)

    def known(self) -> dict[str, Stamp]:
        return {record.path: record.stamp for record in self.store.records() if record.live}

    def there(self) -> dict[str, Stamp]:
        """Return what a fresh walk finds: the oracle."""
        return {
            path: Stamp.of(os.lstat(path))
            for folder, _, names in os.walk(self.root)
            for name in names
            if name.endswith(".jpg") and not os.path.islink(path := os.path.join(folder, name))
            if not any(part.startswith(".") for part in os.path.relpath(path, self.root).split("/"))
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[_World]:
    made = _World(tmp_path)
    yield made
    made.store.close()


_NAMES = st.sampled_from(["a.jpg", "b.jpg", "c", "d", ".e", "f.txt", "g.jpg"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_OPERATIONS = st.tuples(
    st.sampled_from(["write", "mkdir", "remove", "move", "link", "look", "look at"]), _PATHS, _PATHS
)


def _operate(world: _World, what: str, one: Path, other: Path) -> None:
    if what == "write":
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_bytes(os.urandom(4))
    elif what == "mkdir":
        one.mkdir(parents=True, exist_ok=True)
    elif what == "remove":
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    elif what == "move":
        one.rename(other)
    elif what == "link":
        one.symlink_to(other)
    else:
        world.reconcile(one if what == "look at" else None)


@settings(max_examples=60, deadline=None)
@example([("link", "a.jpg", "a.jpg"), ("write", "a.jpg", "a.jpg"), ("look at", "a.jpg/a.jpg", "a.jpg")])
@given(st.lists(_OPERATIONS, max_size=40))
def test_after_any_history_the_store_says_what_the_disk_says(history: list[tuple[str, str, str]]) -> None:
    """After any changes and any partial scans, a scan of the root makes the index equal to the file system."""
    with tempfile.TemporaryDirectory() as folder:
        world = _World(Path(folder))
        for what, one, other in history:
            try:
                _operate(world, what, world.root / one, world.root / other)
            except OSError:
                continue  # an operation that this file system refuses changes nothing
        world.reconcile()
        known, there = world.known(), world.there()
        again = [step for step in world.steps() if not isinstance(step, FolderDone)]
        world.store.close()

    assert known == there
    assert again == []


def test_an_unchanged_photo_is_not_looked_at_again(world: _World) -> None:
    """A second scan yields nothing but the folders that it has visited."""
    (world.root / "a.jpg").write_bytes(b"1")
    world.reconcile()

    assert world.steps() == [FolderDone(str(world.root), 1)]


@pytest.mark.parametrize("what", ["content", "mtime back", "replaced", "metadata"])
def test_every_kind_of_change_is_seen(world: _World, what: str) -> None:
    """Any part of the stamp reveals an edit; size and mtime may be the same as before."""
    path = world.root / "a.jpg"
    path.write_bytes(b"1")
    world.reconcile()
    st = path.stat()
    if what == "content":
        path.write_bytes(b"22")
    elif what == "mtime back":
        path.write_bytes(b"2")
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    elif what == "replaced":
        (world.root / "new").write_bytes(b"3")
        (world.root / "new").rename(path)
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    else:
        path.chmod(0o600)

    assert [step.path for step in world.steps() if isinstance(step, Changed)] == [str(path)]


def test_a_young_file_waits_and_says_how_long(tmp_path: Path) -> None:
    """A file is opened `rest_ns` after its ctime; a ctime far in the future does not delay it for ever."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(b"1")
    changed_ns = os.lstat(root / "a.jpg").st_ctime_ns
    store = Store(str(tmp_path / "index"), "space", map_gb=1)
    rest_ns = 2_000_000_000

    def steps(now_ns: int) -> list[Step]:
        scan = Scan(
            store, Config().rules, lambda _: LocalFileSystem(Config().rules), lambda: now_ns, rest_ns, lambda _: None
        )
        return [step for step in scan.steps(str(root)) if not isinstance(step, FolderDone)]

    young, rested, backward = (
        steps(changed_ns + 500_000_000),
        steps(changed_ns + rest_ns),
        steps(changed_ns - 10 * rest_ns),
    )
    store.close()

    assert young == [TooYoung(str(root / "a.jpg"), 1_500_000_000)]
    assert [type(step) for step in rested] == [type(step) for step in backward] == [Changed]


def test_a_folder_with_the_name_of_a_photo_is_walked(world: _World) -> None:
    """x.jpg may be a folder; the photo that was there before is gone."""
    (world.root / "x.jpg").write_bytes(b"1")
    world.reconcile()
    (world.root / "x.jpg").unlink()
    (world.root / "x.jpg").mkdir()
    (world.root / "x.jpg/y.jpg").write_bytes(b"1")
    world.reconcile()

    assert set(world.known()) == {str(world.root / "x.jpg/y.jpg")}


def test_fifos_links_and_other_suffixes_are_invisible(world: _World) -> None:
    """Only regular files with a photo's suffix are found; a link is not followed, not even to a photo."""
    (world.root / "real.jpg").write_bytes(b"1")
    (world.root / "note.txt").write_bytes(b"1")
    os.mkfifo(world.root / "pipe.jpg")
    (world.root / "link.jpg").symlink_to("real.jpg")
    (world.root / "loop.jpg").symlink_to("loop.jpg")
    (world.root / "away").symlink_to("/usr/share")

    assert [step.path for step in world.steps() if not isinstance(step, FolderDone)] == [str(world.root / "real.jpg")]


def test_a_photo_of_a_folder_that_is_left_out_by_now_is_gone(world: _World) -> None:
    """An older version indexed a recycle bin: the first scan hides its photos, though they are there."""
    photo = world.root / "@Recycle/2020/a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"1")
    world.store.commit(WriteBatch(photos=[PhotoFound(str(photo), Stamp.of(photo.lstat()), _content(str(photo)))]))

    assert Gone(str(photo)) in world.steps()
    assert not may_exist(
        Spelling(lambda _: world.file_system), Config().rules, Exclusions(()), str(world.root), str(photo)
    )


def test_a_photo_behind_a_link_is_gone(world: _World) -> None:
    """A folder was moved, and a link to it took its place: nothing exists at the old paths, however they are looked at."""
    photo = world.root / "2020/a.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"1")
    world.reconcile()
    photo.parent.rename(world.root.parent / "2020")
    photo.parent.symlink_to(world.root.parent / "2020")

    for top in (world.root, photo.parent, photo):
        assert Gone(str(photo)) in world.steps(top)
    assert not may_exist(
        Spelling(lambda _: world.file_system), Config().rules, Exclusions(()), str(world.root), str(photo)
    )


def test_a_folder_that_cannot_be_read_loses_nothing(world: _World) -> None:
    """Errors such as EACCES and EIO mean that we cannot read, not that nothing is there."""
    (world.root / "d").mkdir()
    (world.root / "d/a.jpg").write_bytes(b"1")
    world.reconcile()

    class _Sick(LocalFileSystem):
        def list(self, folder: str) -> Listing:
            if folder.endswith("/d"):
                raise OSError(errno.EIO, "Input/output error")
            return super().list(folder)

    scan = Scan(world.store, Config().rules, lambda _: _Sick(Config().rules), time.time_ns, 0, lambda _: None)
    steps = list(scan.steps(str(world.root)))

    assert Unreadable(str(world.root / "d"), "Input/output error") in steps
    assert not [step for step in steps if isinstance(step, Gone)]


def test_the_newest_photos_and_folders_come_first(world: _World) -> None:
    """Of two folders, the one that changed last is scanned first."""
    for name, mtime in (("old", 1), ("new", 3), ("middle", 2)):
        (world.root / name).mkdir()
        os.utime(world.root / name, (mtime, mtime))
    walked = [os.path.basename(step.path) for step in world.steps() if isinstance(step, FolderDone)]

    assert walked == ["root", "new", "middle", "old"]


def test_new_folders_come_before_all_that_are_known(world: _World) -> None:
    """An unknown folder is scanned first, even if it was copied with an old time."""
    for name in ("a", "b", "c/d"):
        (world.root / name).mkdir(parents=True)
        (world.root / name / "x.jpg").write_bytes(b"1")
    world.reconcile()
    (world.root / "z").mkdir()
    (world.root / "z/new.jpg").write_bytes(b"1")
    os.utime(world.root / "z", (1, 1))
    walked = [step.path for step in world.steps() if isinstance(step, (FolderDone, Changed))]

    assert walked[:3] == [str(world.root), str(world.root / "z/new.jpg"), str(world.root / "z")]


def test_a_renamed_folder_is_known_by_the_stamps_of_its_photos(world: _World) -> None:
    """The photos of a renamed folder are recognised by their stamps, whether or not the old ones are gone yet."""
    (world.root / "a").mkdir()
    (world.root / "a/x.jpg").write_bytes(b"1")
    world.reconcile()
    (world.root / "a").rename(world.root / "b")
    renamed = world.steps(world.root / "b")
    world.reconcile(world.root / "a")
    after = world.steps(world.root / "b")

    assert [(type(step), step.path) for step in renamed[:1]] == [(Moved, str(world.root / "b/x.jpg"))]
    assert after == renamed


def test_a_photo_without_details_is_recognised_once_and_then_read(world: _World) -> None:
    """An older version indexed it, and its folder was renamed: it is found at once, and its date is not lost."""
    photo = world.root / "a/x.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"1")
    world.reconcile()
    stamp = Stamp.of(photo.lstat())
    world.store.commit(WriteBatch(photos=[PhotoFound(str(photo), stamp, _content(str(photo)))]))
    before = [step for step in world.steps() if not isinstance(step, FolderDone)]
    photo.parent.rename(world.root / "b")
    moved = str(world.root / "b/x.jpg")
    at_once = world.steps(world.root / "b")[0]
    world.store.commit(WriteBatch(photos=[PhotoFound(moved, stamp, _content(moved))]))

    assert before == [Changed(str(photo), stamp)]
    assert at_once == Moved(moved, stamp, _content(moved))
    assert world.steps(world.root / "b")[0] == Changed(moved, stamp)


@pytest.mark.parametrize("what", ["edited", "without a vector", "on a coarse file system"])
def test_a_stamp_that_is_not_the_same_or_proves_nothing_is_read(world: _World, what: str) -> None:
    """A photo is recognised only by its whole stamp, and only if its times are fine enough to be unique."""
    (world.root / "a").mkdir()
    path = world.root / "a/x.jpg"
    path.write_bytes(b"1")
    world.reconcile()
    st, content = path.stat(), _content(str(path))
    if what == "edited":
        path.write_bytes(b"2")
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
    elif what == "without a vector":
        world.store.drop_vectors([content])
    (world.root / "a").rename(world.root / "b")
    coarse = Stamp(st.st_mtime_ns, 1, 3 * 10_000_000, 5)
    world.store.commit(WriteBatch(photos=[PhotoFound("/elsewhere/y.jpg", coarse, content, Details())]))

    if what == "on a coarse file system":
        assert world.store.content_of(coarse, "/p/new.jpg") is None
    else:
        assert isinstance(world.steps(world.root / "b")[0], Changed)


def test_names_that_are_not_utf8_are_photos_like_all_others(world: _World) -> None:
    """A name that is not UTF-8 is scanned like any other."""
    path = os.fsdecode(os.fsencode(world.root) + b"/caf\xe9.jpg")
    with open(path, "wb") as file:
        file.write(b"1")
    world.reconcile()

    assert set(world.known()) == {path}


def test_what_is_left_out_counts_as_gone_and_comes_back_as_it_was(world: _World) -> None:
    """By patterns or as a whole folder. What is taken in again has the vector that it had."""
    folder = world.root / "a"
    (folder / "deep").mkdir(parents=True)
    photos = [folder / "1.jpg", folder / "2.jpg", folder / "deep/3.jpg"]
    for photo in photos:
        photo.write_bytes(photo.name.encode())
    world.reconcile()
    paths = [str(photo) for photo in photos]

    for name, said, out in ((".pixkinignore", b"1.jpg\ndeep/\n", [0, 2]), (".nomedia", b"", [0, 1, 2])):
        marker = folder / name
        marker.write_bytes(said)
        world.reconcile(marker)
        assert sorted(world.known()) == [path for at, path in enumerate(paths) if at not in out]
        assert world.scan.nothing_at(paths[0]).startswith("left out by ")
        for at, path in enumerate(paths):
            spelling = Spelling(lambda _: world.file_system)
            may = may_exist(spelling, Config().rules, world.exclusions, str(world.root), path)
            assert may == (at not in out)

        marker.unlink()
        back = [step for step in world.steps(marker) if not isinstance(step, FolderDone)]
        assert sorted(step.path for step in back if isinstance(step, Moved)) == [paths[at] for at in out]
        assert len(back) == len(out)
        world.reconcile(marker)
        assert sorted(world.known()) == paths


def test_a_root_that_is_a_link_now_has_nothing(world: _World) -> None:
    """A check of the roots may say that it is there, because the way to a root may have links."""
    photo = world.root / "1.jpg"
    photo.write_bytes(b"1")
    world.reconcile()
    world.root.rename(world.root.with_name("moved"))
    world.root.symlink_to(world.root.with_name("moved"))

    assert Gone(str(photo)) in world.steps()


def test_a_new_photo_below_a_folder_that_is_left_out_is_no_photo(world: _World) -> None:
    """Even if nobody has listed the folders above it yet, as just after the start."""
    folder = world.root / "cache/deep"
    folder.mkdir(parents=True)
    (folder.parent / "CACHEDIR.TAG").write_bytes(SIGNATURE)
    photo = folder / "1.jpg"
    photo.write_bytes(b"1")
    (world.root / "node_modules/x").mkdir(parents=True)
    other = world.root / "node_modules/x/2.jpg"
    other.write_bytes(b"2")

    for top in (photo, folder, other, world.root):
        world.start_anew()
        assert not any(isinstance(step, Changed) for step in world.steps(top))
