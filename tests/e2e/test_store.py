"""What the store survives: a full disk, damage, and a daemon that is killed at any moment."""

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

KILLS = int(os.environ.get("PIXKIN_KILLS", "3"))  # `make ordeal` takes 200


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of this size over a folder."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _many(home: Home, photos: list[Path], count: int) -> None:
    """Put `count` different pictures into the photo folder: copies with other bytes at the end."""
    small = sorted(photos, key=lambda photo: photo.stat().st_size)[:5]
    for number in range(count):
        source = small[number % len(small)]
        with home.copy(source, f"{number % 7}/{number}{source.suffix}").open("ab") as file:
            file.write(b"%d" % number)


def _fill(ballast: Path) -> None:
    """Write until there is no room."""
    with ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def test_a_full_disk_stops_nothing_but_the_indexing(home: Home, photos: list[Path]) -> None:
    """While there is no room answers go on; when there is, the rest is indexed, without a restart."""
    _many(home, photos, 40)
    with small_disk(home.folder / "state_home", "20M"):
        home.start()
        home.sync()
        ballast = home.folder / "state_home/ballast"
        with pytest.raises(OSError, match="No space left"):
            _fill(ballast)
        _many(home, photos, 200)
        wait_for(lambda: "room" in home.status()["doing"], 60)
        found = home.like(photos[0], "-n", "1")
        before = home.status()["photos"]
        ballast.unlink()
        home.sync()
        after = home.status()
        home.daemons[0].stop()

    assert found
    assert before < 200
    assert after["photos"] == 200
    assert after["failed"] == 0


def test_a_damaged_store_is_rebuilt_and_that_is_said(home: Home, photos: list[Path]) -> None:
    """The photos are indexed anew; the damaged store is still there to be looked at."""
    _many(home, photos, 10)
    home.start().stop()
    home.pixkind("--once")
    data = home.folder / "state_home/pixkin/index.lmdb/data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    daemon = home.start()
    home.sync()

    assert home.status()["photos"] == 10
    assert "damaged" in daemon.log.read_text()
    assert list(data.parent.parent.glob("index.lmdb.damaged-*"))


def test_a_daemon_that_is_killed_again_and_again_loses_no_committed_work(home: Home, photos: list[Path]) -> None:
    """`kill -9` at random moments: the store opens, no photo is condemned, and little is paid for twice."""
    _many(home, photos, 150)
    moments = random.Random(1)
    encodes = 0
    for _ in range(KILLS):
        daemon = home.start()
        goal = min(140, home.status()["photos"] + moments.randrange(5, 40))
        wait_for(lambda goal=goal: home.status()["photos"] >= goal, 60)  # type: ignore[misc]  # bound as it is now
        encodes += home.encodes()
        daemon.process.kill()
        daemon.process.wait()
    home.start()
    home.sync()
    report = home.status("--failed")
    encodes += report["counters"]["encodes"]

    assert report["photos"] == 150
    assert report["failures"] == []
    assert encodes <= 150 + KILLS * 96  # contents, and what one worker may hold for each kill


def test_sync_never_misses_a_write(home: Home, photos: list[Path]) -> None:
    """What was written before `sync` is found after it, every time."""
    source = min(photos, key=lambda photo: photo.stat().st_size)
    home.start()
    client = home.client()
    path = home.photos / f"a{source.suffix}"
    rounds = int(os.environ.get("PIXKIN_ROUNDS", "30"))  # `make ordeal` takes 1,000
    content = source.read_bytes()
    for number in range(rounds):
        path.write_bytes(content + b"%d" % (number % 3))
        other = home.photos / f"{number}{source.suffix}"
        path.rename(other)
        synced = client.sync()
        found = {match.path for match in client.like(source, n=1000, fold=False).matches}

        assert os.fsencode(other) in found
        assert synced.photos == number + 1
