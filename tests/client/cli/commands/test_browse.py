"""`pixkin browse` as a process: what it needs, and where it draws."""

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest
from PIL import Image
from tests.client.terminal import all_of
from tests.waiting import wait_for

from pixkin import installing
from pixkin.protocol import framing, replies, requests
from pixkin.protocol.pictures import Picture

Serve = Callable[..., str]


def test_it_says_what_to_install() -> None:
    """One sentence and a command; nothing else of pixkin needs these packages."""
    code = (
        "import sys;"
        "from importlib import util; real = util.find_spec;"
        "util.find_spec = lambda name: None if name in ('textual', 'PIL') else real(name);"
        "from pixkin.cli.main import main; sys.exit(main(['browse']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 70
    assert done.stderr.splitlines() == [
        "pixkin: error: `pixkin browse` needs packages that are not installed: textual, PIL",
        "",
        f"hint: {installing.command('tui')}",
    ]


def test_the_help_imports_none_of_these_packages() -> None:
    """`pixkin --help`, and the other commands, start as fast as before."""
    code = (
        "import sys; from pixkin.cli.main import main\n"
        "try: main(['browse', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'textual', 'rich', 'PIL', 'textual_image', 'msgspec', 'zmq'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_without_a_terminal_it_ends_with_a_sentence() -> None:
    """A service, or cron, has none."""
    done = subprocess.run(
        [sys.executable, "-m", "pixkin", "browse"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("pixkin: error: there is no terminal to draw on\n")


PATH = b"/p/caf\xe9 \n.jpg"


def answer(frames: list[bytes]) -> list[list[bytes]]:
    """Answer as a daemon with one photo."""
    request, _ = framing.unpack_request(frames)
    picture = Picture(content=bytes(15) + b"\1", width=3, height=2)
    match request:
        case requests.Browse():
            reply: replies.Reply = replies.Library(pictures=(picture,), paths=(PATH,), offline=(False,), total=1)
        case requests.Status():
            reply = replies.Report(photos=1)
        case requests.Thumbnail():
            file = io.BytesIO()
            Image.new("RGB", (300, 200), (200, 30, 30)).save(file, "JPEG")
            reply = replies.Thumb(content=picture.content, data=file.getvalue(), width=300, height=200)
        case _:
            reply = replies.Failure(code=replies.Code.UNREADABLE, what="gone")
    return [framing.pack(msgspec.structs.replace(reply, id=request.id))]


class Drawn:
    """The command in a terminal, with a pipe at its standard output."""

    def __init__(self, socket: str, *words: str) -> None:
        read, write = os.pipe()
        self.child, self.master = pty.fork()
        if self.child == 0:
            os.dup2(write, 1)
            env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
            command = [sys.executable, "-m", "pixkin", "--socket", socket, "browse", *words]
            os.execve(sys.executable, command, env)  # noqa: S606  no shell is needed
        os.close(write)
        self._pipe, self.told = read, bytearray()

    def until(self, text: bytes) -> None:
        """Return when a text has been drawn."""

        def is_drawn() -> bool:
            self.told.extend(os.read(self.master, 100_000))
            return text in self.told

        wait_for(is_drawn)

    def press(self, keys: bytes) -> None:
        """Press keys, or answer as the terminal would."""
        os.write(self.master, keys)

    def end(self) -> bytes:
        """Return what was printed, when the command has ended well."""
        self.told += all_of(self.master)
        with os.fdopen(self._pipe, "rb") as pipe:
            printed = pipe.read()
        assert os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1]) == 0
        return printed


def test_in_a_pipe_it_draws_on_the_terminal_and_prints_the_bytes_of_paths(serve: Serve) -> None:
    """Standard output gets the paths that `y` took and nothing else; the terminal is left as it was."""
    drawn = Drawn(serve(answer), "-0")
    drawn.until("▀".encode())
    drawn.press(b"xy")
    drawn.until(b"\x1b]52;c;")
    drawn.press(b"q")

    assert drawn.end() == PATH + b"\0"
    assert b"1 marked" in drawn.told
    assert b"\x1b[?1049h" in drawn.told
    assert drawn.told.rindex(b"\x1b[?1049l") > drawn.told.rindex(b"caf")
    assert b"\xe9 " not in drawn.told


@pytest.mark.parametrize(
    ("answers", "picture"),
    [
        (b"\x1b[6;20;10t\x1b[?62;4c", rb'\x1bP0;1q"1;1;180;120#0;2;7[789];'),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62c", rb"\x1b_Gi=\d+,m=\d,f=100,q=2;"),
    ],
    ids=["sixel", "kitty"],
)
def test_a_terminal_with_a_protocol_for_pictures_gets_pictures(serve: Serve, answers: bytes, picture: bytes) -> None:
    """It is asked once; the picture fills 18 cells of 10 x 20 pixels in its own colours, and no half block is drawn."""
    drawn = Drawn(serve(answer))
    drawn.until(b"\x1b[c")
    drawn.press(answers)
    while not re.search(picture, drawn.told):
        drawn.until(b"\x1b")
    drawn.press(b"q")

    assert drawn.end() == b""
    assert "▀".encode() not in drawn.told
    assert drawn.told.count(b"\x1b[c") == 1
