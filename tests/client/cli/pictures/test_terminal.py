"""What a terminal is asked, and what its answers mean."""

import os
import pty
import sys

import pytest
from tests.client.terminal import on_terminal

from pixkin.cli.pictures.terminal import How, NoPictures, picture_screen

KITTY, CELL, PLAIN, SIXEL = b"\x1b_Gi=31;OK\x1b\\", b"\x1b[6;18;9t", b"\x1b[?62;22c", b"\x1b[?62;4;22c"
_CODE = """if True:
    import sys
    from pixkin.cli.pictures.terminal import NoPictures, picture_screen
    try:
        how, columns, cell = picture_screen(sys.stdout)
        print("RESULT", how, columns, *cell)
    except NoPictures as error:
        print("RESULT", error)
"""


def seen(env: dict[str, str], **terminal: object) -> tuple[str, bytes]:
    """Return what the module says of a terminal, and what nobody has read from there."""
    plain = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    status, told, left = on_terminal([sys.executable, "-c", _CODE], plain | env, **terminal)  # type: ignore[arg-type]  # as given
    assert status == 0, told
    return told.decode().rpartition("RESULT ")[2].strip(), left


@pytest.mark.parametrize(
    ("env", "answers", "said"),
    [
        ({}, KITTY + CELL + PLAIN, "kitty 120 9 18"),
        ({}, SIXEL, "sixel 120 10 20"),
        ({"LC_TERMINAL": "iTerm2"}, SIXEL, "iterm2 120 10 20"),
        # tmux hands on the variables of the terminal around it, but not the pictures.
        ({"LC_TERMINAL": "iTerm2", "TERM": "tmux-256color"}, PLAIN, "palette 120 10 20"),
        ({}, PLAIN, "palette 120 10 20"),
        ({"COLORTERM": "truecolor"}, PLAIN, "rgb 120 10 20"),
        ({"TERM": "xterm"}, PLAIN, "palette 120 10 20"),
        ({"NO_COLOR": "1"}, SIXEL, "sixel 120 10 20"),
        ({"NO_COLOR": "1"}, PLAIN, "the terminal shows pictures in colours only, and NO_COLOR is set"),
        ({"TERM": "dumb"}, SIXEL, "the terminal says that it can only print text (TERM=dumb)"),
        ({"TERM": "linux"}, SIXEL, "the terminal shows too few colours (TERM=linux)"),
    ],
)
def test_a_terminal_is_asked_what_it_shows(env: dict[str, str], answers: bytes, said: str) -> None:
    """By its own answer first, then by its environment; nothing of the answer is left for the shell."""
    assert seen(env, answers=answers) == (said, b"")


def test_a_terminal_that_says_its_pixels_is_believed() -> None:
    """Its driver knows the cell, without a question."""
    assert seen({}, answers=PLAIN, size=(40, 100, 1200, 1000))[0] == "palette 100 12 25"


def test_a_silent_terminal_holds_nobody_up() -> None:
    """After a second its environment decides."""
    assert seen({"COLORTERM": "24bit"})[0] == "rgb 120 10 20"
    assert seen({"TERM": "xterm"})[0] == "the terminal shows too few colours (TERM=xterm)"


def test_what_was_typed_ahead_is_left_for_the_shell() -> None:
    """The terminal is not asked then: its answer could not be told from the keys."""
    assert seen({}, typed=b"ls\n", answers=SIXEL) == ("palette 120 10 20", b"ls\n")


def test_a_narrow_terminal_shows_nothing() -> None:
    """It has no room for a picture."""
    assert seen({}, answers=SIXEL, size=(40, 11, 0, 0))[0] == "the terminal is too narrow"


def test_a_terminal_in_the_background_is_not_asked() -> None:
    """Reading from it would stop the process."""
    words = f"{sys.executable} -c '{_CODE}' & wait"
    plain = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
    status, told, _ = on_terminal(["bash", "-mc", words], plain, answers=SIXEL)

    assert status == 0
    assert b"RESULT palette" in told
    assert b"\x1b[c" not in told


def test_a_terminal_without_a_name_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container; its environment decides."""

    def fail(_: int) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "ttyname", fail)
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        assert picture_screen(stream, {"TERM": "xterm-256color"}).how is How.PALETTE
    os.close(master)


def test_a_file_is_no_terminal() -> None:
    """Nor is a stream that is closed."""
    with open(os.devnull, "w", encoding="utf-8") as file:
        for stream in (file, None):
            with pytest.raises(NoPictures, match="no terminal"):
                picture_screen(stream)
    assert {str(how) for how in How} == {"kitty", "iterm2", "sixel", "rgb", "palette"}
