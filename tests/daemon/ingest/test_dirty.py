"""The paths that wait to be looked at, and how many photos they are."""

import os

import pytest
from tests.daemon.conftest import DaemonParts
from tests.waiting import wait_for

from pixkind.ingest.dirty import DirtyPaths


@pytest.fixture
def dirty(library: DaemonParts) -> DirtyPaths:
    """Return paths that rest for a minute, in a root that is online."""
    library.roots.check(str(library.root))
    return DirtyPaths(library.config.rules, library.roots, 60)


def test_only_photos_that_are_there_count(library: DaemonParts, dirty: DirtyPaths) -> None:
    """A folder, a file that is no photo, and a photo that is gone are looked at, and are no photos that wait."""
    photo, other = library.write("a.jpg"), library.write("b/c.jpg")
    counts = []
    for path in (photo, other.parent, library.root / "gone.jpg", library.root / "gone", library.write("d.txt")):
        dirty.add(str(path), 0)
        counts.append((len(dirty), dirty.photos))
    photo.unlink()
    dirty.add(str(photo), 0)
    counts.append((len(dirty), dirty.photos))
    dirty.look_at(str(other), 5)
    counts.append((len(dirty), dirty.photos))

    assert counts == [(1, 1), (2, 1), (3, 1), (4, 1), (4, 1), (4, 0), (5, 1)]
    assert dirty.take_due(5) == [str(other)]
    assert (len(dirty), dirty.photos) == (4, 0)


def test_photos_of_a_paused_root_wait(library: DaemonParts, dirty: DirtyPaths) -> None:
    """They count until the pause ends, then a scan finds them; what is gone again does not count."""
    root, photo, other = str(library.root), library.write("a.jpg"), library.write("b.jpg")
    library.roots.pause(root)
    counts = []
    for path in (photo, photo, other, library.root / "gone.jpg", library.write("b.txt")):
        dirty.hold(str(path), root)
        counts.append(dirty.photos)
    other.unlink()
    dirty.hold(str(other), root)
    counts.append(dirty.photos)
    dirty.take_due(0)
    counts.append(dirty.photos)
    library.roots.resume(root)
    dirty.take_due(0)

    assert counts == [1, 1, 2, 2, 2, 1, 1]
    assert dirty.photos == 0


def test_a_new_photo_in_a_paused_root_is_pending(library: DaemonParts) -> None:
    """A paused root does not look as if nothing waited in it."""
    library.write("a.jpg")
    library.start().sync()
    root = str(library.root)
    library.ingest.pause(root, 0).result(60)
    library.inbox.dirty(str(library.write("b.jpg")))
    wait_for(lambda: library.ingest.pending == 1 and library.ingest.doing == "idle")
    library.ingest.resume(root)
    wait_for(lambda: library.found() == {"a.jpg", "b.jpg"} and library.ingest.pending == 0)


def test_a_photo_that_is_written_through_one_name_is_read_again_at_all(library: DaemonParts) -> None:
    """The kernel reports only the name that was used; the other hard links follow at once."""
    names = ["a.jpg", "b/c.jpg", "b/d.jpg"]
    first = library.write("a.jpg", "old")
    (library.root / "b").mkdir()
    for name in names[1:]:
        os.link(first, library.root / name)
    library.write("copy.jpg", "old")
    library.start().sync()
    with first.open("r+") as file:
        file.write("new")
    library.inbox.dirty(str(first))

    def contents() -> set[bytes]:
        records = [library.store.record(str(library.root / name)) for name in names]
        return {record.content for record in records if record is not None and record.live}

    before = library.store.record(str(library.root / "copy.jpg"))
    assert before is not None
    wait_for(lambda: len(contents()) == 1 and before.content not in contents())
    wait_for(lambda: library.ingest.doing == "idle")

    assert library.found() == {*names, "copy.jpg"}
    assert library.jobs("inspect").count("new") <= 6  # no name has another one looked at for ever
