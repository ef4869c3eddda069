"""`pixkin browse` as people meet it: keys in, lines and pictures out."""

import base64

import pytest
from PIL import Image as PillowImage
from tests.client.cli.browse.library import FakeLibrary, content
from tests.client.cli.browse.playing import Player, play
from textual.events import Key

from pixkin.cli.browse import session
from pixkin.cli.browse.tiles import Tile
from pixkin.errors import DaemonAbsent, DaemonBusy, InputUnreadable
from pixkin.protocol.replies import Report
from pixkin.protocol.requests import Size
from pixkin.query_images import Indexed


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_BEAT_S", 0.2)


ABSENT = DaemonAbsent("no daemon listens on /run/p.sock", "start it with `systemctl --user start pixkind`")


def test_it_shows_the_newest_photos_and_what_is_known_of_the_one_in_focus() -> None:
    """The pictures fill 80x24; only those in sight and those of the next screen are fetched, in the smallest size."""
    library = FakeLibrary(100)

    async def moves(player: Player) -> None:
        await player.until(lambda: "ACME" in player.line("facts"))
        await player.until(lambda: _pictures(player) == 8)
        assert player.captions == [f"000{n}.jpg" for n in range(1, 9)]
        assert player.line("title").split() == ["your", "photos,", "newest", "first", "1", "of", "100"]
        assert player.line("path") == "/photos/0001.jpg"
        assert player.line("facts") == "2020-09-13 12:26  ACME One  300 x 200  123.5 kB"
        await player.until(lambda: sum(name == "thumbnail" for name, *_ in library.asked) == 16)

    play(library, moves)
    assert {call[2] for call in library.asked if call[0] == "thumbnail"} == {Size.S}


def _pictures(player: Player) -> int:
    got = (player.app.loader.get(tile.wanted) for tile in player.app.screen.query(Tile) if tile.wanted)
    return sum(isinstance(one, PillowImage.Image) for one in got)


def test_arrows_move_and_the_photos_move_along() -> None:
    """Right goes on in the next row; down from the last full row reaches the last photo; the ends are ends."""

    async def moves(player: Player) -> None:
        await player.press("left", "up")
        assert player.focused == ["0001.jpg"]
        await player.press("right", "down", "right", "right")
        assert player.focused == ["0008.jpg"]
        await player.press("right")
        assert player.focused == ["0009.jpg"]
        assert player.captions[0] == "0005.jpg"
        await player.press("left", "down")
        assert player.focused == ["0010.jpg"]
        await player.press("up", "home", "pagedown")
        assert player.focused == ["0009.jpg"]
        await player.press("home", "end")
        assert player.focused == ["0010.jpg"]
        assert player.captions == ["0005.jpg", "0006.jpg", "0007.jpg", "0008.jpg", "0009.jpg", "0010.jpg"]

    play(FakeLibrary(10), moves)


def test_enter_goes_on_and_backspace_comes_back_to_the_same_place() -> None:
    """Three hops on, and back: each answer, row and focus is as it was, and nothing is asked again."""
    library = FakeLibrary(100)

    async def moves(player: Player) -> None:
        await player.press("end", "up", "up", "left")
        places = [(player.focused, player.captions, player.line("title"))]
        for keys in (("enter", "right"), ("enter", "right", "right"), ("enter",)):
            await player.press(*keys)
            places.append((player.focused, player.captions, player.line("title")))
        asked = [call for call in library.asked if call[0] in ("browse", "like")]
        for place in reversed(places[:-1]):
            await player.press("backspace")
            assert (player.focused, player.captions, player.line("title")) == place
        assert [call for call in library.asked if call[0] in ("browse", "like")] == asked
        await player.press("backspace")
        assert player.line("state") == "This is where you began."

    play(library, moves)
    likes = [call for call in library.asked if call[0] == "like"]
    assert [images for _, images, _ in likes] == [(Indexed(content(n)),) for n in (91, 93, 96)]


def test_plus_and_minus_make_a_question_of_several_pictures() -> None:
    """The same key on the same picture takes it out again; minus alone is no question; Backspace undoes each step."""
    library = FakeLibrary(100)

    async def moves(player: Player) -> None:
        await player.press("minus")
        assert "needs a picture" in player.line("state")
        await player.press("plus", "right", "plus", "end", "minus")
        assert player.line("title").startswith("photos like 0001.jpg + 0003.jpg - 0100.jpg ")
        await player.press("backspace")
        assert player.line("title").startswith("photos like 0001.jpg + 0003.jpg ")

    play(library, moves)
    likes = [call[1:] for call in library.asked if call[0] == "like"]
    one, three, last = (Indexed(content(n)) for n in (1, 3, 100))
    assert likes == [((one,), ()), ((one, three), ()), ((one, three), (last,))]


