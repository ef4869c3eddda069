"""Drives that come, go and are mistaken for each other: no photo is lost, none is encoded twice, and the state is told."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, children
from tests.e2e.drives import PHOTOS, Drives, make_ext4, run, unmount, unmount_all
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.getuid() != 0, reason="only root may mount"),
]


@pytest.fixture
def drives(machine: Drives) -> Drives:
    """Return them, as if nothing had happened yet."""
    machine.restore()
    return machine


@pytest.mark.parametrize("name", ["drive", "bound"])
@pytest.mark.parametrize("lazy", [False, True], ids=["umount", "lazily"])
def test_an_unmounted_root_is_offline_until_it_is_back(drives: Drives, name: str, lazy: bool) -> None:  # noqa: FBT001
    """Its photos are still answers, marked as offline; back, they cost no look, and new ones are noticed."""
    root = drives.drive if name == "drive" else drives.bound
    before = drives.spent()
    run("umount", "-l", root) if lazy else unmount(root)
    wait_for(lambda: drives.is_offline(root, "its drive is not mounted"))
    hints = [one["hint"] for one in drives.home.status()["roots"] if one.get("hint")]
    during, count = drives.found(), drives.home.status()["offline"]
    asked = drives.home.like(root / drives.pictures[1].name, "--self", "-n", "1")
    drives.mount(root)
    wait_for(lambda: drives.is_online(root))
    after, spent = drives.found(), drives.spent()

    assert (during, count, hints) == (drives.expected(root), PHOTOS, [])
    assert asked[0]["score"] == pytest.approx(1, abs=1e-3)
    assert after == drives.expected()
    assert spent == before
    assert drives.sees_new_photos(root)


@pytest.mark.parametrize("name", ["drive", "bound"])
def test_a_drive_that_is_back_at_once_is_watched_again(drives: Drives, name: str) -> None:
    """Nobody may have seen that it was away, but its watches are gone."""
    root = drives.drive if name == "drive" else drives.bound
    before = drives.spent()
    for _ in range(5):
        unmount(root)
        drives.mount(root)
    wait_for(lambda: drives.is_online(root) and drives.home.status()["doing"] == "idle")

    assert drives.found() == drives.expected()
    assert drives.spent() == before
    assert drives.sees_new_photos(root)


def test_a_daemon_that_starts_before_its_drive_waits_for_it(drives: Drives) -> None:
    """The empty mount point is not believed; when the drive comes, nothing is read again."""
    drives.home.daemons[-1].stop()
    unmount(drives.drive)
    drives.home.start()
    wait_for(lambda: drives.is_offline(drives.drive, ""))
    during, synced = drives.found(), drives.home.pixkin("sync")
    drives.mount(drives.drive)
    wait_for(lambda: drives.is_online(drives.drive))
    drives.home.sync()

    assert during == drives.expected(drives.drive)
    assert synced.returncode == 75
    assert str(drives.drive) in synced.stderr.decode()
    assert drives.found() == drives.expected()
    assert drives.spent() == (0, 0)


def test_a_drive_that_was_absent_at_the_very_first_start_is_no_other_drive(home: Home, photos: list[Path]) -> None:
    """The empty mount point was not taken for the drive: nothing was known that could be protected."""
    image, point = make_ext4(home.folder / "drive.img"), home.photos
    daemon = home.start()
    home.sync()
    try:
        run("mount", "-o", "loop", image, point)
        home.copy(photos[0])
        wait_for(lambda: home.status()["photos"] == 1)
        states = [root["state"] for root in home.status()["roots"]]
    finally:
        daemon.stop()
        unmount_all(point)

    assert states == ["online"]


def test_a_root_that_was_emptied_is_not_believed(drives: Drives) -> None:
    """It may be a mount point, a drive that was wiped by mistake, or a server that lost its mind."""
    kept = drives.home.folder / "kept"
    before = drives.spent()
    shutil.move(drives.plain, kept)
    drives.plain.mkdir()
    wait_for(lambda: drives.is_offline(drives.plain, "empty"))
    during = drives.found()
    run("sh", "-c", f"rm -rf {drives.drive}/*")
    wait_for(lambda: drives.is_offline(drives.drive, "empty"))
    wait_for(lambda: drives.home.status()["doing"] == "idle")
    emptied = drives.found()
    drives.plain.rmdir()
    kept.rename(drives.plain)
    for picture in drives.pictures:
        shutil.copyfile(picture, drives.drive / picture.name)
    wait_for(lambda: drives.is_online(drives.plain) and drives.is_online(drives.drive))
    drives.home.sync()

    assert during == drives.expected(drives.plain)
    assert emptied == drives.expected(drives.plain, drives.drive)
    assert drives.found() == drives.expected()
    assert drives.spent()[0] == before[0]


def _mount_memory(drives: Drives) -> None:
    run("mount", "-t", "tmpfs", "none", drives.drive)


def _mount_another(drives: Drives) -> None:
    unmount(drives.drive)
    run("mount", "-o", "loop", make_ext4(drives.home.folder / "another.img"), drives.drive)


@pytest.mark.parametrize("mount", [_mount_memory, _mount_another])
def test_another_drive_in_a_roots_place_is_not_mistaken_for_it(drives: Drives, mount: Callable[[Drives], None]) -> None:
    """Its photos are not indexed, and those of the root are offline, not gone."""
    before = drives.spent()
    mount(drives)
    shutil.copyfile(drives.strange, drives.drive / "strange.png")
    wait_for(lambda: drives.is_offline(drives.drive, "another drive"))
    synced, during = drives.home.pixkin("sync"), drives.found()
    unmount(drives.drive)
    if mount is _mount_another:
        drives.mount(drives.drive)
    wait_for(lambda: drives.is_online(drives.drive))
    after, spent = drives.found(), drives.spent()

    assert synced.returncode == 75
    assert during == drives.expected(drives.drive)
    assert after == drives.expected()
    assert spent == before
    assert drives.sees_new_photos(drives.drive)


def test_a_renamed_root_is_offline_until_it_has_its_name_again(drives: Drives) -> None:
    """What was done in it under the other name is found then."""
    away = drives.home.folder / "away"
    before = drives.spent()
    drives.plain.rename(away)
    wait_for(lambda: drives.is_offline(drives.plain, "missing"))
    during = drives.found()
    (away / drives.pictures[0].name).rename(away / "other.png")
    away.rename(drives.plain)
    wait_for(lambda: drives.is_online(drives.plain))
    drives.home.sync()
    expected = drives.expected()
    del expected[str(drives.plain / drives.pictures[0].name)]

    assert during == drives.expected(drives.plain)
    assert drives.found() == {**expected, str(drives.plain / "other.png"): False}
    assert drives.spent()[0] == before[0]
    assert drives.sees_new_photos(drives.plain)


def test_a_root_that_was_deleted_and_made_again_keeps_its_photos(drives: Drives) -> None:
    """The new folder is empty, so it is not believed; when the photos are back, each costs one look."""
    before = drives.spent()
    shutil.rmtree(drives.plain)
    drives.plain.mkdir()
    wait_for(lambda: drives.is_offline(drives.plain, "empty"))
    during = drives.found()
    for picture in drives.pictures:
        shutil.copyfile(picture, drives.plain / picture.name)
    wait_for(lambda: drives.is_online(drives.plain))
    drives.home.sync()

    assert during == drives.expected(drives.plain)
    assert drives.found() == drives.expected()
    assert drives.spent()[0] == before[0]
    assert drives.sees_new_photos(drives.plain)


def test_what_was_deleted_on_purpose_is_gone_at_once_and_free_when_it_is_back(drives: Drives) -> None:
    """Half of a root that is there is believed."""
    before = drives.home.encodes()
    deleted = [drives.drive / picture.name for picture in drives.pictures[: PHOTOS // 2]]
    for photo in deleted:
        photo.unlink()
    expected = {path: mark for path, mark in drives.expected().items() if Path(path) not in deleted}
    wait_for(lambda: drives.found() == expected)
    for photo, picture in zip(deleted, drives.pictures, strict=False):
        shutil.copyfile(picture, photo)
    wait_for(lambda: drives.found() == drives.expected())

    assert drives.home.encodes() == before


def test_nothing_of_a_root_is_held_while_idle(drives: Drives) -> None:
    """No descriptor, working directory or mapping of the daemon or its worker keeps a drive busy."""
    daemon = drives.home.daemons[-1].process.pid
    processes = [daemon, *children(daemon)]
    wait_for(lambda: drives.home.status()["doing"] == "idle")
    held = [path for root in drives.roots for path in drives.held(root)]
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in processes)

    assert held == []
    assert not any(str(root) in maps for root in drives.roots)
    run("umount", drives.drive)


def test_a_drive_can_be_unmounted_while_it_is_indexed(drives: Drives, photos: list[Path]) -> None:
    """Whoever tries again and again succeeds before all is indexed; no photo fails of it, and the rest follows later."""
    before, count, kept = drives.home.encodes(), 600, 30  # more than any machine encodes meanwhile
    log = drives.home.daemons[-1].log
    jpeg = min(
        (photo for photo in photos if photo.suffix == ".jpg"), key=lambda photo: photo.stat().st_size
    ).read_bytes()
    for number in range(count):
        (drives.drive / f"{number}.jpg").write_bytes(jpeg + b"%d" % number)
    wait_for(lambda: drives.home.encodes() >= before + 100)  # so that more than 50 are committed and not kept
    unmount(drives.drive)
    wait_for(lambda: drives.is_offline(drives.drive, ""))
    encodes = drives.home.encodes() - before
    run("mount", "-o", "loop", drives.image, drives.source)  # at another desk most of them are deleted
    for number in range(kept, count):
        (drives.source / f"{number}.jpg").unlink()
    run("umount", drives.source)
    said = log.stat().st_size
    drives.mount(drives.drive)
    wait_for(lambda: "photos have vanished; they are kept" in log.read_text()[said:])
    told = drives.state(drives.drive)
    drives.home.sync()

    assert encodes < count
    assert told[0] == "online"
    assert "photos have vanished; they are kept" in told[1]
    assert drives.home.status()["failed"] == 0
    assert len(drives.found()) == len(drives.roots) * PHOTOS + kept
