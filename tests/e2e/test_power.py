"""A power cut at any moment: what an answer has named is still in the store, which is sound and is used on.

The state folder is on a file system in a file. That file holds only what was really written to the disk: copied while
the daemon is stopped in mid-work, it is what a machine finds when it starts again.
"""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest
from tests.e2e.conftest import Home, new_home, photos_below, picture, stored
from tests.waiting import wait_for

CUTS = int(os.environ.get("PIXKIN_CUTS", "2"))  # `make stateful` takes 20
_PHOTOS = 40  # new ones before each cut; an answer names the photos of 1,000 pictures

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300 + 40 * CUTS),
    pytest.mark.skipif(os.getuid() != 0, reason="only root may mount"),
]


class Platter:
    """The disk under the state folder."""

    def __init__(self, home: Home) -> None:
        """Make it, empty, and put it in."""
        self.home = home
        self.point = home.folder / "state_home"
        self._file = home.folder / "platter 0"
        self._file.touch()
        os.truncate(self._file, 128 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._file], check=True)
        self.mount()

    def mount(self) -> None:
        """Put it in; what is not synced is written back early, which shows torn states."""
        done = subprocess.run(
            ["mount", "-o", "loop,commit=1", self._file, self.point], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no loop mounts here: {done.stderr.decode()}")

    def unmount(self) -> None:
        """Take it out, whoever uses it."""
        subprocess.run(["umount", "-l", self.point], check=False)

    def cut_power(self, number: int) -> None:
        """Keep what is on the disk now, end the daemon, and start the machine again."""
        daemon = self.home.daemons[-1]
        daemon.process.send_signal(signal.SIGSTOP)
        former, self._file = self._file, self.home.folder / f"platter {number}"
        subprocess.run(["cp", "--sparse=always", former, self._file], check=True)
        daemon.process.kill()
        daemon.process.wait()
        self.unmount()
        former.unlink()
        self.mount()


@pytest.fixture
def platter() -> Iterator[Platter]:
    """Yield a home's disk."""
    with new_home() as home:
        made = Platter(home)
        yield made
        home.daemons[-1].stop()
        made.unmount()


def test_a_power_cut_loses_nothing_that_was_acknowledged(platter: Platter) -> None:
    """The store verifies, holds all that an answer has named, and only what it does not hold is encoded again."""
    home, chance = platter.home, random.Random(3)
    anchor = home.photos / "0.jpg"
    kept: set[str] = set()
    for number in range(CUTS):
        for fresh in range(number * _PHOTOS, (number + 1) * _PHOTOS):
            (home.photos / f"{fresh}.jpg").write_bytes(picture(fresh))
        home.start()
        space = home.status()["space"]
        goal = min(len(kept) + chance.randrange(5, _PHOTOS), (number + 1) * _PHOTOS)
        wait_for(lambda goal=goal: home.status()["photos"] >= goal, 60)  # type: ignore[misc]  # bound as it is now
        acknowledged = home.found(anchor)
        threading.Event().wait(chance.random() * 0.2)
        platter.cut_power(number + 1)
        kept = stored(platter.point / "pixkin/index.lmdb", space)

        assert acknowledged
        assert acknowledged <= kept

    home.start()
    home.sync()

    assert home.found(anchor) == photos_below(home.photos)
    assert home.encodes() == len(photos_below(home.photos)) - len(kept)
