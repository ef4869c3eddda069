"""Date and camera belong to a file: two copies of one picture may differ in both."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Home, picture

pytestmark = [pytest.mark.e2e]


def _write(path: Path, year: int, camera: str) -> None:
    """Write the same pixels with another date and camera."""
    exif = Image.Exif()
    exif[271], exif.get_ifd(0x8769)[36867] = camera, f"{year}:05:06 07:08:09"
    file = io.BytesIO()
    Image.open(io.BytesIO(picture(1, "PNG"))).save(file, "JPEG", exif=exif.tobytes())
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(file.getvalue())


def _told(home: Home, *words: str) -> set[str]:
    found = home.like("--self", "--no-fold", *words, str(home.photos / "query.png"))
    return {os.path.relpath(match["path"], home.photos) for match in found} - {"query.png"}


def test_each_copy_is_found_by_its_own_date_and_camera_and_keeps_them_when_it_is_renamed(home: Home) -> None:
    """A filter holds for one file. A rename reads nothing, not even after a restart, and loses no date."""
    (home.photos / "query.png").write_bytes(picture(1, "PNG"))
    _write(home.photos / "a/1.jpg", 2019, "Canon")
    daemon = home.index()
    _write(home.photos / "b/2.jpg", 2021, "Nikon")
    home.sync()
    copied = [_told(home, *words) for words in (["--taken", "2019"], ["--taken", "2021"], ["--camera", "nikon"])]
    neither = _told(home, "--taken", "2019", "--camera", "nikon")
    before = home.status()["counters"]["inspects"]
    (home.photos / "a").rename(home.photos / "c")
    home.sync()
    (home.photos / "b").rename(home.photos / "d")
    renamed = _told(home, "--taken", "2019")
    read = home.status()["counters"]["inspects"] - before
    daemon.stop()
    home.start()
    home.sync()

    assert copied == [{"a/1.jpg"}, {"b/2.jpg"}, {"b/2.jpg"}]
    assert neither == set()
    assert renamed == {"c/1.jpg"}
    assert [_told(home, "--taken", year) for year in ("2019", "2021")] == [{"c/1.jpg"}, {"d/2.jpg"}]
    assert (read, home.status()["counters"]["inspects"]) == (0, 0)
