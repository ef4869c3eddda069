"""`pixkin open`, as file managers start it: the answer, or a sentence, appears where somebody without a terminal sees it."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.client.desktop.conftest import NAMES
from tests.desktop import desktop
from tests.e2e.conftest import BIN, Home, new_home, picture
from tests.waiting import wait_for
from tests.webserver import WebServer, free_port

from pixkin.printable import shown

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def home(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with a photo for each hostile name, two photos that are alike, and one that is not indexed."""
    with new_home() as made:
        made.env["PORT"] = str(free_port())
        made.configure(web={"port": int(made.env["PORT"])})
        for number, name in enumerate(NAMES):
            (made.photos / os.fsdecode(name)).write_bytes(picture(number))
        for photo in photos:
            if photo.stem.startswith("motorcycle"):
                made.copy(photo)
        shutil.copyfile(next(photo for photo in photos if photo.stem == "coffee"), made.folder / "new.png")
        made.index()
        # What the desktop opens is noted.
        made.env |= {"PATH": f"{made.folder}/bin:{made.env['PATH']}", "DISPLAY": ":none"}
        opener = made.folder / "bin/xdg-open"
        opener.parent.mkdir()
        opener.write_text(
            f'#!/bin/sh\nprintf %s "$1" > {made.folder}/part && mv {made.folder}/part {made.folder}/opened\n'
        )
        opener.chmod(0o755)
        without = made.folder / "without"
        without.mkdir()
        (without / "sitecustomize.py").write_text("import sys\nsys.modules['starlette'] = None\n")
        yield made


@pytest.fixture
def without_web(home: Home) -> dict[str, str]:
    """Return an environment in which the extra [web] is not installed."""
    return {**home.env, "PYTHONPATH": str(home.folder / "without")}


def opened(home: Home) -> str:
    """Return what the desktop has opened, as soon as it has."""
    note = home.folder / "opened"
    wait_for(note.exists)
    text = note.read_text()
    note.unlink()
    return text


def run(env: Mapping[str, str], *words: "str | bytes | Path") -> "subprocess.CompletedProcess[str]":
    """Run `pixkin` to its end."""
    return subprocess.run(
        [BIN / "pixkin", *words], env=env, capture_output=True, text=True, errors="replace", timeout=240, check=False
    )


def text_of(page: str) -> str:
    """Return what a page in a file says."""
    return re.sub("<style>.*</style>|<[^>]*>", "\n", Path(page).read_text(), flags=re.DOTALL)


@contextmanager
def started(env: Mapping[str, str], *command: "str | Path") -> Iterator[None]:
    """Start a command that serves the page, and end it."""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.terminate()


def asked_for(address: str) -> list[str]:
    """Return the ids of the photos that a page asks for."""
    return re.findall("[?&]q=([a-z2-7]{26})", address)


def test_the_script_of_nautilus_opens_the_page_with_the_question(home: Home) -> None:
    """Whatever the names of the photos are. The first use serves the page, and the next one finds it served."""
    assert run(home.env, "integrate", "nautilus").returncode == 0
    script = home.folder / "data_home/nautilus/scripts/Find similar photos"
    uris = [f"file://{quote(os.fsencode(home.photos) + b'/' + name)}\n" for name in NAMES]
    some = {**home.env, "NAUTILUS_SCRIPT_SELECTED_URIS": "".join(uris[:8])}
    others = {**home.env, "NAUTILUS_SCRIPT_SELECTED_URIS": "".join(uris[8:])}
    with started(some, script):
        address = opened(home)
        page = WebServer.of(int(home.env["PORT"]), address)
        page.sign_in()
        subprocess.run([script], env=others, check=True)
        ids = [*asked_for(address), *asked_for(opened(home))]
        names = [page.get(f"photos/{one}")["files"][0]["name"] for one in ids]
        answer = page.get(f"similar?{'&'.join(f'q={one}' for one in asked_for(address))}")

    assert names == [shown(name) for name in NAMES]
    assert answer["photos"]["id"]


def test_a_photo_that_is_not_in_the_library_is_asked_for(home: Home) -> None:
    """It is kept for the page, as if it had been dropped there. Without a photo the page begins with the library."""
    with started(home.env, BIN / "pixkin", "open", home.folder / "new.png"):
        (one,) = asked_for(opened(home))
        start = run(home.env, "open", "--")
        address = opened(home)

    assert (home.folder / f"cache_home/pixkin/queries/{one}.jpg").is_file()
    assert start.returncode == 0
    assert address.startswith(f"http://127.0.0.1:{home.env['PORT']}/#ticket=")


