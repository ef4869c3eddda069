"""Before a photo is named as spare, its file is looked at."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixkin.protocol.replies import Band
from pixkind.config import Config
from pixkind.encoder.messages import Details
from pixkind.errors import PhotoError
from pixkind.fs.interface import OpenLimits
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.roots import WatchedRoots
from pixkind.fs.stamp import Stamp
from pixkind.index.vector_index import VectorIndex
from pixkind.search.duplicates import DuplicateSearch
from pixkind.search.file_check import FileCheck
from pixkind.storage.record import Facts, Record
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

_CONTENT = b"c" * 16
_PLAIN = Details()


class Library:
    """Three files of one picture in a root, and their records."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "photos"
        self.root.mkdir()
        self.paths = [self.root / name for name in ("a.jpg", "b.jpg", "c.jpg")]
        for path in self.paths:
            path.write_bytes(b"picture")
        self.store = Store(str(folder / "store"), "space", map_gb=1)
        found = [self.found(path) for path in self.paths]
        facts = {_CONTENT: Facts(4, 3, 0, "")}
        self.store.commit(WriteBatch(photos=[*found], contents=facts, vectors={_CONTENT: b"\0\x3c" * 4}))
        self.index = VectorIndex(self.store)
        has_photos, nothing = self.store.has_photos, {"load": lambda _: None, "save": lambda *_: None}
        self.roots = WatchedRoots((str(self.root),), Config().rules, has_photos=has_photos, **nothing)  # type: ignore[arg-type]  # of any root
        assert self.roots.check(str(self.root))
        self.dirty: list[str] = []

    def found(self, path: Path, details: Details | None = _PLAIN) -> PhotoFound:
        """Return the record of a file as it is now."""
        return PhotoFound(str(path), Stamp.of(path.lstat()), _CONTENT, details)

    def search(self) -> DuplicateSearch:
        """Return a search for exact copies."""
        return DuplicateSearch(self.store, self.index, self.roots, "", 1, dirty=self.dirty.append)

    def names(self) -> list[str]:
        """Return the names of the photos of the only group, the best first; none if there is no group."""
        return [os.path.basename(os.fsdecode(photo.path)) for group in self.search().groups() for photo in group.photos]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Yield a library."""
    made = Library(tmp_path)
    yield made
    made.index.stop()
    made.store.close()


def test_files_as_recorded_are_a_group_and_all_but_the_best_are_spare(library: Library) -> None:
    """Nothing is queued then."""
    (group,) = library.search().groups()

    assert (group.band, [photo.spare for photo in group.photos]) == (Band.IDENTICAL, [False, True, True])
    assert not library.dirty


@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("change", ["deleted", "overwritten", "touched", "a link", "a folder", "renamed away"])
def test_photo_that_is_not_as_recorded_is_left_out_and_looked_at(library: Library, which: int, change: str) -> None:
    """Whatever became of it, best or not; the others are still a group. Its name and the reason are said."""
    path = library.paths[which]
    stamp = path.stat()
    match change:
        case "touched":
            os.utime(path, ns=(1, 1))
        case "overwritten":
            path.write_bytes(b"another")
            os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        case "renamed away":
            path.rename(library.root / "C.JPG")
        case _:
            path.unlink()
    if change == "a link":
        path.symlink_to(library.paths[1])
    elif change == "a folder":
        path.mkdir()
    search = library.search()
    (group,) = search.groups()
    others = [str(one) for one in library.paths if one != path]

    assert [os.fsdecode(photo.path) for photo in group.photos] == others
    assert [os.fsdecode(one.path) for one in search.left_out] == library.dirty == [str(path)]
    assert all(one.reason for one in search.left_out)


@pytest.mark.parametrize("which", [0, 1])
def test_photos_are_copies_by_their_bytes_and_not_by_what_the_worker_said(library: Library, which: int) -> None:
    """One of three with one content id is another picture: none is named, the store forgets what it had of them."""
    path = library.paths[which]
    path.write_bytes(b"another")
    library.store.commit(WriteBatch(photos=[library.found(path)]))
    search = library.search()
    groups = [*search.groups()]

    assert not groups
    assert sorted(os.fsdecode(one.path) for one in search.left_out) == list(map(str, library.paths))
    assert {one.reason for one in search.left_out} == {"a photo of its group has a wrong content id, and is read again"}
    assert not library.store.has_vector(_CONTENT)  # so that the next look at them reads them


def test_photo_that_cannot_be_read_proves_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a drive with a fault. It is left out, and looked at again; the others are still a group."""

    class Faulty(LocalFileSystem):
        """Fails to open one photo."""

        def open(self, path: str, limits: OpenLimits) -> OpenPhoto:
            """Raise for this photo."""
            if path == str(library.paths[2]):
                raise PhotoError("cannot be opened: Input/output error")
            return super().open(path, limits)

    monkeypatch.setattr(library.roots, "file_system", lambda _path: Faulty(Config().rules))
    search = library.search()
    (group,) = search.groups()

    assert [photo.spare for photo in group.photos] == [False, True]
    assert [os.fsdecode(one.path) for one in search.left_out] == [str(library.paths[2])]
    assert library.dirty == [str(library.paths[0]), str(library.paths[2])]
    assert library.store.has_vector(_CONTENT)


