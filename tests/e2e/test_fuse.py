"""A root on a server that fails or does not answer: nothing is lost or encoded twice, and nobody else waits for it."""

import itertools
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, new_home
from tests.e2e.fuse_switch import Mode, switchable
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

_PHOTOS = 3  # in each root
_LIKE_S = 20.0  # what an answer may take while the share does not answer, which it never does by itself
_HERE = frozenset({"online", "degraded"})  # degraded: a share does not tell its changes
_AWAY: dict[Mode, tuple[str, str]] = {  # the state and its reason
    "eio": ("offline", "Input/output error"),
    "enoent": ("offline", "missing"),
    "estale": ("offline", "Stale file handle"),
    "hang": ("suspect", ""),
}


class Share:
    """A home with two roots: a local folder, and a file system that can be made to fail."""

    def __init__(self, home: Home, photos: list[Path]) -> None:
        self.home = home
        self.local, self.point, self.server = home.photos, home.folder / "share", home.folder / "server"
        self.smallest = min(photos, key=lambda photo: photo.stat().st_size)
        self.added = itertools.count()
        for folder, some in ((self.local, photos[:_PHOTOS]), (self.server, photos[_PHOTOS : 2 * _PHOTOS])):
            folder.mkdir(exist_ok=True)
            for photo in some:
                shutil.copyfile(photo, folder / photo.name)
        self.point.mkdir()
        home.configure(index={"folders": [str(self.local), str(self.point)]})
        self._mounted = ExitStack()
        self.mount()

    def mount(self) -> None:
        """Mount the share anew, in the mode "ok"."""
        self._mounted.close()
        self.switch = self._mounted.enter_context(switchable(self.server, self.point))

    def end(self) -> None:
        """Unmount it: from then on no process can hang in it."""
        self._mounted.close()

    def add(self, folder: Path) -> str:
        """Put a picture there that was nowhere before; return the path that pixkin will know."""
        name = f"{next(self.added)}{self.smallest.suffix}"
        (folder / name).write_bytes(self.smallest.read_bytes() + name.encode())
        return str((self.point if folder == self.server else folder) / name)

    def restore(self) -> None:
        """Make everything as it was before the first test."""
        if self.switch.process.poll() is not None:
            self.mount()
        self.switch.mode("ok")
        if not self.home.daemons or self.home.daemons[-1].process.poll() is not None:
            self.home.start()
            self.add(self.local)  # so that the worker is warm
        wait_for(lambda: self.state()[0] in _HERE)
        self.home.sync()

    def state(self) -> tuple[str, str]:
        """Return the share's state and the reason."""
        told = next(root for root in self.home.status()["roots"] if root["path"] == str(self.point))
        return told["state"], told.get("reason", "")

    def is_away(self, mode: Mode) -> bool:
        """Return whether it is told to be as this mode makes it."""
        state, reason = self.state()
        return state == _AWAY[mode][0] and _AWAY[mode][1] in reason

    def found(self, path: str = "") -> dict[str, bool]:
        """Return every photo that an answer to `path` (default: any local one) names, and whether it is offline."""
        path = path or str(next(self.local.iterdir()))
        matches = self.home.like(path, "--self", "--no-fold", "-n", "1000")
        return {match["path"]: match.get("offline", False) for match in matches}

    def expected(self, *, offline: bool) -> dict[str, bool]:
        """Return what `found` must be while the share is (not) away."""
        shared = {str(self.point / photo.name): offline for photo in self.server.iterdir()}
        return {**{str(photo): False for photo in self.local.iterdir()}, **shared}


@pytest.fixture(scope="module")
def machine(photos: list[Path]) -> Iterator[Share]:
    """Yield the roots that all tests of this module share."""
    with new_home() as home:
        made = Share(home, photos)
        try:
            yield made
        finally:
            made.end()  # before the daemons: one that hangs in it cannot be killed


@pytest.fixture
def share(machine: Share) -> Share:
    """Return them, as if nothing had happened yet."""
    machine.restore()
    return machine


def test_a_name_in_another_case_is_one_photo(share: Share) -> None:
    """On a file system that ignores case a photo or a folder gets a name in another case; the old paths are gone."""
    share.switch.mode("anycase")
    (share.server / "Holiday").mkdir()
    photo, below = Path(share.add(share.server)), share.server / "Holiday/a.jpg"
    shutil.copyfile(share.smallest, below)
    share.home.sync()
    before, encodes = share.found(), share.home.encodes()

    (share.server / photo.name).rename(share.server / photo.name.upper())
    below.parent.rename(share.server / "HOLIDAY")
    share.home.sync()
    gone = [share.home.pixkin("sync", path).returncode for path in (photo, share.point / "Holiday")]
    after = share.found()
    shutil.rmtree(share.server / "HOLIDAY")
    (share.server / photo.name.upper()).unlink()
    share.home.sync()

    new = {str(share.point / photo.name.upper()), str(share.point / "HOLIDAY/a.jpg")}
    assert before.keys() - after.keys() == {str(photo), str(share.point / "Holiday/a.jpg")}
    assert after.keys() - before.keys() == new
    assert share.home.encodes() == encodes
    assert gone == [66, 66]