def test_nine_pictures_are_no_question() -> None:
    """What the protocol does not allow is said before it is asked."""

    async def moves(player: Player) -> None:
        for n in range(9):  # the answers begin with picture 2
            await player.press(*["right"] * n, "plus")
        assert player.line("state") == "A question has at most 8 pictures."

    play(FakeLibrary(100), moves)


def test_a_path_is_typed_or_given() -> None:
    """The path on the command line is the first question; a dropped file has quotes; an empty line is the library."""
    library = FakeLibrary(20)

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        assert player.line("title").startswith("photos like beach.jpg")
        await player.press("slash", *"'/tmp/a'", "left", "b", "enter")
        await player.until(lambda: player.line("title").startswith("photos like ab"))
        await player.press("slash", "x", "escape", "slash", "enter")
        await player.until(lambda: player.line("title").startswith("your photos"))
        assert player.app.session.marks == {}

    play(library, moves, image=b"/home/caf\xe9/beach.jpg")
    likes = [call[1] for call in library.asked if call[0] == "like"]
    assert likes == [("/home/caf\udce9/beach.jpg",), ("/tmp/ab",)]


def test_keys_that_come_at_once_belong_to_the_line_for_a_path() -> None:
    """Over a slow line a typed path comes in one piece with the key before it. No letter of it is a command."""
    library = FakeLibrary(20)

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        for key, letter in (("slash", "/"), *((one, one) for one in "xqdy"), ("backspace", "\x08"), ("enter", "\r")):
            player.app.post_message(Key(key, letter))
        await player.until(lambda: player.line("title").startswith("photos like xqd "))
        assert player.app.session.marks == {}
        await player.press("slash", "r", "escape")
        assert player.focused == ["0001.jpg"]

    play(library, moves)


def test_an_image_that_cannot_be_used_leaves_the_question_before() -> None:
    """The reason is said, and the photos that were there stay."""
    library = FakeLibrary(20)
    library.errors["like"] = InputUnreadable("/tmp/a.txt: not an image", "")

    async def moves(player: Player) -> None:
        await player.until(lambda: "not an image" in player.line("state"))
        await player.until(lambda: player.captions)
        assert player.line("title").startswith("your photos")
        await player.press("right", "enter")
        await player.until(lambda: "not an image" in player.line("state"))
        assert player.focused == ["0002.jpg"]

    play(library, moves, image=b"/tmp/a.txt")


def test_marked_paths_are_copied_and_printed_as_they_are() -> None:
    """`y` writes OSC 52 with names that are harmless where they are pasted; what is printed are the bytes."""
    library = FakeLibrary(20, {2: b"/p/caf\xe9\x1b[31m.jpg"})

    async def moves(player: Player) -> None:
        await player.press("right", "x", "left", "x", "right", "right", "x", "x", "y")
        assert player.line("state").startswith("2 marked  Copied 2 paths")
        assert "[x] 0001.jpg" in player.captions
        (sequence,) = [text for text in player.written if "]52;" in text]
        assert sequence.startswith("\x1b]52;c;")
        pasted = base64.b64decode(sequence.removeprefix("\x1b]52;c;").removesuffix("\a")).decode()
        assert pasted == "/p/caf\\xe9\\x1b[31m.jpg\n/photos/0001.jpg"
        await player.press("escape")
        assert not any("[x]" in caption for caption in player.captions)
        await player.press("q")

    app = play(library, moves)
    assert app.return_value is True
    assert app.session.copied == (b"/p/caf\xe9\x1b[31m.jpg", b"/photos/0001.jpg")


def test_without_a_mark_the_photo_in_focus_is_copied() -> None:
    """And Ctrl+C prints nothing."""

    async def moves(player: Player) -> None:
        await player.press("right", "y", "ctrl+c")

    app = play(FakeLibrary(20), moves)
    assert app.session.copied == (b"/photos/0002.jpg",)
    assert app.return_value is False


