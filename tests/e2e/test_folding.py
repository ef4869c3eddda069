"""What is one shot and what is one burst, with real photos, real files and the real network."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageEnhance, ImageOps
from tests.daemon.encoder.worker.dng import dng
from tests.e2e.conftest import Home, new_home

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # it encodes 340 photos

_DATE = "2021:05:06 07:08:09"  # of the DNG, too
_CHATS = 60
_COUNT = 241  # photos of different things


def _exif(taken: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Acme", "Acme One"
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: taken}
    return exif.tobytes()


def _enlarged(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _white_balance(red: float, blue: float) -> Callable[[Image.Image], Image.Image]:
    def balanced(image: Image.Image) -> Image.Image:
        one, two, three = image.split()
        factors = ((one, red), (two, 1.0), (three, blue))
        return Image.merge("RGB", [band.point([round(min(255, at * by)) for at in range(256)]) for band, by in factors])

    return balanced


# How a camera may develop the JPEG beside a raw file or a HEIC.
_STYLES: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: ImageOps.grayscale(image).convert("RGB"),
    lambda image: ImageOps.colorize(ImageOps.grayscale(image), (30, 15, 0), (255, 240, 210)),
    lambda image: ImageOps.fit(image, (600, 600)),
    lambda image: ImageOps.fit(image, (1600, 900)),
    lambda image: ImageOps.fit(ImageOps.grayscale(image).convert("RGB"), (600, 600)),
    _white_balance(1.4, 0.7),
    _white_balance(0.7, 1.4),
    lambda image: ImageEnhance.Contrast(ImageEnhance.Color(image).enhance(2)).enhance(1.5),
    lambda image: ImageEnhance.Brightness(ImageEnhance.Color(image).enhance(0.4)).enhance(0.5),
    lambda image: ImageEnhance.Brightness(image).enhance(1.8),
    lambda image: ImageOps.posterize(image, 3),
    ImageOps.invert,
)


@pytest.fixture(scope="module")
def library(shared_photos: Path) -> Iterator[Home]:
    """Yield a home with photos of different things. A file that is made from one of them has its number in its folder."""
    with new_home() as home:
        home.start()
        photos = sorted(shared_photos.iterdir())[:_COUNT]
        for number, photo in enumerate(photos):
            home.copy(photo, f"{number}/{photo.name}")
            folder = home.photos / str(number)
            if number % 2 and number < 2 * _CHATS:
                with Image.open(photo) as image:
                    _enlarged(image, 1600).save(folder / f"IMG-20240101-WA{number:04}.jpg", quality=70)
            if number % 20 == 0 and number < 20 * len(_STYLES):
                with Image.open(photo) as image:
                    _pair(_enlarged(image, 800), folder, number // 20)
        with Image.open(photos[240]) as image:
            whole = _enlarged(image, 1000)
        for frame in range(12):
            taken = f"2024:06:30 12:00:{frame // 4:02}"
            box = (5 * frame, 2 * frame, whole.width - 60 + 5 * frame, whole.height - 30 + 2 * frame)
            whole.crop(box).save(home.photos / f"240/DSC0{frame:04}.JPG", quality=92, exif=_exif(taken))
        home.sync()
        yield home


def _pair(image: Image.Image, folder: Path, number: int) -> None:
    """Write a raw file or a HEIC, and the JPEG of its name."""
    if number % 3:
        (folder / "DSC00001.dng").write_bytes(dng(image))
    else:
        heic = io.BytesIO()
        pillow_heif.from_pillow(image).save(heic, quality=90, exif=_exif(_DATE))
        (folder / "DSC00001.HEIC").write_bytes(heic.getvalue())
    _STYLES[number](image).save(folder / "DSC00001.JPG", quality=92, exif=_exif(_DATE))


def _all(library: Home, *options: str) -> list[dict[str, Any]]:
    """Return a match for every shot or photo of the library."""
    return library.like(next((library.photos / "0").iterdir()), "--self", "-n", "1000", *options)


def _shots(library: Home) -> list[set[str]]:
    """Return the paths of each match below the photo folder. Each file of a burst, but for its first shot, is alone."""
    matches = _all(library)
    shots = [{one["path"], *one["copies"], *one["versions"]} for one in matches] + [
        {path} for one in matches for path in one["burst"]
    ]
    return [{os.path.relpath(path, library.photos) for path in shot} for shot in shots]


def test_nothing_folds_with_a_photo_of_another_thing(library: Home) -> None:
    """No match has files that were made from two photos, and without folding each file is a match."""
    found = [{os.path.dirname(os.path.relpath(path, library.photos)) for path in _paths(one)} for one in _all(library)]

    assert [numbers for numbers in found if len(numbers) > 1] == []
    assert len(_all(library, "--no-fold")) == _COUNT + _CHATS + 2 * len(_STYLES) + 12


def _paths(match: dict[str, Any]) -> set[str]:
    return {match["path"], *match["copies"], *match["versions"], *match["burst"]}


def test_a_raw_file_or_heic_folds_with_its_jpeg(library: Home) -> None:
    """All do, whatever the style of the JPEG."""
    shots = _shots(library)
    pairs = [f"{20 * number}/DSC00001" for number in range(len(_STYLES))]

    assert [pair for pair in pairs if not any({f"{pair}.JPG"} < shot & _of(pair) for shot in shots)] == []


def _of(pair: str) -> set[str]:
    return {f"{pair}.{suffix}" for suffix in ("JPG", "HEIC", "dng")}


def test_what_a_chat_app_made_of_a_photo_folds_with_it(library: Home) -> None:
    """At 1,600 pixels, of quality 70, without metadata: 57 of 60, where pixkin cannot know."""
    folded = [shot for shot in _shots(library) if len(shot) > 1 and any("-WA" in path for path in shot)]

    assert len(folded) >= 57


def test_a_burst_takes_one_place(library: Home) -> None:
    """The other eleven frames are counted with it."""
    bursts = [match for match in _all(library) if match["burst"]]

    assert [match["frames"] for match in bursts] == [11]
    assert {os.path.dirname(path) for path in _paths(bursts[0])} == {str(library.photos / "240")}
