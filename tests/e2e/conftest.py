"""A user's home with real processes in it: `pixkind`, `pixkin`, folders of photos, and nothing of the real user's."""

import io
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from tests.waiting import wait_for

from pixkin import Client
from pixkind.config import Config
from pixkind.storage.record import is_sound
from pixkind.storage.recovery import open_store

if TYPE_CHECKING:
    from tests.e2e.drives import Drives

BIN = Path(sys.executable).parent
READY_S = 30.0  # a cold disk and two busy cores


class Daemon:
    """A running `pixkind`; what it logs goes to a file."""

    def __init__(self, home: "Home", arguments: tuple[str, ...]) -> None:
        self.log = home.folder / "log"
        self._since = self.log.stat().st_size if self.log.exists() else 0  # earlier daemons of this home log there, too
        notify = str(home.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            Path(notify).unlink(missing_ok=True)
            ready.bind(notify)
            ready.settimeout(READY_S)
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [*home.before, home.bin / "pixkind", *arguments],
                    env={**home.env, "NOTIFY_SOCKET": notify},
                    stderr=log,
                    stdout=log,
                    process_group=0,  # as a shell does, so that Ctrl-C can be told from a signal to one process
                )
            try:
                while b"READY=1" not in (said := ready.recv(4096)):
                    assert b"STOPPING" not in said, self.log.read_text()
            except BaseException:
                self.process.kill()
                self.process.wait()
                raise

    def reload(self) -> None:
        """Send SIGHUP, and return when it has decided about its configuration."""
        wait_for(lambda: self._decisions() > 0)  # the first is said after READY=1
        before = self._decisions()
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self._decisions() > before)

    def _decisions(self) -> int:
        said = self.log.read_bytes()[self._since :]
        return said.count(b"listens on") + said.count(b"is not used")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(25)  # less than the unit's TimeoutStopSec


