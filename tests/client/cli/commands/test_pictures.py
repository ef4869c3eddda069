"""`--show`, `--sheet`, `--html` and `--open`, as processes meet a daemon that says what a test wants."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from tests.client.terminal import on_terminal
from tests.waiting import wait_for

from pixkin import installing
from pixkin.protocol import framing, replies, requests
from pixkin.protocol.pictures import Picture

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
LOST = b"on a drive, away"
LATIN = b"/p/caf\xe9\x1b.jpg"
PIPED = b"0.900\t5.00\t/p/b.jpg\tsame shot\t+1 copy\n0.100\t20.00\t/p/caf\\xe9\\x1b.jpg\toffline\n"
TABLE = b" 0.900  same shot        5.00  "
RED = "\x1b[48;5;196m"  # a line of the picture
KIND = b"\x1b[?62;22c"  # a terminal without graphics


def answer(frames: list[bytes], *, thumbnails: bool = True) -> list[list[bytes]]:
    """Return two matches for `like`, a group for `dupes`, and thumbnails."""
    request, _ = framing.unpack_request(frames)
    match request:
        case requests.Like():
            reply: replies.Reply = matches(pictures=request.pictures)
        case requests.Dupes():
            reply = replies.Groups(search=1, done=True, groups=(GROUP,))
        case requests.Thumbnail() if thumbnails and request.image.content != LOST:
            reply = replies.Thumb(content=b"", data=jpeg(), width=60, height=40)
        case requests.Thumbnail() if thumbnails:
            reply = replies.Failure(code=replies.Code.UNREADABLE, what="its drive is not connected")
        case _:
            reply = replies.Failure(code=replies.Code.MALFORMED, what="an unknown request")
    return [framing.pack(msgspec.structs.replace(reply, id=request.id))]


def old(frames: list[bytes]) -> list[list[bytes]]:
    """Answer as a daemon that knows no thumbnails."""
    return answer(frames, thumbnails=False)


def silent(frames: list[bytes]) -> list[list[bytes]]:
    """Answer `like` alone."""
    request, _ = framing.unpack_request(frames)
    return [] if isinstance(request, requests.Thumbnail) else answer(frames)


def matches(*, pictures: bool) -> replies.Matches:
    """Return the matches, with their content ids if they are asked for."""
    near, far = (Picture(content=content) if pictures else None for content in (b"0123456789abcdef", LOST))
    same = replies.Relation.SAME_SHOT
    return replies.Matches(
        matches=(
            replies.Match(path=b"/p/b.jpg", score=0.9, distance=5, copies=(b"/q/b.jpg",), band=same, picture=near),
            replies.Match(path=LATIN, score=0.1, distance=20, offline=True, picture=far),
        )
    )


GROUP = replies.Group(
    band=replies.Band.IDENTICAL,
    score=1.0,
    photos=(
        replies.Photo(path=b"/p/a.jpg", content=b"0123456789abcdef", width=60, height=40, size=900),
        replies.Photo(path=b"/p/b.jpg", content=b"0123456789abcdef", width=60, height=40, size=900, spare=True),
    ),
)


def jpeg() -> bytes:
    """Return a small red JPEG."""
    file = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(file, "JPEG")
    return file.getvalue()


def shown(
    path: str, *words: str, code: str = "", env: dict[str, str] | None = None, answers: bytes = KIND
) -> tuple[int, str]:
    """Run the command on a terminal and return its status and what it wrote."""
    command = ["-c", f"{code}; from pixkin.cli.main import main; sys.exit(main())"] if code else ["-m", "pixkin"]
    plain = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "HOME": "/nonexistent"}
    status, told, _ = on_terminal(
        [sys.executable, *command, "--socket", path, *words], plain | (env or {}), answers=answers
    )
    return status, told.decode().replace("\r\n", "\n")


def test_a_pipe_gets_the_same_bytes_whatever_is_shown_elsewhere(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Pictures go to terminals and files alone."""
    path, page, sheet = serve(answer), tmp_path / "a.html", tmp_path / "a.png"
    for words in ((), ("--show",), ("--no-show",), ("--html", str(page)), ("--sheet", str(sheet))):
        assert pixkin("like", "/p/a.jpg", "--socket", path, *words).stdout == PIPED

    assert page.read_bytes().count(b"<img ") == 2
    assert b"its drive is not connected" in page.read_bytes()
    with Image.open(sheet) as image:
        assert image.width == 1600


