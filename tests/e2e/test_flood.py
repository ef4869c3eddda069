"""More events than the kernel keeps: what happened is found all the same, without a restart and without `sync`."""

import os
import signal
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, photos_below, picture
from tests.waiting import wait_for

from pixkin import Client

_FROZEN = int(os.environ.get("PIXKIN_FROZEN", "1000"))  # photos that come while the daemon is stopped; stateful: 20,000
_BURST = int(os.environ.get("PIXKIN_BURST", "1000"))  # photos that come while it runs; stateful: 40,000
_LIMIT_S = 60 + (_FROZEN + _BURST) / 50
_PICTURES = 40  # different ones; all others are copies, which are read and not encoded
_FOLDERS = 200
_CHAFF = 6_000  # files that come and go: three events each, and the kernel keeps 16,384

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2 * _LIMIT_S)]


def _flood(root: Path, count: int) -> None:
    """Fill the queue with what is no photo, then write so many, half of them into new folders, one in the other."""
    for number in range(_CHAFF):
        chaff = root / f"{number}.txt"
        chaff.touch()
        chaff.unlink()
    pictures = [picture(number) for number in range(_PICTURES)]
    folders = [root]
    for number in range(_FOLDERS):
        folders.append(folders[number // 3] / str(number))
        folders[-1].mkdir()
    for number in range(count):
        folder = root if number % 2 else folders[number % len(folders)]
        (folder / f"{number}.jpg").write_bytes(pictures[number % _PICTURES])


def _is_seen(client: Client, count: int) -> bool:
    report = client.status()
    return report.doing == "idle" and not report.pending and report.photos == count


@pytest.mark.parametrize(("count", "is_frozen"), [(_FROZEN, True), (_BURST, False)], ids=["frozen", "burst"])
def test_a_flood_is_found_by_events_alone(home: Home, count: int, is_frozen: bool) -> None:  # noqa: FBT001
    """Though the queue ran over, the index equals a fresh scan soon, in the same process and with one encode a picture."""
    daemon = home.start()
    home.sync()  # it watches
    if is_frozen:
        daemon.process.send_signal(signal.SIGSTOP)
    _flood(home.photos, count)
    daemon.process.send_signal(signal.SIGCONT)
    with home.client() as client:
        wait_for(lambda: _is_seen(client, count), _LIMIT_S)
        report = client.status()

    assert home.found(home.photos / "0.jpg") == photos_below(home.photos)
    assert report.counters["encodes"] == _PICTURES
    assert report.counters["overflows"] >= is_frozen
    assert report.pid == daemon.process.pid
