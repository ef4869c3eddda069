"""One photo goes only if another file has shown by doing that it stays."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.trash.library import Library, group

from pixkin.trash import removal
from pixkin.trash.destinations import TargetFolder, Trash
from pixkin.trash.files import Reading, Stays
from pixkin.trash.journal import TrashJournal, locked
from pixkin.trash.offers import Wishes
from pixkin.trash.removal import remove


def during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something at the moment when the photo has its hidden name and the kept one is not yet read again."""
    real, calls = removal._read_kept, []

    def read_kept(path: str) -> Reading:
        calls.append(path)
        if len(calls) == 2:
            act()
        return real(path)

    monkeypatch.setattr(removal, "_read_kept", read_kept)


def test_a_copy_goes_to_the_trash_and_comes_back(library: Library) -> None:
    """The kept one stays as it is; nothing is lost in between."""
    kept, copy = library.photo("a.jpg"), library.photo("b/a.jpg")
    names, pictures = library.names(), library.pictures()
    stay = library.move(group(kept, copy))
    there = library.names()

    assert stay == []
    assert there == {str(kept): names[str(kept)]}
    assert library.pictures() == pictures
    assert library.undo() == []
    assert library.names() == names
    assert not list((library.trash / "info").iterdir())


def test_names_that_are_no_text_go_and_come_back(library: Library) -> None:
    """Newlines, bytes that are not UTF-8, long names, and names that begin with a dash."""
    kept = library.photo("a.jpg")
    odd = [b"new\nline.jpg", b"caf\xe9.jpg", b"-rf.jpg", b"x" * 251 + b".jpg", "\u202egpj.jpg".encode(), b"a%20b.jpg"]
    copies = [library.photo(os.fsdecode(name)) for name in odd]
    names = library.names()
    stay = library.move(group(kept, *copies))
    there = library.names()

    assert stay == []
    assert list(there) == [str(kept)]
    assert library.undo() == []
    assert library.names() == names


def test_two_names_of_one_file_stay(library: Library) -> None:
    """A hard link is no copy."""
    kept = library.photo("a.jpg")
    os.link(kept, other := library.photos / "b.jpg")
    names = library.names()
    (reason,) = library.move(group(kept, other))

    assert reason == f"it is the same file as {kept}, under another name"
    assert library.names() == names