class Home:
    """Where one test's user lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.photos.mkdir()
        places = {
            f"XDG_{name}": str(folder / name.lower())
            for name in ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
        }
        for place in places.values():
            Path(place).mkdir(mode=0o700)
        left_out = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "DBUS_SESSION_BUS_ADDRESS"}  # those who test see no notification
        outer = {name: value for name, value in os.environ.items() if name not in left_out}
        self.env = {**outer, **places, "HOME": str(folder)}
        self.socket = str(folder / "runtime_dir/pixkin/pixkind.sock")
        self.bin = BIN  # where its programs are
        self.before: tuple[str, ...] = ()  # words in front of every command, as `setpriv …`
        self.daemons: list[Daemon] = []
        self.configure(index={"rest_s": 0.05})

    def configure(self, **sections: dict[str, Any]) -> Path:
        """Write the configuration; `index.folders` is the photo folder."""
        sections["index"] = {"folders": [str(self.photos)], "rest_s": 0.05, **sections.get("index", {})}
        # The machine that tests may be a busy laptop.
        sections["limits"] = {"battery_percent": 0, "pressure_percent": 0, **sections.get("limits", {})}
        file = self.folder / "config_home/pixkin/config.toml"
        file.parent.mkdir(exist_ok=True)
        lines = [
            line
            for section, keys in sections.items()
            for line in (f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()))
        ]
        file.write_text("\n".join(lines) + "\n")
        return file

    def start(self, *arguments: str) -> Daemon:
        """Start `pixkind` and return when it answers queries."""
        daemon = Daemon(self, arguments)
        self.daemons.append(daemon)
        return daemon

    def index(self, *photos: Path) -> Daemon:
        """Copy these photos into the photo folder, start `pixkind`, and return when all that is there has its outcome."""
        for photo in photos:
            self.copy(photo)
        daemon = self.start()
        self.sync()
        return daemon

    def pixkind(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `pixkind` to its end."""
        done = self._run("pixkind", *arguments)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def launch(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `pixkind` and do not wait for anything."""
        return subprocess.Popen(
            [*self.before, self.bin / "pixkind", *arguments], env=self.env, stderr=subprocess.PIPE, text=True
        )

    def pixkin(self, *arguments: "str | os.PathLike[str]", stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Run `pixkin` to its end."""
        return self._run("pixkin", *arguments, stdin=stdin)

    def _run(
        self, program: str, *arguments: "str | os.PathLike[str]", stdin: bytes = b""
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*self.before, self.bin / program, *arguments],
            env=self.env,
            input=stdin,
            capture_output=True,
            timeout=240,
            check=False,
        )

    def client(self) -> Client:
        """Return a client in this process."""
        return Client(self.socket, reply_s=60)

    def sync(self, *arguments: str) -> None:
        """Wait until every file has its outcome."""
        done = self.pixkin("sync", *arguments)
        assert done.returncode == 0, done.stderr.decode() + self.daemons[-1].log.read_text()

    def like(self, *arguments: "str | os.PathLike[str]", stdin: bytes = b"") -> list[dict[str, Any]]:
        """Return the matches."""
        done = self.pixkin("like", "--json", *arguments, stdin=stdin)
        assert done.returncode in (0, 1), done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self, *arguments: str) -> dict[str, Any]:
        """Return what the daemon says of itself."""
        done = self.pixkin("status", "--json", *arguments)
        assert done.returncode == 0, done.stderr.decode()
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def encodes(self) -> int:
        """Return how many photos the daemon has encoded since it started."""
        return int(self.status()["counters"]["encodes"])

    def found(self, like: Path) -> set[str]:
        """Return the paths of all photos that an answer can name, if they are of at most 1,000 pictures."""
        with self.client() as client:
            matches = client.like(like, n=1000, itself=True).matches
        named = (path for one in matches for path in (one.path, *one.copies, *one.versions, *one.burst))
        return {os.fsdecode(path) for path in named}

    def copy(self, source: Path, name: str = "") -> Path:
        """Copy a photo into the photo folder as a new file: the times are not kept."""
        target = self.photos / (name or source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target


@contextmanager
def new_home() -> Iterator[Home]:
    """Yield a home, and end what was started in it; for fixtures that several tests share."""
    with tempfile.TemporaryDirectory(prefix="pk", dir="/tmp") as folder:
        made = Home(Path(folder))
        try:
            yield made
        finally:
            for daemon in made.daemons:
                if daemon.process.poll() is None:
                    daemon.process.kill()
                    daemon.process.wait()


@pytest.fixture
def home() -> Iterator[Home]:
    """Yield a home of one test's own."""
    with new_home() as made:
        yield made


@pytest.fixture(scope="module")
def machine(photos: list[Path]) -> Iterator["Drives"]:
    """Yield drives and roots that all tests of a module share."""
    from tests.e2e.drives import machine_with_drives

    with machine_with_drives(photos) as made:
        yield made


def children(pid: int) -> list[int]:
    """Return the processes that `pid` has started."""
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def has_ended(pid: int) -> bool:
    """Return whether a process, anybody's child, has ended; it may not have been reaped."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def photos_below(*roots: Path) -> set[str]:
    """Return the paths of all photos that a fresh scan of these roots finds, by the rules that apply without a configuration."""
    rules = Config().rules
    found: set[str] = set()
    for root in roots:
        for folder, below, names in os.walk(root):
            below[:] = filter(rules.is_walked, below)
            paths = (os.path.join(folder, name) for name in names if rules.is_photo(name))
            found.update(path for path in paths if stat.S_ISREG(os.lstat(path).st_mode))
    return found


def stored(folder: Path, space: str) -> set[str]:
    """Return the photos that a start finds in a store that nobody has open; it must be sound, and the vector of each."""
    store = open_store(str(folder), space, map_gb=64)
    live = [record for record in store.records() if record.live]
    vectors = [store.vector(record.content) for record in live]
    store.close()  # without the note of a clean end: the daemon verifies it once more

    assert not list(folder.parent.glob("*.damaged-*"))
    assert all(vector is not None and is_sound(vector) for vector in vectors)
    return {record.path for record in live}


def picture(number: int, kind: str = "JPEG") -> bytes:
    """Return a small photo that is like no other: a thousand bytes, and pixels that only `number` (0 or more) determines."""
    noise = Image.frombytes("RGB", (6, 6), random.Random(number).randbytes(108))
    file = io.BytesIO()
    noise.resize((64, 48), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def untrained(folder: Path) -> dict[str, Any]:
    """Return the configuration of an encoder that is not the default, with random weights, which it writes to `folder`."""
    import torch
    from torchvision.models import regnet_y_400mf  # of other small ones, the vectors underflow without training

    torch.manual_seed(0)
    torch.save(regnet_y_400mf(weights=None).state_dict(), folder / "random.pth")
    return {"model": "regnet_y_400mf", "weights": str(folder / "random.pth")}
