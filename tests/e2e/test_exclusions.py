"""What is left out is hidden at once, and costs nothing when it is taken in again."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def home(photos: list[Path]) -> Iterator[Home]:
    """Yield a home with a photo in each of some folders."""
    with new_home() as made:
        for photo, name in zip(photos, ("a", "b/deep", "catalog.lrdata", "node_modules/x"), strict=False):
            (made.photos / name).mkdir(parents=True)
            shutil.copyfile(photo, made.photos / name / "1.jpg")
        yield made


def finds(home: Home, count: int) -> None:
    """Wait until as many photos can be found."""
    wait_for(lambda: home.client().status().photos == count)


def encodes(home: Home) -> int:
    """Return how many photos were encoded since the daemon started."""
    return int(home.client().status().counters["encodes"])


def test_a_folder_says_what_is_left_out_and_changes_its_mind(home: Home) -> None:
    """By patterns, or as a whole; what other programs make from photos is left out without being told."""
    home.index()
    client = home.client()
    assert client.status().photos == 2
    before = encodes(home)

    for marker, said in ((home.photos / ".pixkinignore", "/a/\n"), (home.photos / "a/.nomedia", "")):
        marker.write_text(said)
        finds(home, 1)
        assert home.pixkin("sync", home.photos / "a/1.jpg").returncode != 0
        marker.unlink()
        finds(home, 2)
    assert encodes(home) == before


def test_what_comes_into_a_folder_that_is_left_out_stays_out(home: Home, photos: list[Path]) -> None:
    """Photos beside it are found; a copy there does not count as one."""
    (home.photos / "b/CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    home.index()
    client = home.client()
    shutil.copyfile(photos[5], home.photos / "b/deep/new.jpg")
    shutil.copyfile(photos[6], home.photos / "a/new.jpg")
    finds(home, 2)
    home.sync()

    assert client.status().photos == 2
    assert client.have(photos[5]).holdings[0].has == "new"


def test_the_configuration_leaves_out_and_takes_in_again(home: Home) -> None:
    """Also what is built in. Each reload takes effect at once."""
    daemon = home.index()
    client = home.client()
    assert client.status().photos == 2
    for exclude, count in ((["a/"], 1), (["!*.lrdata/", "!node_modules/"], 4), ([], 2)):
        home.configure(index={"exclude": exclude})
        daemon.reload()
        finds(home, count)
    home.configure(index={"exclude": ["!*.lrdata/", "!node_modules/"]})
    daemon.reload()
    finds(home, 4)
    home.sync()

    assert encodes(home) == 0  # since the last reload: all four were encoded before
    done = home.pixkind("--check")
    assert done.returncode == 0, done.stderr


def test_people_see_what_is_left_out(home: Home) -> None:
    """The built-in patterns, those of the configuration and of folders, and folders that are closed."""
    (home.photos / "b/.pixkinignore").write_text("# not these\n*.png\n")
    (home.photos / "a/.nomedia").touch()
    home.configure(index={"exclude": ["/2019/"]})
    home.index()

    said = home.pixkin("status", "--exclusions").stdout.decode()
    record = json.loads(home.pixkin("status", "--exclusions", "--json").stdout)["exclusions"]

    for line in (
        "*.lrdata/                        built in",
        "/2019/                           index.exclude",
        f"*.png                            {home.photos}/b/.pixkinignore, line 2",
        f"the whole folder                 {home.photos}/a/.nomedia",
    ):
        assert line in said.splitlines()
    assert {"pattern": "*.png", "file": f"{home.photos}/b/.pixkinignore", "line": 2, "built_in": False} in record
    assert "exclusions" not in json.loads(home.pixkin("status", "--json").stdout)


def test_a_pattern_that_cannot_be_used_is_told(home: Home) -> None:
    """In the configuration it is an error."""
    home.configure(index={"exclude": ["!"]})
    done = home.pixkind("--check")

    assert done.returncode != 0
    assert 'has "!", which is no pattern' in done.stderr
