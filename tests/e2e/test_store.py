"""What the store survives: a full disk, damage, and a daemon that is killed at any moment."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import Home, children, photos_below, stored
from tests.waiting import wait_for

pytestmark = [pytest.mark.e2e]

KILLS = int(os.environ.get("PIXKIN_KILLS", "3"))  # `make stateful` takes 200


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


def _many(home: Home, photos: list[Path], count: int, salt: bytes = b"") -> None:
    """Put `count` different pictures into the photo folder: copies with other bytes at the end, `salt` among them."""
    small = sorted(photos, key=lambda photo: photo.stat().st_size)[:5]
    for number in range(count):
        source = small[number % len(small)]
        with home.copy(source, f"{number % 7}/{number}{source.suffix}").open("ab") as file:
            file.write(b"%d" % number + salt)


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
        wait_for(lambda: "room" in home.status()["doing"])
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
    """The photos are indexed again; the damaged store is still there to be looked at."""
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


def test_damage_that_is_found_while_queries_are_answered_is_rebuilt(home: Home, photos: list[Path]) -> None:
    """After `kill -9` answers come at once; what the verifier then finds makes the same process begin anew."""
    _many(home, photos, 10)
    home.start()
    home.sync()
    home.daemons[0].stop(signal.SIGKILL)
    data = home.folder / "state_home/pixkin/index.lmdb/data.mdb"
    pages = data.read_bytes()
    with data.open("r+b") as file:
        for at in range(2 * 4096, len(pages), 4096):
            if pages[at + 10] == 4:  # it holds a vector: change its own number, which only a verifier reads
                file.seek(at)
                file.write(b"XXXX")
    daemon = home.start()
    wait_for(lambda: "indexed again" in daemon.log.read_text())
    wait_for(lambda: home.pixkin("sync").returncode == 0)

    assert home.status()["photos"] == 10
    assert "may be damaged" in daemon.log.read_text()
    assert list(data.parent.parent.glob("index.lmdb.damaged-*"))


def _work_and_kill(home: Home, victim: str, moments: random.Random) -> int:
    """Let the daemon encode a few photos and kill it, or its worker; return how many a daemon that died had encoded."""
    if not home.daemons or home.daemons[-1].process.poll() is not None:
        home.start()
    goal = home.encodes() + moments.randrange(5, 40)
    wait_for(lambda: home.encodes() >= goal or home.status()["doing"] == "idle")
    threading.Event().wait(moments.random() * 0.3)
    process = home.daemons[-1].process
    if victim == "worker":
        for worker in children(process.pid):
            os.kill(worker, signal.SIGKILL)
        return 0
    before = home.status()
    process.kill()
    process.wait()
    home.start()

    assert home.status()["photos"] >= before["photos"]
    return int(before["counters"]["encodes"])


# A worker that is killed is a test of its own in test_main_path.py; by the dozen it is a matter for `make stateful`.
@pytest.mark.parametrize("victim", ["daemon", "worker"] if KILLS >= 10 else ["daemon"])
def test_what_is_killed_again_and_again_loses_no_committed_work(home: Home, photos: list[Path], victim: str) -> None:
    """`kill -9` at random moments: the store opens, no photo is condemned, and little is paid for twice."""
    count, moments, encodes = 75 + 25 * KILLS, random.Random(1), 0
    for salt, kills in (
        (b"", KILLS - KILLS // 3),
        (b" changed", KILLS // 3),
    ):  # a first run, then every photo is edited
        _many(home, photos, count, salt)
        for _ in range(kills):
            encodes += _work_and_kill(home, victim, moments)
        home.client().sync()
    report = home.status("--failed")
    encodes += report["counters"]["encodes"]
    home.daemons[-1].stop()

    assert report["failures"] == []
    assert stored(home.folder / "state_home/pixkin/index.lmdb", report["space"]) == photos_below(home.photos)
    assert encodes <= 2 * count + KILLS * 96  # contents, and what one worker may hold for each kill


def test_sync_never_misses_a_write(home: Home, photos: list[Path]) -> None:
    """What was written before `sync` is found after it, every time."""
    source = min(photos, key=lambda photo: photo.stat().st_size)
    home.start()
    client = home.client()
    path = home.photos / f"a{source.suffix}"
    rounds = int(os.environ.get("PIXKIN_ROUNDS", "30"))  # `make stateful` takes 1,000
    content = source.read_bytes()
    for number in range(rounds):
        path.write_bytes(content + b"%d" % (number % 3))
        other = home.photos / f"{number}{source.suffix}"
        path.rename(other)
        synced = client.sync()
        found = {match.path for match in client.like(source, n=1000, fold=False).matches}

        assert os.fsencode(other) in found
        assert synced.photos == number + 1
