"""`pixkin dupes --trash` with a real daemon: pictures are counted by what they show, outside of every trash, before and after."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from tests.e2e.conftest import Home, new_home, picture
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

COUNT = 4  # pictures, each of which has a copy in both folders


class Pair:
    """A home with two watched folders, `one` and `other`, on one drive."""

    def __init__(self, home: Home) -> None:
        """Fill them."""
        self.home = home
        self.one, self.other = home.photos, home.folder / "other"
        self.other.mkdir()
        home.configure(index={"folders": [str(self.one), str(self.other)]})
        for number in range(COUNT):
            for folder in (self.one, self.other):
                (folder / "2020").mkdir(exist_ok=True)
                (folder / f"2020/p{number}.jpg").write_bytes(picture(number))

    def pictures(self) -> set[str]:
        """Return what all photos show that are not in a trash."""
        found = set()
        for base in (self.one, self.other):
            for path in base.rglob("*.jpg"):
                if path.is_file() and not path.is_symlink() and ".Trash" not in str(path):
                    with Image.open(path) as image:
                        found.add(hashlib.sha256(image.convert("RGB").tobytes()).hexdigest())
        return found

    def files(self) -> dict[str, bytes]:
        """Return all photos."""
        return {str(path): path.read_bytes() for base in (self.one, self.other) for path in base.rglob("*.jpg")}


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield a pair that is indexed."""
    with new_home() as home:
        made = Pair(home)
        home.start()
        home.sync()
        yield made
        for daemon in home.daemons:
            daemon.stop()


def _nothing(pair: Pair) -> None:
    del pair


def _hard_links(pair: Pair) -> None:
    shutil.rmtree(pair.other / "2020")
    (pair.other / "2020").mkdir()
    for photo in (pair.one / "2020").iterdir():
        os.link(photo, pair.other / "2020" / photo.name)
    pair.home.sync()


def _link_for_folder(pair: Pair) -> None:
    shutil.rmtree(pair.one / "2020")
    (pair.one / "2020").symlink_to(pair.other / "2020")


def _deleted(pair: Pair) -> None:
    shutil.rmtree(pair.one / "2020")


def _overwritten(pair: Pair) -> None:
    for number in range(COUNT):
        (pair.one / f"2020/p{number}.jpg").write_bytes(picture(100 + number))


def _overwritten_while_paused(pair: Pair) -> None:
    assert pair.home.pixkin("pause", "1h").returncode == 0
    _overwritten(pair)


def _root_paused_and_deleted(pair: Pair) -> None:
    assert pair.home.pixkin("pause", pair.one).returncode == 0
    _deleted(pair)


SITUATIONS = [
    _nothing,
    _hard_links,
    _link_for_folder,
    _deleted,
    _overwritten,
    _overwritten_while_paused,
    _root_paused_and_deleted,
]
RECIPES = [
    ["--trash"],
    ["--trash", "--across", "{one}"],
    ["--trash", "--across", "{other}"],
    ["--trash", "--keep", "{other}"],
    ["--trash", "--never", "{one}"],
    ["--move-to", "{home}/moved"],
]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_recipe_loses_a_picture(pair: Pair, situation: Callable[[Pair], None]) -> None:
    """Every picture is there in a photo folder, whatever is in the trash, and `--undo` brings back all."""
    situation(pair)
    before = pair.pictures()
    for recipe in RECIPES:
        files = pair.files()
        words = [word.format(one=pair.one, other=pair.other, home=pair.home.folder) for word in recipe]
        done = pair.home.pixkin("dupes", *words, "--yes")
        after = pair.pictures()
        undone = pair.home.pixkin("dupes", "--undo")

        assert done.returncode in (0, 1, 75), done.stderr.decode()
        assert after == before, (recipe, done.stdout, done.stderr)
        assert undone.returncode in (0, 1), undone.stderr.decode()
        assert pair.files() == files, recipe


def test_copies_go_and_the_index_follows(pair: Pair) -> None:
    """One of each pair is left, and the daemon finds no copies any more; the status says that all went."""
    before = pair.pictures()
    done = pair.home.pixkin("dupes", "--trash", "--yes", "--keep", pair.other)
    pair.home.sync()
    again = pair.home.pixkin("dupes", "--trash", "--yes")

    assert done.returncode == 0, done.stderr.decode()
    assert not list((pair.one / "2020").iterdir())
    assert pair.pictures() == before
    assert again.returncode == 1
    assert again.stdout == b"no photo can go\n"


def test_a_copy_without_metadata_is_the_one_that_goes(pair: Pair) -> None:
    """A messenger's copy of a photo is older, and has lost when and where it was taken."""
    plain = pair.one / "a.jpg"
    plain.write_bytes(picture(50))
    os.utime(plain, (1, 1))
    rich = pair.other / "z.jpg"
    exif = Image.Exif()
    exif[0x0132] = "2020:05:06 07:08:09"
    data = picture(50)
    segment = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    rich.write_bytes(data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:])
    pair.home.sync()
    words = ("dupes", "--trash", "--yes", "--never", pair.one / "2020", "--never", pair.other / "2020")
    wait_for(lambda: pair.home.pixkin(*words).returncode != 1)  # 1: a file that is two seconds old may still change

    assert rich.exists()
    assert not plain.exists()
