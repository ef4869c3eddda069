"""Another model in the configuration: the old space answers until the new one finds as much, and going back is free."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Daemon, Home, new_home, picture, untrained
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

_OLD: dict[str, Any] = {"model": "efficientnet_lite0"}
_COUNT = 24


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the configuration of a second encoder with random weights."""
    return untrained(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def indexed() -> Iterator[Home]:
    """Yield a home with two roots of 12 photos each, that the default encoder has encoded."""
    with new_home() as made:
        (made.folder / "drive").mkdir()
        for number in range(_COUNT):
            (_roots(made)[number % 2] / f"{number:02}.jpg").write_bytes(picture(number))
        _configure(made, _OLD)
        assert made.pixkind("--once").returncode == 0
        shutil.copytree(made.folder / "state_home", made.folder / "kept")
        yield made


@pytest.fixture
def home(indexed: Home) -> Iterator[Home]:
    """Yield that home, as it was, and without a daemon."""
    shutil.rmtree(indexed.folder / "state_home")
    shutil.copytree(indexed.folder / "kept", indexed.folder / "state_home")
    _configure(indexed, _OLD)
    yield indexed
    for daemon in indexed.daemons:
        daemon.stop(signal.SIGKILL)
    indexed.daemons.clear()
    for photo in indexed.photos.glob("late*"):
        photo.unlink()
    with suppress(FileNotFoundError):
        (indexed.folder / "drawer").rename(indexed.folder / "drive")


def _roots(home: Home) -> tuple[Path, Path]:
    return home.photos, home.folder / "drive"


def _configure(home: Home, encoder: dict[str, Any]) -> None:
    home.configure(index={"folders": [str(root) for root in _roots(home)]}, encoder=encoder)


def _reload(home: Home, daemon: Daemon, encoder: dict[str, Any]) -> None:
    """Have the daemon fill the space of another encoder, and return when it answers again."""
    _configure(home, encoder)
    daemon.reload()


def _space(home: Home, *words: str) -> "subprocess.CompletedProcess[bytes]":
    return home.pixkin("space", *words)


def _spaces(home: Home) -> dict[str, dict[str, Any]]:
    """Return what `pixkin space list` says, by model."""
    return {space["encoder"]: space for space in map(json.loads, _space(home, "list", "--json").stdout.splitlines())}


def _score(home: Home, photo: Path) -> float:
    """Return the score of the photo that is most like another: each encoder gives one of its own."""
    return float(home.like(photo, "-n", "1")[0]["score"])


def test_the_old_space_answers_until_the_new_one_finds_as_much_and_going_back_is_free(
    home: Home, new: dict[str, Any]
) -> None:
    """A drive that is away keeps the old encoder answering, a new photo is found at once, nothing is encoded twice in a space."""
    first, (photos, drive) = home.photos / "00.jpg", _roots(home)
    daemon = home.start()
    home.sync()
    old = _score(home, first)
    drive.rename(home.folder / "drawer")
    wait_for(lambda: home.status()["offline"] == _COUNT // 2)
    _reload(home, daemon, new)
    at_once, score = len(home.found(first)), _score(home, first)
    (photos / "late.jpg").write_bytes(picture(500))
    home.sync(str(photos))
    found, filling = home.found(first), home.status()
    foreign = home.like("-", stdin=picture(1000))
    (home.folder / "drawer").rename(drive)
    everything: set[int] = set()

    def has_switched() -> bool:
        everything.add(len(home.found(first)))
        return home.status()["filling"] is None

    wait_for(has_switched)
    everything.add(len(home.found(first)))
    after, counters, spaces = _score(home, first), home.status()["counters"], _spaces(home)
    _reload(home, daemon, _OLD)
    back, back_score = home.status(), _score(home, first)
    home.sync()

    assert (at_once, score) == (_COUNT, old)
    assert {len(found)} == everything == {_COUNT + 1}
    assert len(foreign) == 10
    assert (filling["encoder"], filling["photos"]) == (_OLD["model"], _COUNT + 1)
    wanted = {"found": 13, "wanted": 25, "away": 12, "failed": 0, "pinned": False}
    assert {key: filling["filling"][key] for key in ("encoder", *wanted)} == {"encoder": new["model"], **wanted}
    assert (counters["encodes"], counters["encodes_beside"], after != old) == (_COUNT + 1, 1, True)
    assert [(one["vectors"], one["answers"], one["share"]) for one in spaces.values()] == [
        (_COUNT + 1, False, 1.0),
        (_COUNT + 1, True, 1.0),
    ]
    assert (back["encoder"], back["filling"], home.encodes()) == (_OLD["model"], None, 0)
    assert back_score == pytest.approx(old, abs=0.05)


def test_a_daemon_that_is_killed_while_it_fills_a_space_loses_nothing(home: Home, new: dict[str, Any]) -> None:
    """The old space answers again, what the new one had is not encoded twice, and the change goes on."""
    first, (photos, drive) = home.photos / "00.jpg", _roots(home)
    drive.rename(home.folder / "drawer")
    _configure(home, new)
    daemon = home.start()
    wait_for(lambda: _filled(home) > 0)
    had = _filled(home)
    daemon.stop(signal.SIGKILL)
    home.start()
    found, answers = len(home.found(first)), home.status()["encoder"]
    home.sync(str(photos))
    (home.folder / "drawer").rename(drive)
    wait_for(lambda: home.status()["filling"] is None)

    assert (found, answers) == (_COUNT, _OLD["model"])
    assert home.encodes() <= _COUNT - had  # it may have had more when it was killed
    assert len(home.found(first)) == _COUNT


def test_a_space_is_chosen_and_dropped_by_its_name(home: Home, new: dict[str, Any]) -> None:
    """`use` answers from it at once, and after a restart; `drop` forgets one that is not in use, and refuses the others."""
    first, drive = home.photos / "00.jpg", _roots(home)[1]
    drive.rename(home.folder / "drawer")
    _configure(home, new)
    daemon = home.start()
    home.sync(str(home.photos))
    old, filled = (_spaces(home)[model]["name"] for model in (_OLD["model"], new["model"]))
    refused = [_space(home, "drop", name) for name in (old, filled, "no-such-space")]
    used = _space(home, "use", filled)
    alone, few = home.status()["filling"], len(home.found(first))
    chosen = _space(home, "use", _OLD["model"]).returncode, len(home.found(first))
    daemon.stop()
    home.start()
    again = home.status()["encoder"], len(home.found(first))
    _space(home, "use", filled)
    dropped = _space(home, "drop", old)
    left = _spaces(home)
    listed = _space(home, "list").stdout.decode().split("\t")

    assert [done.returncode for done in refused] == [70, 70, 70]
    assert all(
        why in done.stderr for why, done in zip((b"is in use", b"configured", b"there is no"), refused, strict=True)
    )
    assert (used.returncode, alone, few) == (0, None, _COUNT // 2)
    assert chosen == (0, _COUNT)
    assert again == (_OLD["model"], _COUNT)
    assert dropped.returncode == 0
    assert {model: one["vectors"] for model, one in left.items()} == {new["model"]: _COUNT // 2}
    assert listed[:3] == ["12", "100 %", "12"]
    assert listed[4:] == [filled, "in use\n"]
    assert not list((home.folder / "state_home").rglob(f"codes/{old}"))


def _filled(home: Home) -> int:
    """Return how many photos the space that is filled finds."""
    return int((home.status()["filling"] or {"found": 0})["found"])
