"""Questions about a part of a picture, about a picture that may stand wrong, about several that count differently; and by camera."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Home, new_home

pytestmark = [pytest.mark.e2e]

_MAKE, _MODEL, _EXIF, _TAKEN = 0x010F, 0x0110, 0x8769, 0x9003
_BOX = (60, 40, 300, 260)  # of chelsea's face, in pixels


def _by(photo: Path, target: Path, make: str, model: str, taken: str) -> None:
    """Write a photo as if a camera had taken it."""
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL] = make, model
    exif.get_ifd(_EXIF)[_TAKEN] = taken
    with Image.open(photo) as image:
        image.convert("RGB").save(target, quality=95, exif=exif)


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with a part of `chelsea`, all others whole, and three of them by cameras."""
    with new_home() as home:
        for photo in photos:
            if photo.stem == "chelsea":
                with Image.open(photo) as image:
                    image.crop(_BOX).save(home.photos / "face.png")
            else:
                home.copy(photo)
        album = home.photos / "album"
        album.mkdir()
        _by(photos[0], album / "canon.jpg", "Canon", "Canon EOS 5D", "2019:06:30 23:59:59")
        _by(photos[1], album / "nikon.jpg", "NIKON CORPORATION", "NIKON D90", "2019:07:01 00:00:00")
        _by(photos[2], album / "pixel.jpg", "Google", "Pixel 7", "2020:06:15 12:00:00")
        home.start()
        home.sync()
        yield home


@pytest.fixture
def chelsea(photos: list[Path]) -> Path:
    """Return a photo of which the library has a part."""
    return next(photo for photo in photos if photo.stem == "chelsea")


def test_a_region_finds_the_photo_that_is_that_region(library: Home, chelsea: Path) -> None:
    """In pixels and in percent, from a file and from standard input; the whole is less like it."""
    left, top, right, bottom = _BOX
    with Image.open(chelsea) as image:
        width, height = image.size
    shares = (left / width, top / height, (right - left) / width, (bottom - top) / height)
    percent = ",".join(f"{100 * share:.6f}%" for share in shares)
    best = [
        library.like("--region", f"{left},{top},{right - left},{bottom - top}", "-n", "1", chelsea)[0],
        library.like("--region", percent, "-n", "1", "-", stdin=chelsea.read_bytes())[0],
        library.like("-n", "1", chelsea)[0],
    ]

    assert [os.path.basename(match["path"]) for match in best] == ["face.png"] * 3
    assert min(match["score"] for match in best[:2]) > 0.97 > best[2]["score"]


def test_a_region_of_an_indexed_photo_is_of_the_file(library: Home, photos: list[Path]) -> None:
    """What is stored is of the whole, so the file is read; the photo itself is left out, unless it is asked for."""
    photo = next(library.photos / photo.name for photo in photos if photo.stem == "astronaut")
    without, itself = (library.like("--region", "0%,0%,50%,50%", photo, *more, "-n", "99") for more in ([], ["--self"]))
    scores = {match["path"]: match["score"] for match in itself}

    assert str(photo) not in {match["path"] for match in without}
    assert scores[str(photo)] < 0.95


def test_a_photo_that_lies_on_its_side_is_found_with_rotate(library: Home, photos: list[Path]) -> None:
    """Turned without a word in EXIF, or mirrored: in the best of eight ways it is the photo again."""
    name = next(photo.name for photo in photos if photo.stem == "rocket")
    for turn in (Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE):
        file = io.BytesIO()
        with Image.open(library.photos / name) as image:
            image.transpose(turn).save(file, "PNG")
        plain = {match["path"]: match["score"] for match in library.like("-", "-n", "99", stdin=file.getvalue())}
        best = library.like("--rotate", "-n", "1", "-", stdin=file.getvalue())[0]

        assert best["path"] == str(library.photos / name)
        assert best["score"] > 0.97 > plain[best["path"]]


def test_images_that_are_not_wanted_count_against(library: Home, photos: list[Path]) -> None:
    """What is like them falls back; what is nothing but them is a sentence; weights say how much."""
    wanted, unwanted = (str(library.photos / photo.name) for photo in photos[:2])

    def score(path: str, *words: str) -> float:
        matches = library.like("--self", "-n", "99", *words)
        return float(next(match["score"] for match in matches if path in (match["path"], *match["copies"])))

    more, less, most = (score(unwanted, wanted, *words) for words in ([], ["--minus", unwanted], [f"0.5:{unwanted}"]))
    nothing = library.pixkin("like", wanted, "--minus", wanted)

    assert less < more < most
    assert (nothing.returncode, nothing.stdout) == (70, b"")
    assert b"the images cancel each other out" in nothing.stderr


def test_cameras_and_periods_narrow_a_search_together(library: Home, chelsea: Path) -> None:
    """A part of make or model in any case, a period, and folders to leave out; what says nothing of itself is left out."""

    def found(*words: "str | Path") -> list[str]:
        return sorted(Path(match["path"]).stem for match in library.like(chelsea, *words))

    album = library.photos / "album"

    assert found("--camera", "nikon d") == ["nikon"]
    assert found("--camera", "O") == ["canon", "nikon", "pixel"]  # EOS, CORPORATION, Google
    assert found("--taken", "2019-06") == found("--taken", "2019-06-30") == ["canon"]
    assert found("--taken", "2019", "--since", "2019-07") == ["nikon"]
    assert found("--camera", "pixel", "--taken", "2019") == []
    assert found("--camera", "pixel", "--not-under", album) == []
    assert {"canon", "nikon", "pixel"}.isdisjoint(found("--not-under", album, "-n", "99"))
    assert len(found("--not-under", album, "-n", "99")) == len(found("-n", "99")) - 3


def test_a_part_that_is_not_there_is_a_sentence(library: Home, chelsea: Path) -> None:
    """The image was read, and has no such region: status 66, with its name and its size."""
    done = library.pixkin("like", chelsea, "--region", "400,0,100,100")

    assert (done.returncode, done.stdout) == (66, b"")
    assert f"{chelsea}: the region is not inside of the picture, which has 451 x 300 pixels".encode() in done.stderr
