"""Keys, hints and help are one table."""

import pytest
from tests.client.cli.browse.library import FakeLibrary
from tests.client.cli.browse.playing import Player, play
from textual.screen import Screen

from pixkin.cli.browse import keys
from pixkin.cli.browse.base import PhotoScreen
from pixkin.cli.browse.duplicates import DuplicatesScreen
from pixkin.cli.browse.grid import GridScreen
from pixkin.cli.browse.help import text
from pixkin.cli.browse.view import ViewScreen

SCREENS: list[type[PhotoScreen]] = [GridScreen, ViewScreen, DuplicatesScreen]


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_does_what_the_table_says(screen: type[PhotoScreen]) -> None:
    """A screen has the keys of the table and no others; each has an action, and no key has two."""
    bound = {key: one.action for key, some in screen._merge_bindings().key_to_bindings.items() for one in some}
    listed = [bind for one in keys.KEYS if screen.PLACE in one.places for bind in one.binds]

    assert bound == dict(listed)
    assert len(bound) == len(listed)
    assert [action for action in bound.values() if not hasattr(screen, f"action_{action.partition('(')[0]}")] == []
    assert not any(hasattr(Screen, f"action_{action.partition('(')[0]}") for action in bound.values())


@pytest.mark.parametrize("screen", SCREENS)
def test_the_help_has_a_line_for_every_key_and_fits_80x24(screen: type[PhotoScreen]) -> None:
    """Each line has the key and what it does; nothing is hidden below the edge of a small terminal."""
    lines = text(screen.PLACE).splitlines()

    assert lines[2:] == [line for line in lines[2:] if line.split("  ")[0] in {one.name for one in keys.KEYS}]
    assert len(lines) - 2 == len(keys.of(screen.PLACE))
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 72


@pytest.mark.parametrize("screen", SCREENS)
def test_the_hints_fit_and_always_tell_of_help_and_end(screen: type[PhotoScreen]) -> None:
    """The last line of the screen is never cut."""
    for width in (200, 78, 40, 14):
        assert len(line := keys.hints(screen.PLACE, width)) <= width
        assert line.endswith("? keys  q quit")


def test_the_help_opens_on_every_screen() -> None:
    """`?` opens it, and the same key closes it."""

    async def moves(player: Player) -> None:
        await player.until(lambda: player.captions)
        for opens, place in ((), keys.GRID), (("space",), keys.VIEW), (("space", "d"), keys.DUPLICATES):
            await player.press(*opens, "question_mark")
            assert text(place) in str(player.app.screen.query_one("Static").render())
            await player.press("question_mark")
            assert "? keys" in player.line("hints")

    play(FakeLibrary(20), moves)
