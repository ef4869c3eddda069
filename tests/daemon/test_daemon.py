import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.daemon.conftest import DaemonParts
from tests.waiting import wait_for

from pixkin import Client
from pixkind.encoder.formats import decoders
from pixkind.errors import AlreadyRunning
from pixkind.system import services
from pixkind.system.process import locked
from pixkind.watching.inotify import InotifyWatcher


class Part:
    """A service that records the calls; `failing` is its failure, and it advances while `well`."""

    def __init__(self, name: str, done: list[str], *, failing: BaseException | None = None) -> None:
        self._name = name
        self._done = done
        self._failing = failing
        self._beats = 0
        self.well = True

    def start(self) -> None:
        """Begin."""
        self._done.append(f"start {self._name}")

    def stop(self) -> None:
        """End."""
        self._done.append(f"stop {self._name}")

    def failure(self) -> BaseException | None:
        """Return the error that ended it."""
        return self._failing

    def beat(self) -> int | None:
        """Return how often it was asked while it was well."""
        self._beats += self.well
        return self._beats


class Loopless(Part):
    """A service that has no loop to watch."""

    def beat(self) -> None:
        """Return None."""


class Unstartable(Part):
    """A service that cannot even start."""

    def start(self) -> None:
        """Fail."""
        raise OSError("no room")


def _turns(*patience: float | None) -> Callable[[], float | None]:
    """Return a `wait` for `run` that returns these values in turn, then None."""
    left = iter((*patience, None))
    return lambda: next(left)


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def told(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the socket at which systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_tmp / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(short_tmp / "notify"))
        yield sock


def _heard(sock: socket.socket) -> list[str]:
    heard: list[str] = []
    try:
        while True:
            heard.append(sock.recv(4096).decode())
    except BlockingIOError:
        return heard


def test_services_stop_in_the_reverse_order(done: list[str]) -> None:
    """A service stops before the ones that it relies on."""
    again = services.run([Part(name, done) for name in "abc"], wait=_turns(0.0), reload=lambda: False)

    assert done == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]
    assert not again


def test_a_service_that_dies_ends_the_daemon_with_its_own_error(done: list[str]) -> None:
    """The error reaches systemd and the log, and the other services stop in order."""
    error = ZeroDivisionError("the cause")
    with pytest.raises(ZeroDivisionError) as caught:
        services.run(
            [Part("a", done), Part("b", done, failing=error), Part("c", done)], wait=_turns(0.0), reload=lambda: False
        )

    assert caught.value is error
    assert done[3:] == ["stop c", "stop b", "stop a"]


def test_what_was_started_is_stopped_when_the_next_cannot_start(done: list[str]) -> None:
    """If a service cannot start, exactly the services that have started are stopped."""
    with pytest.raises(OSError, match="no room"):
        services.run([Part("a", done), Unstartable("b", done), Part("c", done)], wait=_turns(), reload=lambda: False)

    assert done == ["start a", "stop a"]


def test_the_watchdog_is_fed_only_while_every_service_advances(done: list[str], told: socket.socket) -> None:
    """One service that hangs starves the watchdog, until it advances again."""
    lively, hangs = Part("lively", done), Part("hangs", done)
    beats: list[int] = []

    def wait() -> float | None:
        beats.append(_heard(told).count("WATCHDOG=1"))
        hangs.well = not 3 <= len(beats) < 6
        return 0.0 if len(beats) < 10 else None

    services.run([lively, hangs], wait=wait, reload=lambda: False)

    assert beats == [0, 1, 1, 0, 0, 0, 1, 1, 1, 1]
    assert _heard(told) == ["STOPPING=1"]


def test_a_service_without_a_loop_is_not_watched(done: list[str], told: socket.socket) -> None:
    """The watchdog is fed although such a service never advances; one that has a loop and hangs still starves it."""
    hangs = Part("hangs", done)
    beats: list[int] = []

    def wait() -> float | None:
        beats.append(_heard(told).count("WATCHDOG=1"))
        hangs.well = len(beats) < 3
        return 0.0 if len(beats) < 6 else None

    services.run([Loopless("loopless", done), hangs], wait=wait, reload=lambda: False)

    assert beats == [0, 1, 1, 0, 0, 0]


