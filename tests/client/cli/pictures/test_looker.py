"""What is written if there is more to show than a file holds."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from pixkin.cli.pictures import looker as module
from pixkin.cli.pictures.looker import Looker
from pixkin.protocol.replies import Thumb
from pixkin.query_images import Source
from pixkin.tiles.tile import Tile, TileGroup


class Counted:
    """Makes thumbnails, and counts them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.count = 0

    def thumbnail(self, image: Source) -> Thumb:
        """Return always the same."""
        assert image == "/p/a.jpg"
        self.count += 1
        return Thumb(content=b"", data=self._data, width=3, height=2)


def test_a_page_has_room_for_so_many_photos_and_counts_the_others(
    jpeg: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their thumbnails are not even fetched."""
    monkeypatch.setattr(module, "_MOST", 5)
    client, page = Counted(jpeg()), tmp_path / "a.html"
    words = {"show": False, "show_default": False, "form": None, "sheet": None, "html": str(page), "open": False}
    looker = Looker(client, argparse.Namespace(**words))
    for number in range(4):
        group = TileGroup([Tile("", b"/p/a.jpg")] * 3, f"group {number}", more=1)
        assert list(looker.rows(group)) == []
    looker.close("Groups")

    assert client.count == 5
    assert page.read_text().count("<li ") == 5
    assert page.read_text().count("<h2>") == 2
    assert "8 more photos are not shown here" in page.read_text()


def test_nothing_is_written_if_there_is_nothing_to_show(
    jpeg: Callable[..., bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence says so; an empty page would look like a defect."""
    words = {"show": None, "show_default": False, "form": None, "sheet": None, "open": True}
    Looker(Counted(jpeg()), argparse.Namespace(html=str(tmp_path / "a.html"), **words)).close("Photos")

    assert list(tmp_path.iterdir()) == []
    assert "there is no photo to show" in capsys.readouterr().err
