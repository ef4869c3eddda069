"""Every way to ask, and every form of the answer."""

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home

from pixkin import Client

pytestmark = [pytest.mark.e2e]

_ODD = b"caf\xe9 \xff.png"  # Latin-1, as on many an old drive


@pytest.fixture(scope="module")
def library(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with eight pictures, three of them in the folder `album`, one under an odd name; and two copies."""
    with new_home() as home:
        for photo in photos[4:7]:
            home.copy(photo, f"album/{photo.name}")
        shutil.copyfile(photos[4], home.photos / "copy.png")
        shutil.copyfile(photos[4], home.photos / "album/another.png")
        shutil.copyfile(photos[7], os.fsencode(home.photos) + b"/" + _ODD)
        home.index(*photos[:4])
        yield home


@pytest.fixture
def query(library: Home, photos: list[Path]) -> Path:
    """Return an indexed photo that has no copies."""
    return library.photos / photos[0].name


def _paths(home: Home, *words: "str | os.PathLike[str]") -> list[str]:
    return [match["path"] for match in home.like(*words)]


# What is asked about


def test_an_indexed_photo_finds_others_but_not_itself(library: Home, query: Path) -> None:
    """All other pictures are ranked, best first, and the photo itself is not among them."""
    matches = library.like(query)
    scores = [match["score"] for match in matches]

    assert len(matches) == 7
    assert str(query) not in [match["path"] for match in matches]
    assert scores == sorted(scores, reverse=True)


def test_a_copy_of_the_query_is_its_best_match(library: Home, photos: list[Path]) -> None:
    """The path is never its own match, but the same picture under other names is, and comes first."""
    best = library.like(library.photos / "copy.png", "-n", "1")[0]

    assert {best["path"], *best["copies"]} == {
        str(library.photos / "album" / photos[4].name),
        str(library.photos / "album/another.png"),
    }
    assert best["score"] == pytest.approx(1, abs=1e-3)
    assert best["distance"] == pytest.approx(0, abs=1e-3)


def test_a_photo_elsewhere_finds_its_copy_here(library: Home, photos: list[Path]) -> None:
    """A file outside the library is recognised by its content: no encode, and a perfect match."""
    before = library.encodes()
    best = library.like(photos[1], "-n", "1")[0]

    assert best["path"] == str(library.photos / photos[1].name)
    assert best["score"] == pytest.approx(1, abs=1e-3)
    assert library.encodes() == before


def test_a_picture_that_is_not_indexed_is_encoded_for_the_query(library: Home, photos: list[Path]) -> None:
    """Any image will do: what is asked about need not be in the library, and does not enter it."""
    before = library.status()["photos"]

    assert len(library.like(photos[-1], "-n", "3")) == 3
    assert library.status()["photos"] == before


def test_standard_input_is_the_same_as_a_file(library: Home, photos: list[Path]) -> None:
    """`-` reads the bytes of an image; it has no path, so the photo with these bytes is a match."""
    matches = library.like("-", stdin=photos[0].read_bytes())

    assert matches[0]["path"] == str(library.photos / photos[0].name)
    assert matches[0]["score"] == pytest.approx(1, abs=1e-3)
    assert matches[1:] == library.like(photos[0])[1:]


def test_several_images_are_one_question(library: Home, query: Path, photos: list[Path]) -> None:
    """Two photos together find what is like either, and neither of the two."""
    other = library.photos / photos[1].name
    both = _paths(library, query, other)

    assert len(both) == 6
    assert not {str(query), str(other)} & set(both)


def test_a_photo_can_be_named_in_any_way(library: Home, query: Path) -> None:
    """A relative path, a link to the photo and a way through a linked folder all mean the same indexed photo."""
    link, folder = library.folder / "link.png", library.folder / "linked"
    link.symlink_to(query)
    folder.symlink_to(library.photos)
    before = library.status()["counters"]
    answers = [library.like(way) for way in (query, os.path.relpath(query), link, folder / query.name)]
    after = library.status()["counters"]

    assert all(answer == answers[0] for answer in answers)
    assert after == before


def test_a_photo_whose_name_is_not_utf8_is_found_and_named_exactly(library: Home, photos: list[Path]) -> None:
    """The path is bytes: `path` shows it, `path_b64` is it, `-0` prints it, and it can be asked about."""
    exact = os.fsencode(library.photos) + b"/" + _ODD
    best = library.like(photos[7], "-n", "1")[0]
    null = library.pixkin("like", "-0", "-n", "1", photos[7]).stdout
    own = library.pixkin("like", "-0", "--self", "-n", "1", os.fsdecode(exact)).stdout

    assert base64.b64decode(best["path_b64"]) == exact
    assert best["path"].endswith("caf\\xe9 \\xff.png")
    assert null == own == exact + b"\0"


# What is let through


def test_n_bounds_the_matches(library: Home, query: Path) -> None:
    """`-n` is a prefix of the longer answer."""
    assert _paths(library, query, "-n", "3") == _paths(library, query)[:3]


def test_min_score_and_max_distance_bound_the_matches(library: Home, query: Path) -> None:
    """Exactly the matches that are good enough pass."""
    every = library.like(query)
    score, distance = every[3]["score"], sorted(match["distance"] for match in every)[3]

    assert library.like(query, "--min-score", str(score)) == every[:4]
    assert library.like(query, "--max-distance", str(distance)) == [m for m in every if m["distance"] <= distance]


def test_nothing_good_enough_is_status_1(library: Home, query: Path) -> None:
    """No match is no error: status 1 and an empty answer."""
    done = library.pixkin("like", "--min-score", "0.9999", query)

    assert done.returncode == 1
    assert done.stdout == b""


def test_under_narrows_to_a_folder(library: Home, query: Path, photos: list[Path]) -> None:
    """Only photos beneath the folder, and only their copies there; a link may lead to it; above a root is everywhere."""
    album = library.photos / "album"
    link = library.folder / "album"
    link.symlink_to(album)
    under = library.like(query, "--under", album)
    named = {path for match in under for path in (match["path"], *match["copies"])}

    assert named == {str(album / name) for name in ("another.png", *(photo.name for photo in photos[4:7]))}
    assert library.like(query, "--under", link) == under
    assert library.like(query, "--under", library.folder) == library.like(query)


def test_sync_takes_a_folder_a_link_to_it_or_a_photo(library: Home, query: Path) -> None:
    """It looks at what lies there, and nothing else."""
    link = library.folder / "synced"
    link.symlink_to(library.photos)
    counts = [
        library.client().sync(path).photos for path in (None, library.photos, link, library.photos / "album", query)
    ]

    assert counts == [10, 10, 10, 4, 1]


def test_self_lets_the_photo_itself_through(library: Home, query: Path) -> None:
    """`--self` puts it first; the rest stays as it is."""
    every = library.like(query, "--self")

    assert every[0]["path"] == str(query)
    assert every[0]["score"] == pytest.approx(1, abs=1e-3)
    assert every[1:] == library.like(query)


def test_copies_fold_into_one_match(library: Home, query: Path, photos: list[Path]) -> None:
    """A picture counts once, however many copies there are; `--no-fold` prints each, with the same score."""
    names = {str(library.photos / name) for name in ("copy.png", "album/another.png", f"album/{photos[4].name}")}
    folded = [match for match in library.like(query) if names & {match["path"], *match["copies"]}]
    single = [match for match in library.like(query, "--no-fold") if match["path"] in names]

    assert [{match["path"], *match["copies"]} for match in folded] == [names]
    assert {match["path"] for match in single} == names
    assert {match["score"] for match in single} == {folded[0]["score"]}
    assert not any(match["copies"] for match in single)


# How it is printed


def test_json_has_exactly_the_documented_keys(library: Home, query: Path) -> None:
    """One object a line: path, score, distance, offline, copies, versions, burst, frames, related, band, damaged."""
    lines = library.pixkin("like", "--json", "-n", "2", "--under", library.photos / "album", query).stdout.splitlines()

    assert [list(json.loads(line)) for line in lines] == [
        ["path", "score", "distance", "offline", "copies", "versions", "burst", "frames", "related", "band", "damaged"]
    ] * 2


def test_every_form_names_the_same_photos(library: Home, query: Path) -> None:
    """`-0` and `--paths` print bare paths, the table has score, distance and path; all in the order of `--json`."""
    paths = [os.fsencode(path) for path in _paths(library, query, "-n", "3")]
    null, lines, table = (library.pixkin("like", *form, "-n", "3", query).stdout for form in (["-0"], ["--paths"], []))

    assert null == b"".join(path + b"\0" for path in paths)
    assert lines == b"".join(path + b"\n" for path in paths)
    assert [line.split(b"\t")[2] for line in table.splitlines()] == paths


# From Python


def test_python_asks_the_same_question(library: Home, query: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Client().like("a.jpg", n=10)` gives what the command prints."""
    monkeypatch.chdir(query.parent)
    monkeypatch.setenv("XDG_RUNTIME_DIR", library.env["XDG_RUNTIME_DIR"])
    reply = Client().like(query.name, n=3)

    assert [(os.fsdecode(match.path), match.score) for match in reply.matches] == [
        (match["path"], match["score"]) for match in library.like(query, "-n", "3")
    ]
    assert reply.doubt.pending == 0


# A drive that is away


def test_photos_of_an_absent_drive_are_still_answered(home: Home, photos: list[Path]) -> None:
    """They are marked offline, can be asked about, and cost nothing when the drive is back."""
    drive = home.folder / "drive"
    drive.mkdir()
    home.configure(index={"folders": [str(home.photos), str(drive)]})
    home.copy(photos[0])
    for photo in photos[1:3]:
        shutil.copyfile(photo, drive / photo.name)
    home.start()
    home.sync()
    before = home.status()["counters"]["encodes"]
    drive.rename(home.folder / "unplugged")
    away = home.pixkin("sync")
    matches = home.like(home.photos / photos[0].name)
    asked = home.like(drive / photos[1].name)
    report = home.status()
    (home.folder / "unplugged").rename(drive)
    home.sync()

    assert away.returncode == 75
    assert str(drive).encode() in away.stderr
    assert {match["path"]: match["offline"] for match in matches} == {
        str(drive / photo.name): True for photo in photos[1:3]
    }
    assert {match["path"] for match in asked} == {str(home.photos / photos[0].name), str(drive / photos[2].name)}
    assert (report["photos"], report["offline"], report["failed"]) == (3, 2, 0)
    assert [root["state"] for root in report["roots"]] == ["online", "offline"]
    assert not any(match["offline"] for match in home.like(home.photos / photos[0].name))
    assert home.encodes() == before == 3