def test_two_names_that_only_renaming_tells_stay(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a pool or a server two names of one file have two inodes; then the kept one vanishes with the other."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    names = library.names()
    during(monkeypatch, lambda: kept.rename(library.folder / "gone.jpg"))
    (reason,) = library.move(group(kept, copy))
    (library.folder / "gone.jpg").rename(kept)

    assert reason.startswith(f"{kept}, which should stay")
    assert library.names() == names


@pytest.mark.parametrize("edit", ["other bytes", "same length", "replaced by itself", "replaced by a link"])
def test_a_kept_photo_that_changes_at_this_moment_keeps_the_other(
    library: Library, monkeypatch: pytest.MonkeyPatch, edit: str
) -> None:
    """Whatever changes, the photo gets its own name back."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    data = copy.read_bytes()

    def act() -> None:
        match edit:
            case "other bytes":
                kept.write_bytes(b"retouched")
            case "same length":
                kept.write_bytes(bytes(len(data)))
            case "replaced by itself":
                kept.rename(library.photos / "c.jpg")
                kept.write_bytes(data)
            case _:
                kept.rename(library.photos / "c.jpg")
                kept.symlink_to(library.photos / "c.jpg")

    during(monkeypatch, act)
    (reason,) = library.move(group(kept, copy))

    assert str(kept) in reason
    assert copy.read_bytes() == data
    assert not (library.trash / "files").exists() or not list((library.trash / "files").iterdir())


def test_a_file_that_takes_the_name_meanwhile_is_not_lost(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the photo cannot be put back, both files are there, and the sentence says where."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")

    def act() -> None:
        kept.unlink()
        copy.write_bytes(b"new")

    during(monkeypatch, act)
    (reason,) = library.move(group(kept, copy))
    (aside,) = library.photos.glob(".b.jpg.pixkin-*")

    assert reason.endswith(f"it could not be put back (file exists) and is {aside}")
    assert copy.read_bytes() == b"new"
    copy.unlink()
    assert library.undo() == []
    assert copy.read_bytes() == aside.parent.joinpath("b.jpg").read_bytes()
    assert not aside.exists()


@pytest.mark.parametrize("of", ["kept", "copy"])
def test_a_link_in_place_of_a_folder_is_not_followed(library: Library, of: str) -> None:
    """A folder was moved and a link left: both paths lead to one file."""
    kept, copy = library.photo("x/2020/a.jpg"), library.photo("y/2020/a.jpg")
    given = group(kept, copy)
    folder, other = (kept.parent, copy.parent) if of == "kept" else (copy.parent, kept.parent)
    subprocess.run(["rm", "-r", folder], check=True)
    folder.symlink_to(other)
    names, reasons = library.names(), library.move(given)

    assert library.names() == names
    assert reasons == []  # it was not even offered


def test_a_folder_that_becomes_a_link_after_the_question_is_not_followed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The descriptor of the folder is held, so the file that was read is the one that is renamed."""
    kept, copy = library.photo("x/a.jpg"), library.photo("y/a.jpg")
    data = copy.read_bytes()

    def act() -> None:
        copy.parent.rename(library.photos / "z")
        copy.parent.symlink_to(kept.parent)

    during(monkeypatch, act)
    library.move(group(kept, copy))

    assert kept.read_bytes() == data
    assert library.pictures()[data] == 2


def test_the_same_picture_with_other_metadata_needs_the_daemons_word(library: Library) -> None:
    """It goes if nothing has changed since the daemon was asked, and stays otherwise."""
    kept, copy = library.photo("a.jpg", metadata=b"rating, place"), library.photo("b.jpg", metadata=b"rating")
    given = group(kept, copy)
    library.old_ns, later = copy.stat().st_ctime_ns, library.old_ns
    (young,) = library.move(given)
    library.old_ns = later
    old = library.move(given)

    assert young == "it or the copy that stays has changed a moment ago; try again"
    assert old == []
    assert not copy.exists()


def test_a_photo_that_was_overwritten_after_the_daemon_had_looked_stays(library: Library) -> None:
    """The camera's counter rolled over: another picture under the old name."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    given = group(kept, copy)
    other = library.photo("b.jpg", 7)
    library.old_ns = other.stat().st_ctime_ns
    reasons = library.move(given)

    assert len(reasons) == 1
    assert other.exists()


def test_a_photo_that_changes_while_the_user_thinks_stays(library: Library) -> None:
    """Whatever the clocks say: here the rating of the one that stays is taken away by another program."""
    kept, copy = library.photo("a.jpg", metadata=b"rating"), library.photo("b.jpg", metadata=b"place.")
    (offer,) = Wishes().offers(group(kept, copy))
    library.photo("a.jpg", metadata=b"------")
    with locked(library.journal):
        journal = TrashJournal.begin(library.journal, "trash")
    with pytest.raises(Stays, match="has changed a moment ago"):
        remove(offer, Trash(str(library.trash)), journal, library.old_ns)

    assert copy.exists()


def test_what_stays_is_read_not_believed(library: Library) -> None:
    """A kept photo that is gone, or a folder by now, keeps the other."""
    kept, copy = library.photo("a.jpg"), library.photo("b.jpg")
    given = group(kept, copy)
    kept.unlink()
    gone = library.move(given)
    kept.mkdir()
    folder = library.move(given)

    assert (gone, folder) == ([], [])  # it was not even offered
    assert copy.exists()


def test_sidecars_go_with_their_photo_and_come_back(library: Library) -> None:
    """Both forms, in upper and lower case, if the kept one has equals."""
    kept, copy = library.photo("x/a.jpg"), library.photo("y/b.jpg")
    for photo in (kept, copy):
        for name in (f"{photo.name}.xmp", f"{photo.stem}.AAE"):
            (photo.parent / name).write_bytes(b"edits")
    names = library.names()
    stay = library.move(group(kept, copy))
    left = list((library.photos / "y").iterdir())

    assert (stay, left) == ([], [])
    assert library.undo() == []
    assert library.names() == names


def test_a_photo_whose_sidecar_is_the_only_one_stays(library: Library) -> None:
    """What a user wrote there is in no picture."""
    kept, copy = library.photo("x/a.jpg"), library.photo("y/a.jpg")
    (copy.parent / "a.xmp").write_bytes(b"five stars")
    names = library.names()
    library.move(group(kept, copy))

    assert library.names() == names


def test_the_sidecar_of_a_raw_photo_stays_with_it(library: Library) -> None:
    """`a.xmp` belongs to `a.cr3` as well."""
    kept, copy = library.photo("x/a.jpg"), library.photo("y/a.jpg")
    raw, sidecar = copy.parent / "a.cr3", copy.parent / "a.xmp"
    raw.write_bytes(b"raw")
    sidecar.write_bytes(b"edits")
    stay = library.move(group(kept, copy))

    assert stay == []
    assert sorted(copy.parent.iterdir()) == [raw, sidecar]


def test_a_folder_takes_photos_with_their_whole_path_and_over_nothing(library: Library) -> None:
    """A file that is there already keeps the photo."""
    kept, copy, third = library.photo("a.jpg"), library.photo("b.jpg"), library.photo("c.jpg")
    target = library.folder / "moved"
    taken = Path(f"{target}{third}")
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    names = library.names()
    (reason,) = library.move(group(kept, copy, third), TargetFolder(str(target)))

    assert reason == f"{taken} is there already"
    assert taken.read_bytes() == b"mine"
    assert Path(f"{target}{copy}").read_bytes() == names[str(copy)]
    assert sorted(library.names()) == [str(kept), str(third)]
    assert library.undo() == []
    assert library.names() == names
