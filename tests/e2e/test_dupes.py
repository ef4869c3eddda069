"""Near-duplicates, from photos and their edits to groups."""

import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageEnhance
from tests.e2e.conftest import Home, new_home

pytestmark = [pytest.mark.e2e]

_ODD = b"caf\xe9 \xff.jpg"  # Latin-1, as on many an old drive


def _saved(image: Image.Image, quality: int = 92) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with eight photos; of two of them also edits, and of a third a copy under an odd name."""
    with new_home() as home:
        for photo in photos[:8]:
            with Image.open(photo) as image:
                (home.photos / f"{photo.stem}.jpg").write_bytes(_saved(image.convert("RGB"), 97))
        edits = home.photos / "edits"
        edits.mkdir()
        for photo in _edited(home):
            with Image.open(photo) as image:
                width, height = image.size
                small = image.resize((width * 3 // 4, height * 3 // 4), Image.Resampling.LANCZOS)
                crop = image.crop((width // 20, height // 20, width - width // 20, height - height // 20))
                (edits / f"{photo.stem} small.jpg").write_bytes(_saved(small))
                (edits / f"{photo.stem} crop.jpg").write_bytes(_saved(crop))
                (edits / f"{photo.stem} bright.jpg").write_bytes(_saved(ImageEnhance.Brightness(image).enhance(1.1)))
        shutil.copyfile(home.photos / f"{photos[2].stem}.jpg", os.fsencode(edits) + b"/" + _ODD)
        home.start()
        home.sync()
        yield home


def _edited(home: Home) -> list[Path]:
    """Return the two photos that are edited: colourful ones."""
    return [home.photos / "astronaut.jpg", home.photos / "coffee.jpg"]


def _groups(home: Home, *words: str | Path) -> list[dict[str, Any]]:
    done = home.pixkin("dupes", "--json", *words)
    assert done.returncode in (0, 1), done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def _together(home: Home, one: Path, other: Path) -> bool:
    """Return whether two photos are in one group."""
    groups = [{photo["path"] for photo in group["photos"]} for group in _groups(home)]
    return any({str(one), str(other)} <= group for group in groups)


def test_edits_are_found_and_nothing_else_is(library: Home) -> None:
    """Resized, cropped and brightened photos are with their original, which is the best; a copy is identical."""
    groups = _groups(library)
    copies = [group for group in groups if group["band"] == "identical"]

    assert sorted(len(group["photos"]) for group in groups) == [2, 4, 4]
    assert {Path(group["photos"][0]["path"]) for group in groups if len(group["photos"]) == 4} == {*_edited(library)}
    assert [group["score"] for group in copies] == [1.0]
    assert len({photo["content"] for photo in copies[0]["photos"]}) == 1


def test_folder_and_score_narrow_the_search(library: Home) -> None:
    """Only photos in the folder count; above all scores of edits only copies are left."""
    edits = _groups(library, library.photos / "edits")
    exact = _groups(library, "--min-score", "1")
    none = library.pixkin("dupes", "--min-score", "1", library.photos / "edits")

    assert [len(group["photos"]) for group in edits] == [3, 3]
    assert [group["band"] for group in exact] == ["identical"]
    assert (none.returncode, none.stdout) == (1, b"")


def test_paths_of_what_could_be_deleted_are_raw(library: Home) -> None:
    """`-0 --but-best` names files as the kernel does, so that xargs finds them."""
    done = library.pixkin("dupes", "--min-score", "1", "--but-best", "-0")

    assert done.stdout.endswith(b"\0")
    assert [path for path in done.stdout.split(b"\0") if path] == [os.fsencode(library.photos) + b"/edits/" + _ODD]


def test_no_duplicates_stay_none_whatever_happens_to_the_files(library: Home) -> None:
    """What was said once holds after a rename, a tag in the JPEG, a restart and the loss of the store; and is undone."""
    photo = library.photos / "astronaut.jpg"
    edit = library.photos / "edits/astronaut bright.jpg"
    before = _together(library, photo, edit)
    assert library.pixkin("dupes", "--apart", photo, edit).returncode == 0
    said = _together(library, photo, edit)
    renamed = edit.rename(edit.with_name("renamed.jpg"))
    data = photo.read_bytes()
    status = photo.stat()
    photo.write_bytes(data[:2] + b"\xff\xfe\x00\x0bholiday!!" + data[2:])  # a comment
    os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))  # it is still the oldest, for the other tests
    library.sync()
    moved = _together(library, photo, renamed)
    library.daemons[-1].stop()
    library.start()
    library.sync()
    restarted = _together(library, photo, renamed)
    library.daemons[-1].stop()
    shutil.rmtree(library.folder / "state_home/pixkin/index.lmdb")
    library.start()
    library.sync()
    rebuilt = _together(library, photo, renamed)
    assert library.pixkin("dupes", "--together", renamed, photo).returncode == 0

    assert (before, said, moved, restarted, rebuilt) == (True, False, False, False, False)
    assert _together(library, photo, renamed)


def test_photo_that_is_not_indexed_cannot_be_apart(library: Home) -> None:
    """66, with its name."""
    done = library.pixkin("dupes", "--apart", library.photos / "none.jpg", library.photos / "coffee.jpg")

    assert done.returncode == 66
    assert b"none.jpg: not an indexed photo" in done.stderr


def test_client_yields_groups(library: Home) -> None:
    """The Python API gives what the command prints."""
    with library.client() as client:
        groups = list(client.dupes(library.photos / "edits", min_score=0.75))

    assert all(photo.width and photo.size for group in groups for photo in group.photos)
    assert len(groups) == 2