def test_files_are_closed_after_they_were_compared(library: Library) -> None:
    """While one is open its drive cannot be unmounted, so a pause has to know."""
    seen: list[int] = []

    class Noting(set[OpenPhoto]):
        """Notes how many are open."""

        def discard(self, photo: object) -> None:
            """Remove one."""
            seen.append(len(self))
            self -= {photo}

    noting = Noting()
    before = len(os.listdir("/proc/self/fd"))
    search = DuplicateSearch(library.store, library.index, library.roots, "", 1, open_photos=noting)

    assert len([*search.groups()]) == 1
    assert seen == [2, 1, 2, 1]
    assert not noting
    assert len(os.listdir("/proc/self/fd")) == before


def test_folder_that_became_a_link_proves_nothing(library: Library) -> None:
    """The files behind the link may be the very files that would be deleted."""
    folder = library.root / "sub"
    folder.mkdir()
    copy = folder / "d.jpg"
    copy.write_bytes(b"picture")
    library.store.commit(WriteBatch(photos=[library.found(copy)]))
    folder.rename(library.root / "other")
    folder.symlink_to(library.root / "other")

    assert library.names() == ["a.jpg", "b.jpg", "c.jpg"]
    assert library.dirty == [str(copy)]


def test_names_of_one_file_are_one_photo(library: Library) -> None:
    """Deleting a hard link frees nothing, and two names are no backup."""
    for path in library.paths[1:]:
        path.unlink()
        path.hardlink_to(library.paths[0])
    library.store.commit(WriteBatch(photos=[library.found(path) for path in library.paths]))

    assert library.names() == []


def test_photo_whose_metadata_are_unknown_is_left_out(library: Library) -> None:
    """An older version indexed it without them. A scan reads it again."""
    library.store.commit(WriteBatch(photos=[library.found(library.paths[1], None)]))

    assert library.names() == ["a.jpg", "c.jpg"]
    assert library.dirty == [str(library.paths[1])]


def test_best_has_all_metadata_or_the_photos_are_not_identical(library: Library) -> None:
    """What has metadata of its own is the same shot at most, and is not spare; with a score of 1 it is not named at all."""
    for number, blocks in enumerate(((1, 2), (1,), (3,))):
        details = Details(blocks=blocks, metadata_bytes=10 - number)
        library.store.commit(WriteBatch(photos=[library.found(library.paths[number], details)]))
    (group,) = DuplicateSearch(library.store, library.index, library.roots, "", 0.85).groups()

    assert library.names() == ["a.jpg", "b.jpg"]
    assert (group.band, group.score) == (Band.SAME_SHOT, 0.999)
    assert [photo.spare for photo in group.photos] == [False, True, False]
    assert group.photos[2].notes == ("other metadata",)


def test_paused_root_is_not_read_so_nothing_in_it_is_spare(library: Library) -> None:
    """The user has asked that no file in it is touched."""
    library.roots.pause(str(library.root))
    search = library.search()

    assert [*search.groups()] == []
    assert {one.reason for one in search.left_out} == {"its folder is paused"}


def test_sidecar_is_seen_under_both_usual_names(library: Library) -> None:
    """Of a photo `a.jpg` it is called `a.xmp` or `a.jpg.xmp`."""
    files = FileCheck(library.roots, library.dirty.append)
    for name in ("a.xmp", "b.jpg.xmp"):
        (library.root / name).write_bytes(b"<x/>")

    assert [files.has_sidecar(str(path)) for path in library.paths] == [True, True, False]
    assert files.objection(Record(str(library.root / "none.jpg"), Stamp(1, 2, 3, 4))) == "it is no longer there"
