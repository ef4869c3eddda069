"""Every command that the documents show is typed, in a home like that of the documents, and prints what they show.

Commands of other programs that install, build or need the whole machine are not typed here; `test_packaging` and others run
what can be run of them. `test_the_rest_is_known` names them, so that no new one is left out unseen.
"""

import os
import pty
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from tests.documents import PAGES, Shown, sessions
from tests.e2e.conftest import BIN, Home, new_home
from tests.e2e.samples import sample_pictures

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_OTHERS: Final = {"make", "pip", "pipx", "uv"}  # programs whose commands are not typed
_LASTS: Final = {"pixkin watch", "pixkin web", "pixkin browse", "pixkin mcp", "pixkind"}  # until they are interrupted
_ENDS: Final = ("--once", "--list", "--remove", "--revoke", "--check", "service")  # but not with one of these
_FINE: Final = {0, 1, 66, 75, 130, -signal.SIGINT}  # 66: a folder of the page is not there; 75: a daemon is


def _ada(home: Home, photos: list[Path]) -> None:
    """Furnish the home of the documents, with a card that has one photo that is known and one that is new."""
    sample_pictures(home, photos)
    with socket.create_server(("127.0.0.1", 0)) as free:  # the page of whoever runs this may have the usual one
        home.configure(web={"port": free.getsockname()[1]})
    for name in ("Pictures/2024", "Pictures/Best", "Pictures/card", "Downloads", "Videos", "mnt/spare", "media/card"):
        (home.folder / name).mkdir(parents=True)
    shutil.copyfile(home.photos / "brick.png", home.folder / "media/card/brick.png")
    with Image.open(home.photos / "gravel.png") as gravel:
        gravel.crop((0, 0, 200, 150)).save(home.folder / "media/card/new.jpg")


def _beside(home: Home, *, is_first: bool) -> None:
    """Add the photos that the topics name, and programs that answer in place of the network and the desktop."""
    for name in () if is_first else ("twin1", "twin2", "boat", "cat", "beach"):
        with Image.open(home.photos / "cats/chelsea.jpg") as cat:
            box = (len(name) * 7, 0, 300 + len(name) * 7, 280)
            cat.crop(box).rotate(90 * (name == "twin2"), expand=True).save(home.photos / f"{name}.jpg")
    for name in ("notify-send", "xdg-open", "systemctl", "sudo"):
        (home.folder / "tools" / name).symlink_to("/bin/true")


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, photos: list[Path]) -> Iterator[Home]:
    """Yield the home, with a daemon that has indexed it. The first pages show what is found without the photos of the topics."""
    with new_home() as made:
        _ada(made, photos)
        _beside(made, is_first=request.param == "first pages")
        made.index()
        made.env |= {"PATH": f"{BIN}:{made.folder}/tools:/usr/bin:/bin", "TERM": "dumb", "NO_COLOR": "1"}
        yield made


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


def _is_lasting(words: list[str]) -> bool:
    return any(" ".join(words).startswith(one) for one in _LASTS) and not any(word in _ENDS for word in words)


def _typed(home: Home, line: str) -> tuple[int, str]:
    """Run a line in a terminal, in the folder of photos; agree to what it asks, and interrupt what would go on for ever.

    Returns:
        The exit status, and what was written to the terminal, with the paths of the documents.
    """
    script = line.replace("~/", f"{home.folder}/").replace("/tmp/", f"{home.folder}/")
    script = re.sub(r"(?<=\s)(/mnt|/media)/", rf"{home.folder}\1/", script)
    words = _words(line)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "bash", "-c", f"cd '{home.photos}' && {{ {script.partition('  #')[0]}\n}}"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=home.env | ({"TERM": "xterm-256color"} if words[1:2] == ["browse"] else {}),
    )
    os.close(slave)
    told, answered, is_ended = b"", 0, not _is_lasting(words)
    try:
        while True:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    told += os.read(master, 65536)
                except OSError:  # EIO: nobody has it open any more
                    break
            if told.count(b"[y/N]") > answered:
                answered += 1
                os.write(master, b"y\n")
            if not is_ended and (told if words[1] != "watch" else _is_asked(home, words)):
                is_ended = words[1] != "browse"  # which takes no key before it is drawn
                os.write(master, b"\x03" if is_ended else b"q")
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return status, told.decode().replace("\r\n", "\n").replace(str(home.folder), "/home/ada")


def _is_asked(home: Home, words: list[str]) -> bool:
    """Return whether `pixkin watch`, which prints nothing until a photo comes, has begun its question."""
    asked = {watch.name for watch in home.client().watches().watches}
    return words[words.index("--name") + 1] in asked if "--name" in words else bool(asked)


def _shape(text: str) -> list[str]:
    """Return the lines of a text, with numbers, times and places of photos that differ from run to run made alike."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", text)
    return [re.sub(r"\s+", " ", re.sub(r"-?\d+(\.\d+)?", "N", line)).strip() for line in text.splitlines()]


def _as_shown(shown: str, told: str) -> bool:
    """Return whether a text has the form of the one that a document shows; a line of dots stands for any lines."""
    pattern = r"\n".join(".*" if line == "..." else re.escape(line) for line in _shape(shown))
    return re.fullmatch(pattern, "\n".join(_shape(told)), re.DOTALL) is not None


@pytest.mark.parametrize(
    ("home", "page"),
    [("topics" if page.parent.name == "topics" else "first pages", page) for page in PAGES],
    indirect=["home"],
    ids=[page.stem for page in PAGES],
)
def test_what_a_document_shows_works(home: Home, page: Path) -> None:
    """No command is wrong usage, or ends with an error; where the document shows what one prints, it prints that."""
    wrong = []
    for shown in sessions(page.read_text()):
        words = _words(shown.line)
        if words[0] in _OTHERS:
            continue
        status, told = _typed(home, shown.line)
        is_doctor = words == ["pixkin", "doctor"]  # what it finds is that of the machine
        if (
            status not in _FINE
            or "This is a bug" in told
            or (shown.printed and not is_doctor and not _as_shown(shown.printed, told))
        ):
            wrong.append((shown.line, status, told))

    assert wrong == []


def test_the_rest_is_known() -> None:
    """Of other programs, only those that install or build are not typed."""
    lines = [one.line for page in PAGES for one in sessions(page.read_text())]
    programs = {_words(line)[0] for line in lines}

    assert len(lines) > 50
    assert programs <= _OTHERS | {"pixkin", "pixkind", "cp", "curl", "cd"}


def test_the_check_can_fail() -> None:
    """By another word, and by a line too many."""
    shown = "synced 19 photos, 0 failed\n"

    assert sessions(f"```console\n$ pixkin sync   # now\n{shown}$ pixkin status\n```\n") == [
        Shown("pixkin sync   # now", shown),
        Shown("pixkin status", ""),
    ]
    assert _as_shown(shown, "synced 7 photos, 1 failed\n")
    assert _as_shown("a\n...\nb\n", "a\n1\n2\nb\n")
    assert not _as_shown(shown, "synced 7 photos, none failed\n")
    assert not _as_shown(shown, f"{shown}and more\n")
