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


@pytest.mark.parametrize("name", ["STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"])
def test_a_folder_that_others_may_change_is_a_problem(env: dict[str, str], name: str) -> None:
    """As pixkind has it, with the same command."""
    folder = f"{env[f'XDG_{name}']}/pixkin"
    Path(folder).chmod(0o770)
    (found,) = (one for one in places.check(env) if one.area == "permissions")

    assert found == (
        PROBLEM,
        "permissions",
        f"the folder {folder} can be changed by other users",
        f"chmod go-w {folder}",
    )


def test_a_data_folder_of_the_own_group_is_fine_and_one_that_can_be_replaced_is_not(env: dict[str, str]) -> None:
    """As pixkind has it: the folders above count."""
    Path(env["XDG_DATA_HOME"], "pixkin").chmod(0o775)
    own = [one.level for one in places.check(env)]
    Path(env["XDG_STATE_HOME"]).chmod(0o777)
    (found,) = (one for one in places.check(env) if one.area == "permissions")

    assert own == [OK, OK]
    assert found.what.startswith("other users can replace the folder ")


def test_a_file_in_the_place_of_a_folder_is_a_problem(env: dict[str, str]) -> None:
    """The command replaces nothing, also with a space in the path."""
    env["XDG_CACHE_HOME"] += " two"
    os.mkdir(env["XDG_CACHE_HOME"])
    folder = Path(env["XDG_CACHE_HOME"], "pixkin")
    folder.write_text("")
    (found,) = (one for one in places.check(env) if one.area == "permissions")

    assert (found.what, found.fix) == (f"{folder} is not a folder", f"mv -n '{folder}' '{folder}'.old")


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