def test_a_pipe_loads_nothing_new(serve: Serve) -> None:
    """Neither Pillow nor a module that shows pictures."""
    code = "import sys; from pixkin.cli.main import main; main(); print(*sys.modules, file=sys.stderr)"
    words = [sys.executable, "-c", code, "--socket", serve(answer), "like", "/p/a.jpg"]
    loaded = set(subprocess.run(words, capture_output=True, check=True, text=True, env={}).stderr.split())

    assert {name for name in loaded if name.startswith("pixkin.cli.pictures.")} == {
        "pixkin.cli.pictures.files",
        "pixkin.cli.pictures.options",
    }
    assert not {"PIL", "numpy", "concurrent.futures", "subprocess", "termios"} & loaded


def test_a_terminal_gets_a_grid_and_the_table(serve: Serve) -> None:
    """By default, with the query first; a missing thumbnail is a grey box with its reason."""
    status, told = shown(serve(answer), "like", "/p/a.jpg")

    assert status == 0
    assert told.count(RED) > 3 * 2
    assert [word for word in ("query", "0.900  same shot", "+1 copy", "its drive is not") if word not in told] == []
    assert told.index(RED) < told.index("query") < told.index("distance") < told.index("1 picture is missing")


@pytest.mark.parametrize(
    ("words", "env"), [(["--no-show"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}), (["--json"], {})]
)
def test_a_terminal_gets_no_pictures_that_it_or_the_user_does_not_want(
    serve: Serve, words: list[str], env: dict[str, str]
) -> None:
    """The answer is what it always was."""
    status, told = shown(serve(answer), "like", "/p/a.jpg", *words, env=env)

    assert status == 0
    assert RED not in told
    assert "picture" not in told.replace("pictures:", "")


