"""Folders with two names by a mount or by upper and lower case: no photo counts as a copy of itself."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home
from tests.e2e.drives import make_ext4, mount_exfat, run, unmount_all
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.getuid() != 0, reason="only root may mount"),
]


class Names:
    """A home with two photos in one of two folders; whatever is mounted is unmounted at the end."""

    def __init__(self, home: Home, stack: ExitStack, photos: list[Path]) -> None:
        self.home = home
        self.stack = stack
        self.first, self.second = home.photos, home.folder / "second"
        self.pictures = photos[:2]
        self.second.mkdir()
        home.configure(index={"folders": [str(self.first), str(self.second)]})

    def fill(self, folder: Path) -> set[str]:
        """Copy the photos, and return their paths."""
        folder.mkdir(exist_ok=True)
        return {str(shutil.copyfile(picture, folder / picture.name)) for picture in self.pictures}

    def mount(self, point: Path, *words: str | Path) -> None:
        """Mount something."""
        try:
            run("mount", *words, point)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"cannot be mounted here: {error.stderr}")
        self.stack.callback(unmount_all, point)

    def found(self) -> set[str]:
        """Return every path that an answer names."""
        return {match["path"] for match in self.home.like(self.pictures[0], "--no-fold", "-n", "1000")}

    def roots(self) -> list[tuple[str, str]]:
        """Return the state of each root, and the reason."""
        return [(root["state"], root["reason"]) for root in self.home.status()["roots"]]

    def has_copies(self) -> bool:
        """Return whether anything is a duplicate of anything else."""
        done = self.home.pixkin("dupes")
        assert done.returncode in (0, 1), done.stderr.decode()
        return bool(done.stdout)


@pytest.fixture
def names(photos: list[Path]) -> Iterator[Names]:
    """Yield them."""
    with new_home() as home, ExitStack() as stack:
        yield Names(home, stack, photos)
        for daemon in home.daemons:
            daemon.stop()


def _bind(names: Names) -> None:
    names.mount(names.second, "--bind", names.first)


def _bind_a_part(names: Names) -> None:
    (names.first / "2020").mkdir()
    names.mount(names.second, "--bind", names.first / "2020")


def _mount_twice(names: Names) -> None:
    names.mount(names.first, "-o", "loop", make_ext4(names.home.folder / "drive.img"))
    device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if str(names.first) in line)
    names.mount(names.second, device)


def _overlay(names: Names) -> None:
    upper, work = (names.home.folder / name for name in ("upper", "work"))
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir={names.first},upperdir={upper},workdir={work}"
    names.mount(names.second, "-t", "overlay", "overlay", "-o", options)


@pytest.mark.parametrize("make_one", [_bind, _bind_a_part, _mount_twice, _overlay])
def test_two_roots_that_are_one_are_refused(names: Names, make_one: Callable[[Names], None]) -> None:
    """The daemon ends with 78, and the sentence names both."""
    make_one(names)
    done = names.home.pixkind("--check")

    assert done.returncode == 78
    assert f"{names.first} and {names.second} show the same files" in done.stderr


def test_a_root_that_becomes_another_one_later_is_offline(names: Names) -> None:
    """Its photos are not found twice. When it is itself again, it is watched as before."""
    expected = names.fill(names.first)
    names.home.start()
    names.home.sync()
    names.mount(names.second, "--bind", names.first)
    wait_for(lambda: names.roots()[1] == ("offline", f"it shows the files of {names.first}, which is watched too"))
    synced, during, copies = names.home.pixkin("sync"), names.found(), names.has_copies()
    unmount_all(names.second)
    wait_for(lambda: names.roots()[1] == ("online", ""))

    assert synced.returncode == 75
    assert during == expected
    assert not copies


def test_a_folder_that_is_mounted_in_its_own_root_is_indexed_once(names: Names) -> None:
    """What the mount hides is gone until it is unmounted, and changes under the first name are noticed."""
    first, best = names.first / "2020", names.first / "best"
    expected = names.fill(first)
    hidden = names.fill(best)
    names.home.start()
    names.home.sync()
    before, spent = names.found(), names.home.encodes()
    names.mount(best, "--bind", first)
    wait_for(lambda: names.found() == expected)
    copies, state = names.has_copies(), names.roots()[0]
    new = Path(shutil.copyfile(names.pictures[0], first / f"new{names.pictures[0].suffix}"))
    wait_for(lambda: names.found() == expected | {str(new)})
    synced, below = names.home.pixkin("sync"), names.home.pixkin("sync", best)
    during = names.found()
    unmount_all(best)
    wait_for(lambda: names.found() == expected | hidden | {str(new)})

    assert before == expected | hidden
    assert not copies
    assert state == ("online", f"{best} shows files of {names.first}; they are indexed once")
    assert (synced.returncode, below.returncode) == (0, 66)
    assert during == expected | {str(new)}
    assert names.home.encodes() == spent


@pytest.mark.parametrize("below", ["", "dcim"])
def test_roots_that_differ_only_in_case_are_one_where_case_does_not_count(names: Names, below: str) -> None:
    """The later one is offline; on exFAT, which most cards have."""
    card = names.home.folder / "card"
    card.mkdir()
    mount_exfat(names.stack, names.home.folder / "card.img", card)
    (card / "Photos").mkdir()
    expected = names.fill(card / "Photos/DCIM")
    roots = [card / "Photos", card / "photos" / below]
    assert roots[1].exists()
    names.home.configure(index={"folders": [str(root) for root in roots]})
    names.home.start()
    names.home.pixkin("sync")

    assert names.roots()[1] == ("offline", f"it shows the files of {roots[0]}, which is watched too")
    assert names.found() == expected
    assert not names.has_copies()
