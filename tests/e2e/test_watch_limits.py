"""With fewer inotify watches than folders, everything is indexed by scanning, and that is said."""

import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import Home
from tests.processes import FEW_WATCHES

pytestmark = [pytest.mark.e2e]

_FOLDERS = 30


def test_without_watches_enough_all_is_found_by_scanning(home: Home, photos: list[Path]) -> None:
    """The root is degraded, its reason is the command that helps, the log says it once; each scan finds all."""
    tried = subprocess.run([*FEW_WATCHES, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no user namespace with a limit of its own here: {tried.stderr.strip()}")
    for number in range(_FOLDERS):
        home.copy(photos[number % 3], f"{number}/{photos[number % 3].name}")
    home.before = FEW_WATCHES
    daemon = home.start()
    home.before = ()
    home.sync()
    first = home.status()
    for number in range(_FOLDERS):
        home.copy(photos[3], f"{number}/deep/{photos[3].name}")
    home.sync()
    second = home.status()
    matches = home.like(photos[0])

    assert (first["photos"], second["photos"]) == (_FOLDERS, 2 * _FOLDERS)
    assert [root["state"] for root in second["roots"]] == ["degraded"]
    assert "sysctl fs.inotify.max_user_watches=" in second["roots"][0]["reason"]
    assert daemon.log.read_text().count("sysctl fs.inotify.max_user_watches=") == 1
    assert len(matches) == len(photos[:4])