@pytest.mark.parametrize("mode", list(_AWAY))
def test_a_share_that_fails_is_away_until_it_works_again(share: Share, mode: Mode) -> None:
    """Its photos are answered and marked, other roots are indexed, and what comes back costs nothing."""
    home, encodes, known = share.home, share.home.encodes(), share.expected(offline=True)
    shared = next(path for path, is_shared in known.items() if is_shared)
    share.switch.mode(mode)
    wait_for(lambda: share.is_away(mode))
    began = time.monotonic()
    by_local, by_shared = share.found(), share.found(shared)
    took_s = (time.monotonic() - began) / 2
    new_here, new_there = share.add(share.local), share.add(share.server)
    wait_for(lambda: new_here in share.found())
    away, offline = share.state(), home.status()["offline"]
    share.switch.mode("ok")
    wait_for(lambda: share.state()[0] in _HERE)
    home.sync()

    assert by_local == by_shared == known
    assert took_s < _LIKE_S
    assert (away[0], offline) == (_AWAY[mode][0], sum(known.values()))
    assert new_there in share.found()
    assert share.found() == share.expected(offline=False)
    assert home.encodes() == encodes + 2
    assert home.status()["failed"] == 0


def test_a_share_whose_server_died_is_away_until_it_is_mounted_again(share: Share) -> None:
    """Every call fails with ENOTCONN then, also the first look at the mount point."""
    encodes = share.home.encodes()
    share.switch.process.kill()
    wait_for(lambda: share.state()[0] == "offline")
    reason, during = share.state()[1], share.found()
    share.mount()
    wait_for(lambda: share.state()[0] in _HERE)
    share.home.sync()

    assert "Transport endpoint is not connected" in reason
    assert during == share.expected(offline=True)
    assert share.found() == share.expected(offline=False)
    assert share.home.encodes() == encodes


def test_a_share_that_hangs_while_it_is_read_holds_up_nobody(share: Share) -> None:
    """The worker may be stuck in one of its photos: others are indexed all the same, and no photo is condemned."""
    home, encodes = share.home, share.home.encodes()
    for _ in range(100):
        share.add(share.server)
    home.pixkin("sync", "--timeout", "0.5", share.point)  # it begins; a share does not tell its changes
    wait_for(lambda: home.encodes() > encodes)
    share.switch.mode("hang")
    new_here = share.add(share.local)
    wait_for(lambda: share.is_away("hang"))
    wait_for(lambda: new_here in share.found())
    share.switch.mode("ok")
    wait_for(lambda: share.state()[0] in _HERE)
    home.sync()

    assert share.found() == share.expected(offline=False)
    assert home.status()["failed"] == 0


def test_a_photo_that_nobody_can_read_now_is_not_waited_for(share: Share) -> None:
    """Asked about a photo of the share that was never indexed, the client says so; it does not open the file itself."""
    share.switch.mode("hang")
    wait_for(lambda: share.is_away("hang"))
    # Not by Home.pixkin: who hangs in the share cannot be killed.
    asking = subprocess.Popen(
        [Path(sys.executable).with_name("pixkin"), "like", share.add(share.server)],
        env=share.home.env,
        stderr=subprocess.PIPE,
    )
    try:
        asking.wait(_LIKE_S)
    finally:
        share.switch.mode("ok")
        said = asking.communicate()[1]

    assert asking.returncode == 75
    assert b"does not answer" in said


def test_a_daemon_ends_while_its_share_hangs(share: Share) -> None:
    """SIGTERM: its process ends before systemd would kill it, with the status of an orderly end."""
    share.switch.mode("hang")
    wait_for(lambda: share.is_away("hang"))
    status = share.home.daemons[-1].stop(signal.SIGTERM)

    assert status == 0


def test_a_daemon_starts_while_its_share_hangs(share: Share) -> None:
    """It gets ready and answers from the start; when the share is back, nothing is read again."""
    share.home.daemons[-1].stop()
    share.switch.mode("hang")
    share.home.start()
    wait_for(lambda: share.is_away("hang"))
    during = share.found()
    share.switch.mode("ok")
    wait_for(lambda: share.state()[0] in _HERE)
    share.home.sync()

    assert during == share.expected(offline=True)
    assert share.found() == share.expected(offline=False)
    assert share.home.encodes() == 0


def test_a_share_inside_a_local_root_holds_up_nobody(home: Home, photos: list[Path]) -> None:
    """While it hangs, its root is indexed and can be paused; its photos are kept, and come back for nothing."""
    local, server, point = home.photos, home.folder / "server", home.photos / "2024/nas"
    for folder in (server, point):
        folder.mkdir(parents=True)
    shutil.copyfile(photos[0], local / photos[0].name)
    shutil.copyfile(photos[1], server / photos[1].name)
    with switchable(server, point) as switch:
        daemon = home.start()
        home.sync()
        both = home.found(local / photos[0].name)
        switch.mode("hang")
        home.client().sync(str(local), timeout_s=30)  # looks at all of it
        shutil.copyfile(photos[2], local / photos[2].name)
        wait_for(lambda: home.status()["photos"] == 3)
        paused = home.pixkin("pause", "--timeout", "40").returncode
        home.pixkin("resume")
        kept = home.found(local / photos[0].name)
        switch.mode("ok")
        wait_for(lambda: home.pixkin("sync").returncode == 0)
        encodes = home.encodes()
        status = daemon.stop()

    assert both == {str(local / photos[0].name), str(point / photos[1].name)}
    assert paused == 0
    assert kept == both | {str(local / photos[2].name)}
    assert encodes == 3
    assert status == 0