def test_an_older_daemon_costs_the_pictures_alone(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Nobody asked for them, so there is no word of it; who asks sees grey boxes."""
    path = serve(old)
    _, told = shown(path, "like", "/p/a.jpg")
    _, asked = shown(path, "like", "/p/a.jpg", "--show")
    done = pixkin("like", "/p/a.jpg", "--socket", path, "--html", str(tmp_path / "a.html"))

    assert "missing" not in told
    assert told.count("an unknown request") == 0
    assert "3 pictures are missing: an unknown request" in asked
    assert (done.returncode, done.stdout) == (0, PIPED)


def test_groups_are_shown_side_by_side_with_what_would_go(serve: Serve, tmp_path: Path) -> None:
    """Between the heading of a group and its list."""
    page = tmp_path / "a.html"
    status, told = shown(serve(answer), "dupes", "--show", "--html", str(page))

    assert status == 0
    words = ["identical  1.000", RED, "stays, the best", "would go", "60 x 40, 900 bytes", "spare"]
    assert sorted(words, key=told.index) == words
    assert page.read_text().index("stays, the best") < page.read_text().index("would go")
    assert "<h2>identical  1.000</h2>" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--show", "--json"], "--show is for people"),
        (["--open"], "give one of them"),
        (["--sheet", "a.jpg"], "ends in .png"),
        (["--html", "a.png"], "ends in .html"),
        (["--sheet", "photo.png"], "photo.png exists, and pixkin did not write it"),
        (["--html", "folder.html"], "folder.html exists, and pixkin did not write it"),
    ],
)
def test_wrong_use_is_told_before_the_daemon_is_asked(pixkin: Run, tmp_path: Path, words: list[str], said: str) -> None:
    """Above all, no photo is overwritten."""
    Image.new("RGB", (1, 1)).save(tmp_path / "photo.png")
    (tmp_path / "folder.html").mkdir()
    words = [str(tmp_path / word) if "." in word else word for word in words]
    for verb in ("like", "dupes", "have"):
        done = pixkin(verb, "/p/a.jpg", *words)

        assert done.returncode == 2
        assert said in done.stderr.decode()


def test_an_earlier_page_and_sheet_are_replaced(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """They say themselves who wrote them. No part of a file is left."""
    path = serve(answer)
    for _ in range(2):
        words = ("--html", str(tmp_path / "a.htm"), "--sheet", str(tmp_path / "a.png"))
        assert pixkin("like", "/p/a.jpg", "--socket", path, *words).returncode == 0

    assert sorted(os.listdir(tmp_path)) == ["a.htm", "a.png"]


def test_a_file_that_cannot_be_written_ends_with_74(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """The answer is printed all the same."""
    done = pixkin("like", "/p/a.jpg", "--socket", serve(answer), "--html", str(tmp_path / "none/a.html"))

    assert (done.returncode, done.stdout) == (74, PIPED)
    assert b"none/a.html cannot be written: no such file or directory" in done.stderr


def test_what_was_written_is_opened(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """By xdg-open, which nobody waits for; without it, a sentence says so."""
    tool = tmp_path / "bin/xdg-open"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part; mv {tmp_path}/opened.part {tmp_path}/opened\n')
    tool.chmod(0o755)
    words = ("like", "/p/a.jpg", "--socket", serve(answer), "--html", str(tmp_path / "a.html"), "--open")
    done = pixkin(*words, env={"PATH": f"{tool.parent}:/usr/bin:/bin"})
    wait_for((tmp_path / "opened").exists)
    without = pixkin(*words, env={"PATH": "/nonexistent"})

    assert (done.returncode, done.stdout) == (0, PIPED)
    assert (tmp_path / "opened").read_text() == f"{tmp_path}/a.html\n"
    assert without.returncode == 0
    assert b"there is no xdg-open" in without.stderr


def test_without_the_extra_a_page_is_written_and_the_rest_says_what_to_install(serve: Serve, tmp_path: Path) -> None:
    """The thumbnails are JPEGs already. On a terminal there is the table alone."""
    path, page = serve(answer), tmp_path / "a.html"
    missing = "import sys; sys.modules['PIL'] = None"
    assert shown(path, "like", "/p/a.jpg", "--html", str(page), code=missing)[0] == 0
    for words in (("--show",), ("--sheet", str(tmp_path / "a.png"))):
        status, told = shown(path, "like", "/p/a.jpg", *words, code=missing)

        assert status == 2
        assert "needs Pillow, which is not installed" in told
        assert installing.command("show").split(" -m ")[1] in told
    status, told = shown(path, "like", "/p/a.jpg", code=missing)

    assert page.read_bytes().count(b"<img ") == 2
    assert (status, RED in told, "distance" in told) == (0, False, True)


def test_ctrl_c_does_not_wait_for_thumbnails(serve: Serve, tmp_path: Path) -> None:
    """A daemon that makes none holds nobody up."""
    words = [sys.executable, "-m", "pixkin", "like", "/p/a.jpg", "--html", str(tmp_path / "a.html")]
    asked = tmp_path / "asked"

    def stop(frames: list[bytes]) -> list[list[bytes]]:
        if isinstance(framing.unpack_request(frames)[0], requests.Thumbnail):
            asked.touch()
        return silent(frames)

    words += ["--socket", serve(stop)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}) as process:
        wait_for(asked.exists)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)  # less than the 30 s that a request may take

    assert (process.returncode, errors) == (130, b"")
    assert os.listdir(tmp_path) == ["asked"]
