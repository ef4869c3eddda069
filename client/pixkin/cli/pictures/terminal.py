"""Finds out how a terminal shows pictures, by asking it.

One question goes out: whether it knows kitty's graphics, how large a cell is, and what kind of terminal it is (DA1).
Every terminal answers the last part, so its answer ends the wait. Source: sw.kovidgoyal.net/kitty/graphics-protocol.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import termios
import time
import tty
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

_QUESTION: Final = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
_KITTY: Final = b"\x1b_Gi=31;OK"
_CELL: Final = re.compile(rb"\x1b\[6;(\d{1,3});(\d{1,3})t")
_KIND: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL: Final = b"4"  # among the numbers of the kind
_ANSWER_S: Final = 1.0  # a slow line with ssh; a terminal in front of the user answers in a few ms
_MUTE: Final = ("dumb", "linux")  # the second, the kernel's console, prints the question on old kernels
_DEFAULT_CELL: Final = (10, 20)  # pixels, if a terminal does not say
_NARROWEST: Final = 12  # columns


class How(StrEnum):
    """How a terminal shows a picture."""

    KITTY = "kitty"  # kitty's graphics protocol, also of Ghostty
    ITERM2 = "iterm2"  # the inline images of iTerm2
    SIXEL = "sixel"
    RGB = "rgb"  # blocks in 24-bit colour
    PALETTE = "palette"  # blocks in 256 colours


class PictureScreen(NamedTuple):
    """How, and how large, a terminal shows pictures."""

    how: How
    columns: int
    cell: tuple[int, int] = _DEFAULT_CELL  # width and height of a character, in pixels


class NoPictures(Exception):
    """The terminal shows no pictures; the text says why."""


def picture_screen(stream: TextIO | None, env: Mapping[str, str] = os.environ) -> PictureScreen:
    """Return how the terminal at `stream` shows pictures.

    Raises:
        NoPictures: it does not, or it is no terminal.
    """
    if stream is None or not stream.isatty():
        raise NoPictures("standard output is no terminal")
    name = env.get("TERM", "dumb")
    if name == "dumb":
        raise NoPictures("the terminal says that it can only print text (TERM=dumb)")
    _, columns, width, height = _size(stream.fileno())
    if columns < _NARROWEST:
        raise NoPictures("the terminal is too narrow")
    answer = b"" if name in _MUTE else _answer(stream.fileno())
    cell = _DEFAULT_CELL
    if width and height:
        cell = width, height
    elif said := _CELL.search(answer):
        cell = max(1, int(said[2])), max(1, int(said[1]))
    return PictureScreen(_how(answer, name, env), columns, cell)


def _how(answer: bytes, name: str, env: Mapping[str, str]) -> How:
    kind = _KIND.search(answer)
    is_inner = name.startswith(("tmux", "screen"))  # it passes on variables of the outer terminal, but no pictures
    if _KITTY in answer:
        return How.KITTY
    if not is_inner and "iTerm" in (env.get("LC_TERMINAL", "") + env.get("TERM_PROGRAM", "")):
        return How.ITERM2
    if kind and _SIXEL in kind[1].split(b";"):
        return How.SIXEL
    if env.get("NO_COLOR"):
        raise NoPictures("the terminal shows pictures in colours only, and NO_COLOR is set")
    if env.get("COLORTERM") in {"truecolor", "24bit"} or name.endswith("-direct"):
        return How.RGB
    if "256color" in name or kind:
        return How.PALETTE
    raise NoPictures(f"the terminal shows too few colours (TERM={name})")


def _size(descriptor: int) -> tuple[int, int, int, int]:
    """Return rows, columns, and the width and height of a cell in pixels; 0: unknown."""
    rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns or 80, width // columns if columns else 0, height // rows if rows else 0


def _answer(output: int) -> bytes:
    """Ask the terminal, and return its answer; empty: it must not or cannot be asked."""
    try:
        # A descriptor of its own, because `output` may be for writing only. In a container the terminal may have no name.
        descriptor = os.open(os.ttyname(output), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        # A background process that reads from its terminal is stopped.
        if os.tcgetpgrp(descriptor) != os.getpgrp():
            return b""
        before = termios.tcgetattr(descriptor)
        try:
            tty.setcbreak(descriptor, termios.TCSANOW)
            return _exchanged(descriptor)
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
    except (OSError, termios.error):  # it is not the terminal of this process
        return b""
    finally:
        os.close(descriptor)


def _exchanged(descriptor: int) -> bytes:
    if select.select([descriptor], [], [], 0)[0]:  # what the user has typed meanwhile is for the shell
        return b""
    os.write(descriptor, _QUESTION)
    answer, until_s = b"", time.monotonic() + _ANSWER_S
    while not _KIND.search(answer) and select.select([descriptor], [], [], max(0, until_s - time.monotonic()))[0]:
        answer += os.read(descriptor, 1024)
    return answer
