"""Photos of every format through real processes: found, or failed with what to install, and tried again by itself."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pillow_heif
import pylibjxl
import pytest
from PIL import Image
from tests.daemon.encoder.worker.dng import dng
from tests.e2e.conftest import Home, new_home

pytestmark = [pytest.mark.e2e]

SAME = ("rocket.jpg", "rocket.heic", "rocket.jxl", "rocket.dng")  # one picture


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with one picture in four formats, three others, and a file of two pages."""
    with new_home() as home:
        for photo in photos[:3]:
            home.copy(photo)
        rocket = next(photo for photo in photos if photo.name == "rocket.jpg")
        home.copy(rocket)
        with Image.open(rocket) as image:
            picture = image.convert("RGB")
        heic = io.BytesIO()
        pillow_heif.from_pillow(picture).save(heic, quality=90)
        (home.photos / "rocket.heic").write_bytes(heic.getvalue())
        (home.photos / "rocket.jxl").write_bytes(pylibjxl.encode(np.array(picture), effort=1))
        (home.photos / "rocket.dng").write_bytes(dng(picture, size=(64, 48)))
        with Image.open(photos[3]) as first, Image.open(photos[4]) as second:
            first.convert("RGB").save(
                home.photos / "pages.tif", save_all=True, append_images=[second.convert("RGB")], compression="tiff_lzw"
            )
        home.start()
        home.sync()
        yield home


def test_one_picture_in_every_format_is_one_neighbourhood(library: Home) -> None:
    """HEIC, JPEG XL and RAW are photos by default, and look like the JPEG of the same picture."""
    best = library.like(library.photos / "rocket.jpg", "-n", "4", "--no-fold")

    assert {match["path"] for match in best[:3]} == {str(library.photos / name) for name in SAME[1:]}
    assert best[2]["score"] > 0.8 > best[3]["score"]


def test_any_of_them_may_be_asked_about(library: Home) -> None:
    """Bytes of a format that only its own decoder knows are a question like any other."""
    matches = library.like("-", "-n", "4", "--no-fold", stdin=(library.photos / "rocket.dng").read_bytes())

    assert {Path(match["path"]).name for match in matches} == set(SAME)


def test_each_page_of_a_file_is_found(library: Home, photos: list[Path]) -> None:
    """Whichever page is asked for, the file is one match."""
    for photo in photos[3:5]:
        first, second = library.like(photo, "-n", "2", "--no-fold")

        assert Path(first["path"]).name == "pages.tif"
        assert first["score"] > 0.9 > second["score"]


def test_status_names_all_formats(library: Home) -> None:
    """Whoever runs the tests has every decoder."""
    rows = library.status("--formats")["formats"]

    assert [row["name"] for row in rows][-3:] == ["HEIC, HEIF", "JPEG XL", "camera RAW"]
    assert all(row["live"] for row in rows)


def test_a_failed_photo_is_tried_again_when_a_decoder_is_another(library: Home) -> None:
    """A restart alone reads nothing again; one with a decoder that was upgraded reads what had failed, and no more."""
    reads = []
    (library.photos / "torn.heic").write_bytes((library.photos / "rocket.heic").read_bytes()[:5000])
    library.sync()
    for upgraded in (False, True):
        library.daemons[-1].stop()
        if upgraded:
            (library.folder / "site/pillow_heif-99.dist-info").mkdir(parents=True)
            metadata = "Metadata-Version: 2.1\nName: pillow-heif\nVersion: 99\n"
            (library.folder / "site/pillow_heif-99.dist-info/METADATA").write_text(metadata)
            library.env["PYTHONPATH"] = str(library.folder / "site")  # the worker does not heed it
        library.start()
        library.sync()
        status = library.status("--failed")
        reads.append((status["counters"]["inspects"], [Path(one["path"]).name for one in status["failures"]]))
    (library.photos / "torn.heic").unlink()

    assert reads == [(0, ["torn.heic"]), (1, ["torn.heic"])]
