"""Whether a file of a memory card is somewhere else, byte by byte."""

import os
from pathlib import Path

import pytest

from pixkin.card.byte_copies import ByteCopies
from pixkin.card.drives import Lost
from pixkin.errors import InputUnreadable, UsageError


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _find(tmp_path: Path, path: Path) -> bytes | None:
    return ByteCopies([str(tmp_path / "videos")], Lost([str(tmp_path / "card")])).find(os.fsencode(path))


def test_the_same_bytes_are_a_copy_whatever_the_name_is(tmp_path: Path) -> None:
    """Files of other bytes or sizes are none. A file of the same name is tried first."""
    data = os.urandom(3_000_000)
    video = _put(tmp_path / "card/DCIM/a.mp4", data)
    _put(tmp_path / "videos/other.mp4", data[:-1] + b"x")
    _put(tmp_path / "videos/longer.mp4", data + b"x")
    nothing = _find(tmp_path, video)
    hidden = _put(tmp_path / "videos/.2024/b.mp4", data)
    found = _find(tmp_path, video)
    same = _put(tmp_path / "videos/z/a.mp4", data)

    assert nothing is None
    assert found == os.fsencode(hidden)
    assert _find(tmp_path, video) == os.fsencode(same)


def test_the_file_itself_is_no_copy(tmp_path: Path) -> None:
    """Neither by a hard link, nor behind a symbolic link."""
    video = _put(tmp_path / "card/a.mp4", b"video")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/hard.mp4").hardlink_to(video)
    (tmp_path / "videos/soft.mp4").symlink_to(video)
    (tmp_path / "videos/folder").symlink_to(tmp_path / "card")

    assert _find(tmp_path, video) is None


def test_folders_on_the_card_are_refused(tmp_path: Path) -> None:
    """A folder around the card is not: what lies on the card is left out."""
    video = _put(tmp_path / "card/a.mp4", b"video")
    _put(tmp_path / "card/backup/a.mp4", b"video")
    (tmp_path / "link").symlink_to(tmp_path / "card/backup")
    lost = Lost([str(tmp_path / "card")])

    for folder in ("card", "card/backup", "link"):
        with pytest.raises(UsageError, match="elsewhere"):
            ByteCopies([str(tmp_path / folder)], lost)
    assert ByteCopies([str(tmp_path)], lost).find(os.fsencode(video)) is None


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    """A typing error must not look as if nothing was there."""
    (tmp_path / "card").mkdir()
    with pytest.raises(InputUnreadable, match="gone: no such file"):
        ByteCopies([str(tmp_path / "gone")], Lost([str(tmp_path / "card")]))


@pytest.mark.parametrize(
    "name",
    [
        "#recycle/a.mp4",
        "#Recycle/a.mp4",
        ".Trash-1000/files/a.mp4",
        ".zfs/snapshot/a.mp4",
        ".pixkin-0a1b.part",
        "a.mp4.part",
    ],
)
def test_what_goes_away_by_itself_is_no_copy(tmp_path: Path, name: str) -> None:
    """A bin is emptied, a snapshot ends, and the next run deletes what an interrupted one has left."""
    video = _put(tmp_path / "card/a.mp4", b"video")
    _put(tmp_path / "videos" / name, b"video")
    copies = ByteCopies([str(tmp_path / "videos")], Lost([str(tmp_path / "card")]), ["#recycle"])

    assert copies.find(os.fsencode(video)) is None
