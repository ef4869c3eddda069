"""Which photos of a group may go, and which one stays."""

import os
from pathlib import Path

import msgspec
import pytest
from tests.client.trash.library import Library, group

from pixkin.errors import InputUnreadable
from pixkin.protocol.replies import Band, Group
from pixkin.trash.offers import Wishes

MAYBE = "not sure to be in the copy that stays (pixkin dupes says what differs)"
DIFFERS = "not the same bytes as the copy that --keep or --across keeps"


def offered(wishes: Wishes, given: Group) -> list[tuple[str, str]]:
    """Return which photos may go, and for which ones, by their paths below the photo folder."""
    base = os.path.commonpath([os.path.dirname(os.fsdecode(photo.path)) for photo in given.photos])
    return [(os.path.relpath(one.path, base), os.path.relpath(one.kept, base)) for one in wishes.offers(given)]


def made(library: Library, *names: str) -> Group:
    """Return copies of one picture, all of which may go but the first."""
    return group(*(library.photo(name) for name in names))


def test_only_what_the_daemon_calls_spare_may_go(library: Library) -> None:
    """A photo that has something of its own, or is away, stays and is counted."""
    given = made(library, "a/1.jpg", "b/1.jpg", "c/1.jpg", "d/1.jpg")
    first, spare, richer, away = given.photos
    photos = (first, spare, msgspec.structs.replace(richer, spare=False), msgspec.structs.replace(away, offline=True))
    wishes = Wishes()

    assert offered(wishes, Group(given.band, 1.0, photos)) == [("b/1.jpg", "a/1.jpg")]
    assert wishes.stay == {MAYBE: 1, "on drives that are not connected": 1}


def test_what_lies_in_keep_wins_and_stays(library: Library) -> None:
    """It is kept although another one is the best, because the bytes are the same; two of them both stay."""
    given = made(library, "a/1.jpg", "b/1.jpg", "keep/1.jpg", "keep/sub/1.jpg")
    wishes = Wishes(keep=[str(library.photos / "keep")])

    assert offered(wishes, given) == [("a/1.jpg", "keep/1.jpg"), ("b/1.jpg", "keep/1.jpg")]
    assert all(offer.same_bytes for offer in wishes.offers(given))


def test_keep_never_lets_richer_metadata_go(library: Library) -> None:
    """Where the bytes differ, only the daemon's best one may stand for the others."""
    best = library.photo("a/1.jpg", metadata=b"rating and place")
    copies = library.photo("b/1.jpg", metadata=b"rating"), library.photo("keep/1.jpg")
    given = group(best, *copies)
    wishes, same = Wishes(keep=[str(library.photos / "keep")]), Wishes(keep=[str(library.photos / "a")])

    assert offered(wishes, given) == []
    assert wishes.stay[DIFFERS] == 2
    assert offered(same, given) == [("b/1.jpg", "a/1.jpg"), ("keep/1.jpg", "a/1.jpg")]


def test_keep_says_nothing_about_groups_elsewhere(library: Library) -> None:
    """They are as without it."""
    given = made(library, "a/1.jpg", "b/1.jpg")
    (library.photos / "keep").mkdir()

    assert offered(Wishes(keep=[str(library.photos / "keep")]), given) == [("b/1.jpg", "a/1.jpg")]


def test_never_keeps_a_folder_as_it_is(library: Library) -> None:
    """Its photos may be the ones that stay for others, but never go."""
    given = made(library, "never/1.jpg", "never/2.jpg", "b/1.jpg")
    wishes = Wishes(never=[str(library.photos / "never")])

    assert offered(wishes, given) == [("b/1.jpg", "never/1.jpg")]
    assert wishes.stay["in a folder of --never"] == 1


@pytest.mark.parametrize("names", [("in/1.jpg", "out/1.jpg"), ("out/1.jpg", "in/1.jpg")])
def test_across_lets_only_go_what_is_elsewhere_too(library: Library, names: tuple[str, ...]) -> None:
    """What lies elsewhere stays, whichever is the best, and copies within the folder alone are another question."""
    given = made(library, *names, "in/2.jpg", "out/2.jpg")
    alone = made(library, "in/3.jpg", "in/4.jpg")
    wishes = Wishes(across=[str(library.photos / "in")])

    assert sorted(offered(wishes, given)) == [("in/1.jpg", "out/1.jpg"), ("in/2.jpg", "out/1.jpg")]
    assert offered(wishes, alone) == []


def test_what_lies_elsewhere_on_a_drive_that_is_away_counts_for_nothing(library: Library) -> None:
    """`--across` looks for a copy that is there."""
    given = made(library, "in/1.jpg", "out/1.jpg")
    away = Group(given.band, 1.0, (given.photos[0], msgspec.structs.replace(given.photos[1], offline=True)))

    assert offered(Wishes(across=[str(library.photos / "in")]), away) == []


def test_a_folder_is_known_by_every_name_that_it_has(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, through a link, or in another case, which some drives ignore."""
    given = made(library, "a/1.jpg", "Never/1.jpg")
    (library.folder / "link").symlink_to(library.photos / "Never")
    (library.photos / "never").mkdir()
    monkeypatch.chdir(library.photos)

    for name in ("Never", "./a/../Never/", str(library.folder / "link"), "never"):
        assert offered(Wishes(never=[name]), given) == []
    assert offered(Wishes(never=["a"]), given) == [("Never/1.jpg", "a/1.jpg")]


def test_a_folder_whose_name_begins_alike_is_another_one(library: Library) -> None:
    """`--never a` does not protect `ab`."""
    given = made(library, "b/1.jpg", "ab/1.jpg")
    (library.photos / "a").mkdir()

    assert offered(Wishes(never=[str(library.photos / "a")]), given) == [("ab/1.jpg", "b/1.jpg")]


@pytest.mark.parametrize("which", ["keep", "never", "across"])
def test_a_folder_that_is_not_there_is_refused(library: Library, which: str) -> None:
    """A typing error must cost nothing."""
    with pytest.raises(InputUnreadable, match="no such file"):
        Wishes(**{which: [str(library.photos / "typo")]})  # type: ignore[arg-type] # one of three


def test_what_is_not_there_is_left_out_and_said(library: Library) -> None:
    """The photo, or the one that should stay."""
    given = made(library, "a/1.jpg", "b/1.jpg")
    Path(os.fsdecode(given.photos[0].path)).unlink()
    wishes = Wishes()

    assert offered(wishes, given) == []
    assert wishes.left_out == [f"{library.photos}/b/1.jpg: no such file or directory"]


def test_a_copy_in_a_cache_keeps_no_photo_from_staying(library: Library) -> None:
    """The program that made it deletes it again. `--keep` may name the cache all the same."""
    download, cached = library.photo("downloads/a.jpg"), library.photo("cache/a.jpg")
    photos = group(download, cached).photos
    told = Group(Band.IDENTICAL, 1.0, (photos[0], msgspec.structs.replace(photos[1], passing=True)))
    wishes = Wishes(across=[str(download.parent)])

    assert wishes.offers(told) == []
    assert wishes.left_out == [f"{download}: its copy elsewhere is in a cache"]
    assert len(Wishes(across=[str(download.parent)], keep=[str(cached.parent)]).offers(told)) == 1
