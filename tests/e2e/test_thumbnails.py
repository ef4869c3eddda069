"""Pictures are shown by real processes: upright, without metadata, hundreds at once, and while their drive is away."""

import io
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from tests.e2e.conftest import Home, new_home, picture
from tests.waiting import wait_for

from pixkin.errors import InputUnreadable, PixkinError
from pixkin.protocol.replies import Thumb
from pixkin.protocol.requests import Size
from pixkin.query_images import Indexed

pytestmark = [pytest.mark.e2e]

COUNT = 60


@pytest.fixture(scope="module")
def shown() -> Iterator[Home]:
    """Yield a home with photos, one of which lies on its side and says where it was taken."""
    with new_home() as home:
        for number in range(COUNT):
            (home.photos / f"{number}.jpg").write_bytes(picture(number))
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAreaInformation] = b"zq_secret place"
        Image.linear_gradient("L").resize((1600, 1000)).save(home.photos / "side.jpg", exif=exif, comment=b"zq_secret")
        home.start()
        home.sync()
        yield home


def seen(thumb: Thumb) -> Image.Image:
    """Return a thumbnail as a picture, after a look at what it says."""
    image = Image.open(io.BytesIO(thumb.data))
    assert image.size == (thumb.width, thumb.height)
    assert b"zq_secret" not in thumb.data
    assert not image.getexif()
    return image


def test_a_photo_is_shown_upright_in_four_sizes_and_while_it_is_away(shown: Home, tmp_path: Path) -> None:
    """Its size and its colour are told with it. What was shown once is shown without its drive."""
    client = shown.client()
    path = shown.photos / "side.jpg"
    for size, wanted in zip(Size, ((160, 256), (320, 512), (1000, 1600), (1000, 1600)), strict=True):
        image = seen(client.thumbnail(path, size=size))
        assert image.size == wanted
        pixels = np.asarray(image.convert("L"), np.int16)
        assert (
            pixels[:, :5].mean() > pixels[:, -5:].mean() + 200
        )  # the top of the gradient is dark; it was turned right
    content = client.thumbnail(path).content
    (match,) = client.like(path, itself=True, n=1, pictures=True).matches
    assert match.picture is not None
    assert (match.picture.content, match.picture.width, match.picture.height) == (content, 1000, 1600)
    assert match.picture.colour & 0xFF in range(100, 156)
    folder = shown.folder / "cache_home/pixkin/thumbs"
    wait_for(lambda: len(list(folder.glob(f"{content.hex()[:2]}/{content.hex()[2:]}.*.jpg"))) == 3)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.rglob("*.jpg")} == {0o600}

    assert client.thumbnail(path.read_bytes()).data == client.thumbnail(content=content).data
    shutil.move(shown.photos, tmp_path / "away")
    assert shown.pixkin("sync").returncode == 75
    assert seen(client.thumbnail(content=content, size=Size.L)).size == (1000, 1600)
    with pytest.raises(InputUnreadable, match="its folder is offline"):
        client.thumbnail(content=content, size=Size.X)
    with pytest.raises(InputUnreadable, match="its folder is offline"):
        client.thumbnail(path, size=Size.X)
    shutil.move(tmp_path / "away", shown.photos)
    shown.sync()
    assert seen(client.thumbnail(path, size=Size.X)).size == (1000, 1600)


def test_hundreds_of_thumbnails_hold_no_query(shown: Home, tmp_path: Path) -> None:
    """All come, at whatever size; a query by a new image is answered meanwhile."""
    client = shown.client()
    new = tmp_path / "new.jpg"
    new.write_bytes(picture(1000))
    with ThreadPoolExecutor(50) as askers:
        asked = [
            askers.submit(client.thumbnail, shown.photos / f"{number}.jpg", size=size)
            for size in (Size.S, Size.M, Size.L, Size.X)
            for number in range(COUNT)
        ]
        assert client.like(new).matches
        assert not all(one.done() for one in asked)
        assert {seen(one.result()).format for one in asked} == {"JPEG"}


def test_bad_pictures_have_a_sentence(shown: Home, tmp_path: Path) -> None:
    """What is no image, what is broken, and what is not there."""
    client = shown.client()
    broken = shown.photos / os.fsdecode(b"\xff<script>\x1b.jpg")
    broken.write_bytes(picture(5)[:300])
    (tmp_path / "no.jpg").write_text("no image")
    shown.sync()

    for source in (broken, tmp_path / "no.jpg", tmp_path / "missing.jpg", b"no image", Indexed(b"u" * 16)):
        with pytest.raises(PixkinError) as caught:
            client.thumbnail(source)
        assert "internal" not in str(caught.value)
        assert caught.value.status in {66, 70}
