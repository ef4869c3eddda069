"""Real parts of a daemon around a worker that does what the photos say."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pixkin.mounts import read_mounts
from pixkin.protocol.replies import Synced
from pixkin.protocol.requests import now_ms
from pixkind.config import Config, IndexConfig, LimitsConfig
from pixkind.daemon import Daemon, Substitutes
from pixkind.encoder.messages import Runtime, Settings
from pixkind.encoder.space import LITE0, Space, resolve, runtime_of
from pixkind.encoder.supervisor import WORKER, Encoder
from pixkind.ingest.task import PACE, Pace
from pixkind.ingest.throttle import Throttle
from pixkind.storage.recovery import close_store
from pixkind.watching.coverage import Unwatched, Watching

SCRIPTED = (sys.executable, str(Path(__file__).with_name("scripted_worker.py")))
REST_S = 0.02


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def scripted(log: Path) -> Settings:
    """Return the settings of a scripted worker that writes what it does to `log`."""
    return Settings(socket=-1, model="scripted", weights=str(log), limit_mp=1, decode_threads=1, network_threads=1)


def default_network(
    weights: str = "", runtime: Runtime = Runtime.AUTO, *, decode_threads: int = 2, cores: int = 2
) -> Settings:
    """Return the settings of a real worker with the default network."""
    space = resolve(LITE0, weights, "/nowhere")
    return Settings(
        socket=-1,
        model=space.model,
        weights=space.weights,
        limit_mp=100,
        decode_threads=decode_threads,
        network_threads=1,
        cores=cores,
        runtime=runtime_of(space, runtime),
    )


def rot(library: "DaemonParts", vector: bytes) -> None:
    """Change a stored vector on the disk."""
    data = Path(library.store.folder, "data.mdb")
    while (at := data.read_bytes().find(vector)) >= 0:  # older pages may hold it, too
        with data.open("r+b") as file:
            file.seek(at)
            file.write(bytes(4))


class Gate:
    """A place where a scripted worker waits, once."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.path = folder / name
        os.mkfifo(self.path)

    def open(self) -> None:
        """Let the worker go on, as soon as it is there."""
        with self.path.open("w"):
            self.path.unlink()


class DaemonParts:
    """Folders of photos, and everything that indexes them, but for the watching."""

    def __init__(
        self,
        folder: Path,
        *roots: str,
        watching: Watching | None = None,
        throttle: Throttle | None = None,
        pace: Pace = PACE,
        worker: Settings | None = None,
        command: Sequence[str] = SCRIPTED,
        **deadlines: float,
    ) -> None:
        self.folder = folder
        self.folders = [folder / name for name in roots or ("photos",)]
        self.root = self.folders[0]
        self.log = folder / "log"
        self.log.touch()
        for root in self.folders:
            root.mkdir(exist_ok=True)
        # No limits: the machine that tests may be a busy laptop.
        self.config = Config(
            index=IndexConfig(folders=tuple(map(str, self.folders)), rest_s=REST_S, suffixes=frozenset({"jpg"})),
            limits=LimitsConfig(query_mb=1, map_gb=1, battery_percent=0, pressure_percent=0),
        )
        self.daemon = Daemon.build(
            self.config,
            instead=Substitutes(
                folder=str(folder / "index"),
                home=str(folder / "data_home"),
                cache=str(folder / "thumbs"),
                space=Space("space", "scripted", ""),
                make_encoder=lambda _: Encoder(
                    worker or scripted(self.log),
                    keep_warm_s=60,
                    command=WORKER if worker else command,
                    **deadlines,
                ),
                watching=watching or Unwatched(),
                throttle=throttle,
                pace=pace,
            ),
        )
        self.inbox = self.daemon.inbox
        self.store = self.daemon.store
        self.encoder = self.daemon.encoder
        self.roots = self.daemon.roots
        self.spaces = self.daemon.spaces
        self.index = self.spaces.filling.index
        self.counts = self.daemon.counts
        self.purge = self.daemon.purge
        self.ingest = self.daemon.ingest
        self.dispatcher = self.daemon.dispatcher()
        self.like_handler = self.dispatcher.like_handler
        self.query_images = self.like_handler.query_images
        self.haves = self.dispatcher.have_handler
        self.duplicates = self.dispatcher.dupes_handler

    def start(self) -> "DaemonParts":
        """Start to index."""
        self.encoder.start()
        self.ingest.start()
        return self

    def stop(self) -> None:
        """Stop as the daemon does."""
        self.ingest.stop()
        self.duplicates.stop()
        self.encoder.stop()
        self.daemon.thumbnails.close()
        self.spaces.stop()
        close_store(self.store)

    def write(self, name: str, *lines: str, mtime_s: int = 0) -> Path:
        """Write a photo whose picture is the first of `lines` (default: its own name)."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines or (name,)))
        if mtime_s:
            os.utime(path, (mtime_s, mtime_s))
        return path

    def sync(self, path: str = "", timeout_s: float = 240.0) -> Synced:
        """Return when every file has its outcome."""
        return self.ingest.sync(path, now_ms() + int(timeout_s * 1000)).result(timeout_s + 1)

    def jobs(self, kind: str) -> list[str]:
        """Return the pictures that the worker had as jobs of a kind, in its order."""
        lines = [line.split(" ", 1) for line in self.log.read_text().splitlines()]
        return [picture for this, picture in lines if this == kind]

    def found(self) -> set[str]:
        """Return the paths, below the root, of the photos that can be found."""
        return {os.path.relpath(one.path, self.root) for one in self.store.records() if one.live and not one.failed}

    def failed(self) -> dict[str, str]:
        """Return the paths, below the root, of the photos that failed, and why."""
        return {os.path.relpath(one.path, self.root): why for one, why in self.store.failures(1000)}


@pytest.fixture(autouse=True)
def harmless_signals() -> Iterator[None]:
    """Survive what `process.prepare_process` arranges for: a thread that dies tells us, and so does a broken lease."""
    usr1 = signal.signal(signal.SIGUSR1, lambda *_: None)
    sigio = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR1, usr1)
    signal.signal(signal.SIGIO, sigio)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[DaemonParts]:
    """Yield a library that is not started yet; it must not die."""
    made = DaemonParts(tmp_path)
    yield made
    made.stop()
    assert made.ingest.failure() is None
    assert made.encoder.failure() is None


@pytest.fixture
def point(short_tmp: Path) -> Iterator[Path]:
    """Yield a folder that may be mounted on; whatever is mounted there at the end is unmounted.

    Not in tmp_path, which pytest removes when it likes: never may it come across a mount.
    """
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = short_tmp / "point"
    folder.mkdir()
    yield folder
    unmount(folder)


def mount(*words: str | Path) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")


def unmount(point: Path) -> None:
    while any(mount.point == str(point) for mount in read_mounts()):  # os.path.ismount sees no bind mounts
        subprocess.run(["umount", "-l", point], check=True)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[DaemonParts]:
    """Yield a library of two roots."""
    made = DaemonParts(tmp_path, "one", "two")
    yield made
    made.stop()
