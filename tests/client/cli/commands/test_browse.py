"""`pixkin browse` as a process: what it needs, and where it draws."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import msgspec
from tests.client.terminal import all_of
from tests.waiting import wait_for

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
        "hint: install them: pip install 'pixkin[tui]'",
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


def test_in_a_pipe_it_draws_on_the_terminal_and_prints_the_bytes_of_paths(serve: Serve) -> None:
    """Standard output gets the paths that `y` took and nothing else; the terminal is left as it was."""
    path = b"/p/caf\xe9 \n.jpg"
    picture = Picture(content=bytes(15) + b"\1", width=3, height=2)
    library = replies.Library(pictures=(picture,), paths=(path,), offline=(False,), total=1)

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        match request:
            case requests.Browse():
                reply: replies.Reply = library
            case requests.Status():
                reply = replies.Report(photos=1)
            case _:
                reply = replies.Failure(code=replies.Code.UNREADABLE, what="gone")
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    socket = serve(answer)
    read, write = os.pipe()
    child, master = pty.fork()
    if child == 0:
        os.dup2(write, 1)
        words = ["-m", "pixkin", "--socket", socket, "browse", "-0"]
        env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        os.execve(sys.executable, [sys.executable, *words], env)  # noqa: S606  no shell is needed
    os.close(write)
    drawn = bytearray()

    def shows(text: bytes) -> bool:
        drawn.extend(os.read(master, 100_000))
        return text in drawn

    wait_for(lambda: shows(b"caf\\xe9"))
    os.write(master, b"xy")
    wait_for(lambda: shows(b"\x1b]52;c;"))
    os.write(master, b"q")
    told = drawn + all_of(master)
    with os.fdopen(read, "rb") as pipe:
        printed = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert printed == path + b"\0"
    assert b"1 marked" in told
    assert b"\x1b[?1049h" in told
    assert told.rindex(b"\x1b[?1049l") > told.rindex(b"caf")
    assert b"\xe9" not in told
