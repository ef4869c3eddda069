"""The folders of pixkin: whose they are, who may write, and the room on the disk."""

import os
from collections import namedtuple
from pathlib import Path

import pytest

from pixkin.doctor import places
from pixkin.doctor.finding import NOTE, OK, PROBLEM

Disk = namedtuple("Disk", "f_flag f_bavail f_frsize f_files f_favail")  # noqa: PYI024  as os.statvfs_result has them


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose folders of pixkin all exist."""
    names = ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
    for name in names:
        (tmp_path / name / "pixkin").mkdir(parents=True, mode=0o700)
    return {f"XDG_{name}": str(tmp_path / name) for name in names}


def test_private_folders_are_fine(env: dict[str, str]) -> None:
    """Nothing is wrong, also before they exist."""
    there = places.check(env)
    absent = places.check({**env, "XDG_STATE_HOME": env["XDG_STATE_HOME"] + "/none/yet"})

    assert [one.level for one in there] == [OK, OK]
    assert [one.level for one in absent] == [OK, OK]


@pytest.mark.parametrize("name", ["CONFIG_HOME", "STATE_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR"])
def test_a_folder_that_others_may_change_is_a_problem(env: dict[str, str], name: str) -> None:
    """The command takes the right away."""
    folder = f"{env[f'XDG_{name}']}/pixkin"
    Path(folder).chmod(0o770)
    (found,) = (one for one in places.check(env) if one.area == "permissions")

    assert found == (PROBLEM, "permissions", f"other users may change {folder}", f"chmod go-w {folder}")


def test_a_folder_of_another_user_and_a_file_in_its_place_are_problems(env: dict[str, str]) -> None:
    """Each has a command, also for a path with a space."""
    env["XDG_DATA_HOME"] += " two"
    os.makedirs(f"{env['XDG_DATA_HOME']}/pixkin", mode=0o700)
    if os.geteuid() == 0:
        os.chown(f"{env['XDG_DATA_HOME']}/pixkin", 12345, -1)
    os.rmdir(f"{env['XDG_CACHE_HOME']}/pixkin")
    Path(env["XDG_CACHE_HOME"], "pixkin").write_text("")
    found = [one for one in places.check(env) if one.area == "permissions"]

    assert {one.level for one in found} == {PROBLEM}
    assert f"{env['XDG_CACHE_HOME']}/pixkin is not a folder" in [one.what for one in found]
    if os.geteuid() == 0:
        assert f"sudo chown -R \"$USER\" '{env['XDG_DATA_HOME']}/pixkin'" in [one.fix for one in found]


@pytest.mark.parametrize(
    ("disk", "level", "words"),
    [
        (Disk(0, 10**9, 4096, 100, 100), OK, "4.1 TB are free"),
        (Disk(0, 10**5, 10_000, 100, 100), NOTE, "1.0 GB are free"),
        (Disk(0, 10**5, 4096, 100, 100), PROBLEM, "only 409.6 MB are free"),
        (Disk(0, 10**9, 4096, 100, 0), PROBLEM, "no more files fit"),
        (Disk(0, 10**9, 4096, 0, 0), OK, "4.1 TB are free"),  # Btrfs and exFAT count no files
        (Disk(os.ST_RDONLY, 10**9, 4096, 100, 100), PROBLEM, "is read-only"),
    ],
)
def test_a_full_or_read_only_disk_is_a_problem(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, disk: Disk, level: str, words: str
) -> None:
    """Of the index; a disk that is nearly full is worth a note."""
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    found = places.check(env)[-1]

    assert (found.level, found.area) == (level, "disk")
    assert words in found.what
    assert bool(found.fix) is (level == PROBLEM)
