"""Freedesktop's trash, as its specification has it."""

import os
import re
from pathlib import Path

import pytest
from tests.client.trash.library import Library, group

from pixkin.trash import destinations
from pixkin.trash.destinations import Bin, top_of
from pixkin.trash.files import Stays


def test_the_note_names_the_place_and_the_time(library: Library) -> None:
    """Percent-encoded bytes, so that a file manager can restore any name."""
    library.move(group(library.photo("a.jpg"), library.photo(os.fsdecode(b"caf\xe9 1%\n.jpg"))))
    (info,) = (library.trash / "info").iterdir()
    head, path, date = info.read_text(encoding="ascii").splitlines()

    assert info.name == os.fsdecode(b"caf\xe9 1%\n.jpg.trashinfo")
    assert head == "[Trash Info]"
    assert path == f"Path={library.photos}/caf%E9%201%25%0A.jpg"
    assert re.fullmatch(r"DeletionDate=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", date)
    assert [folder.stat().st_mode & 0o777 for folder in (library.trash, info.parent, info)] == [0o700, 0o700, 0o600]


def test_names_in_the_trash_are_never_taken_twice(library: Library) -> None:
    """Neither from a file without a note, nor from a note without a file."""
    kept = library.photo("a.jpg")
    for part, name in (("files", "b.jpg"), ("info", "b.1.jpg.trashinfo")):
        (library.trash / part).mkdir(parents=True)
        (library.trash / part / name).write_bytes(b"other")
    library.move(group(kept, library.photo("x/b.jpg"), library.photo("y/b.jpg")))

    assert sorted(path.name for path in (library.trash / "files").iterdir()) == ["b.2.jpg", "b.3.jpg", "b.jpg"]
    assert (library.trash / "files/b.jpg").read_bytes() == b"other"
    assert (library.trash / "info/b.1.jpg.trashinfo").read_bytes() == b"other"


def test_a_trash_that_is_a_link_or_belongs_to_another_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a shared drive somebody could prepare one."""
    (tmp_path / "real").mkdir()
    (tmp_path / ".Trash-1").symlink_to("real")
    with pytest.raises(OSError, match="Not a directory"):
        Bin(str(tmp_path / ".Trash-1"), str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    with pytest.raises(Stays, match="belongs to another user"):
        Bin(str(tmp_path / "real"), str(tmp_path))


@pytest.mark.parametrize(("mode", "is_shared"), [(0o1777, True), (0o777, False)])
def test_a_trash_for_all_users_needs_the_sticky_bit(tmp_path: Path, mode: int, *, is_shared: bool) -> None:
    """And must not be a link."""
    (tmp_path / ".Trash").mkdir()
    (tmp_path / ".Trash").chmod(mode)
    (tmp_path / "link").symlink_to(".Trash")

    assert destinations._is_shared(str(tmp_path / ".Trash")) is is_shared
    assert not destinations._is_shared(str(tmp_path / "link"))
    assert not destinations._is_shared(str(tmp_path / "gone"))


def test_the_mount_point_of_what_is_not_there_is_that_of_the_folder_above(tmp_path: Path) -> None:
    """So that a folder that was deleted can be made again, on the same drive only."""
    assert top_of(str(tmp_path / "gone/too/a.jpg")) == top_of(str(tmp_path / "a.jpg"))
    assert top_of("/proc/self/a") == "/proc"