def test_hostile_names_are_shown_escaped_in_one_line() -> None:
    """Bytes that are no UTF-8, control characters, markup, wide letters, and what turns the direction of writing."""
    names = {
        1: b"/p/[bold red]caf\xe9.jpg",
        2: b"/p/\x1b]0;owned\a\n\x9b2J.jpg",
        3: "/p/\u202egpj.exe\u2066".encode(),
        4: "/p/写真写真写真写真写真写真写真写真写真.jpg".encode(),
        5: b"/p/[red]$x[@click=app.quit]y[#f].jpg",
        6: b"/p/" + b"a" * 250,
    }
    expected = {
        1: "/p/[bold red]caf\\xe9.jpg",
        2: "/p/\\x1b]0;owned\\x07\\n\\x9b2J.jpg",
        3: "/p/\\u202egpj.exe\\u2066",
        4: "/p/写真写真写真写真写真写真写真写真写真.jpg",
        5: "/p/[red]$x[@click=app.quit]y[#f].jpg",
        6: "…" + "a" * 77,
    }

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        for path in expected.values():
            assert player.line("path") == path
            await player.press("space")
            assert player.line("path") == path
            await player.press("space", "right")
        assert player.captions[3] == "写真写真写真写真…"
        assert player.captions[4] == "[red]$x[@click=ap…"
        await player.press("home", "enter")
        assert player.line("title").startswith("photos like [bold red]caf\\xe9.jpg ")

    play(FakeLibrary(20, names), moves)


def test_photos_that_are_gone_or_away_are_marked() -> None:
    """What is known stays on the screen: the last path of a photo that is gone, and pictures of drives that are away."""
    library = FakeLibrary(20)
    library.gone, library.offline = {1}, {2}

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions and player.captions[0] == "(gone) 0001.jpg")
        assert player.captions[1] == "(offline) 0002.jpg"
        assert player.line("facts").startswith("gone: it was here")
        assert player.line("path") == "/photos/0001.jpg"
        await player.press("right")
        assert player.line("facts").startswith("its drive is not connected")

    play(library, moves)


def test_a_picture_that_cannot_be_had_has_a_reason() -> None:
    """The search works all the same."""
    library = FakeLibrary(20)
    library.errors["thumbnail"] = InputUnreadable("/photos/0001.jpg: [b]truncated\x1b", "")

    async def moves(player: Player) -> None:
        await player.until(lambda: player.line("facts").startswith("no picture: [b]truncated\\x1b  2020-"))
        del library.errors["thumbnail"]
        await player.press("r")
        await player.until(lambda: _pictures(player) == 8)

    play(library, moves)


def test_a_daemon_that_is_not_there_is_a_state_and_is_tried_again() -> None:
    """At the start the screen says how to start it; as soon as it answers, the photos are there."""
    library = FakeLibrary(20)
    library.errors["all"] = ABSENT

    async def moves(player: Player) -> None:
        await player.until(lambda: player.app.session.trouble)
        nothing = str(player.app.screen.query_one(".nothing").render())
        assert "pixkind is not running." in nothing
        assert "Start it with `systemctl --user start pixkind`." in nothing
        library.errors.clear()
        await player.until(lambda: len(player.captions) == 8)
        await player.until(lambda: player.line("state") == "")

    play(library, moves)


def test_a_daemon_that_goes_away_leaves_the_photos_on_the_screen() -> None:
    """Keys go on working with what is there; a question waits, and is asked when the daemon is back."""
    library = FakeLibrary(20)

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        library.errors["all"] = DaemonBusy("the daemon did not answer in time", "try again")
        await player.press("right", "enter")
        await player.until(lambda: player.line("state").startswith("pixkind is busy; trying again."))
        await player.press("backspace")
        assert player.focused == ["0002.jpg"]
        await player.press("right")
        assert player.focused == ["0003.jpg"]
        await player.press("enter")
        library.errors.clear()
        await player.until(lambda: player.captions and player.captions[0] == "0004.jpg")

    play(library, moves)


