"""One shot is one match, and which photos of a memory card the library has."""

import base64
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image
from tests.e2e.conftest import Home, new_home

pytestmark = [pytest.mark.e2e]

_ODD = b"caf\xe9 \xff.jpg"
_NOON = "2024:06:30 12:00:00"


def _shot(photo: Path, shift: float = 0) -> Image.Image:
    """Return a photo as a camera with more pixels takes it; `shift`: of the width, as the hand moves it."""
    with Image.open(photo) as image:
        large = image.convert("RGB").resize((2000, 1500), Image.Resampling.BICUBIC)
    left = round((0.05 + shift) * large.width)
    return large.crop((left, 75, left + 1800, 1425))


def _save(image: Image.Image, path: Path | str, *, taken: str = "", width: int = 0, quality: int = 92) -> None:
    exif = Image.Exif()
    if taken:
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: taken}
    size = (width, round(image.height * width / image.width)) if width else image.size
    image.resize(size, Image.Resampling.LANCZOS).save(path, quality=quality, exif=exif)


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with a shot in three versions, one of them a copy too, the next of a burst, and other photos."""
    named = {photo.stem: photo for photo in photos}
    with new_home() as home:
        shot = _shot(named["coffee"])
        _save(shot, home.photos / "whole.jpg", taken=_NOON)
        _save(shot, home.photos / "mail.jpg", taken=_NOON, width=1024, quality=80)
        _save(shot, home.photos / "web.jpg", width=1200, quality=95)
        shutil.copyfile(home.photos / "web.jpg", home.photos / "web copy.jpg")
        _save(_shot(named["coffee"], 0.01), home.photos / "next.jpg", taken="2024:06:30 12:00:01")
        _save(_shot(named["rocket"]), home.photos / "rocket.jpg", taken=_NOON)
        for name in ("whole.png", "astronaut.png", "camera.png"):
            home.copy(named["chelsea" if name == "whole.png" else Path(name).stem], name)
        home.start()
        home.sync()
        yield home


def _names(match: Mapping[str, Any]) -> tuple[str, set[str], set[str]]:
    return os.path.basename(match["path"]), *(
        {os.path.basename(path) for path in match[key]} for key in ("copies", "versions")
    )


# One shot is one match


def test_versions_of_a_shot_are_one_match_and_the_next_of_a_burst_is_counted_with_it(
    library: Home, photos: list[Path]
) -> None:
    """The largest stands for them, also when a smaller one is more like the query; names do not matter."""
    query = library.folder / "query.jpg"
    _save(_shot(next(photo for photo in photos if photo.stem == "coffee")), query, width=1200, quality=90)
    best, second, *_ = library.like(query)
    apart = [os.path.basename(match["path"]) for match in library.like(query, "--no-fold")]

    assert _names(best) == ("whole.jpg", set(), {"mail.jpg", "web.jpg", "web copy.jpg"})
    assert [os.path.basename(path) for path in best["burst"]] == ["next.jpg"]
    assert second["versions"] == second["burst"] == []
    assert set(apart[:5]) == {"whole.jpg", "mail.jpg", "web.jpg", "web copy.jpg", "next.jpg"}


def test_n_counts_shots(library: Home) -> None:
    """Versions behind the last match that is wanted are found too, and take no place."""
    folded = library.like(library.photos / "rocket.jpg", "-n", "8")

    assert len(folded) == 4
    assert sorted((len(match["versions"]) + len(match["burst"]), match["frames"]) for match in folded) == [
        *[(0, 0)] * 3,
        (4, 1),
    ]
    assert [library.like(library.photos / "rocket.jpg", "-n", str(n)) for n in (1, 2, 3)] == [
        folded[:n] for n in (1, 2, 3)
    ]


def test_the_versions_of_the_query_are_matches(library: Home) -> None:
    """Only the photo with the same path is left out; the others are what is looked for."""
    best = library.like(library.photos / "whole.jpg", "-n", "1")[0]
    itself = library.like(library.photos / "web.jpg", "-n", "1", "--self")[0]

    assert _names(best) in [("web.jpg", {"web copy.jpg"}, {"mail.jpg"}), ("web copy.jpg", {"web.jpg"}, {"mail.jpg"})]
    assert _names(itself) == ("whole.jpg", set(), {"mail.jpg", "web.jpg", "web copy.jpg"})


# A memory card


@pytest.fixture(scope="module")
def card(library: Home, photos: list[Path]) -> Path:
    """Return a memory card with a photo of each kind."""
    named = {photo.stem: photo for photo in photos}
    folder = library.folder / "card/DCIM"
    (folder / ".trash").mkdir(parents=True)
    (folder / "@eaDir").mkdir()
    shot = _shot(named["rocket"])
    shutil.copyfile(library.photos / "web.jpg", folder / "copy.jpg")
    (folder / "stripped.jpg").write_bytes(_without_exif((library.photos / "rocket.jpg").read_bytes()))
    _save(shot, folder / "export.jpg", width=1024, quality=90)
    _save(shot.crop((40, 30, 1760, 1320)), folder / "cut.jpg")
    _save(_shot(named["rocket"], 0.01), folder / "next.jpg", taken="2024:06:30 12:00:01")
    shutil.copyfile(named["gravel"], os.fsencode(folder) + b"/" + _ODD)
    (folder / "broken.jpg").write_bytes((library.photos / "rocket.jpg").read_bytes()[:20_000])
    (folder / "readme.txt").write_text("no photo")
    (folder / "link.jpg").symlink_to(folder / "copy.jpg")
    for hidden in (".trash/a.jpg", "@eaDir/a.jpg", ".a.jpg"):
        shutil.copyfile(folder / "copy.jpg", folder / hidden)
    return folder.parent


def _without_exif(data: bytes) -> bytes:
    """Return a JPEG as Pillow writes it, with the same picture and no metadata."""
    end = 4 + int.from_bytes(data[4:6], "big")
    assert (data[2:4], data[end : end + 2]) == (b"\xff\xe0", b"\xff\xe1")
    return data[:end] + data[end + 2 + int.from_bytes(data[end + 2 : end + 4], "big") :]


def _seen(folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """Return what a look at each file says, but when it was read."""
    found = {str(path): path.lstat() for path in folder.rglob("*")}
    return {path: (st.st_mtime_ns, st.st_ctime_ns, st.st_size, st.st_ino) for path, st in found.items()}


def test_each_photo_of_a_card_is_there_near_or_new(library: Home, card: Path) -> None:
    """By its picture. Other files are skipped, and counted by kind; what is broken is told."""
    done = library.pixkin("have", "--json", card)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    has = {os.path.relpath(line["path"], card / "DCIM"): line["has"] for line in lines}
    kinds = {os.path.relpath(line["path"], card / "DCIM"): line["kind"] for line in lines if line["kind"] != "photo"}
    where = {os.path.basename(line["path"]): [os.path.basename(path) for path in line["paths"]] for line in lines}

    assert kinds == {
        ".a.jpg": "hidden file",
        ".trash/a.jpg": "hidden file",
        "@eaDir/a.jpg": "hidden file",
        "link.jpg": "link",
        "readme.txt": "other file",
    }
    assert has == {
        **dict.fromkeys(kinds, "skipped"),
        "broken.jpg": "failed",
        "caf\\xe9 \\xff.jpg": "new",
        "copy.jpg": "there",
        "cut.jpg": "near",
        "export.jpg": "near",
        "next.jpg": "new",
        "stripped.jpg": "there",
    }
    assert sorted(where["copy.jpg"]) == ["web copy.jpg", "web.jpg"]
    assert where["stripped.jpg"] == where["export.jpg"] == where["cut.jpg"] == ["rocket.jpg"]
    assert (
        base64.b64decode(next(line["path_b64"] for line in lines if "path_b64" in line))
        == os.fsencode(card / "DCIM") + b"/" + _ODD
    )
    assert re.search(rb"broken\.jpg: .*truncated", done.stderr)
    assert b"pixkin: 2 there, 2 near, 2 new, 1 could not be read\n" in done.stderr
    assert done.stderr.endswith(b"pixkin: 3 hidden files, 1 link, 1 other file were not looked at\n")
    assert done.returncode == 66


def test_the_status_says_whether_a_card_can_be_erased(library: Home, card: Path) -> None:
    """0 only where all are there; 1 where one is new or near; 66 where one was not read, or there are none at all."""
    empty = library.folder / "empty"
    empty.mkdir()
    statuses = [
        library.pixkin("have", *(card / "DCIM" / name for name in names)).returncode
        for names in (
            ["copy.jpg", "stripped.jpg"],
            ["copy.jpg", "next.jpg"],
            ["export.jpg"],
            ["next.jpg", "missing.jpg"],
        )
    ]

    assert statuses == [0, 1, 1, 66]
    assert library.pixkin("have", empty).returncode == 66


def test_paths_are_for_programs(library: Home, card: Path) -> None:
    """`--new -0 | xargs -0 cp` copies what is new, whatever its name is; the options add up."""
    new = library.pixkin("have", card, "--new", "-0").stdout
    more = library.pixkin("have", card, "--near", "--there", "--paths").stdout

    here = os.fsencode(card / "DCIM") + b"/"
    assert new.split(b"\0") == [here + _ODD, here + b"next.jpg", b""]
    assert more.splitlines() == [here + name for name in (b"copy.jpg", b"cut.jpg", b"export.jpg", b"stripped.jpg")]


def test_nothing_is_written_anywhere(library: Home, card: Path) -> None:
    """Neither to the card nor to the index: what is new is new the next time, too."""
    before, report = _seen(card), library.status()
    answers = [library.pixkin("have", "--json", card).stdout for _ in range(2)]
    after = library.status()

    assert answers[0] == answers[1]
    assert _seen(card) == before
    assert (after["photos"], after["pending"], after["counters"]) == (report["photos"], 0, report["counters"])


def test_a_folder_of_the_library_is_known_from_there_alone(library: Home) -> None:
    """Copies in the same watched folder may be erased with it."""
    done = library.pixkin("have", library.photos)

    assert done.returncode == 1
    assert done.stdout.count(b"only here\t1.000\t") == 9


def test_bytes_are_answered_as_a_file_is(library: Home, card: Path) -> None:
    """From Python, for what the daemon cannot open; each image for itself, in their order."""
    data = (card / "DCIM/copy.jpg").read_bytes()
    with library.client() as client:
        held = client.have(data, card / "DCIM/next.jpg", b"no image").holdings

    assert [one.has for one in held] == ["there", "new", "failed"]
    assert [one.path for one in held] == [b"", os.fsencode(card / "DCIM/next.jpg"), b""]
    assert stat.S_ISREG(os.stat(held[0].paths[0]).st_mode)
