"""`pixkin browse` in a real terminal, with a real daemon and real photos."""

import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.client.terminal import all_of
from tests.e2e.conftest import BIN, Home
from tests.waiting import wait_for


class Terminal:
    """A terminal of 80x24 in which the command runs; its standard output is a pipe."""

    def __init__(self, home: Home) -> None:
        self._master, inner = pty.openpty()
        env = {**home.env, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", BIN / "pixkin", "browse"],
            env=env,
            stdin=inner,
            stderr=inner,
            stdout=subprocess.PIPE,
        )
        os.close(inner)
        self.drawn = b""
        self._read = 0

    def press(self, keys: bytes) -> None:
        """Press keys; what is drawn from now on counts."""
        self._read = len(self.drawn)
        os.write(self._master, keys)

    def shows(self, text: str) -> None:
        """Return when a text has been drawn since the last key."""

        def is_there() -> bool:
            self.drawn += os.read(self._master, 100_000)
            return text.encode() in re.sub(rb"\x1b\[[\d;?]*[A-Za-z]", b"", self.drawn[self._read :])

        wait_for(is_there)

    def end(self) -> bytes:
        """Return what was printed, when the command has ended."""
        self.drawn += all_of(self._master)
        printed, _ = self.process.communicate()
        return printed


@contextmanager
def browsing(home: Home) -> Iterator[Terminal]:
    """Run the command in a terminal."""
    terminal = Terminal(home)
    try:
        yield terminal
    finally:
        with terminal.process:  # closes its pipe
            terminal.process.kill()


def test_photos_are_looked_at_followed_and_taken(home: Home, photos: list[Path]) -> None:
    """The newest come first; Enter asks; the daemon stops and comes back; the paths that `y` takes are printed."""
    hostile = home.copy(photos[0], os.fsdecode(b"[bold]caf\xe9\x1b[7m.png"))
    daemon = home.index(*photos[:6])
    with browsing(home) as terminal:
        terminal.shows("your photos, newest first")
        terminal.shows("▀" * 18)  # a picture, made by the worker
        terminal.press(b"\x1b[F")
        terminal.shows("6 of 6")
        # The same picture under two names is one; its first name counts.
        terminal.press(b"\r")
        terminal.shows("photos like")
        terminal.press(b"\x7f")
        terminal.shows("6 of 6")
        assert daemon.stop() == 0
        terminal.shows("pixkind is not running; trying again.")
        home.start()
        terminal.press(b"/" + os.fsencode(hostile).replace(b"\xe9", b"").replace(b"\x1b", b"") + b"\r")
        terminal.shows("no such file")
        terminal.press(b"\x1b[H")
        terminal.shows("1 of 6")
        terminal.press(b"xy")
        terminal.shows("Copied 1 path")
        terminal.press(b"q")
        printed = terminal.end()

    assert terminal.process.returncode == 0
    assert Path(os.fsdecode(printed.removesuffix(b"\n"))).exists()
    assert b"\xe9" not in terminal.drawn
    assert b"\x1b[7m.png" not in terminal.drawn