def test_a_real_service_that_hangs_starves_the_watchdog(told: socket.socket, tmp_path: Path) -> None:
    """While the thread of inotify is stuck in a call, systemd hears nothing; before, it did."""
    gate, is_stuck = threading.Event(), threading.Event()
    silence: list[str] = []

    class Stuck:
        def dirty(self, path: str) -> None:
            """Hang."""
            assert path
            is_stuck.set()
            gate.wait(20)

        def rescan(self, root: str, why: str) -> None:
            """Refuse: nothing is lost here."""
            raise AssertionError(root, why)

    watch = InotifyWatcher(Stuck())

    def turns() -> Iterator[float | None]:
        watch.follow(str(tmp_path))
        while "WATCHDOG=1" not in _heard(told):
            yield 0.01
        (tmp_path / "x.jpg").touch()
        assert is_stuck.wait(8)
        yield 0.01  # the thread may have answered once more before it hung
        _heard(told)
        for _ in range(50):
            yield 0.01
        silence.extend(_heard(told))
        gate.set()
        yield None

    services.run([watch], wait=turns().__next__, reload=lambda: False)

    assert silence == []


def test_one_daemon_at_a_time_holds_a_folder(short_tmp: Path) -> None:
    """The second daemon is refused and does not disturb the first; an old lock file does no harm."""
    folder = short_tmp / "state/pixkin"
    with locked(str(folder)):
        with pytest.raises(AlreadyRunning, match=str(folder)) as caught, locked(str(folder)):
            pass
        mode = folder.stat().st_mode & 0o777
    with locked(str(folder)):
        pass

    assert caught.value.status == 75
    assert oct(mode) == "0o700"


class Process:
    """A real `pixkind` without photos."""

    def __init__(self, folder: Path) -> None:
        places = {
            name: str(folder / name) for name in ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
        }
        self.config = folder / "CONFIG_HOME/pixkin/config.toml"
        self.config.parent.mkdir(parents=True)
        self.photos = [folder / "one", folder / "two"]
        for photos in self.photos:
            photos.mkdir()
        self.configure(self.photos[0])
        self.client = Client(str(folder / "RUNTIME_DIR/pixkin/pixkind.sock"))
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.settimeout(240)
        self.log = folder / "log"
        env = {f"XDG_{name}": place for name, place in places.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pixkind"],
                env={**os.environ, **env, "HOME": str(folder), "NOTIFY_SOCKET": str(folder / "notify")},
                stderr=log,
            )
        self.wait_ready()

    def configure(self, folder: Path) -> None:
        """Write a valid configuration."""
        self.config.write_text(f'[index]\nfolders = ["{folder}"]\n')

    def wait_ready(self) -> None:
        """Return when it has notified that it is ready."""
        while b"READY=1" not in self._notify.recv(4096):
            pass

    def roots(self) -> list[str]:
        """Return the folders that it watches."""
        return [os.fsdecode(root.path) for root in self.client.status().roots]

    def close(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self._notify.close()


@pytest.fixture
def process(short_tmp: Path) -> Iterator[Process]:
    made = Process(short_tmp)
    yield made
    made.close()


def test_a_hangup_reads_the_configuration_again_if_it_can_be_used(process: Process) -> None:
    """A bad configuration is logged and changes nothing; a good one takes effect at once, in the same process."""
    process.config.write_text("[index]\nfolders = 5\n")
    process.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the new configuration is not used" in process.log.read_text())
    after_bad = (process.client.status().pid, process.roots())
    process.configure(process.photos[1])
    process.process.send_signal(signal.SIGHUP)
    process.wait_ready()
    after_good = (process.client.status().pid, process.roots())

    assert after_bad == (process.process.pid, [str(process.photos[0])])
    assert after_good == (process.process.pid, [str(process.photos[1])])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_it_cleanly(process: Process, how: signal.Signals) -> None:
    """The exit status is 0, and the socket's file is gone."""
    process.process.send_signal(how)
    status = process.process.wait(20)

    assert status == 0, process.log.read_text()
    assert not list(process.config.parents[2].glob("RUNTIME_DIR/pixkin/*.sock"))


def test_an_upgrade_of_pixkind_alone_tries_no_failed_photo_again(library: DaemonParts) -> None:
    """What the store remembers of the decoders has one form, whatever the classes of the configuration are called."""
    library.write("bad.jpg", "bad", "encode refuse it is torn")
    library.start().sync()

    assert library.failed() == {"bad.jpg": "it is torn"}
    assert library.store.retry_failed(f"{decoders()}, Decode(limit_mp=250, limit_mb=512), space") == 0
