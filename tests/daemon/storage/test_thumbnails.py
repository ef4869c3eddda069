"""Thumbnails are kept in files of their own: private, bounded, by content, and none of a photo that was forgotten."""

import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.scripted_worker import content_of, thumbnail_of
from tests.waiting import wait_for

from pixkind.encoder.messages import Size
from pixkind.storage.environment import StoreFull
from pixkind.storage.thumbnails import ThumbnailCache

CONTENT = content_of("one")
DATA = thumbnail_of("one")
HOUR_S = 3600
Make = Callable[..., ThumbnailCache]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where they are kept; it is not there yet."""
    return tmp_path / "cache/pixkin/thumbs"


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """Return a function that makes a cache, which is closed at the end."""
    made: list[ThumbnailCache] = []

    def cache(cache_mb: int = 1, is_named: Callable[[bytes], bool] = lambda _: True) -> ThumbnailCache:
        made.append(ThumbnailCache(str(folder), cache_mb, is_named))
        return made[-1]

    yield cache
    for one in made:
        one.close()


def kept(folder: Path) -> list[Path]:
    """Return the thumbnails that are kept."""
    return sorted(folder.glob("??/*.jpg"))


def large(picture: str) -> bytes:
    """Return a thumbnail of 100 KiB."""
    return thumbnail_of(picture)[:-2].ljust((100 << 10) - 2, b" ") + b"\xff\xd9"


def test_a_thumbnail_is_kept_by_content_and_size(make: Make, folder: Path) -> None:
    """It lies where the documentation says, for the user alone, in a folder that backups leave out."""
    cache = make()
    for size in (Size.S, Size.M, Size.L, Size.X):
        assert cache.get(CONTENT, size) is None
        cache.put(CONTENT, size, thumbnail_of("one", size))
    cache.close()

    name = CONTENT.hex()
    assert kept(folder) == [folder / name[:2] / f"{name[2:]}.{size}.jpg" for size in "LMS"]  # X would take all the room
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept(folder)} == {0o600}
    assert {stat.S_IMODE(one.stat().st_mode) for one in (folder, folder / name[:2])} == {0o700}
    assert (folder / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    drawing = make().get(CONTENT, Size.M)
    assert drawing is not None
    assert (drawing.data, drawing.width, drawing.height) == (thumbnail_of("one", "M"), 4, 3)


def test_nothing_is_made_where_nothing_is_kept(make: Make, folder: Path) -> None:
    """With `cache_mb = 0` there is no folder and no thread."""
    cache = make(0)
    cache.put(CONTENT, Size.S, DATA)

    assert not cache.wants(CONTENT)
    assert not folder.exists()


def test_what_was_used_least_recently_goes_first(make: Make, folder: Path) -> None:
    """A thumbnail that was looked at is young again; a tenth is free afterwards, so not every one costs a look at all."""
    first = make()
    for number in range(10):
        first.put(content_of(str(number)), Size.S, large(str(number)))
    first.close()
    for age, file in enumerate(kept(folder)):
        os.utime(file, (0, 1_700_000_000 + age * HOUR_S))
    oldest, next_oldest = kept(folder)[:2]
    by_path = {content_of(str(number)).hex()[2:]: content_of(str(number)) for number in range(10)}
    cache = make()
    assert cache.get(by_path[oldest.name[:30]], Size.S) is not None

    cache.put(content_of("new"), Size.S, large("new"))
    cache.close()

    assert oldest.exists()
    assert not next_oldest.exists()
    assert 7 <= len(kept(folder)) <= 9
    assert make().get(content_of("new"), Size.S) is not None


def test_indexing_fills_the_room_and_takes_no_place_of_another(make: Make, folder: Path) -> None:
    """Otherwise the first look at a large library would end with the thumbnails that nobody has looked at."""
    cache = make()
    for number in range(12):
        cache.put(content_of(str(number)), Size.S, large(str(number)), in_passing=True)
    wait_for(lambda: not cache.wants(content_of("new")))
    cache.close()

    assert len(kept(folder)) == 10
    assert all(make().get(content_of(str(number)), Size.S) for number in range(10))


def test_what_is_kept_is_not_wanted_again(make: Make, folder: Path) -> None:
    """A content that another network encodes has its thumbnail already."""
    cache = make()
    assert cache.wants(CONTENT)
    cache.put(CONTENT, Size.S, DATA)
    wait_for(lambda: kept(folder) != [])

    assert not cache.wants(CONTENT)


@pytest.mark.parametrize(
    "data", [b"", DATA[:-1], DATA + b"more", b"GIF89a", DATA[:2] + b"\xff\xe1\0\x08Exif\0\0" + DATA[2:]]
)
def test_a_damaged_file_is_deleted(make: Make, folder: Path, data: bytes) -> None:
    """A power cut leaves a torn file, and somebody may have put another one there: it is made again."""
    cache = make()
    cache.put(CONTENT, Size.S, DATA)
    wait_for(lambda: kept(folder) != [])
    (file,) = kept(folder)
    file.write_bytes(data)

    assert cache.get(CONTENT, Size.S) is None
    assert kept(folder) == []


def test_a_link_is_not_followed(make: Make, folder: Path, tmp_path: Path) -> None:
    """A thumbnail is a file of its own."""
    (tmp_path / "a.jpg").write_bytes(DATA)
    name = CONTENT.hex()
    (folder / name[:2]).mkdir(parents=True)
    (folder / name[:2] / f"{name[2:]}.S.jpg").symlink_to(tmp_path / "a.jpg")

    assert make().get(CONTENT, Size.S) is None


def test_nothing_is_left_of_what_no_photo_has(make: Make, folder: Path) -> None:
    """Whatever waits to be written is not written any more, and a file that was being written goes."""
    named = {content_of("one"), content_of("two")}
    cache = make(is_named=lambda content: content in named)
    for picture in ("one", "two"):
        cache.put(content_of(picture), Size.S, thumbnail_of(picture))
        cache.put(content_of(picture), Size.M, thumbnail_of(picture, "M"))
    wait_for(lambda: len(kept(folder)) == 4)
    (folder / "new").write_bytes(DATA)
    (folder / content_of("three").hex()[:2]).mkdir(exist_ok=True)
    (folder / content_of("three").hex()[:2] / "odd").write_bytes(DATA)

    named.remove(content_of("one"))
    for _ in cache.wipe():
        cache.put(content_of("one"), Size.S, DATA)
    cache.close()

    assert {file.parent.name + file.name[:30] for file in kept(folder)} == {content_of("two").hex()}
    assert [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".jpg"] == [folder / "CACHEDIR.TAG"]


def test_what_cannot_be_deleted_is_said(make: Make, folder: Path) -> None:
    """Traces are left then, and `pixkin forget` says why."""
    (folder / "ab" / "directory.S.jpg").mkdir(parents=True)

    with pytest.raises(StoreFull, match="cannot be deleted"):
        list(make().wipe())


def test_a_folder_that_cannot_be_written_costs_thumbnails_alone(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once."""
    folder.parent.mkdir(parents=True)
    folder.write_text("no folder")
    cache = make()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            cache.put(CONTENT, Size.S, DATA)
        cache.close()

    assert cache.get(CONTENT, Size.S) is None
    assert caplog.text.count("cannot be kept") == 1


def test_a_folder_that_others_can_change_is_not_used(
    make: Make, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another user could put pictures there."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    cache = make()
    cache.put(CONTENT, Size.S, DATA)
    cache.close()

    assert kept(folder) == []
    assert "chmod" not in caplog.text
    assert "can be changed by other users" in caplog.text
