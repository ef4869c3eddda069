"""Near-duplicates side by side."""

import os
from pathlib import Path

import msgspec
import pytest
from tests.client.cli.browse.library import FakeLibrary, content, group
from tests.client.cli.browse.playing import Player, play

from pixkin.cli.browse import session
from pixkin.cli.browse.fates import fates
from pixkin.errors import DaemonAbsent
from pixkin.protocol.replies import Band, Group, Photo


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_BEAT_S", 0.2)


def _with_copies(folder: Path) -> Group:
    """Return a group of a photo, an exact copy that is spare, and one that has a video."""
    photos = []
    for name, spare, notes in (("a.jpg", False, ()), ("copy.jpg", True, ()), ("live.jpg", False, ("has a video",))):
        (folder / name).write_bytes(b"x" * 5000)
        path = os.fsencode(folder / name)
        photos.append(Photo(path, content(1), 300, 200, 5000, spare=spare, notes=notes))
    return Group(Band.IDENTICAL, 1.0, tuple(photos))


def test_it_says_what_stays_what_could_go_and_why(tmp_path: Path) -> None:
    """The words are those of `pixkin dupes --trash`, which would move the same photos; here nothing is moved."""
    library = FakeLibrary(20)
    library.groups = (group(2, 3), _with_copies(tmp_path))

    async def moves(player: Player) -> None:
        await player.press("d")
        await player.until(lambda: player.line("facts"))
        # The group that wastes more comes first.
        assert player.line("title").startswith("identical (1.00): 3 photos; 1 exact copy in all groups: 5.0 kB")

        assert [caption.splitlines()[:2] for caption in player.captions] == [
            ["a.jpg", "stays"],
            ["copy.jpg", "could go"],
            ["live.jpg", "stays"],
        ]
        assert (
            player.line("facts")
            == "It stays: it is the best by drive, format, pixels, metadata, name and age, in this order."
        )
        await player.press("right")
        assert player.line("facts") == "It could go: a.jpg is the same picture, has all its metadata, and stays."
        await player.press("right")
        assert player.line("facts") == "It stays: the best one may lack something of it: it has a video."
        await player.press("down")
        await player.until(lambda: player.line("facts") == "It stays: it has the most pixels.")
        assert [caption.split("\n")[2:4] for caption in player.captions] == [
            ["3000 x 2000 ▲", "1.0 MB"],
            ["1500 x 1000", "500.0 kB"],
        ]

    play(library, moves, size=(100, 30))
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "copy.jpg", "live.jpg"]


def test_a_copy_whose_best_one_has_changed_stays(tmp_path: Path) -> None:
    """What `pixkin dupes --trash` would refuse is no proposal here."""
    found = _with_copies(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"changed")

    _, copy, _ = fates(found)
    assert copy.stays
    assert copy.why == "It stays: it or the copy that stays has changed a moment ago; try again."


def test_a_photo_is_kept_apart_and_this_is_undone() -> None:
    """The decision names each other photo of the group; `u` takes back exactly these."""
    library = FakeLibrary(20)
    library.groups = (group(1, 2, 3), group(4, 5))

    async def moves(player: Player) -> None:
        await player.press("d")
        await player.until(lambda: player.captions)
        await player.press("right", "a")
        await player.until(lambda: len(player.captions) == 2)
        assert library.apart_pairs == [
            ("/photos/0002.jpg", "/photos/0001.jpg"),
            ("/photos/0002.jpg", "/photos/0003.jpg"),
        ]
        await player.press("down", "a")
        await player.until(lambda: player.line("title").endswith("group 1 of 1"))
        await player.press("u")
        await player.until(lambda: player.line("title").endswith("group 1 of 2"))
        assert player.focused[0].startswith("0004.jpg")
        await player.press("u")
        await player.until(lambda: player.line("title").endswith("group 2 of 2"))
        assert len(player.captions) == 3
        await player.press("u")
        await player.until(lambda: player.line("state") == "There is nothing to undo.")

    play(library, moves, size=(100, 30))
    assert library.apart_pairs == []


def test_exact_copies_are_not_kept_apart(tmp_path: Path) -> None:
    """They are one picture, so there are no two to tell apart."""
    library = FakeLibrary(20)
    library.groups = (_with_copies(tmp_path),)

    async def moves(player: Player) -> None:
        await player.press("d")
        await player.until(lambda: player.captions)
        await player.press("a")
        assert player.line("state") == "These are exact copies of one picture, so they cannot be kept apart."

    play(library, moves)


def test_going_on_from_a_duplicate_and_coming_back() -> None:
    """Enter asks, `d` returns to the same group and photo; a path is marked on every screen."""
    library = FakeLibrary(20)
    library.groups = (group(1, 2), group(3, 4))

    async def moves(player: Player) -> None:
        await player.press("d")
        await player.until(lambda: player.captions)
        await player.press("down", "right", "x", "space", "left")
        assert player.line("title").startswith("0003.jpg")
        await player.press("right", "enter")
        await player.until(lambda: player.line("title").startswith("photos like 0004.jpg"))
        await player.press("d")
        assert player.line("title").endswith("group 2 of 2")
        assert player.focused[0].startswith("[x] 0004.jpg")
        assert [call[0] for call in library.asked].count("dupes") == 1
        await player.press("escape")
        assert player.line("title").startswith("photos like 0004.jpg")

    play(library, moves, size=(100, 30))


def test_a_search_that_breaks_begins_again() -> None:
    """The reason is on the screen until the daemon answers."""
    library = FakeLibrary(20)
    library.groups = (group(1, 2),)
    library.errors["dupes"] = DaemonAbsent("no daemon listens on /run/p.sock", "")

    async def moves(player: Player) -> None:
        await player.press("d")
        await player.until(lambda: player.app.session.trouble)
        library.errors.clear()
        await player.until(lambda: player.captions)
        assert player.line("title").endswith("group 1 of 1")

    play(library, moves)


def test_a_library_without_duplicates_says_so() -> None:
    """And every key is safe there."""

    async def moves(player: Player) -> None:
        await player.press("d")
        nothing = player.app.screen.query_one(".nothing")
        await player.until(lambda: str(nothing.render()) == "There are no near-duplicates.")
        await player.press(*"axyur", "space", "enter", "left", "down", "escape")
        assert player.line("title").startswith("your photos")

    play(FakeLibrary(20), moves)


def test_a_group_with_hostile_names_and_many_photos() -> None:
    """Names are escaped, and the photos around the focus are shown."""
    many = group(*range(1, 100))
    first, *rest = many.photos
    library = FakeLibrary(100)
    library.groups = (
        msgspec.structs.replace(many, photos=(msgspec.structs.replace(first, path=b"/p/[b]\x1b\xff.jpg"), *rest)),
    )

    async def moves(player: Player) -> None:
        await player.press("d")
        await player.until(lambda: player.captions)
        assert player.captions[0].startswith("[b]\\x1b\\xff.jpg")
        await player.press(*["right"] * 50)
        assert player.focused[0].startswith("0051.jpg")
        await player.press("a")
        assert "more than 50 other photos" in player.line("state")

    play(library, moves)