def test_a_refusal_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon is back, and says why the question cannot be asked: that is what the screen says."""
    monkeypatch.setattr(session, "_BEAT_S", 1000.0)
    library = FakeLibrary(20)

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        library.errors["all"] = ABSENT
        await player.press("r")
        await player.until(lambda: player.line("state").startswith("pixkind is not running"))
        library.errors = {"like": InputUnreadable("/a: no such file", "")}
        await player.press("enter")
        await player.until(lambda: player.line("state") == "/a: no such file.")

    play(library, moves)


def test_the_screen_never_waits_for_the_daemon() -> None:
    """While no request is answered, keys work, help opens, and the command ends."""
    library = FakeLibrary(20)

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        library.wait.clear()
        await player.key("right", "enter")
        assert player.line("state") == "asking pixkind"
        await player.key("backspace", "right")
        assert player.focused == ["0003.jpg"]
        await player.key("q")

    app = play(library, moves)
    assert app.return_value is True


def test_the_first_photos_appear_while_they_are_indexed() -> None:
    """An empty library says what is going on; where there is nothing under the focus, photos appear by themselves."""
    library = FakeLibrary(0)
    library.report = Report(photos=0, pending=4812, rate=11.3, eta_s=426)

    async def moves(player: Player) -> None:
        await player.until(
            lambda: "No photo can be shown yet." in str(player.app.screen.query_one(".nothing").render())
        )
        nothing = str(player.app.screen.query_one(".nothing").render())
        assert "4,812 photos wait to be indexed, 11.3 a second, about 7 min to go" in nothing
        library.__init__(3)  # type: ignore[misc]
        await player.until(lambda: len(player.captions) == 3)

    play(library, moves)


def test_new_photos_wait_for_a_key() -> None:
    """Nothing moves under the focus; `r` shows what is new, with the focus on the same photo."""
    library = FakeLibrary(5)

    async def moves(player: Player) -> None:
        await player.until(lambda: player.app.session.report)
        await player.press("right")
        library.report = Report(photos=7, pending=1)
        await player.until(lambda: player.line("state").startswith("2 new photos: r shows them; 1 photo waits"))
        library.count = 7
        library.paths |= {6: b"/photos/0006.jpg", 7: b"/photos/0007.jpg"}
        await player.press("r")
        await player.until(lambda: len(player.captions) == 7)
        assert player.focused == ["0002.jpg"]

    play(library, moves)


def test_a_long_library_comes_in_pages() -> None:
    """End goes to the last photo of what is here, and the next page follows."""
    library = FakeLibrary(1200)

    async def moves(player: Player) -> None:
        await player.press("end")
        assert player.focused == ["0500.jpg"]
        await player.until(lambda: len(player.app.session.trail.hop.answer.hits) == 1000)  # type: ignore[union-attr]
        await player.press("end")
        await player.until(lambda: len(player.app.session.trail.hop.answer.hits) == 1200)  # type: ignore[union-attr]
        await player.press("end")
        assert player.focused == ["1200.jpg"]
        assert player.line("title").endswith("1,200 of 1,200")

    play(library, moves)


def test_space_views_a_picture_and_its_neighbours() -> None:
    """The focus of the grid moves along; Enter goes on from what is viewed."""

    async def moves(player: Player) -> None:
        await player.press("space", "right", "right", "left", "x")
        assert player.line("title").split() == ["[x]", "0002.jpg", "2", "of", "20"]
        await player.press("space")
        assert player.focused == ["[x] 0002.jpg"]
        await player.press("space", "right", "enter")
        await player.until(lambda: player.line("title").startswith("photos like 0003.jpg"))
        assert player.line("facts").startswith("same shot (0.900)  2020-09-13 12:26")

    play(FakeLibrary(20), moves)


def test_it_fits_any_terminal() -> None:
    """From a few cells to a wall; where there is room, the question's pictures stand beside."""

    async def moves(player: Player) -> None:
        await player.press("right", "enter")
        for width, height, columns, rows in (
            (10, 4, 1, 1),
            (40, 10, 2, 1),
            (80, 24, 4, 2),
            (120, 40, 4, 3),
            (250, 80, 7, 5),
        ):
            await player.resize(width, height)
            await player.until(lambda: _shape(player) == (columns, rows))  # noqa: B023  called in this round
            await player.until(lambda: len(player.captions) == columns * rows)  # noqa: B023
            beside = ["+ 0002.jpg"] if width >= 100 else []
            await player.until(lambda: player.below(".question Tile") == beside)  # noqa: B023

    play(FakeLibrary(500), moves)


def _shape(player: Player) -> tuple[int, int]:
    styles = player.app.screen.query_one(".tiles").styles
    return styles.grid_size_columns, styles.grid_size_rows
