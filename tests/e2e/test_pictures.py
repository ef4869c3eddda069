"""Photos are shown with the thumbnails of a real daemon."""

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.client.terminal import on_terminal
from tests.e2e.conftest import BIN, Home, new_home

pytestmark = pytest.mark.e2e
EVIL = "<script>\udcff\x1b[31m.png"


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home whose daemon has indexed the sample photos, a copy, and a photo with a hostile name."""
    with new_home() as home:
        home.copy(photos[0], f"copy of {photos[0].name}")
        home.copy(photos[1], EVIL)
        home.index(*photos)
        yield home


def thumbnails(page: Path) -> list[bytes]:
    """Return the pictures that a page embeds."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', page.read_text())
    return [base64.b64decode(one) for one in found]


def test_a_page_and_a_sheet_show_the_query_and_its_matches(library: Home, photos: list[Path], tmp_path: Path) -> None:
    """Every thumbnail is a small JPEG without metadata; the table in the pipe is as ever."""
    page, sheet, query = tmp_path / "a.html", tmp_path / "a.png", library.photos / photos[1].name
    words = ("like", str(query), "-n", "5", "--no-fold")
    done = library.pixkin(*words, "--html", str(page), "--sheet", str(sheet))

    assert done.returncode == 0
    assert done.stdout == library.pixkin(*words).stdout
    shown = thumbnails(page)
    assert len(shown) == 6
    for data in shown:
        image = Image.open(io.BytesIO(data), formats=["JPEG"])
        assert image.height <= 256
        assert "exif" not in image.info
    assert "&lt;script&gt;\\xff\\x1b[31m.png" in page.read_text()
    assert f"file://{library.photos}/%3Cscript%3E%FF%1B%5B31m.png" in page.read_text()
    with Image.open(sheet) as image:
        assert image.width == 1600


def test_a_query_from_standard_input_is_shown_too(library: Home, photos: list[Path], tmp_path: Path) -> None:
    """It has no name and no link."""
    page = tmp_path / "a.html"
    done = library.pixkin("like", "-", "-n", "1", "--html", str(page), stdin=photos[2].read_bytes())

    assert done.returncode == 0
    assert len(thumbnails(page)) == 2
    assert "Photos like this one" in page.read_text()


def test_a_terminal_shows_the_photos(library: Home, photos: list[Path]) -> None:
    """In blocks of colour, as many as there are matches and the query."""
    words = [str(BIN / "pixkin"), "like", str(photos[1]), "-n", "3"]
    env = library.env | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    status, told, _ = on_terminal(words, env, answers=b"\x1b[?62;22c")

    assert status == 0
    assert told.count(b"48;2;") > 4 * 100
    assert b"missing" not in told


def test_what_would_go_is_shown_before_it_goes(library: Home, tmp_path: Path) -> None:
    """Beside what stays, as `dupes` and `dupes --trash` say it."""
    for name, words in (("a.html", ()), ("b.html", ("--trash", "--dry-run"))):
        page = tmp_path / name
        done = library.pixkin("dupes", "--min-score", "1", *words, "--html", str(page))

        assert done.returncode == 0, done.stderr
        assert page.read_text().count("<b>would go</b>") == 2
        assert page.read_text().count("<b>stays") == 2
        assert len(thumbnails(page)) == 4


def test_the_new_photos_of_a_card_are_shown(library: Home, photos: list[Path], tmp_path: Path) -> None:
    """Not those that the library has."""
    card, page = tmp_path / "card", tmp_path / "a.html"
    card.mkdir()
    shutil.copy(photos[0], card)
    Image.effect_noise((300, 200), 200).save(card / "new.png")
    done = library.pixkin("have", str(card), "--html", str(page))

    assert done.returncode == 1
    assert len(thumbnails(page)) == 1
    assert "new.png" in page.read_text()
    assert photos[0].name not in page.read_text()
