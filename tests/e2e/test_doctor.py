"""`pixkin doctor` with real programs: a home that is well, and one with seven things broken on purpose."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Home, new_home

from pixkin.locations import store_folder

pytestmark = [pytest.mark.e2e]


def doctor(home: Home) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status and all that was looked at."""
    done = home.pixkin("doctor", "--json")
    assert not done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def _open_up(folder: Path, mode: int) -> None:
    """Let other users change a folder."""
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)


def test_a_home_that_is_well_has_no_problem(photos: list[Path]) -> None:
    """Every area was looked at."""
    with new_home() as home:
        home.index(*photos[:2])
        status, found = doctor(home)
        text = home.pixkin("doctor")
        index = Path(store_folder(home.env), "data.mdb")  # of which the clock must not be behind
        has_index = index.is_file()

    assert status == 0, found
    assert has_index
    assert {one["level"] for one in found} <= {"ok", "note"}
    assert {"program", "configuration", "permissions", "disk", "service", "clock", "daemon", "folder", "limits"} <= {
        one["area"] for one in found
    }
    assert text.stdout.startswith(b"ok       program: ")
    assert text.stderr.startswith(b"pixkin: nothing is wrong, pixkin ")


def test_seven_things_that_are_broken_are_seven_problems(photos: list[Path]) -> None:
    """Each has a sentence and what mends it; what they name is run where it can be, and then the problem is gone."""
    with new_home() as home:
        drive = home.folder / "drive"
        drive.mkdir()
        home.configure(index={"folders": [str(home.photos), str(drive)]})
        for folder, photo in ((home.photos, photos[0]), (drive, photos[1])):
            shutil.copyfile(photo, folder / photo.name)
        (home.photos / "torn.jpg").write_bytes(photos[0].read_bytes()[:2000])
        home.index()
        home.pixkin("pause", "1h")
        drive.rename(home.folder / "away")  # 1: a folder is gone
        home.pixkin("sync")
        _open_up(home.folder / "state_home/pixkin", 0o770)  # 2: others may change the index
        _open_up(home.folder / "data_home/pixkin", 0o707)  # 3: and the decisions
        config = home.folder / "config_home/pixkin/config.toml"
        good = config.read_text()
        config.write_text(good + "nonsense")  # 4: the configuration cannot be read
        limited = doctor(home)
        home.daemons[-1].stop()  # 5: no daemon
        _open_up(home.folder / "runtime_dir/pixkin", 0o770)  # 6: others may replace the socket
        _open_up(home.folder / "cache_home/pixkin", 0o777)  # 7: and the thumbnails
        status, found = doctor(home)
        for one in found:
            if one["fix"].startswith("chmod "):
                subprocess.run(one["fix"], shell=True, check=True)  # noqa: S602  as a user would
        config.write_text(good)
        later = doctor(home)[1]

    assert limited[0] == 1
    assert {(one["level"], one["area"]) for one in limited[1] if one["level"] != "ok"} >= {
        ("problem", "permissions"),
        ("problem", "configuration"),
        ("note", "folder"),
        ("note", "indexing"),
        ("note", "photos"),
    }
    problems = [one for one in found if one["level"] == "problem"]
    assert status == 1
    assert [one["area"] for one in problems].count("permissions") == 4
    assert {one["area"] for one in problems} == {"configuration", "daemon", "permissions"}
    assert all(one["fix"] for one in problems)
    assert [(one["area"], one["what"]) for one in later if one["level"] == "problem"] == [
        ("daemon", f"no daemon listens on {home.socket}")
    ]
    assert ("folder", f"there is no folder {drive} now") in [(one["area"], one["what"]) for one in later]