def test_a_page_without_a_daemon_leaves_a_folder_that_the_daemon_takes() -> None:
    """The error is a page in the runtime folder, which nobody else may change, whatever the umask."""
    with new_home() as home:
        home.before = ("sh", "-c", 'umask 002; exec "$@"', "sh")
        opened = home.pixkin("open", home.photos / "a.jpg")
        done = home.pixkind("--once")

        assert opened.returncode == 69, opened.stderr
        assert [*(home.folder / "runtime_dir/pixkin/answers").iterdir()]
        assert done.returncode == 0, done.stderr


def test_a_photo_that_may_not_be_kept_is_asked_for_at_once(home: Home) -> None:
    """Then the answer is a file."""
    file = home.folder / "config_home/pixkin/config.toml"
    before = file.read_text()
    file.write_text(before.replace("[web]\n", "[web]\nkeep_pasted_days = 0\n"))
    try:
        done = run(home.env, "open", home.folder / "new.png")
    finally:
        file.write_text(before)

    assert done.returncode == 0, done.stderr
    assert "Photos like new.png" in text_of(opened(home))


def test_without_the_packages_of_the_page_the_answer_is_a_file(
    home: Home, without_web: dict[str, str], photos: list[Path]
) -> None:
    """For its owner alone. An old one is removed, and all of them when photos are forgotten."""
    done = run(without_web, "open", "--", home.photos / "motorcycle_left.png")
    first = Path(opened(home))
    mode = first.parent.stat().st_mode & 0o777
    os.utime(first, (0, 0))
    run(without_web, "open", home.folder / "new.png")
    second = opened(home)
    texts = text_of(second)
    forgotten = run(home.env, "forget", "--yes", home.folder / "gone")

    assert done.returncode == 0, done.stderr
    assert first.parent == home.folder / "runtime_dir/pixkin/answers"
    assert mode == 0o700
    assert not first.exists()
    assert "Photos like new.png" in texts
    assert "motorcycle_right.png" in texts
    assert forgotten.stdout == "forgot 0 photos\n"
    assert not Path(second).exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["open", "{home}/none.jpg"], 66, "no such file"),
        (["open", "{home}/log"], 66, "not an image"),
        (["open", "{home}"], 66, "no regular file"),
        (["open", "recent:///1234"], 66, "recent:///1234 is not in a folder of this machine"),
        (["open", *["{home}/new.png"] * 9], 2, "too many photos: 9 given, at most 8 allowed"),
        (["open", "--socket", "/none", "{home}/new.png"], 69, "no daemon listens on /none\nstart it with"),
    ],
    ids=["missing", "no image", "folder", "elsewhere", "many", "no daemon"],
)
@pytest.mark.parametrize("has_desktop", [True, False], ids=["notification", "page"])
def test_what_is_wrong_is_seen(
    words: list[str], status: int, said: str, home: Home, short_tmp: Path, *, has_desktop: bool
) -> None:
    """By a notification; where nothing shows any, on a page. The status is that of the other commands."""
    with desktop(short_tmp, serves=has_desktop) as screen:
        env = {**home.env, "DBUS_SESSION_BUS_ADDRESS": screen.address}
        done = run(env, *(word.format(home=home.folder) for word in words))
    text = screen.notices[0].body if has_desktop else text_of(opened(home))

    assert done.returncode == status, done.stderr
    assert "pixkin has no answer" in (screen.notices[0].summary if has_desktop else text)
    assert [line for line in said.split("\n") if line not in text] == [], text
    assert (home.folder / "opened").exists() is False


def test_the_page_cannot_be_opened_without_its_packages(home: Home, without_web: dict[str, str]) -> None:
    """What is to be installed is said."""
    done = run(without_web, "open")

    assert done.returncode == 2
    assert "needs the package starlette" in text_of(opened(home))


def test_integrate_says_what_it_does(home: Home, without_web: dict[str, str]) -> None:
    """And what it could do; a wrong name is an error."""
    listed = run(home.env, "integrate")
    wrong = run(home.env, "integrate", "emacs")
    installed = run(without_web, "integrate", "dolphin", "menu")
    removed = run(home.env, "integrate", "dolphin", "menu", "--remove")
    again = run(home.env, "integrate", "dolphin", "--remove")

    assert "menu      found       pixkin integrate menu\n" in listed.stdout
    assert (wrong.returncode, wrong.stderr.partition("\n")[0]) == (
        2,
        "pixkin: error: argument PLACE: there is no emacs; there are nautilus, nemo, caja, dolphin, thunar, menu",
    )
    assert f"wrote {home.folder}/data_home/kio/servicemenus/pixkin.desktop\n" in installed.stdout
    assert "an answer is a file, which a browser in a snap cannot read; to get the page: " in installed.stderr
    assert removed.stdout.count("removed") == 3
    assert again.stdout == "nothing to remove\n"
