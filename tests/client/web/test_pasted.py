"""Photos that were pasted are kept for a while."""

import os
import time
from pathlib import Path

import pytest

from pixkin.errors import InputUnreadable
from pixkin.web.pasted import DAYS, MOST, PastedPhotos

NOW = time.time() - 100_000


def content(number: int) -> bytes:
    """Return a content id."""
    return number.to_bytes(16)


def keep(pasted: PastedPhotos, number: int, at: float, folder: Path) -> None:
    """Keep a photo that was pasted at a time."""
    pasted.keep(content(number), b"a JPEG", at)
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime)
    os.utime(newest, (at, at))


def test_what_is_too_old_or_too_much_goes(tmp_path: Path) -> None:
    """The newest stay, and none for longer than a month."""
    folder = tmp_path / "queries"
    pasted = PastedPhotos(str(folder))
    for number in range(MOST + 2):
        keep(pasted, number, NOW + number, folder)
    pasted.prune(NOW + MOST + 2)
    many = [number for number in range(MOST + 2) if pasted.data(content(number)) is not None]
    pasted.prune(NOW + DAYS * 86400 + MOST)

    assert many == [*range(2, MOST + 2)]
    assert len(list(folder.iterdir())) == 2


def test_a_photo_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Also while it is written, and what a killed process has left goes like all else."""
    pasted = PastedPhotos(str(tmp_path / "queries"))
    pasted.keep(content(1), b"a JPEG")
    (file,) = (tmp_path / "queries").iterdir()

    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert pasted.data(content(1)) == b"a JPEG"
    assert pasted.kept_s(content(1)) == file.stat().st_mtime
    assert pasted.forget(content(1))
    assert not pasted.forget(content(1))
    assert pasted.data(content(1)) is None


def test_nothing_is_kept_if_the_user_wants_that(tmp_path: Path) -> None:
    """`keep_pasted_days = 0`."""
    PastedPhotos(str(tmp_path / "queries"), days=0).keep(content(1), b"a JPEG")

    assert not (tmp_path / "queries").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With its path."""
    (tmp_path / "queries").write_text("a file")
    with pytest.raises(InputUnreadable, match=r"queries: "):
        PastedPhotos(str(tmp_path / "queries")).keep(content(1), b"a JPEG")
