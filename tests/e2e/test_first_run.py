"""The desktop is told once when a folder has been indexed for the first time: over a real session bus."""

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.desktop import Desktop, Notice, desktop
from tests.e2e.conftest import Home, picture
from tests.waiting import wait_for

from pixkind.ingest.first_runs import MANY

pytestmark = [pytest.mark.e2e]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with as many photos as a first run needs to be told of."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(MANY):
        (folder / f"{number}.jpg").write_bytes(picture(number))
    return folder


@pytest.fixture
def shown(home: Home) -> Iterator[Desktop]:
    """Yield the desktop on which the user of this home works."""
    with desktop(home.folder) as made:
        home.env["DBUS_SESSION_BUS_ADDRESS"] = made.address
        yield made


def add(home: Home, many: Path, name: str = "many") -> None:
    """Copy the photos into the photo folder."""
    shutil.copytree(many, home.photos / name)


def log(home: Home) -> str:
    """Return what the daemons of this home have logged."""
    return home.daemons[-1].log.read_text()


def test_the_end_of_a_first_run_is_told_once(home: Home, shown: Desktop, many: Path) -> None:
    """Not again for photos that come later, nor after another start; then for a folder that is new, with its own number."""
    add(home, many)
    home.index()
    wait_for(lambda: len(shown.notices) > 0)
    first = list(shown.notices)
    add(home, many, "again")
    home.sync()
    home.daemons[-1].stop()
    home.start()
    home.sync()
    new = home.folder / "new"
    shutil.copytree(many, new)
    (new / "one more.jpg").write_bytes(picture(MANY))
    home.configure(index={"folders": [str(home.photos), str(new)]})
    home.daemons[-1].reload()
    home.sync()
    wait_for(lambda: len(shown.notices) > 1)

    assert first == [
        Notice(
            app="pixkin",
            replaces=0,
            icon="image-x-generic",
            summary=f"{MANY} photos are indexed",
            body="Point at one to find those like it.",
            actions=[],
            hints={"desktop-entry": ("s", "pixkin")},
            expires_ms=-1,
        )
    ]
    assert [one.summary for one in shown.notices[1:]] == [f"{MANY + 1} photos are indexed"]


def test_a_first_run_that_was_interrupted_is_told_when_it_has_ended(home: Home, shown: Desktop, many: Path) -> None:
    """However the daemon has ended."""
    add(home, many)
    home.start()
    wait_for(lambda: home.encodes() > 0)
    early = list(shown.notices)
    home.daemons[-1].stop(signal.SIGKILL)
    home.start()
    home.sync()
    wait_for(lambda: len(shown.notices) > 0)

    assert early == []
    assert [one.summary for one in shown.notices] == [f"{MANY} photos are indexed"]


def test_a_small_folder_or_a_configuration_that_forbids_it_tells_nothing(
    home: Home, shown: Desktop, many: Path, photos: list[Path]
) -> None:
    """The first run of some photos is over before anybody looks away; `notify = false` is for good."""
    home.index(photos[0])
    wait_for(lambda: "photos can be found" in log(home))  # where it would be told
    add(home, many)
    home.sync()
    home.daemons[-1].stop()
    shutil.rmtree(home.folder / "state_home/pixkin")
    home.configure(desktop={"notify": False})
    home.start()
    home.sync()
    wait_for(lambda: f"{MANY + 1} photos can be found" in log(home).rpartition("listens on")[2])
    home.daemons[-1].stop()

    assert shown.notices == []


def test_a_bus_that_does_not_answer_disturbs_nobody(home: Home, many: Path) -> None:
    """The daemon answers and ends as ever, and does not wait for long."""
    add(home, many)
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(home.folder / "bus"))
        bus.listen()
        bus.settimeout(240)
        home.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={home.folder}/bus"
        home.start()
        caller, _ = bus.accept()
        (found, *_) = home.like(home.photos / "many/0.jpg", "-n", "1", "--no-fold")
        caller.settimeout(240)
        while caller.recv(4096):
            pass  # until the caller has been ended
        caller.close()
        status = home.daemons[-1].stop()

    assert found["path"].endswith(".jpg")
    assert status == 0
