from collections.abc import Callable

import pytest

from pixkind.config import Config


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "x.y.Tif", "caf\udce9.png", "IMG 1.webp", "part.jpg", "~.jpg"])
def test_photo_is_told_by_its_suffix(name: str) -> None:
    """A file is a photo by its suffix, in upper or lower case."""
    assert Config().rules.is_photo(name)


@pytest.mark.parametrize(
    "name",
    [
        "download.jfif",
        "old.JIF",
        "a.jfi",
        "b.jpe",
        "c.apng",
        "d.j2k",
        f"{'a' * 43}.jp",
        f"{'a' * 44}.J",
        f"{'a' * 50}.hei",
    ],
)
def test_rare_and_cut_suffixes_are_those_of_photos(name: str) -> None:
    """Browsers write .jfif, and Google Takeout cuts names at 46 characters, with their suffix."""
    assert Config().rules.is_photo(name)


@pytest.mark.parametrize("name", ["short.jp", f"{'a' * 50}.", "a" * 60, f"{'a' * 50}.txt", f"{'a' * 50}.jpeg2"])
def test_other_long_names_are_no_photos(name: str) -> None:
    """Only the beginning of a suffix counts, and only in a long name."""
    assert not Config().rules.is_photo(name)


@pytest.mark.parametrize(
    "name",
    [
        "a.txt", "jpg", "", ".jpg", ".a.jpg", "a.jpg.", "a.jpg.part", "a.jpg.crdownload", "a.jpg.tmp", "~syncthing~a.jpg.tmp",
        "~syncthing~a.jpg", ".syncthing.a.jpg", ".pending-1-a.jpg", ".a.jpg.Xy12Zq",
    ],
)  # fmt: skip
def test_unfinished_and_other_files_are_no_photos(name: str) -> None:
    """Names with a leading dot, temporary names of sync tools and other suffixes are no photos."""
    assert not Config().rules.is_photo(name)


@pytest.mark.parametrize(
    "name",
    [
        ".Trash-1000", ".Trashes", ".git", ".zfs", ".snapshot", ".snapshots", ".recycle", ".@__thumb", "lost+found",
        "@eaDir", "@tmp", "#recycle", "#snapshot", "@sharesnap",
        "@Recycle", "@Recently-Snapshot", "@__thumb", "@Transcode", "~snapshot", "@snapshots", "trashbox",
        "Recycle Bin", "$RECYCLE.BIN", "$Recycle.Bin", "RECYCLER", "Recycled", "System Volume Information",
        "Network Trash Folder", "Temporary Items", "TheVolumeSettingsFolder",
    ],
)  # fmt: skip
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_folders_of_other_programs_are_not_walked(name: str, spell: Callable[[str], str]) -> None:
    """Bins, snapshots and other folders that a system keeps for itself are skipped, in upper or lower case."""
    assert not Config().rules.is_walked(spell(name))


def test_other_folders_are_walked() -> None:
    """Every other folder is scanned, even one with the name of a photo."""
    assert all(
        map(
            Config().rules.is_walked,
            ("2024", "x.jpg", "caf\udce9", "recycle", "Snapshots", "Trash", "@home", "#summer", "a.b"),
        )
    )
