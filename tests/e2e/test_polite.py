"""The machine stays usable: indexing waits when it should, takes no more than it may, and gives way to others."""

import io
import os
import signal
import statistics
import time
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Daemon, Home, children, new_home, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def _said(home: Home, *words: str) -> str:
    done = home.pixkin(*words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def _doing(home: Home) -> str:
    return str(home.status()["doing"])


def _reload(daemon: Daemon) -> None:
    """Have it read its configuration again, and return when it has."""
    wait_for(lambda: "listens on" in daemon.log.read_text())  # it is said after READY=1
    before = daemon.log.read_text().count("listens on")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.log.read_text().count("listens on") > before)


def test_while_indexing_is_paused_everything_else_goes_on(home: Home, photos: list[Path]) -> None:
    """What goes is hidden, any image can be asked about, a sync says what waits; a reload keeps it, a boost ends it."""
    first, gone, *_ = [home.copy(photo) for photo in photos[:3]]
    daemon = home.start()
    home.sync()
    told = _said(home, "pause", "2h")
    gone.unlink()
    new = home.copy(photos[3])
    synced = home.pixkin("sync")
    found, foreign = home.found(first), home.like(photos[3])
    _reload(daemon)
    wait_for(lambda: home.status()["pending"] == 1)
    reloaded, still = _doing(home), home.found(first)
    boosted = _said(home, "boost", "20min")
    home.sync()
    after, end = home.found(first), _said(home, "resume")

    assert told == "paused by pixkin pause for 2 h"
    assert synced.returncode == 75
    assert "1 photo waits: paused by pixkin pause for 2 h" in synced.stderr.decode()
    assert "pixkin boost" in synced.stderr.decode()
    assert found == still == {str(first), str(home.photos / photos[2].name)}
    assert foreign
    assert reloaded.startswith("paused by pixkin pause for ")
    assert boosted.endswith("boosted for 20 min")
    assert after == {*found, str(new)}
    assert end == "idle"


def test_a_pause_without_an_end_ends_with_the_daemon(home: Home, photos: list[Path]) -> None:
    """Nobody wonders months later why nothing is indexed."""
    home.copy(photos[0])
    daemon = home.start()
    home.sync()
    told = _said(home, "pause")
    new = home.copy(photos[1])
    daemon.stop()
    home.start()
    home.sync()

    assert told == "paused by pixkin pause, until pixkin resume"
    assert str(new) in home.found(new)


@pytest.fixture(scope="module")
def large(photos: list[Path]) -> list[bytes]:
    """Return a few photos of 12 MP, as JPEG."""
    made = []
    for photo in [one for one in photos if one.stem in {"astronaut", "coffee", "rocket"}]:
        with Image.open(photo) as image, io.BytesIO() as file:
            image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
            made.append(file.getvalue())
    return made


def _write(home: Home, large: list[bytes], count: int) -> None:
    """Write photos of 12 MP, each with a content of its own: what follows the end of a JPEG is part of it."""
    for number in range(count):
        (home.photos / f"{number}.jpg").write_bytes(large[number % len(large)] + b"%d" % number)


def _threads(*pids: int) -> list[list[str]]:
    """Return the fields of stat of all threads of these processes, from the state on. Source: proc(5)."""
    found = []
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                found.append(Path(f"/proc/{pid}/task/{task}/stat").read_text().rpartition(")")[2].split())
    return found


def _cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _demand(large: list[bytes], threads: int) -> tuple[float, float]:
    """Return how many threads want a processor while photos are indexed, and how many processors they get.

    The first does not depend on what else the machine does: a thread that waits for its turn is runnable too.
    """
    with new_home() as home:
        home.configure(limits={"threads": threads})
        _write(home, large, 48)
        pid = home.start().process.pid
        wait_for(lambda: home.client().status().photos >= 12, 60)  # the network is loaded
        pids = [pid, *children(pid)]
        began, before, wanted = time.monotonic(), sum(map(_cpu_s, pids)), []

        def is_over() -> bool:
            wanted.append(sum(fields[0] == "R" for fields in _threads(*pids)))
            return not len(wanted) % 25 and home.client().status().pending <= 12  # while all threads have work

        wait_for(is_over, 60)
        got = (sum(map(_cpu_s, pids)) - before) / (time.monotonic() - began)
    return statistics.mean(wanted), got


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor limits by itself")
def test_a_limit_of_threads_is_kept(large: list[bytes]) -> None:
    """With one thread, decoding and encoding together take one processor; without a limit they want more than that."""
    (one, taken), (free, _) = _demand(large, 1), _demand(large, 0)

    assert taken <= 1.15
    assert one <= 1.25
    assert free >= 1.6
