"""Roots that come, go and overlap: what the configuration says is in force, nothing is paid twice, no photo has two roots."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Daemon, Home
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]


def _configure(home: Home, *roots: "str | Path") -> None:
    home.configure(index={"folders": [str(root) for root in roots]})


def _reload(home: Home, daemon: Daemon, *roots: "str | Path") -> None:
    """Have the daemon index these roots, and return when it has decided about them."""
    _configure(home, *roots)
    daemon.reload()


def _roots(home: Home) -> list[str]:
    return [root["path"] for root in home.status()["roots"]]


def _found(home: Home, photo: Path) -> set[str]:
    return {match["path"] for match in home.like(photo, "--self", "--no-fold", "-n", "1000")}


def _folder(home: Home, name: str, *photos: Path) -> Path:
    """Return a folder with copies of these photos."""
    made = home.folder / name
    made.mkdir()
    for photo in photos:
        shutil.copyfile(photo, made / photo.name)
    return made


def test_a_root_that_is_added_is_scanned(home: Home, photos: list[Path]) -> None:
    """Its photos are found without a further command; those of the other root are not looked at again."""
    first = home.copy(photos[0])
    more = _folder(home, "more", photos[0])  # the same picture: nothing is to be encoded
    daemon = home.start()
    home.sync()
    _reload(home, daemon, home.photos, more)
    wait_for(lambda: home.status()["photos"] == 2)
    counters = home.status()["counters"]

    assert _roots(home) == [str(home.photos), str(more)]
    assert _found(home, first) == {str(first), str(more / photos[0].name)}
    assert (counters["encodes"], counters["inspects"]) == (0, 1)
    assert home.status()["pid"] == daemon.process.pid


def test_a_root_that_is_removed_is_hidden_and_free_when_it_is_put_back(home: Home, photos: list[Path]) -> None:
    """Nothing of it is answered or counted meanwhile, not even on request; back, nothing of it is encoded or read."""
    first = home.copy(photos[0])
    more = _folder(home, "more", *photos[1:3])
    _configure(home, home.photos, more)
    daemon = home.start()
    home.sync()
    all_of_it = _found(home, first)
    _reload(home, daemon, home.photos)
    home.sync()
    hidden, status = _found(home, first), home.status()
    under = home.pixkin("like", "--under", more, first)
    _reload(home, daemon, home.photos, more)
    home.sync()
    counters = home.status()["counters"]

    assert len(all_of_it) == 3
    assert hidden == {str(first)}
    assert (status["photos"], status["offline"], [root["path"] for root in status["roots"]]) == (
        1,
        0,
        [str(home.photos)],
    )
    assert (under.returncode, str(more) in under.stderr.decode()) == (66, True)
    assert _found(home, first) == all_of_it
    assert (counters["encodes"], counters["inspects"]) == (0, 0)


def test_a_root_may_be_replaced_by_the_folder_above_it(home: Home, photos: list[Path]) -> None:
    """Records belong to paths, not to roots: the photos that were known stay known."""
    inner = home.photos / "inner"
    known = home.copy(photos[0], f"inner/{photos[0].name}")
    new = home.copy(photos[0], f"new{photos[0].suffix}")
    _configure(home, inner)
    daemon = home.start()
    home.sync()
    _reload(home, daemon, home.photos)
    home.sync()
    counters = home.status()["counters"]

    assert _found(home, known) == {str(known), str(new)}
    assert (counters["encodes"], counters["inspects"]) == (0, 1)


def _nested(home: Home) -> tuple[str, str]:
    inner = home.photos / "inner"
    inner.mkdir()
    return str(home.photos), str(inner)


def _twice(home: Home) -> tuple[str, str]:
    return str(home.photos), f"{home.photos}/"


def _linked(home: Home) -> tuple[str, str]:
    link = home.folder / "link"
    link.symlink_to(home.photos)
    return str(home.photos), str(link)


def _linked_inside(home: Home) -> tuple[str, str]:
    inner, link = home.photos / "inner", home.folder / "link"
    inner.mkdir()
    link.symlink_to(inner)
    return str(link), str(home.photos)


def _linked_above(home: Home) -> tuple[str, str]:
    link = home.folder / "link"
    link.symlink_to(home.folder)
    return str(home.photos), f"{link}/photos"


_OVERLAPS = [_nested, _twice, _linked, _linked_inside, _linked_above]


@pytest.mark.parametrize("overlap", _OVERLAPS)
@pytest.mark.parametrize("words", [(), ("--check",)])
def test_roots_that_overlap_are_refused(
    home: Home, overlap: Callable[[Home], tuple[str, str]], words: tuple[str, ...]
) -> None:
    """Status 78, and a sentence that names both as they are written, and what a link stands for."""
    first, second = overlap(home)
    _configure(home, first, second)
    done = home.pixkind(*words)

    assert done.returncode == 78
    assert [root for root in (first, second) if root.rstrip("/") not in done.stderr] == []
    assert os.path.realpath(second) in done.stderr


@pytest.mark.parametrize("overlap", _OVERLAPS)
def test_a_reload_to_roots_that_overlap_changes_nothing(home: Home, overlap: Callable[[Home], tuple[str, str]]) -> None:
    """The log names both, and the old configuration stays in force, in the same process."""
    other = _folder(home, "other")
    _configure(home, other)
    daemon = home.start()
    first, second = overlap(home)
    _reload(home, daemon, first, second)
    told = next(line for line in daemon.log.read_text().splitlines() if "is not used" in line)

    assert [root for root in (first, second) if root.rstrip("/") not in told] == []
    assert _roots(home) == [str(other)]
    assert home.status()["pid"] == daemon.process.pid
