"""Pauses, and drives that take another's place: what a user does before a drive is ejected, and after it was replaced."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.drives import Drives, run
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.getuid() != 0, reason="only root may mount"),
]

_MANY = 1000  # photos; more than any machine encodes while it is asked for a pause


@pytest.fixture
def drives(machine: Drives) -> Drives:
    """Return them, as if nothing had happened yet."""
    if machine.home.daemons:
        assert machine.home.pixkin("resume").returncode == 0
    machine.restore()
    return machine


def _pause(drives: Drives, *words: "str | os.PathLike[str]") -> str:
    done = drives.home.pixkin("pause", "--timeout", "60", *words)  # torch may be loading, on a busy machine
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def _resume(drives: Drives, *words: "str | os.PathLike[str]") -> str:
    done = drives.home.pixkin("resume", *words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def _is_paused(drives: Drives, root: Path) -> bool:
    state, reason = drives.state(root)
    return state == "paused" and "pixkin pause" in reason


def _write(path: Path, photos: list[Path], tail: str) -> Path:
    """Write a photo with a content of its own: what follows the end of a JPEG is part of it."""
    smallest = min((photo for photo in photos if photo.suffix == ".jpg"), key=lambda photo: photo.stat().st_size)
    path.write_bytes(smallest.read_bytes() + tail.encode())
    return path


def test_a_drive_can_be_unmounted_at_once_after_a_pause(drives: Drives, photos: list[Path]) -> None:
    """In the middle of indexing, at the first try; no more of it is read before, and the rest is done when it is back."""
    before = drives.home.encodes()
    for number in range(_MANY):
        _write(drives.drive / f"{number}.jpg", photos, str(number))
    wait_for(lambda: drives.home.encodes() >= before + 20)
    printed, paused = _pause(drives, drives.drive), drives.spent()
    elsewhere = _write(drives.plain / "elsewhere.jpg", photos, "elsewhere")
    wait_for(lambda: str(elsewhere) in drives.found())
    quiet = drives.spent()
    _resume(drives, drives.drive)
    wait_for(lambda: drives.home.encodes() >= quiet[0] + 100)
    _pause(drives, drives.drive)
    unmounted = subprocess.run(["umount", drives.drive], capture_output=True, text=True, check=False)
    encodes = drives.home.encodes() - before
    wait_for(lambda: drives.is_offline(drives.drive, ""))
    run("mount", "-o", "loop", drives.image, drives.source)  # at another desk most of them are deleted
    for number in range(30, _MANY):
        (drives.source / f"{number}.jpg").unlink()
    run("umount", drives.source)
    drives.mount(drives.drive)
    wait_for(lambda: drives.state(drives.drive)[0] == "online")  # with a reason: so many have vanished
    drives.home.sync()

    assert printed == f"paused {drives.drive}\n"
    assert unmounted.returncode == 0, unmounted.stderr
    assert (quiet[0] - paused[0], quiet[1] - paused[1]) == (1, 1)
    assert encodes < _MANY
    assert drives.home.status()["failed"] == 0
    assert len(drives.found()) == len(drives.expected()) + 30 + 1


def test_a_paused_root_is_left_alone_and_answered(drives: Drives, photos: list[Path]) -> None:
    """Nothing of it is opened or marked as offline, the other roots go on; after the pause, what came in it is found."""
    before = drives.home.encodes()
    _pause(drives, drives.drive)
    new, edited, elsewhere = drives.drive / "new.jpg", drives.drive / drives.pictures[0].name, drives.plain / "new.jpg"
    for target in (new, edited, elsewhere):
        _write(target, photos, "a strange one")
    wait_for(lambda: str(elsewhere) in drives.found())
    is_paused, held, during = _is_paused(drives, drives.drive), drives.held(drives.drive), drives.found()
    synced, encodes = drives.home.pixkin("sync"), drives.home.encodes() - before
    printed = _resume(drives, drives.drive)
    wait_for(lambda: str(new) in drives.found())
    drives.home.sync()
    same = {match["path"] for match in drives.home.like(elsewhere, "--no-fold") if match["score"] > 0.999}
    edited.unlink()  # `restore` copies only what is missing

    assert (is_paused, held) == (True, [])
    assert during == {**drives.expected(), str(elsewhere): False}
    assert (synced.returncode, encodes) == (75, 1)
    assert f"{drives.drive} is paused" in synced.stderr.decode()
    assert f"pixkin resume {drives.drive}" in synced.stderr.decode()
    assert printed == f"resumed {drives.drive}\n"
    assert drives.home.encodes() - before == 1
    assert same == {str(new), str(edited)}


def test_the_pauses_of_roots_end_with_the_daemon(drives: Drives) -> None:
    """A restart is the end of every pause, and encodes nothing."""
    printed = [_pause(drives, root) for root in drives.roots]
    paused = [_is_paused(drives, root) for root in drives.roots]
    drives.home.daemons[-1].stop()
    drives.home.start()
    wait_for(lambda: all(drives.is_online(root) for root in drives.roots))

    assert printed == [f"paused {root}\n" for root in drives.roots]
    assert all(paused)
    assert drives.home.encodes() == 0


def test_a_root_may_be_named_as_a_path_may_be(drives: Drives) -> None:
    """Relative, with a slash at the end, or through a link: it is answered by its own name."""
    link = drives.home.folder / "link"
    link.symlink_to(drives.plain)
    names = [f"{drives.plain}/", os.path.relpath(drives.plain), str(link), f"{link}/"]
    printed = [word(drives, name) for name in names for word in (_pause, _resume)]
    link.unlink()
    wait_for(lambda: drives.is_online(drives.plain))

    assert printed == [f"paused {drives.plain}\n", f"resumed {drives.plain}\n"] * len(names)


@pytest.mark.parametrize("words", [["pause"], ["resume"], ["sync", "--accept-drive"]], ids=lambda words: words[0])
def test_what_is_no_root_ends_with_66_and_the_roots(drives: Drives, words: list[str]) -> None:
    """A folder in a root is none either; nothing is paused."""
    (drives.plain / "folder").mkdir(exist_ok=True)
    done = [drives.home.pixkin(*words, path) for path in (drives.plain / "folder", drives.home.folder)]
    (drives.plain / "folder").rmdir()

    assert [one.returncode for one in done] == [66, 66]
    assert all(str(root) in one.stderr.decode() for one in done for root in drives.roots)
    wait_for(lambda: all(drives.is_online(root) for root in drives.roots))  # the folder was there for a moment


def test_a_new_drive_is_taken_when_the_user_says_so(drives: Drives) -> None:
    """Status and sync name the command; the same pictures are not encoded again, and the old drive is then the strange one."""
    before = drives.home.encodes()
    run("umount", drives.drive)
    run("mount", "-t", "tmpfs", "none", drives.drive)
    for picture in drives.pictures[1:]:
        shutil.copyfile(picture, drives.drive / picture.name)
    (drives.drive / "sub").mkdir()
    shutil.copyfile(drives.pictures[0], drives.drive / "sub/moved.png")
    wait_for(lambda: drives.is_offline(drives.drive, "another drive"))
    refused, status = drives.home.pixkin("sync", drives.drive), drives.home.pixkin("status")
    accepted = drives.home.pixkin("sync", drives.drive, "--accept-drive")
    state, found = drives.state(drives.drive), drives.found()
    run("umount", drives.drive)
    drives.mount(drives.drive)
    wait_for(lambda: drives.is_offline(drives.drive, "another drive"))
    back = drives.home.pixkin("sync", drives.drive, "--accept-drive")
    expected = drives.expected()
    del expected[str(drives.drive / drives.pictures[0].name)]

    command = f"pixkin sync {drives.drive} --accept-drive"
    assert (refused.returncode, accepted.returncode, back.returncode) == (75, 0, 0)
    assert command in refused.stderr.decode()
    assert command in status.stdout.decode()
    assert accepted.stdout == b"synced 4 photos, 0 failed\n"
    assert state == ("online", "")
    assert found == {**expected, str(drives.drive / "sub/moved.png"): False}
    assert drives.found() == drives.expected()
    assert drives.home.encodes() == before
    assert drives.sees_new_photos(drives.drive)


def test_a_drive_without_photos_hides_none_by_mistake(drives: Drives) -> None:
    """An unplugged drive is nothing to accept, even if its mount point has files; it is refused until it is said twice."""
    before, words = drives.home.encodes(), ("sync", drives.drive, "--accept-drive")
    run("umount", drives.drive)
    (drives.drive / "notes.txt").touch()
    wait_for(lambda: drives.is_offline(drives.drive, "its drive is not mounted"))
    refused, during = drives.home.pixkin(*words), drives.found()
    accepted, hidden = drives.home.pixkin(*words, "--accept-drive"), drives.found()
    (drives.drive / "notes.txt").unlink()
    drives.mount(drives.drive)
    back = drives.home.pixkin(*words)

    assert refused.returncode == 66
    assert f"the index has of it: {len(drives.pictures)}\n" in refused.stderr.decode()
    assert during == drives.expected(drives.drive)
    assert (accepted.returncode, back.returncode) == (0, 0)
    assert hidden.keys() == {path for path in drives.expected() if not path.startswith(f"{drives.drive}/")}
    assert (drives.found(), drives.home.encodes()) == (drives.expected(), before)


def test_to_accept_the_drive_that_is_there_changes_nothing(drives: Drives) -> None:
    """One that comes later is not accepted with it."""
    before = drives.spent()
    accepted = drives.home.pixkin("sync", drives.drive, "--accept-drive")
    run("mount", "-t", "tmpfs", "none", drives.drive)
    shutil.copyfile(drives.strange, drives.drive / "strange.png")
    wait_for(lambda: drives.is_offline(drives.drive, "another drive"))
    run("umount", drives.drive)
    wait_for(lambda: drives.is_online(drives.drive))

    assert (accepted.returncode, accepted.stdout) == (0, b"synced 4 photos, 0 failed\n")
    assert drives.found() == drives.expected()
    assert drives.spent() == before
