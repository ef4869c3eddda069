"""The machine stays usable: indexing waits when it should, takes no more than it may, and gives way to others."""

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Daemon, Home, children, new_home
from tests.waiting import wait_for

from pixkind.encoder.worker.jobs import NICE

pytestmark = [pytest.mark.e2e]


def _said(home: Home, *words: str) -> str:
    done = home.pixkin(*words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def _doing(home: Home) -> str:
    return str(home.status()["doing"])


def _nices(daemon: Daemon) -> set[str]:
    """Return the nice values of the worker's threads."""
    return {fields[16] for fields in _threads(*children(daemon.process.pid))}


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
    polite = _nices(daemon)
    daemon.reload()
    wait_for(lambda: home.status()["pending"] == 1)
    reloaded, still = _doing(home), home.found(first)
    boosted = _said(home, "boost", "20min")
    home.sync()
    wait_for(lambda: _nices(daemon) == {"0"})
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
    assert polite == {"0", str(NICE)}
    assert end == "idle"


def test_a_pause_without_an_end_ends_with_the_daemon(home: Home, photos: list[Path]) -> None:
    """Nobody wonders months later why nothing is indexed."""
    daemon = home.start()
    told = _said(home, "pause")
    new = home.copy(photos[1])
    daemon.stop()
    home.start()
    home.sync()

    assert told == "paused by pixkin pause, until pixkin resume"
    assert str(new) in home.found(new)


@pytest.fixture
def laptop(home: Home) -> Callable[[str], None]:
    """Return what says whether the home's battery, which has 34 %, is charging or not."""
    battery, real = home.folder / "supplies/BAT0", "/sys/class/power_supply"
    battery.mkdir(parents=True)

    def say(status: str) -> None:
        for key, value in (("type", "Battery"), ("capacity", "34"), ("status", status)):
            (battery / key).write_text(f"{value}\n")

    home.before = ("unshare", "--mount", "bash", "-ec", f'mount --bind {battery.parent} {real}; exec "$0" "$@"')
    if home.pixkin("--version").returncode:
        pytest.skip("a battery of our own needs root, util-linux and that folder")
    home.configure(limits={"battery_percent": 50})
    say("Discharging")
    return say


def test_on_battery_photos_wait_until_it_is_plugged_in(
    home: Home, laptop: Callable[[str], None], photos: list[Path]
) -> None:
    """Nobody needs to say so; who indexes once and by hand means it."""
    first = home.copy(photos[0])
    once = home.pixkind("--once")
    daemon = home.start()
    new = home.copy(photos[1])
    synced = home.pixkin("sync")
    doing, found = _doing(home), home.found(first)
    laptop("Charging")
    wait_for(lambda: str(new) in home.found(first))

    assert once.stdout.startswith("1 photos: 1 can be found")
    assert (synced.returncode, doing) == (75, "paused: on battery at 34 %")
    assert found == {str(first)}
    assert daemon.log.read_text().count("on battery at 34 %; to index now: pixkin boost") == 1


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
        _write(home, large, 108)
        pid = home.start().process.pid
        wait_for(lambda: home.client().status().photos >= 12)  # the network is loaded
        pids = [pid, *children(pid)]
        began, before, wanted = time.monotonic(), sum(map(_cpu_s, pids)), []

        def is_over() -> bool:
            wanted.append(sum(fields[0] == "R" for fields in _threads(*pids)))
            return not len(wanted) % 25 and home.client().status().pending <= 48  # while all threads have work

        wait_for(is_over)
        got = (sum(map(_cpu_s, pids)) - before) / (time.monotonic() - began)
    return statistics.mean(wanted), got


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor limits by itself")
def test_a_limit_of_threads_is_kept(large: list[bytes]) -> None:
    """With one thread, decoding and encoding together take one processor; without a limit they want more than that."""
    (one, taken), (free, _) = _demand(large, 1), _demand(large, 0)

    assert taken <= 1.15
    assert free >= 1.6
    assert one <= 0.8 * free  # who hands over to another still runs for a moment, on a busy machine for longer


_USER = 65534
_BARE = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")  # root without capabilities is a user like others
_ASK = """
import json, sys, time
from pixkin import Client
client, took = Client(sys.argv[1]), []
for _ in range(int(sys.argv[3])):
    began = time.monotonic()
    assert client.like(sys.argv[2], n=5).matches
    took.append(time.monotonic() - began)
print(json.dumps(took))
"""


@pytest.fixture
def user(home: Home) -> Iterator[Home]:
    """Yield a home of an ordinary user, who may not raise what was once lowered."""
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot become another user here")
        home.before = (*_BARE, f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups")
        if subprocess.run([*home.before, "test", "-x", sys.executable], check=False).returncode:
            home.before = _BARE  # that one may not run an interpreter that lies in root's home
        else:
            for path in (home.folder, *home.folder.rglob("*")):
                os.chown(path, _USER, _USER)
    umask = os.umask(0)  # the socket at which the daemon says that it is ready is ours
    yield home
    os.umask(umask)


@pytest.fixture
def burners() -> Iterator[Callable[[], None]]:
    """Yield what starts a loop of normal priority for each processor."""
    started: list[subprocess.Popen[bytes]] = []

    def burn() -> None:
        cores = range(len(os.sched_getaffinity(0)))
        started.extend(subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in cores)

    yield burn
    for one in started:
        one.kill()
        one.wait()


def _ask(home: Home, photo: Path, times: int) -> list[float]:
    """Return how long the user waits for each answer, in s."""
    done = subprocess.run(
        [*home.before, sys.executable, "-c", _ASK, home.socket, photo, str(times)],
        env=home.env,
        capture_output=True,
        check=True,
        timeout=240,
    )
    took: list[float] = json.loads(done.stdout)
    return took


def _taken(pids: Iterable[int], seconds: float) -> float:
    """Return how many processors these processes have in so many seconds from now."""
    began, before = time.monotonic(), sum(map(_cpu_s, pids))
    wait_for(lambda: time.monotonic() >= began + seconds, seconds + 20)
    return (sum(map(_cpu_s, pids)) - before) / (time.monotonic() - began)


def test_whoever_works_at_the_machine_hardly_notices(
    user: Home, burners: Callable[[], None], large: list[bytes], photos: list[Path]
) -> None:
    """All processors are wanted by others, which keep 85 % of them while photos are indexed; queries are answered at once."""
    asked, cores = user.copy(photos[0]), len(os.sched_getaffinity(0))
    user.start()
    pid = user.daemons[-1].process.pid
    user.sync()
    _write(user, large, 90 * cores)  # so many that they last
    wait_for(lambda: user.status()["photos"] > 8, 80)  # there is something to find
    burners()
    taken = _taken([pid, *children(pid)], 5)
    quick = _ask(user, asked, 200)
    still = user.status()["pending"]

    assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    assert still > 0  # so all that was while photos were indexed
    assert taken <= 0.15 * cores  # with nobody else on the machine, it is what the loops lose
    assert statistics.median(quick) <= 0.5
    assert sorted(quick)[197] <= 2  # one that waited for a batch of photos would take longer
